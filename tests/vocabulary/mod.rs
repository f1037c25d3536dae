//! The golden pipelines of a set share one vocabulary, which lies in a folder of its own.

use std::borrow::Cow;

use fourstep::weights::{DirFiles, Files};

/// A pipeline's folder, with the vocabulary that all pipelines of the set share.
pub struct WithVocabulary {
    pub pipeline: DirFiles,
    pub tokenizer: DirFiles,
    /// Another autoencoder.
    pub vae: Option<DirFiles>,
}

impl WithVocabulary {
    /// The folder that has a file, and the file's path there.
    fn home<'a>(&self, path: &'a str) -> fourstep::Result<(&DirFiles, &'a str)> {
        if let (Some(vae), Some(path)) = (&self.vae, path.strip_prefix("vae/")) {
            return Ok((vae, path));
        }
        let shared = ["vocab.json", "merges.txt"].into_iter().find(|name| path.ends_with(name));
        Ok(match (self.pipeline.size(path)?, shared) {
            (None, Some(name)) => (&self.tokenizer, name),
            _ => (&self.pipeline, path),
        })
    }
}

impl Files for WithVocabulary {
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
