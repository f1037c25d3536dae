//! Golden pipelines as folders, and files in memory as single files.

#[path = "../vocabulary/mod.rs"]
mod vocabulary;

use std::path::Path;

use fourstep::weights::{DirFiles, Files, MemoryFiles, SingleFile};

use vocabulary::WithVocabulary;

pub const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
pub const PARTS: [&str; 4] = ["unet", "vae", "text_encoder", "text_encoder_2"];

/// A golden pipeline's folder with the vocabulary that its set shares.
pub fn golden(set: &str, name: &str) -> WithVocabulary {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(set);
    at(&root, name)
}

pub fn at(root: &Path, name: &str) -> WithVocabulary {
    let pipeline = DirFiles::new(root.join("pipelines").join(name));
    WithVocabulary { pipeline, tokenizer: DirFiles::new(root.join("tokenizer")), vae: None }
}

/// The configurations of a folder, and nothing of its weights.
pub fn configurations(files: &impl Files) -> MemoryFiles {
    let mut small = MemoryFiles::default();
    let names = ["config.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt"];
    let in_folders = [&PARTS[..], &["tokenizer", "tokenizer_2"]].concat();
    let inner = in_folders.iter().flat_map(|folder| names.map(|name| format!("{folder}/{name}")));
    for path in inner.chain(["model_index.json".into(), "scheduler/scheduler_config.json".into()]) {
        if let Some(bytes) = files.get(&path).unwrap() {
            small.insert(path, bytes.into_owned());
        }
    }
    small
}

pub fn opened(name: &str, file: Vec<u8>, config: Option<MemoryFiles>) -> fourstep::Result<SingleFile> {
    let mut files = MemoryFiles::default();
    files.insert(name, file);
    SingleFile::open(Box::new(files), name, config.map(|config| Box::new(config) as Box<dyn Files>))
}

pub fn weights_of(part: &str) -> String {
    format!("{part}/{}", if part.starts_with("text") { "model.safetensors" } else { WEIGHTS })
}
