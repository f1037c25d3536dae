//! CLIP's own vocabulary, for checkpoints in one file, which hold none: 49,408 tokens of OpenAI's release (MIT licence, see NOTICE).
//! It is in the command line, not in the page. `tests/reference/clip_merges.py` writes `clip/merges.bin` from `merges.txt`.

use serde_json::{Map, Value};

use super::tokenizer::END_OF_WORD;
use super::train_bpe::byte_letters;

/// Each merge joins two tokens: two ids of 16 bits, little-endian.
const MERGES: &[u8] = include_bytes!("clip/merges.bin");

/// Contents of `vocab.json` and `merges.txt`.
pub fn vocabulary() -> (Vec<u8>, Vec<u8>) {
    let mut tokens: Vec<String> = byte_letters().into_iter().map(String::from).collect();
    tokens.extend_from_within(..);
    let half = tokens.len() / 2;
    tokens[half..].iter_mut().for_each(|token| token.push_str(END_OF_WORD));
    let mut merges = "#version: 0.2\n".to_string();
    for pair in MERGES.chunks_exact(4) {
        let token = |at: usize| tokens[usize::from(u16::from_le_bytes([pair[at], pair[at + 1]]))].clone();
        let (left, right) = (token(0), token(2));
        merges.push_str(&format!("{left} {right}\n"));
        tokens.push(left + &right);
    }
    tokens.extend(["<|startoftext|>", "<|endoftext|>"].map(str::to_string));
    let ids = tokens.into_iter().enumerate().map(|(id, token)| (token, Value::from(id)));
    (Value::Object(ids.collect::<Map<_, _>>()).to_string().into_bytes(), merges.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_vocabulary_that_openai_published() {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reference/tokenizer");
        let (vocab, merges) = vocabulary();
        assert!(merges == std::fs::read(golden.join("merges.txt")).unwrap(), "merges.txt");
        let expected: Value = serde_json::from_slice(&std::fs::read(golden.join("vocab.json")).unwrap()).unwrap();
        assert!(serde_json::from_slice::<Value>(&vocab).unwrap() == expected, "vocab.json");
    }
}
