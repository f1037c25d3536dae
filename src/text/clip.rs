//! CLIP's own vocabulary, for checkpoints in one file, which hold none: 49,408 tokens of OpenAI's release (MIT licence, see NOTICE).
//! The command line carries it; the page fetches it when it opens such a file. `tests/reference/clip_merges.py` writes
//! `clip/merges.bin` from `merges.txt`.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::tokenizer::{END_OF_WORD, byte_letters};
use crate::{Error, Result};

/// The file's name, for messages.
const FILE: &str = "clip/merges.bin";
/// Merges in the file.
const COUNT: usize = 48_894;

/// The contents of `clip/merges.bin`: each merge joins two tokens, two ids of 16 bits, little-endian.
pub struct ClipMerges(Cow<'static, [u8]>);

impl ClipMerges {
    /// Those that are in the program.
    #[cfg(feature = "native")]
    pub fn own() -> Self {
        Self(Cow::Borrowed(include_bytes!("clip/merges.bin")))
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// [`Error::BadFile`] for another number of merges, and for one of tokens that are not there yet.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        let bad = |reason: String| Err(Error::BadFile { file: FILE.to_string(), reason });
        if bytes.len() != 4 * COUNT {
            return bad(format!("{} bytes; CLIP's vocabulary has {}", bytes.len(), 4 * COUNT));
        }
        let first = 2 * byte_letters().len();
        let later = |(at, pair): (usize, &[u8])| ids(pair).iter().any(|id| *id >= first + at);
        match bytes.chunks_exact(4).enumerate().position(later) {
            Some(at) => bad(format!("merge {at} joins tokens that come after it")),
            None => Ok(Self(Cow::Owned(bytes))),
        }
    }

    /// Contents of `vocab.json` and `merges.txt`.
    pub fn vocabulary(&self) -> (Vec<u8>, Vec<u8>) {
        let mut tokens: Vec<String> = byte_letters().into_iter().map(String::from).collect();
        tokens.extend_from_within(..);
        let half = tokens.len() / 2;
        tokens[half..].iter_mut().for_each(|token| token.push_str(END_OF_WORD));
        let mut merges = "#version: 0.2\n".to_string();
        for pair in self.0.chunks_exact(4) {
            let [left, right] = ids(pair).map(|id| tokens[id].clone());
            merges.push_str(&format!("{left} {right}\n"));
            tokens.push(left + &right);
        }
        tokens.extend(["<|startoftext|>", "<|endoftext|>"].map(str::to_string));
        let ids = tokens.into_iter().enumerate().map(|(id, token)| (token, Value::from(id)));
        (Value::Object(ids.collect::<Map<_, _>>()).to_string().into_bytes(), merges.into_bytes())
    }
}

/// The two tokens of a merge.
fn ids(pair: &[u8]) -> [usize; 2] {
    [0, 2].map(|at| usize::from(u16::from_le_bytes([pair[at], pair[at + 1]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_vocabulary_that_openai_published() {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reference/tokenizer");
        let (vocab, merges) = ClipMerges::own().vocabulary();
        assert!(merges == std::fs::read(golden.join("merges.txt")).unwrap(), "merges.txt");
        let expected: Value = serde_json::from_slice(&std::fs::read(golden.join("vocab.json")).unwrap()).unwrap();
        assert!(serde_json::from_slice::<Value>(&vocab).unwrap() == expected, "vocab.json");
    }

    #[test]
    fn other_files_are_refused() {
        let own = ClipMerges::own().0.into_owned();
        assert!(ClipMerges::parse(own.clone()).is_ok());
        assert!(ClipMerges::parse(own[4..].to_vec()).is_err_and(|error| error.to_string().contains("195572 bytes")));
        let mut early = own;
        early[0..2].copy_from_slice(&512u16.to_le_bytes());
        assert!(ClipMerges::parse(early).is_err_and(|error| error.to_string().contains("merge 0 ")));
    }
}
