//! The tokenizer of a run: learned from the captions of training or read from a folder, and saved beside the weights.

use std::path::Path;

use serde_json::{Map, Value};

use super::config::{DiffusionConfig, TokenizerSource};
use crate::dataset::{Captioned, Split};
use crate::text::{Tokenizer, TrainedBpe};
use crate::weights::{DirFiles, Files};
use crate::{Error, Result};

/// Opens the tokenizer in `folder`, or makes it there.
///
/// # Errors
/// [`Error::Io`]; [`Error::NotAModel`] for a file that is missing; the tokenizer's own.
pub fn open(config: &DiffusionConfig, pictures: &dyn Captioned, folder: &Path) -> Result<Tokenizer> {
    if !folder.join("vocab.json").exists() {
        make(config, pictures, folder)?;
    }
    read(folder)
}

/// Reads a tokenizer folder.
///
/// # Errors
/// As [`open`].
pub fn read(folder: &Path) -> Result<Tokenizer> {
    let files = DirFiles::new(folder);
    let special = files.get("special_tokens_map.json")?;
    Tokenizer::from_files(
        &files.read("vocab.json")?,
        &files.read("merges.txt")?,
        &files.read("tokenizer_config.json")?,
        special.as_deref(),
    )
}

/// Copies a tokenizer folder.
///
/// # Errors
/// [`Error::Io`]; [`Error::NotAModel`] for a file that is missing.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).map_err(Error::io(to))?;
    let files = DirFiles::new(from);
    // The vocabulary last: if it exists, all files do.
    for name in ["merges.txt", "tokenizer_config.json", "special_tokens_map.json", "vocab.json"] {
        let path = to.join(name);
        std::fs::write(&path, files.read(name)?).map_err(Error::io(&path))?;
    }
    Ok(())
}

/// `text_encoder/config.json` completed with the tokenizer's values.
///
/// # Errors
/// [`Error::Config`] for a key that only the tokenizer may set.
pub fn complete(text_encoder: &Map<String, Value>, tokenizer: &Tokenizer) -> Result<Map<String, Value>> {
    let mut complete = text_encoder.clone();
    let values = [
        ("vocab_size", tokenizer.vocab_size()),
        ("max_position_embeddings", tokenizer.model_max_length()),
        ("bos_token_id", tokenizer.bos() as usize),
        ("eos_token_id", tokenizer.eos() as usize),
        ("pad_token_id", tokenizer.pad() as usize),
    ];
    for (key, value) in values {
        if complete.insert(key.to_string(), value.into()).is_some() {
            let reason = format!("{key} comes from the tokenizer: leave it out");
            return Err(Error::Config { file: "text_encoder".into(), reason });
        }
    }
    Ok(complete)
}

fn make(config: &DiffusionConfig, pictures: &dyn Captioned, folder: &Path) -> Result<()> {
    match &config.tokenizer {
        TokenizerSource::Folder(from) => copy(from, folder),
        TokenizerSource::Learned { size, captions, max_length } => {
            let seed = config.training.seed;
            let caption = |i| pictures.caption_at(seed, Split::Train, i);
            let captions = (0..*captions).map(caption).collect::<Result<Vec<String>>>()?;
            TrainedBpe::learn(captions.iter(), *size)?.write(folder, *max_length)
        }
    }
}
