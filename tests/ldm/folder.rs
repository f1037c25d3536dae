//! Golden pipelines as folders, and files in memory as single files.

use std::borrow::Cow;
use std::path::Path;

use fourstep::weights::{DirFiles, Files, MemoryFiles, SingleFile};

pub const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
pub const PARTS: [&str; 4] = ["unet", "vae", "text_encoder", "text_encoder_2"];

/// A golden pipeline's folder with the vocabulary that its set shares.
pub struct Golden {
    pipeline: DirFiles,
    tokenizer: DirFiles,
}

pub fn golden(set: &str, name: &str) -> Golden {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(set);
    at(&root, name)
}

pub fn at(root: &Path, name: &str) -> Golden {
    let pipeline = DirFiles::new(root.join("pipelines").join(name));
    Golden { pipeline, tokenizer: DirFiles::new(root.join("tokenizer")) }
}

impl Golden {
    fn home<'p>(&self, path: &'p str) -> fourstep::Result<(&DirFiles, &'p str)> {
        let shared = ["vocab.json", "merges.txt"].into_iter().find(|name| path.ends_with(name));
        Ok(match (self.pipeline.size(path)?, shared) {
            (None, Some(name)) => (&self.tokenizer, name),
            _ => (&self.pipeline, path),
        })
    }
}

impl Files for Golden {
    fn place(&self) -> String {
        self.pipeline.place()
    }

    fn get(&self, path: &str) -> fourstep::Result<Option<Cow<'_, [u8]>>> {
        let (folder, path) = self.home(path)?;
        folder.get(path)
    }

    fn size(&self, path: &str) -> fourstep::Result<Option<u64>> {
        let (folder, path) = self.home(path)?;
        folder.size(path)
    }

    fn range(&self, path: &str, offset: u64, length: usize) -> fourstep::Result<Cow<'_, [u8]>> {
        let (folder, path) = self.home(path)?;
        folder.range(path, offset, length)
    }
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
