//! The header of a GGUF file, read piece by piece and checked against the file's length: no count or length in it is allocated
//! before the file bears it out.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::types::{GgmlType, unread};
use crate::weights::header::MAX_HEADER;
use crate::{Error, Result};

/// With what a file begins.
pub(crate) const MAGIC: &[u8] = b"GGUF";

/// Bytes that are read at once.
const CHUNK: u64 = 1 << 16;
/// The longest name or note, in bytes; longer notes are passed over.
const MAX_TEXT: u64 = 1 << 16;
/// Lists in lists: none of these files has any.
const MAX_NESTING: usize = 4;
/// The most dimensions that ggml and its friends write.
const MAX_DIMENSIONS: u32 = 8;
/// ComfyUI-GGUF flattens convolutions and notes the shape that a tensor had.
const SHAPE_NOTE: &str = "comfy.gguf.orig_shape.";

/// What a file says that it holds.
#[derive(Debug)]
pub(crate) struct Gguf {
    /// By the file's own names, in the order of their places.
    pub tensors: Vec<(String, Tensor)>,
    /// Notes that are text.
    pub notes: BTreeMap<String, String>,
}

/// Where a tensor lies.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub kind: GgmlType,
    /// As torch has it: the dimension whose numbers are neighbours is the last.
    pub shape: Vec<usize>,
    /// From the file's first byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// Reads the header of a file of `size` bytes, of which `range` gives `length` bytes from `offset`.
///
/// # Errors
/// [`Error::BadFile`] for another version, a truncated file, tensors that overlap or end behind the file, and types that are not read.
pub(crate) fn read<'a>(file: &str, size: u64, range: impl Fn(u64, usize) -> Result<Cow<'a, [u8]>>) -> Result<Gguf> {
    let bad = |reason: String| Error::BadFile { file: file.to_string(), reason };
    let mut reader = Reader { range: &range, size, at: 0, chunk: Vec::new(), from: 0 };
    let found = reader.header().map_err(|stop| match stop {
        Stop::Bad(reason) => bad(reason),
        Stop::Other(error) => error,
    })?;
    let Found { mut tensors, notes, shapes, begin } = found;
    for (name, tensor) in &mut tensors {
        tensor.offset = tensor.offset.saturating_add(begin);
        if let Some(shape) = shapes.get(name) {
            reshape(tensor, shape).map_err(|reason| bad(format!("tensor {name}: {reason}")))?;
        }
    }
    check_places(begin, size, &mut tensors).map_err(bad)?;
    Ok(Gguf { tensors, notes })
}

/// As the note says, if it has the same numbers.
fn reshape(tensor: &mut Tensor, shape: &[usize]) -> std::result::Result<(), String> {
    let numbers = shape.iter().try_fold(1usize, |numbers, length| numbers.checked_mul(*length));
    if numbers != Some(tensor.shape.iter().product()) {
        return Err(format!("{SHAPE_NOTE}* says {shape:?}, the tensor has {:?}", tensor.shape));
    }
    tensor.shape = shape.to_vec();
    Ok(())
}

/// Tensors follow one another, with at most the gaps that alignment leaves.
fn check_places(begin: u64, size: u64, tensors: &mut [(String, Tensor)]) -> std::result::Result<(), String> {
    tensors.sort_by_key(|(_, tensor)| (tensor.offset, tensor.length));
    let (mut end, mut before) = (begin, "the header");
    for (name, tensor) in tensors.iter() {
        if tensor.offset < end {
            return Err(format!("tensor {name} overlaps {before}"));
        }
        end = tensor.offset.checked_add(tensor.length).filter(|end| *end <= size).ok_or_else(|| {
            format!(
                "truncated: tensor {name} begins at byte {} and has {}, the file {size}",
                tensor.offset, tensor.length
            )
        })?;
        before = name;
    }
    Ok(())
}

/// The header as it stands there; offsets still from `begin`.
struct Found {
    tensors: Vec<(String, Tensor)>,
    notes: BTreeMap<String, String>,
    shapes: BTreeMap<String, Vec<usize>>,
    begin: u64,
}

enum Stop {
    Bad(String),
    Other(Error),
}

type Read<T> = std::result::Result<T, Stop>;

fn stop<T>(reason: impl Into<String>) -> Read<T> {
    Err(Stop::Bad(reason.into()))
}

/// A note of the writer's, as far as it is of use here.
enum Note {
    Text(String),
    Number(u64),
    Numbers(Vec<u64>),
    Other,
}

struct Reader<'r, 'a> {
    range: &'r dyn Fn(u64, usize) -> Result<Cow<'a, [u8]>>,
    size: u64,
    at: u64,
    /// Read already, from byte `from` on.
    chunk: Vec<u8>,
    from: u64,
}

impl Reader<'_, '_> {
    fn header(&mut self) -> Read<Found> {
        if self.take(4)? != MAGIC {
            return stop("no GGUF file");
        }
        match self.u32()? {
            2 | 3 => {}
            version if (1..=3).contains(&version.swap_bytes()) => {
                return stop("a GGUF file with its bytes in the other order (big-endian)");
            }
            version => return stop(format!("GGUF version {version}; 2 and 3 are read")),
        }
        let (tensors, notes) = (self.u64()?, self.u64()?);
        // A tensor takes 24 bytes at least, a note 12.
        let least = tensors.checked_mul(24).and_then(|bytes| bytes.checked_add(notes.checked_mul(12)?));
        if least.is_none_or(|least| least > self.size) {
            return stop(format!("{tensors} tensors and {notes} notes in a file of {} bytes", self.size));
        }
        let mut found = Found { tensors: Vec::new(), notes: BTreeMap::new(), shapes: BTreeMap::new(), begin: 0 };
        let mut alignment = 32;
        for _ in 0..notes {
            let key = self.name("the name of a note")?;
            match self.note(&key)? {
                Note::Text(text) => drop(found.notes.insert(key, text)),
                Note::Number(number) if key == "general.alignment" => alignment = number,
                Note::Numbers(numbers) => {
                    if let Some(name) = key.strip_prefix(SHAPE_NOTE) {
                        let shape = numbers.into_iter().map(|number| number as usize).collect();
                        found.shapes.insert(name.to_string(), shape);
                    }
                }
                _ => {}
            }
        }
        if !alignment.is_power_of_two() || alignment > CHUNK {
            return stop(format!("general.alignment = {alignment}: must be a power of two up to {CHUNK}"));
        }
        let mut seen = BTreeSet::new();
        for _ in 0..tensors {
            let (name, tensor) = self.tensor(alignment)?;
            if !seen.insert(name.clone()) {
                return stop(format!("the name {name} stands in it twice"));
            }
            found.tensors.push((name, tensor));
        }
        found.begin = self.at.next_multiple_of(alignment);
        Ok(found)
    }

    fn tensor(&mut self, alignment: u64) -> Read<(String, Tensor)> {
        let name = self.name("the name of a tensor")?;
        let bad = |reason: String| stop(format!("tensor {name}: {reason}"));
        let dimensions = self.u32()?;
        if dimensions > MAX_DIMENSIONS {
            return bad(format!("{dimensions} dimensions, at most {MAX_DIMENSIONS}"));
        }
        let mut lengths = Vec::new();
        for _ in 0..dimensions {
            lengths.push(self.u64()?);
        }
        let (code, offset) = (self.u32()?, self.u64()?);
        let Some(kind) = GgmlType::from_code(code) else {
            return bad(format!("type {} is not read; convert the model to Q8_0, Q4_0 or F16", unread(code)));
        };
        let row = lengths.first().copied().unwrap_or(1);
        if !row.is_multiple_of(kind.numbers() as u64) {
            return bad(format!("rows of {row} numbers, where {kind:?} has blocks of {}", kind.numbers()));
        }
        if !offset.is_multiple_of(alignment) {
            return bad(format!("it begins at {offset}, no multiple of {alignment}"));
        }
        let numbers = lengths.iter().try_fold(1u64, |numbers, length| numbers.checked_mul(*length));
        let length = numbers.and_then(|n| (n / kind.numbers() as u64).checked_mul(kind.bytes() as u64));
        let Some(length) = length.filter(|length| *length <= self.size) else {
            return bad(format!("its shape {lengths:?} has more numbers than the file"));
        };
        let shape = lengths.iter().rev().map(|length| *length as usize).collect();
        Ok((name, Tensor { kind, shape, offset, length }))
    }

    /// The value of the note `key`, whose type comes first.
    fn note(&mut self, key: &str) -> Read<Note> {
        let kind = self.u32()?;
        Ok(match kind {
            8 => self.text()?,
            9 => self.list(key)?,
            _ => Note::Number(self.number(key, kind)?),
        })
    }

    fn list(&mut self, key: &str) -> Read<Note> {
        let (kind, count) = (self.u32()?, self.u64()?);
        if matches!(kind, 4 | 5 | 10 | 11) && count <= u64::from(MAX_DIMENSIONS) {
            let mut numbers = Vec::new();
            for _ in 0..count {
                numbers.push(self.number(key, kind)?);
            }
            return Ok(Note::Numbers(numbers));
        }
        self.pass(key, kind, count, 0)?;
        Ok(Note::Other)
    }

    /// Goes past `count` values.
    fn pass(&mut self, key: &str, kind: u32, count: u64, depth: usize) -> Read<()> {
        let each = match kind {
            8 | 9 if depth > MAX_NESTING => return stop(format!("the note {key} has lists in lists")),
            8 | 9 => None,
            _ => Some(width(key, kind)?),
        };
        match each {
            Some(each) => match count.checked_mul(each) {
                Some(bytes) => self.skip(bytes),
                None => stop(format!("the note {key} has {count} entries")),
            },
            // Each entry takes eight bytes at least, so that the file's end ends this too.
            None => (0..count).try_for_each(|_| match kind {
                8 => {
                    let length = self.u64()?;
                    self.skip(length)
                }
                _ => {
                    let (kind, count) = (self.u32()?, self.u64()?);
                    self.pass(key, kind, count, depth + 1)
                }
            }),
        }
    }

    /// A number of that type; what is no whole number counts as none that is of use.
    fn number(&mut self, key: &str, kind: u32) -> Read<u64> {
        let width = width(key, kind)?;
        let mut bytes = [0; 8];
        bytes[..width as usize].copy_from_slice(self.take(width)?);
        Ok(u64::from_le_bytes(bytes))
    }

    fn text(&mut self) -> Read<Note> {
        let length = self.u64()?;
        if length > MAX_TEXT {
            self.skip(length)?;
            return Ok(Note::Other);
        }
        Ok(Note::Text(String::from_utf8_lossy(self.take(length)?).into_owned()))
    }

    fn name(&mut self, what: &str) -> Read<String> {
        let length = self.u64()?;
        if length > MAX_TEXT {
            return stop(format!("{what} has {length} bytes"));
        }
        match String::from_utf8(self.take(length)?.to_vec()) {
            Ok(name) => Ok(name),
            Err(_) => stop(format!("{what} is no text")),
        }
    }

    fn u32(&mut self) -> Read<u32> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes")))
    }

    fn u64(&mut self) -> Read<u64> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes")))
    }

    fn skip(&mut self, bytes: u64) -> Read<()> {
        match self.at.checked_add(bytes).filter(|at| *at <= self.size.min(MAX_HEADER)) {
            Some(at) => {
                self.at = at;
                Ok(())
            }
            None => stop("truncated, or its header is broken: it ends in the header"),
        }
    }

    /// The next bytes, at most [`CHUNK`].
    fn take(&mut self, bytes: u64) -> Read<&[u8]> {
        let at = self.at;
        self.skip(bytes)?;
        if at < self.from || self.at > self.from + self.chunk.len() as u64 {
            let length = (self.size - at).min(CHUNK) as usize;
            self.chunk = (self.range)(at, length).map_err(Stop::Other)?.into_owned();
            self.from = at;
        }
        let start = (at - self.from) as usize;
        Ok(&self.chunk[start..start + bytes as usize])
    }
}

/// Bytes of a number of that type.
fn width(key: &str, kind: u32) -> Read<u64> {
    match kind {
        0 | 1 | 7 => Ok(1),
        2 | 3 => Ok(2),
        4..=6 => Ok(4),
        10..=12 => Ok(8),
        _ => stop(format!("the note {key} has the type {kind}, which is not known")),
    }
}
