//! The header of a safetensors file, read before anything else and checked against the file's length: what it promises
//! is in the file, in one piece a tensor, and nothing is allocated on the word of a file alone.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use safetensors::Dtype;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use crate::{Error, Result};

/// Bytes of the header's own length.
const PREFIX: u64 = 8;
/// The longest header that is read, in bytes: the limit of the safetensors library.
pub(crate) const MAX_HEADER: u64 = 100_000_000;
/// How much of something that is no safetensors file is looked at, to say what it is.
const GLANCE: usize = 64;

/// What a file says that it holds.
#[derive(Debug)]
pub(crate) struct Header {
    /// By the file's own names.
    pub tensors: Vec<(String, Stored)>,
    /// The writer's notes.
    pub metadata: BTreeMap<String, String>,
}

/// Where a tensor lies.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// From the file's first byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

impl Header {
    /// Reads the header of a file of `size` bytes, of which `range` gives `length` bytes from `offset`.
    ///
    /// # Errors
    /// [`Error::BadFile`] for something that is no safetensors file, one that is cut off, and tensors that overlap, leave
    /// gaps, stand there twice, or are not as long as their shape says.
    pub fn read<'a>(file: &str, size: u64, range: impl Fn(u64, usize) -> Result<Cow<'a, [u8]>>) -> Result<Self> {
        let bad = |reason: String| Error::BadFile { file: file.to_string(), reason };
        if size < PREFIX {
            return Err(bad(format!("truncated or no safetensors file: only {size} bytes")));
        }
        let start = range(0, size.min(GLANCE as u64) as usize)?;
        let length = u64::from_le_bytes(start[..PREFIX as usize].try_into().expect("eight bytes"));
        if length > MAX_HEADER || length > size - PREFIX {
            let what = known(&start).map_or_else(
                || format!("a header of {length} bytes in a file of {size}"),
                |what| format!("this is {what}"),
            );
            return Err(bad(format!("truncated or no safetensors file: {what}")));
        }
        let text = range(PREFIX, length as usize)?;
        let Entries { tensors, metadata } = serde_json::from_slice(&text)
            .map_err(|error| bad(format!("truncated or no safetensors file: its header is broken ({error})")))?;
        let begin = PREFIX + length;
        let mut placed = Vec::with_capacity(tensors.len());
        for (name, entry) in tensors {
            let stored = entry.placed(begin).map_err(|reason| bad(format!("tensor {name}: {reason}")))?;
            placed.push((name, stored));
        }
        check_places(begin, size, &mut placed).map_err(bad)?;
        Ok(Self { tensors: placed, metadata })
    }
}

/// Tensors follow one another without gaps to the file's end; sorts them by their places.
fn check_places(begin: u64, size: u64, tensors: &mut [(String, Stored)]) -> std::result::Result<(), String> {
    tensors.sort_by_key(|(_, stored)| (stored.offset, stored.length));
    let mut end = begin;
    let mut before = "the header";
    for (name, stored) in tensors.iter() {
        match stored.offset {
            offset if offset < end => return Err(format!("tensor {name} overlaps {before}")),
            offset if offset > end => return Err(format!("a gap of {} bytes before tensor {name}", offset - end)),
            _ => end += stored.length,
        }
        if end > size {
            return Err(format!("truncated: tensor {name} ends at byte {end}, the file at {size}"));
        }
        before = name;
    }
    match size - end {
        0 => Ok(()),
        more => Err(format!("truncated or altered: {more} bytes after the last tensor")),
    }
}

/// What people take for a safetensors file.
fn known(start: &[u8]) -> Option<&'static str> {
    let text = start.trim_ascii_start();
    let begins = |with: &[u8]| text.len() >= with.len() && text[..with.len()].eq_ignore_ascii_case(with);
    [
        (b"<!doctype" as &[u8], "a web page"),
        (b"<html", "a web page"),
        (b"<?xml", "an XML document"),
        (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself"),
        (b"PK\x03\x04", "a PyTorch or zip file"),
        (b"GGUF", "a GGUF file"),
        (b"{", "a JSON document"),
    ]
    .into_iter()
    .find_map(|(with, what)| begins(with).then_some(what))
}

/// A tensor as the header has it.
#[derive(serde::Deserialize)]
struct Entry {
    dtype: Dtype,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl Entry {
    /// Checked for itself; `begin` is where the data begins.
    fn placed(self, begin: u64) -> std::result::Result<Stored, String> {
        let Self { dtype, shape, data_offsets: (from, to) } = self;
        let numbers = shape.iter().try_fold(1u64, |numbers, length| numbers.checked_mul(*length));
        let bits = numbers.and_then(|numbers| numbers.checked_mul(dtype.bitsize() as u64));
        let wide = || format!("its shape {shape:?} has more numbers than any file");
        let bits = bits.ok_or_else(wide)?;
        let length = to.checked_sub(from).ok_or_else(|| format!("it ends (at {to}) before it begins (at {from})"))?;
        if bits % 8 != 0 || bits / 8 != length {
            let asked = bits.div_ceil(8);
            return Err(format!("{length} bytes, where {dtype:?} of shape {shape:?} takes {asked}"));
        }
        let offset = begin.checked_add(from).filter(|offset| offset.checked_add(length).is_some());
        let offset = offset.ok_or_else(|| format!("it begins at {from}, behind the end of any file"))?;
        let sizes = shape.iter().map(|length| usize::try_from(*length));
        let shape = sizes.collect::<std::result::Result<_, _>>().map_err(|_| wide())?;
        Ok(Stored { dtype, shape, offset, length })
    }
}

/// The header's object; a name that stands there twice is an error, which a map would hide.
struct Entries {
    tensors: Vec<(String, Entry)>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Entries, A::Error> {
                let mut entries = Entries { tensors: Vec::new(), metadata: BTreeMap::new() };
                let mut seen = BTreeSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if !seen.insert(name.clone()) {
                        return Err(A::Error::custom(format!("the name {name} stands in it twice")));
                    }
                    if name == "__metadata__" {
                        entries.metadata = map.next_value()?;
                        continue;
                    }
                    let entry =
                        map.next_value().map_err(|error| A::Error::custom(format!("tensor {name}: {error}")))?;
                    entries.tensors.push((name, entry));
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}
