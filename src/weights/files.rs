//! Where a model's files come from: a folder, or bytes that the page has fetched. Configurations are read whole, weights
//! by ranges, so that no more than a tensor is held.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::{Error, Result};

/// The longest configuration or vocabulary that is read, in bytes.
const MAX_SMALL: u64 = 100_000_000;

/// A model folder in the diffusers layout, wherever it lives. Paths are relative and use `/`.
pub trait Files {
    /// What to call the folder in messages.
    fn place(&self) -> String;

    /// The bytes of a file; `None` if there is no such file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file is there but cannot be read.
    fn get(&self, path: &str) -> Result<Option<Cow<'_, [u8]>>>;

    /// The length of a file in bytes; `None` if there is no such file.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn size(&self, path: &str) -> Result<Option<u64>>;

    /// `length` bytes of a file from `offset` on.
    ///
    /// # Errors
    /// [`Error::NotAModel`] if there is no such file, [`Error::BadFile`] if it is shorter, [`Error::Io`].
    fn range(&self, path: &str, offset: u64, length: usize) -> Result<Cow<'_, [u8]>>;

    /// The bytes of a configuration or vocabulary; `None` if there is no such file.
    ///
    /// # Errors
    /// As [`Self::get`]; [`Error::BadFile`] for one of more than 100 MB, which is not read.
    fn get_small(&self, path: &str) -> Result<Option<Cow<'_, [u8]>>> {
        match self.size(path)? {
            Some(size) if size > MAX_SMALL => {
                let reason = format!("{size} bytes; a configuration or vocabulary has at most {MAX_SMALL}");
                Err(Error::BadFile { file: path.to_string(), reason })
            }
            Some(_) => self.get(path),
            None => Ok(None),
        }
    }

    /// The bytes of a configuration or vocabulary that must be there.
    ///
    /// # Errors
    /// [`Error::NotAModel`] names the missing file; those of [`Self::get_small`].
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>> {
        self.get_small(path)?.ok_or_else(|| missing(&self.place(), path))
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

impl<F: Files + ?Sized> Files for Box<F> {
    fn place(&self) -> String {
        (**self).place()
    }

    fn get(&self, path: &str) -> Result<Option<Cow<'_, [u8]>>> {
        (**self).get(path)
    }

    fn size(&self, path: &str) -> Result<Option<u64>> {
        (**self).size(path)
    }

    fn range(&self, path: &str, offset: u64, length: usize) -> Result<Cow<'_, [u8]>> {
        (**self).range(path, offset, length)
    }
}

fn missing(place: &str, path: &str) -> Error {
    Error::NotAModel { place: place.to_string(), reason: format!("{path} is missing") }
}

/// Bytes that a file should have and has not.
pub(crate) fn cut_off(path: &str, offset: u64, length: usize) -> Error {
    let reason = format!("truncated: it ends before {length} bytes from byte {offset} on are read");
    Error::BadFile { file: path.to_string(), reason }
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
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(path)(error)),
        }
    }

    fn size(&self, path: &str) -> Result<Option<u64>> {
        let path = self.0.join(path);
        match std::fs::metadata(&path) {
            Ok(data) => Ok(Some(data.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(path)(error)),
        }
    }

    fn range(&self, path: &str, offset: u64, length: usize) -> Result<Cow<'_, [u8]>> {
        if self.size(path)?.ok_or_else(|| missing(&self.place(), path))? < offset.saturating_add(length as u64) {
            return Err(cut_off(path, offset, length));
        }
        let whole = self.0.join(path);
        let mut file = std::fs::File::open(&whole).map_err(Error::io(&whole))?;
        file.seek(SeekFrom::Start(offset)).map_err(Error::io(&whole))?;
        let mut bytes = vec![0; length];
        match file.read_exact(&mut bytes) {
            Ok(()) => Ok(Cow::Owned(bytes)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(cut_off(path, offset, length)),
            Err(error) => Err(Error::io(whole)(error)),
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

    /// Removes a file, if it is there.
    pub fn remove(&mut self, path: &str) {
        self.0.remove(path);
    }
}

impl Files for MemoryFiles {
    fn place(&self) -> String {
        "the model".to_string()
    }

    fn get(&self, path: &str) -> Result<Option<Cow<'_, [u8]>>> {
        Ok(self.0.get(path).map(|bytes| Cow::Borrowed(bytes.as_slice())))
    }

    fn size(&self, path: &str) -> Result<Option<u64>> {
        Ok(self.0.get(path).map(|bytes| bytes.len() as u64))
    }

    fn range(&self, path: &str, offset: u64, length: usize) -> Result<Cow<'_, [u8]>> {
        let bytes = self.0.get(path).ok_or_else(|| missing(&self.place(), path))?;
        let range = usize::try_from(offset).ok().and_then(|from| bytes.get(from..from.checked_add(length)?));
        range.map(Cow::Borrowed).ok_or_else(|| cut_off(path, offset, length))
    }
}
