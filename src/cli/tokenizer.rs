//! `fourstep tokenizer`: learns the vocabulary of a small model from captions.

use crate::text::TrainedBpe;
use anyhow::{Context, Result, bail};
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// Learns a CLIP-style vocabulary from captions and writes the files of a tokenizer folder.
#[derive(clap::Args)]
pub struct Tokenizer {
    /// Captions: one JSON object a line, with the text under --key; in a file with another ending, one caption a line
    #[arg(long, value_name = "FILE.jsonl")]
    captions: PathBuf,
    /// The key of the caption in each line
    #[arg(long, default_value = "caption")]
    key: String,
    /// Greatest number of tokens, begin and end included; 514 or more
    #[arg(long)]
    size: usize,
    /// Length of a padded sequence, begin and end included: the text encoder's max_position_embeddings
    #[arg(long, value_parser = clap::value_parser!(u16).range(3..))]
    max_length: u16,
    /// Folder to write, created if missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs the command and prints the result on standard output.
pub fn run(args: &Tokenizer) -> Result<()> {
    let captions = read(&args.captions, &args.key)?;
    let bpe = TrainedBpe::learn(captions.iter(), args.size)?;
    bpe.write(&args.out, args.max_length.into())?;
    let (count, size, out) = (captions.len(), bpe.vocab_size(), args.out.display());
    println!("{size} tokens from {count} captions, written to {out}");
    Ok(())
}

fn read(path: &Path, key: &str) -> Result<Vec<String>> {
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let objects = path.extension().is_some_and(|ending| ending == "jsonl");
    let mut captions = vec![];
    for (i, line) in std::io::BufReader::new(file).lines().enumerate() {
        let line = line.with_context(|| path.display().to_string())?;
        if line.trim().is_empty() {
            continue;
        }
        if !objects {
            captions.push(line);
            continue;
        }
        let place = || format!("{}, line {}", path.display(), i + 1);
        let object: serde_json::Value = serde_json::from_str(&line).with_context(place)?;
        match object[key].as_str() {
            Some(caption) => captions.push(caption.to_owned()),
            None => bail!("{}: no text under {key:?}", place()),
        }
    }
    Ok(captions)
}
