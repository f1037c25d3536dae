//! Where a model's files come from: a folder, or bytes that the page has fetched.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{Error, Result};

/// A model folder in the diffusers layout, wherever it lives. Paths are relative and use `/`.
pub trait Files {
    /// What to call the folder in messages.
    fn place(&self) -> String;

    /// The bytes of a file; `None` if there is no such file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file is there but cannot be read.
    fn get(&self, path: &str) -> Result<Option<Cow<'_, [u8]>>>;

    /// The bytes of a file that must be there.
    ///
    /// # Errors
    /// [`Error::NotAModel`] names the missing file.
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>> {
        let missing = || Error::NotAModel { place: self.place(), reason: format!("{path} is missing") };
        self.get(path)?.ok_or_else(missing)
    }

    /// A text file that must be there.
    ///
    /// # Errors
    /// [`Error::NotAModel`] names the missing file, [`Error::BadFile`] one that is not UTF-8.
    fn read_text(&self, path: &str) -> Result<String> {
        String::from_utf8(self.read(path)?.into_owned())
            .map_err(|error| Error::BadFile { file: path.to_string(), reason: error.to_string() })
    }
}

/// A folder on disk.
#[derive(Clone, Debug)]
pub struct DirFiles(PathBuf);

impl DirFiles {
    /// `dir` need not exist yet; reading says what is missing.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }
}

impl Files for DirFiles {
    fn place(&self) -> String {
        self.0.display().to_string()
    }

    fn get(&self, path: &str) -> Result<Option<Cow<'_, [u8]>>> {
        let path = self.0.join(path);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(Cow::Owned(bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(path)(error)),
        }
    }
}

/// Files in memory: what the page hands in.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles(BTreeMap<String, Vec<u8>>);

impl MemoryFiles {
    /// Adds a file, replacing one of the same path.
    pub fn insert(&mut self, path: impl Into<String>, bytes: Vec<u8>) {
        self.0.insert(path.into(), bytes);
    }
}

impl Files for MemoryFiles {
    fn place(&self) -> String {
        "the model".to_string()
    }

    fn get(&self, path: &str) -> Result<Option<Cow<'_, [u8]>>> {
        Ok(self.0.get(path).map(|bytes| Cow::Borrowed(bytes.as_slice())))
    }
}
