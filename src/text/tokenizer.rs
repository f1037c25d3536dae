//! CLIP's byte-level BPE, padded and truncated as in transformers' CLIPTokenizer, from the files of a diffusers folder.
//! It uses no file access and no threads, so the browser runs the same code.
//!
//! Source: Radford et al., "Learning transferable visual models from natural language supervision", 2021. The rules are
//! those of transformers (NFC, runs of white space to one space, lower case, split, BPE), not those of the original
//! CLIP code, which also repairs mojibake and HTML entities.

use crate::{Error, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::{self, Lowercase, NFC, Replace, replace::ReplacePattern};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior};

pub(super) const VOCAB: &str = "tokenizer/vocab.json";
pub(super) const MERGES: &str = "tokenizer/merges.txt";
pub(super) const CONFIG: &str = "tokenizer/tokenizer_config.json";
pub(super) const SPECIAL: &str = "tokenizer/special_tokens_map.json";
const WHOLE: &str = "tokenizer/tokenizer.json";

/// The end of a word in the vocabulary.
pub(super) const END_OF_WORD: &str = "</w>";

const SPLIT: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Turns text into token ids.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    bos: u32,
    eos: u32,
    pad: u32,
    model_max_length: usize,
    /// The further ids of words that stand for several.
    followed: BTreeMap<u32, Vec<u32>>,
}

/// The tokens of a whole text, without begin and end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// All token ids.
    pub ids: Vec<u32>,
    /// For each token, its bytes in the text; tokens that share a character share its bytes.
    pub offsets: Vec<(usize, usize)>,
    /// Whether there are more tokens than the text encoder takes, so that [`Tokenizer::encode_padded`] truncates.
    pub too_long: bool,
}

/// The input of the text encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Padded {
    /// Begin, at most `model_max_length - 2` tokens, end, and padding up to `model_max_length`.
    pub ids: Vec<i64>,
    /// The end of the text that did not fit, for a warning.
    pub truncated: Option<String>,
}

impl Tokenizer {
    /// Builds the tokenizer from the contents of the four files; `special_tokens_map.json` may be absent.
    ///
    /// Begin, end, unknown and padding are the tokens that the two configuration files name, with the ids of the
    /// vocabulary. If both files name one, `special_tokens_map.json` decides, unless `tokenizer_config.json` has
    /// `added_tokens_decoder`, as in transformers.
    ///
    /// These tokens are also recognised in a text: if `!` is the padding token (Stable Diffusion 2), every `!` in a
    /// prompt is padding.
    ///
    /// # Errors
    /// An error that names the file and the key, if something is missing, malformed or not in the vocabulary.
    pub fn from_files(
        vocab_json: &[u8],
        merges_txt: &[u8],
        tokenizer_config: &[u8],
        special_tokens_map: Option<&[u8]>,
    ) -> Result<Self> {
        let config = Config::read(tokenizer_config, special_tokens_map)?;
        let vocab: Vocab = serde_json::from_slice(vocab_json).map_err(|error| bad(VOCAB, error))?;
        let unk = config.token("unk_token")?;
        if !vocab.contains_key(&unk) {
            return Err(not_in_vocabulary(VOCAB, "unk_token", &unk));
        }
        let builder = BPE::builder().vocab_and_merges(vocab, read_merges(merges_txt)?).unk_token(unk);
        let builder = builder.continuing_subword_prefix(String::new()).end_of_word_suffix(END_OF_WORD.into());
        let model = builder.build().map_err(|error| bad(MERGES, error))?;
        let mut inner = tokenizers::Tokenizer::new(model);
        inner.with_normalizer(Some(normalizer())).map_err(|error| bad(CONFIG, error))?;
        inner.with_pre_tokenizer(Some(pre_tokenizer()));
        Self::finish(inner, &config, VOCAB)
    }

    /// Builds the tokenizer from `tokenizer.json`, which contains vocabulary, merges and rules. The special tokens and
    /// the length come from the other two files, as in [`Self::from_files`].
    ///
    /// # Errors
    /// As [`Self::from_files`].
    pub fn from_tokenizer_json(
        tokenizer_json: &[u8],
        tokenizer_config: &[u8],
        special_tokens_map: Option<&[u8]>,
    ) -> Result<Self> {
        let config = Config::read(tokenizer_config, special_tokens_map)?;
        let mut inner = tokenizers::Tokenizer::from_bytes(tokenizer_json).map_err(|error| bad(WHOLE, error))?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| bad(WHOLE, error))?;
        Self::finish(inner, &config, WHOLE)
    }

    /// The number of ids of [`Self::encode_padded`], which is the length of the text encoder's sequence.
    pub fn model_max_length(&self) -> usize {
        self.model_max_length
    }

    /// The number of tokens, including special ones; every id is below this.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The id of the token that begins every sequence.
    pub fn bos(&self) -> u32 {
        self.bos
    }

    /// The id of the token that ends every sequence.
    pub fn eos(&self) -> u32 {
        self.eos
    }

    /// The id of the padding token.
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// The tokens of a text of any length and script; the text may be empty.
    ///
    /// # Errors
    /// Only if a foreign `tokenizer.json` cannot represent the text.
    pub fn encode(&self, text: &str) -> Result<Encoding> {
        let encoding = self.inner.encode(text, false).map_err(|error| bad(WHOLE, error))?;
        let (mut ids, mut offsets) = (Vec::new(), Vec::new());
        for (id, place) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
            ids.push(*id);
            ids.extend(self.followed.get(id).into_iter().flatten());
            offsets.resize(ids.len(), *place);
        }
        let too_long = ids.len() > self.model_max_length - 2;
        Ok(Encoding { ids, offsets, too_long })
    }

    /// The tokens of a text between begin and end, truncated or padded to exactly `model_max_length` ids.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_padded(&self, text: &str) -> Result<Padded> {
        let Encoding { mut ids, offsets, too_long } = self.encode(text)?;
        let room = self.model_max_length - 2;
        let truncated = too_long.then(|| text[text.floor_char_boundary(offsets[room].0)..].to_owned());
        ids.truncate(room);
        let mut padded = vec![i64::from(self.bos)];
        padded.extend(ids.into_iter().map(i64::from));
        padded.push(self.eos.into());
        padded.resize(self.model_max_length, self.pad.into());
        Ok(Padded { ids: padded, truncated })
    }

    /// Adds a learned word that stands for as many tokens as there are `words`, the first of which is found in prompts.
    /// Returns their ids, which follow each other. (diffusers writes all of the words into the prompt instead.)
    ///
    /// # Errors
    /// [`Error::Request`] for a word that the vocabulary has.
    pub fn add_learned(&mut self, words: &[String]) -> Result<Vec<u32>> {
        if let Some(word) = words.iter().find(|word| self.inner.token_to_id(word).is_some()) {
            return Err(Error::Request(format!("the word {word:?} is in the vocabulary already: choose another")));
        }
        let added: Vec<AddedToken> = words.iter().map(|word| AddedToken::from(word.clone(), false)).collect();
        self.inner.add_tokens(added).map_err(|error| bad(CONFIG, error))?;
        let ids: Vec<u32> = words.iter().filter_map(|word| self.inner.token_to_id(word)).collect();
        if let [first, more @ ..] = ids.as_slice() {
            self.followed.insert(*first, more.to_vec());
        }
        Ok(ids)
    }

    /// Adds the special tokens to the model; all of them must already be in the vocabulary.
    fn finish(mut inner: tokenizers::Tokenizer, config: &Config, vocab_file: &str) -> Result<Self> {
        for token in config.added_tokens()? {
            if inner.token_to_id(&token.content).is_none() {
                let reason = format!("added_tokens_decoder has {:?}, which the vocabulary lacks", token.content);
                return Err(config_error(reason));
            }
            inner.add_tokens([token]).map_err(|error| bad(CONFIG, error))?;
        }
        let mut id = |key: &str| {
            let token = config.token(key)?;
            let id = inner.token_to_id(&token).ok_or_else(|| not_in_vocabulary(vocab_file, key, &token))?;
            // Matched in the text as written: "<|STARTOFTEXT|>" is no special token.
            let added = [AddedToken::from(token, true)];
            inner.add_special_tokens(added).map_err(|error| bad(CONFIG, error))?;
            Ok(id)
        };
        let (bos, eos, pad) = (id("bos_token")?, id("eos_token")?, id("pad_token")?);
        id("unk_token")?;
        let model_max_length = config.model_max_length()?;
        Ok(Self { inner, bos, eos, pad, model_max_length, followed: BTreeMap::new() })
    }
}

/// The letters that represent the 256 bytes, in CLIP's order: bytes with a visible Latin-1 letter represent themselves
/// and come first, the others get the letters from U+0100.
pub(super) fn byte_letters() -> Vec<char> {
    let visible = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let kept = (0..=255u8).filter(visible).map(char::from);
    let moved = (0..=255u8).filter(|byte| !visible(byte)).count() as u32;
    kept.chain((0x100..0x100 + moved).filter_map(char::from_u32)).collect()
}

/// NFC, runs of white space to one space, lower case.
pub(super) fn normalizer() -> NormalizerWrapper {
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".into()), " ").expect("a constant pattern");
    normalizers::Sequence::new(vec![NFC.into(), spaces.into(), Lowercase.into()]).into()
}

/// Splits into words, single digits and runs of other signs, then maps bytes to the letters that represent them.
pub(super) fn pre_tokenizer() -> PreTokenizerWrapper {
    let pattern = SplitPattern::Regex(SPLIT.into());
    let split = Split::new(pattern, SplitDelimiterBehavior::Removed, true).expect("a constant pattern");
    let parts = vec![split.into(), ByteLevel::default().add_prefix_space(false).into()];
    tokenizers::pre_tokenizers::sequence::Sequence::new(parts).into()
}

/// The two configuration files; the second one's tokens override the first one's where transformers does so.
struct Config(Map<String, Value>);

impl Config {
    fn read(tokenizer_config: &[u8], special_tokens_map: Option<&[u8]>) -> Result<Self> {
        let mut config = object(CONFIG, tokenizer_config)?;
        if let Some(bytes) = special_tokens_map {
            let map = object(SPECIAL, bytes)?;
            let modern = config.contains_key("added_tokens_decoder");
            config =
                if modern { map.into_iter().chain(config).collect() } else { config.into_iter().chain(map).collect() };
        }
        Ok(Self(config))
    }

    /// A token is a string, or an object with its `content`.
    fn token(&self, key: &str) -> Result<String> {
        let value = self
            .0
            .get(key)
            .ok_or_else(|| config_error(format!("{key} is missing, also in special_tokens_map.json")))?;
        let text = value.as_str().or_else(|| value.get("content")?.as_str()).filter(|text| !text.is_empty());
        text.map(str::to_owned).ok_or_else(|| config_error(format!("{key} is {value}: a token's text is understood")))
    }

    /// Further tokens that are matched in a text before it is split.
    fn added_tokens(&self) -> Result<Vec<AddedToken>> {
        let Some(value) = self.0.get("added_tokens_decoder") else { return Ok(vec![]) };
        let tokens = serde_json::from_value::<BTreeMap<String, AddedToken>>(value.clone());
        Ok(tokens.map_err(|error| config_error(format!("added_tokens_decoder: {error}")))?.into_values().collect())
    }

    fn model_max_length(&self) -> Result<usize> {
        let value = self.0.get("model_max_length").ok_or_else(|| config_error("model_max_length is missing".into()))?;
        let length = value.as_u64().filter(|length| (3..=65_536).contains(length));
        let refusal =
            || config_error(format!("model_max_length is {value}: a whole number from 3 to 65536 is understood"));
        length.map(|length| length as usize).ok_or_else(refusal)
    }
}

fn object(file: &str, bytes: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(bytes).map_err(|error| bad(file, error))
}

/// One pair a line, after an optional first line with the version.
fn read_merges(bytes: &[u8]) -> Result<Merges> {
    let text = std::str::from_utf8(bytes).map_err(|error| bad(MERGES, error))?;
    let lines =
        text.lines().enumerate().filter(|(i, line)| !(line.is_empty() || *i == 0 && line.starts_with("#version")));
    lines
        .map(|(i, line)| match line.split_once(' ') {
            Some((a, b)) if !a.is_empty() && !b.is_empty() && !b.contains(' ') => Ok((a.to_owned(), b.to_owned())),
            _ => Err(bad(MERGES, format!("line {}: {line:?} is no pair of tokens", i + 1))),
        })
        .collect()
}

fn bad(file: &str, reason: impl std::fmt::Display) -> Error {
    Error::BadFile { file: file.into(), reason: reason.to_string() }
}

fn config_error(reason: String) -> Error {
    Error::Config { file: CONFIG.into(), reason }
}

fn not_in_vocabulary(file: &str, key: &str, token: &str) -> Error {
    Error::Config {
        file: file.into(),
        reason: format!("no entry for {token:?}, the {key} of the tokenizer's configuration"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCAB_JSON: &str = r#"{"a":0,"b":1,"a</w>":2,"b</w>":3,"ab</w>":4,"!":5,"!</w>":6,"<s>":7,"<e>":8}"#;
    const MERGES_TXT: &str = "#version: 0.2\na b</w>\n";
    const CONFIG_JSON: &str =
        r#"{"bos_token":"<s>","eos_token":{"content":"<e>"},"unk_token":"<e>","pad_token":"<e>","model_max_length":5}"#;

    fn tokenizer(vocab: &str, merges: &str, config: &str, map: Option<&str>) -> Result<Tokenizer> {
        Tokenizer::from_files(vocab.as_bytes(), merges.as_bytes(), config.as_bytes(), map.map(str::as_bytes))
    }

    fn refusal(vocab: &str, merges: &str, config: &str, map: Option<&str>) -> String {
        tokenizer(vocab, merges, config, map).err().expect("refused").to_string()
    }

    #[test]
    fn pads_and_cuts() {
        let t = tokenizer(VOCAB_JSON, MERGES_TXT, CONFIG_JSON, None).unwrap();
        assert_eq!(t.encode_padded(" AB ").unwrap(), Padded { ids: vec![7, 4, 8, 8, 8], truncated: None });
        assert_eq!(t.encode_padded("").unwrap(), Padded { ids: vec![7, 8, 8, 8, 8], truncated: None });
        let long = t.encode_padded("a b ab  AB a").unwrap();
        assert_eq!(long, Padded { ids: vec![7, 2, 3, 4, 8], truncated: Some("AB a".into()) });
        let encoding = t.encode("a b ab ab").unwrap();
        assert_eq!((encoding.ids, encoding.too_long), (vec![2, 3, 4, 4], true));
        assert_eq!(t.encode("AB").unwrap().offsets, [(0, 2)]);
    }

    #[test]
    fn padding_token_in_a_text_is_the_padding_token() {
        let bang = r#"{"pad_token":"!"}"#;
        let t = tokenizer(VOCAB_JSON, MERGES_TXT, CONFIG_JSON, Some(bang)).unwrap();
        assert_eq!(t.encode_padded("ab!").unwrap().ids, [7, 4, 5, 8, 5]);
        let modern = CONFIG_JSON.replacen('{', r#"{"added_tokens_decoder":{},"#, 1);
        let t = tokenizer(VOCAB_JSON, MERGES_TXT, &modern, Some(bang)).unwrap();
        assert_eq!(t.encode_padded("ab!").unwrap().ids, [7, 4, 6, 8, 8]);
    }

    #[test]
    fn truncation_inside_a_character_gives_it_back_whole() {
        let letters = "ðŁĺĢ";
        let mut vocab = String::from(r#"{"<s>":0,"<e>":1"#);
        for (i, c) in letters.chars().enumerate() {
            vocab += &format!(r#","{c}":{},"{c}</w>":{}"#, 2 + 2 * i, 3 + 2 * i);
        }
        let t = tokenizer(&(vocab + "}"), "", CONFIG_JSON, None).unwrap();
        let padded = t.encode_padded("\u{1f600}").unwrap();
        assert_eq!(padded, Padded { ids: vec![0, 2, 4, 6, 1], truncated: Some("\u{1f600}".into()) });
    }

    #[test]
    fn errors_name_file_and_key() {
        let without = |key: &str| CONFIG_JSON.replace(key, "other");
        for key in ["bos_token", "eos_token", "unk_token", "pad_token", "model_max_length"] {
            let message = refusal(VOCAB_JSON, MERGES_TXT, &without(key), None);
            assert!(message.contains("tokenizer_config.json") && message.contains(key), "{message}");
        }
        let message = refusal(&VOCAB_JSON.replace("<s>", "<t>"), MERGES_TXT, CONFIG_JSON, None);
        assert!(message.contains("vocab.json") && message.contains("bos_token"), "{message}");
        let message = refusal(VOCAB_JSON, "a b</w>\na\n", CONFIG_JSON, None);
        assert!(message.contains("merges.txt: line 2"), "{message}");
        let message = refusal(VOCAB_JSON, "a c\n", CONFIG_JSON, None);
        assert!(message.contains("merges.txt") && message.contains('c'), "{message}");
        let message = refusal("{\"a\":", MERGES_TXT, CONFIG_JSON, None);
        assert!(message.contains("vocab.json"), "{message}");
        let message = refusal(VOCAB_JSON, MERGES_TXT, &CONFIG_JSON.replace(":5", ":1e30"), None);
        assert!(message.contains("model_max_length is 1e"), "{message}");
        let token = r#"{"content":"<new>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}"#;
        let added = CONFIG_JSON.replacen('{', &format!(r#"{{"added_tokens_decoder":{{"9":{token}}},"#), 1);
        let message = refusal(VOCAB_JSON, MERGES_TXT, &added, None);
        assert!(message.contains("tokenizer_config.json") && message.contains("<new>"), "{message}");
    }

    #[test]
    fn one_file_gives_the_same_tokens() {
        let from_files = tokenizer(VOCAB_JSON, MERGES_TXT, CONFIG_JSON, None).unwrap();
        let json = from_files.inner.to_string(false).unwrap();
        let t = Tokenizer::from_tokenizer_json(json.as_bytes(), CONFIG_JSON.as_bytes(), None).unwrap();
        assert_eq!(t.encode_padded("A ab<e>").unwrap().ids, [7, 2, 4, 8, 8]);
        let message = Tokenizer::from_tokenizer_json(b"{}", CONFIG_JSON.as_bytes(), None).err().unwrap().to_string();
        assert!(message.contains("tokenizer.json"), "{message}");
    }
}
