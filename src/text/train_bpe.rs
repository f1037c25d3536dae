//! Learns a small vocabulary of CLIP's kind from captions. A small model then spends its embeddings on words that its
//! data contains, and still reads any text, if necessary byte by byte.
//!
//! Source: Sennrich et al., "Neural machine translation of rare words with subword units", 2016, over bytes as in
//! GPT-2.

use super::tokenizer::{CONFIG, END_OF_WORD, MERGES, SPECIAL, VOCAB, byte_letters, normalizer, pre_tokenizer};
use crate::{Error, Result};
use serde_json::{Value, json};
use std::path::Path;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::{
    AddedToken, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Trainer,
};

const BOS: &str = "<|startoftext|>";
const EOS: &str = "<|endoftext|>";
/// 256 bytes, 256 bytes at the end of a word, begin and end.
const SMALLEST: usize = 2 * 256 + 2;

/// A learned vocabulary, ready to be written as the files of a diffusers tokenizer folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainedBpe {
    /// Token number i, in CLIP's order: bytes, bytes at the end of a word, merges, begin, end.
    tokens: Vec<String>,
    /// The merges in the order in which they are applied.
    merges: Vec<(String, String)>,
}

impl TrainedBpe {
    /// Merges the most frequent pair repeatedly, until there are `size` tokens or no pair occurs twice. Among equally
    /// frequent pairs, the first in the order of the vocabulary is merged, so the order of the captions does not
    /// matter.
    ///
    /// # Errors
    /// [`Error::Request`] for a `size` below 514, which the bytes alone need, or if there are no captions.
    pub fn learn<S: AsRef<str> + Send>(captions: impl Iterator<Item = S> + Send, size: usize) -> Result<Self> {
        if size < SMALLEST {
            return Err(Error::Request(format!("a vocabulary of {size} tokens: the bytes alone need {SMALLEST}")));
        }
        let letters = byte_letters();
        let ends = letters.iter().map(|letter| format!("{letter}{END_OF_WORD}"));
        let mut tokens: Vec<String> = letters.iter().map(char::to_string).chain(ends).collect();

        // The trainer puts special tokens first in its vocabulary, in the given order; this makes CLIP's order.
        let first = tokens.iter().map(|token| AddedToken::from(token.clone(), true)).collect();
        let mut trainer = BpeTrainer::builder()
            .show_progress(false)
            .min_frequency(2)
            .vocab_size(size - 2)
            .special_tokens(first)
            .end_of_word_suffix(END_OF_WORD.into())
            .build();
        let (normalizer, pre_tokenizer) = (normalizer(), pre_tokenizer());
        let words = |text: &str| words(&normalizer, &pre_tokenizer, text);
        trainer.feed(captions, words).map_err(|error| failed(&*error))?;
        if trainer.get_word_count() == 0 {
            return Err(Error::Request("no words to learn a vocabulary from".into()));
        }
        let mut model = BPE::default();
        trainer.train(&mut model).map_err(|error| failed(&*error))?;

        let merges = serde_json::to_value(&model).and_then(|mut value| serde_json::from_value(value["merges"].take()));
        let merges: Vec<(String, String)> = merges.map_err(|error| failed(&error))?;
        let learned = tokens.len()..model.get_vocab().len();
        let by_id: std::collections::HashMap<u32, String> =
            model.get_vocab().into_iter().map(|(t, i)| (i, t)).collect();
        tokens.extend(learned.map(|id| by_id[&(id as u32)].clone()));
        tokens.extend([BOS.into(), EOS.into()]);
        Ok(Self { tokens, merges })
    }

    /// The number of tokens, which is the `vocab_size` of the text encoder. Begin is the second-to-last, end the last.
    pub fn vocab_size(&self) -> usize {
        self.tokens.len()
    }

    /// Names (relative to the model's folder) and contents of the four files that `CLIPTokenizer` reads.
    ///
    /// `model_max_length` is the number of ids in a padded sequence, 3 or more; the end token is the padding.
    pub fn files(&self, model_max_length: usize) -> [(&'static str, String); 4] {
        let entries: Vec<String> =
            self.tokens.iter().enumerate().map(|(i, t)| format!("{}:{i}", Value::from(&**t))).collect();
        let merges: String = self.merges.iter().map(|(a, b)| format!("{a} {b}\n")).collect();
        let special = |content| json!({"content": content, "lstrip": false, "normalized": true, "rstrip": false, "single_word": false});
        let map =
            json!({"bos_token": special(BOS), "eos_token": special(EOS), "pad_token": EOS, "unk_token": special(EOS)});
        let mut config = map.clone();
        config["add_prefix_space"] = false.into();
        config["do_lower_case"] = true.into();
        config["errors"] = "replace".into();
        config["model_max_length"] = model_max_length.into();
        config["tokenizer_class"] = "CLIPTokenizer".into();
        [
            (VOCAB, format!("{{{}}}", entries.join(","))),
            (MERGES, format!("#version: 0.2\n{merges}")),
            (CONFIG, format!("{config:#}\n")),
            (SPECIAL, format!("{map:#}\n")),
        ]
    }

    /// Writes the four files into a folder, which is created if missing.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn write(&self, folder: &Path, model_max_length: usize) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        for (name, contents) in self.files(model_max_length) {
            let path = folder.join(name.rsplit('/').next().unwrap_or(name));
            std::fs::write(&path, contents).map_err(Error::io(&path))?;
        }
        Ok(())
    }
}

/// The words of a text as the model sees them, in the letters that represent bytes.
fn words(
    normalizer: &impl Normalizer,
    pre_tokenizer: &impl PreTokenizer,
    text: &str,
) -> tokenizers::Result<Vec<String>> {
    let mut normalized = NormalizedString::from(text);
    normalizer.normalize(&mut normalized)?;
    let mut pieces = PreTokenizedString::from(normalized);
    pre_tokenizer.pre_tokenize(&mut pieces)?;
    let splits = pieces.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
    Ok(splits.into_iter().map(|(word, ..)| word.to_owned()).collect())
}

fn failed(error: &(impl std::fmt::Display + ?Sized)) -> Error {
    Error::Request(format!("learning the vocabulary failed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::Tokenizer;
    use super::*;

    const CAPTIONS: [&str; 4] = ["a red cat", "a red car", "Red  cats", "the cat's red car"];

    #[test]
    fn order_is_that_of_clip() {
        let letters = byte_letters();
        assert_eq!(letters.len(), 256);
        // Ids of CLIP's published vocabulary.
        for (letter, id) in [('!', 0), ('a', 64), ('~', 93), ('¡', 94), ('®', 106), ('ÿ', 187), ('Ā', 188), ('Ń', 255)]
        {
            assert_eq!(letters[id], letter);
        }
        let bpe = TrainedBpe::learn(CAPTIONS.iter(), 520).unwrap();
        assert_eq!((&*bpe.tokens[256], &*bpe.tokens[511]), ("!</w>", "Ń</w>"));
        assert_eq!(bpe.tokens[bpe.vocab_size() - 2..], [BOS, EOS]);
        // By hand: "c a" occurs five times, "e d</w>" and "r e" four times each, and e comes before r.
        let first: Vec<String> = bpe.merges[..3].iter().map(|(a, b)| format!("{a} {b}")).collect();
        assert_eq!(first, ["c a", "e d</w>", "r ed</w>"]);
    }

    #[test]
    fn order_of_captions_changes_nothing() {
        let forwards = TrainedBpe::learn(CAPTIONS.iter(), 600).unwrap();
        assert_eq!(forwards, TrainedBpe::learn(CAPTIONS.iter().rev(), 600).unwrap());
        assert!(forwards.vocab_size() < 600, "no pair that occurs twice is left before 600");
    }

    #[test]
    fn files_read_back() {
        let bpe = TrainedBpe::learn(CAPTIONS.iter(), 600).unwrap();
        let [vocab, merges, config, map] = bpe.files(8);
        let bytes = |file: &(&str, String)| file.1.as_bytes().to_vec();
        let t = Tokenizer::from_files(&bytes(&vocab), &bytes(&merges), &bytes(&config), Some(&bytes(&map))).unwrap();
        let (bos, eos) = (bpe.vocab_size() as i64 - 2, bpe.vocab_size() as i64 - 1);
        let padded = t.encode_padded("Red cat").unwrap().ids;
        assert_eq!((padded.len(), padded[0], padded[3], padded[7]), (8, bos, eos, eos));
        let text: Vec<&str> = padded[1..3].iter().map(|&id| &*bpe.tokens[id as usize]).collect();
        assert_eq!(text, ["red</w>", "cat</w>"]);
        assert_eq!(t.encode("\u{1f600}").unwrap().ids.len(), 4);
    }

    #[test]
    fn refuses_what_cannot_be_learned() {
        assert!(TrainedBpe::learn(CAPTIONS.iter(), 513).unwrap_err().to_string().contains("514"));
        assert!(TrainedBpe::learn([" ", ""].iter(), 600).unwrap_err().to_string().contains("no words"));
    }
}
