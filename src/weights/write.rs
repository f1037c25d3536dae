//! Writes safetensors files tensor by tensor, in shards where they are long, so that no whole model is ever in memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;

use safetensors::Dtype;
use serde_json::{Map, Value, json};

use super::shards::{Index, shard_name};
use crate::{Error, Result};

/// A tensor that is to be written.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The checkpoint key.
    pub name: String,
    /// How its numbers are stored.
    pub dtype: Dtype,
    /// Any number of dimensions.
    pub shape: Vec<usize>,
}

impl Planned {
    /// Bytes.
    pub fn length(&self) -> u64 {
        (self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8) as u64
    }
}

/// Gives the bytes of a planned tensor; asked once for each, in the order of the plan.
pub type BytesOf<'f, 'b> = dyn FnMut(&Planned) -> Result<Cow<'b, [u8]>> + 'f;

/// Writes `tensors` to `dir/file` (`model.safetensors`), or, where that would be longer than `limit` bytes, to shards
/// of at most so many with their index beside them. A tensor is never split: one longer than the limit has a shard of its own.
/// Returns the names of the files, the index included.
///
/// # Errors
/// [`Error::Io`]; those of `bytes_of`; [`Error::BadFile`] for bytes that are not as many as planned.
pub fn write_sharded(
    dir: &Path,
    file: &str,
    tensors: &[Planned],
    limit: u64,
    bytes_of: &mut BytesOf<'_, '_>,
) -> Result<Vec<String>> {
    let shards = split(tensors, limit);
    if let [all] = shards.as_slice() {
        write_file(&dir.join(file), all, bytes_of)?;
        return Ok(vec![file.to_string()]);
    }
    let mut names = Vec::new();
    let mut weight_map = BTreeMap::new();
    for (i, shard) in shards.iter().enumerate() {
        let name = shard_name(file, i, shards.len());
        write_file(&dir.join(&name), shard, bytes_of)?;
        weight_map.extend(shard.iter().map(|tensor| (tensor.name.clone(), name.clone())));
        names.push(name);
    }
    let total_size: u64 = tensors.iter().map(Planned::length).sum();
    let index = Index { metadata: json!({ "total_size": total_size }), weight_map };
    let text = serde_json::to_string_pretty(&index).expect("names are text") + "\n";
    let name = format!("{file}.index.json");
    super::write(&dir.join(&name), text.as_bytes())?;
    names.push(name);
    Ok(names)
}

/// In order, as many in a shard as fit; at least one shard.
fn split(tensors: &[Planned], limit: u64) -> Vec<&[Planned]> {
    // The header is counted too, so that no file is longer than the limit.
    let size = |shard: &[Planned]| header(shard).len() as u64 + shard.iter().map(Planned::length).sum::<u64>();
    if size(tensors) <= limit {
        return vec![tensors];
    }
    let (mut shards, mut from) = (Vec::new(), 0);
    while from < tensors.len() {
        let mut to = from + 1;
        let mut length = header(&tensors[from..to]).len() as u64 + tensors[from].length();
        while to < tensors.len() {
            let entry = tensors[to].name.len() as u64 + 128;
            length += tensors[to].length() + entry;
            if length > limit {
                break;
            }
            to += 1;
        }
        shards.push(&tensors[from..to]);
        from = to;
    }
    shards
}

/// Writes one file whole or not at all.
fn write_file(path: &Path, tensors: &[Planned], bytes_of: &mut BytesOf<'_, '_>) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let file = std::fs::File::create(&temporary).map_err(Error::io(&temporary))?;
    let mut out = BufWriter::new(file);
    let written = write_to(&mut out, &path.display().to_string(), tensors, bytes_of);
    let written = written.and_then(|()| out.flush().map_err(Error::io(&temporary)));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary); // half a file is of no use; the error says why
        return written;
    }
    std::fs::rename(&temporary, path).map_err(Error::io(path))
}

/// Writes one file's bytes; `name` is for messages.
pub(super) fn write_to(
    out: &mut impl Write,
    name: &str,
    tensors: &[Planned],
    bytes_of: &mut BytesOf<'_, '_>,
) -> Result<()> {
    out.write_all(&header(tensors)).map_err(Error::io(name))?;
    for tensor in tensors {
        let bytes = bytes_of(tensor)?;
        if bytes.len() as u64 != tensor.length() {
            let reason = format!("tensor {}: {} bytes, {} were planned", tensor.name, bytes.len(), tensor.length());
            return Err(Error::BadFile { file: name.to_string(), reason });
        }
        out.write_all(&bytes).map_err(Error::io(name))?;
    }
    Ok(())
}

/// Length and text of the header, filled with spaces to a multiple of eight bytes.
fn header(tensors: &[Planned]) -> Vec<u8> {
    let mut entries = Map::new();
    // transformers opens only files that name a framework.
    entries.insert("__metadata__".to_string(), json!({ "format": "pt" }));
    let mut end = 0;
    for tensor in tensors {
        let begin = end;
        end += tensor.length();
        let entry = json!({ "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [begin, end] });
        entries.insert(tensor.name.clone(), entry);
    }
    let mut text = Value::Object(entries).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    [&(text.len() as u64).to_le_bytes(), text.as_slice()].concat()
}
