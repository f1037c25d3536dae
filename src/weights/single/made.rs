//! A safetensors file that is nowhere: its header is made here, each of its tensors is read from the one file when it is asked for,
//! cut, turned or widened on the way. So the one loader reads a component of a single file as it reads any other.

use std::collections::BTreeMap;
use std::ops::Range;

use safetensors::Dtype;
use serde_json::{Map, Value, json};

use super::original::{Kind, Tensor};
use crate::kernels::{BLOCK, BlockFormat};
use crate::weights::files::Files;
use crate::weights::gguf::GgmlType;
use crate::weights::quantization::{SCALE, format_of};
use crate::{Error, Result};

/// A tensor of the one file under another name.
#[derive(Clone, Debug)]
pub(super) struct Renamed {
    /// In diffusers' or transformers' checkpoint.
    pub name: String,
    /// A third of the rows, of three.
    pub third: Option<usize>,
    /// Rows become columns.
    pub turned: bool,
    /// A convolution of one pixel becomes a matrix.
    pub matrix: bool,
}

impl Renamed {
    /// As it is.
    pub fn whole(name: impl Into<String>) -> Self {
        Self { name: name.into(), third: None, turned: false, matrix: false }
    }
}

/// The file.
pub(super) struct Made {
    header: Vec<u8>,
    pieces: Vec<Piece>,
    size: u64,
    /// Of the blocks that stay blocks.
    formats: Vec<BlockFormat>,
}

/// The bytes of a tensor.
struct Piece {
    /// In the file that is made.
    begin: u64,
    length: u64,
    /// In the one file.
    from: Range<u64>,
    recipe: Recipe,
}

enum Recipe {
    /// As they are.
    Copy,
    /// Rows of so many numbers of so many bytes become columns.
    Turn { columns: usize, width: usize },
    /// To f32; rows of so many numbers become columns where there are some.
    Widen(GgmlType, Option<usize>),
    /// The codes of blocks.
    Codes(GgmlType),
    /// Their scales.
    Scales(GgmlType),
}

/// Before it has a place.
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    from: Range<u64>,
    recipe: Recipe,
}

impl Made {
    /// Of these tensors of `file`.
    ///
    /// # Errors
    /// [`Error::BadFile`] for two of the same name, for three that do not share rows evenly, and for rows and columns of something else than a matrix.
    pub fn new(file: &str, tensors: &[(Renamed, &Tensor)]) -> Result<Self> {
        let mut entries = BTreeMap::new();
        let mut formats = Vec::new();
        let smallest = tensors.iter().filter_map(|(_, tensor)| tensor.kind.format()).min_by_key(|format| format.bits());
        for (renamed, tensor) in tensors {
            let bad = |reason: &str| {
                let reason = format!("the tensor for {}: {reason}", renamed.name);
                Error::BadFile { file: file.to_string(), reason }
            };
            for (name, entry) in planned(renamed, tensor, smallest).map_err(bad)? {
                if let Recipe::Codes(kind) = entry.recipe {
                    formats.extend(kind.format());
                }
                if entries.insert(name, entry).is_some() {
                    return Err(bad("two tensors of the file are for the same weight"));
                }
            }
        }
        Ok(Self::placed(entries, formats))
    }

    fn placed(entries: BTreeMap<String, Entry>, formats: Vec<BlockFormat>) -> Self {
        let (mut header, mut pieces, mut end) = (Map::new(), Vec::new(), 0u64);
        for (name, Entry { dtype, shape, from, recipe }) in entries {
            let length = shape.iter().product::<usize>() as u64 * dtype.bitsize() as u64 / 8;
            header.insert(name, json!({ "dtype": dtype, "shape": shape, "data_offsets": [end, end + length] }));
            pieces.push(Piece { begin: end, length, from, recipe });
            end += length;
        }
        let mut text = Value::Object(header).to_string().into_bytes();
        text.resize(text.len().next_multiple_of(8), b' ');
        let header = [&(text.len() as u64).to_le_bytes(), text.as_slice()].concat();
        pieces.iter_mut().for_each(|piece| piece.begin += header.len() as u64);
        Self { size: header.len() as u64 + end, header, pieces, formats }
    }

    /// Bytes of the whole.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What its `config.json` has to announce: the blocks of the fewest bits.
    pub fn format(&self) -> Option<BlockFormat> {
        self.formats.iter().copied().min_by_key(|format| format.bits())
    }

    /// `length` bytes from `offset`, which are there.
    ///
    /// # Errors
    /// Those of reading `file`.
    pub fn range(&self, files: &dyn Files, file: &str, offset: u64, length: usize) -> Result<Vec<u8>> {
        let end = offset + length as u64;
        let mut bytes = Vec::with_capacity(length);
        let within = |begin: u64, length: u64| {
            let from = offset.clamp(begin, begin + length) - begin;
            from as usize..(end.clamp(begin, begin + length) - begin) as usize
        };
        bytes.extend_from_slice(&self.header[within(0, self.header.len() as u64)]);
        let first = self.pieces.partition_point(|piece| piece.begin + piece.length <= offset);
        for piece in self.pieces[first..].iter().take_while(|piece| piece.begin < end) {
            let part = within(piece.begin, piece.length);
            if let Recipe::Copy = piece.recipe {
                let part = files.range(file, piece.from.start + part.start as u64, part.len())?;
                bytes.extend_from_slice(&part);
                continue;
            }
            let stored = files.range(file, piece.from.start, (piece.from.end - piece.from.start) as usize)?;
            bytes.extend_from_slice(&piece.recipe.bytes(&stored)[part]);
        }
        Ok(bytes)
    }
}

impl Recipe {
    fn bytes(&self, stored: &[u8]) -> Vec<u8> {
        match self {
            Self::Copy => stored.to_vec(),
            Self::Turn { columns, width } => turned(stored, *columns, *width),
            Self::Widen(kind, columns) => {
                let floats: Vec<u8> = kind.widen(stored).iter().flat_map(|x| x.to_le_bytes()).collect();
                columns.map(|columns| turned(&floats, columns, 4)).unwrap_or(floats)
            }
            Self::Codes(kind) => kind.codes(stored),
            Self::Scales(kind) => kind.scales(stored),
        }
    }
}

/// What becomes of a tensor: one, or codes and scales. `smallest` are the blocks of the fewest bits in the part.
fn planned(
    renamed: &Renamed,
    tensor: &Tensor,
    smallest: Option<BlockFormat>,
) -> std::result::Result<Vec<(String, Entry)>, &'static str> {
    let name = renamed.name.clone();
    let (shape, from) = cut(renamed, tensor)?;
    let shape = match shape.as_slice() {
        [rows, columns, 1, 1] if renamed.matrix => vec![*rows, *columns],
        _ => shape,
    };
    let columns = match (renamed.turned, shape.as_slice()) {
        (false, _) => None,
        (true, [_, columns]) => Some(*columns),
        (true, _) => return Err("is no matrix"),
    };
    let shape_then = if columns.is_some() { vec![shape[1], shape[0]] } else { shape.clone() };
    let recipe = match (tensor.kind, columns) {
        (Kind::Plain(_), None) => Recipe::Copy,
        (Kind::Plain(dtype), Some(_)) if !dtype.bitsize().is_multiple_of(8) => {
            return Err("has numbers of less than a byte");
        }
        (Kind::Plain(dtype), Some(columns)) => Recipe::Turn { columns, width: dtype.bitsize() / 8 },
        (Kind::Blocks(kind), None) if stays(&name, kind, &shape, smallest) => {
            let format = kind.format().expect("blocks of ours stay");
            let blocks = [shape[0], shape[1] / BLOCK];
            let (codes, scales) = (vec![blocks[0], blocks[1], format.code_bytes()], blocks.to_vec());
            let dtype = if format == BlockFormat::Q8_0 { Dtype::I8 } else { Dtype::U8 };
            let scale = format!("{name}{SCALE}");
            let codes = Entry { dtype, shape: codes, from: from.clone(), recipe: Recipe::Codes(kind) };
            let scales = Entry { dtype: Dtype::F16, shape: scales, from, recipe: Recipe::Scales(kind) };
            return Ok(vec![(name, codes), (scale, scales)]);
        }
        (Kind::Blocks(kind), columns) => Recipe::Widen(kind, columns),
    };
    let dtype = match tensor.kind {
        Kind::Plain(dtype) => dtype,
        Kind::Blocks(_) => Dtype::F32,
    };
    Ok(vec![(name, Entry { dtype, shape: shape_then, from, recipe })])
}

/// Shape and place of what is taken of a tensor.
fn cut(renamed: &Renamed, tensor: &Tensor) -> std::result::Result<(Vec<usize>, Range<u64>), &'static str> {
    let Some(third) = renamed.third else {
        return Ok((tensor.shape.clone(), tensor.offset..tensor.offset + tensor.length));
    };
    let (Some(rows), unit) = (tensor.shape.first(), tensor.kind.bytes()) else { return Err("has no rows") };
    let length = tensor.length / 3;
    if !rows.is_multiple_of(3) || length * 3 != tensor.length || !length.is_multiple_of(unit) {
        return Err("its rows cannot be shared by query, key and value");
    }
    let mut shape = tensor.shape.clone();
    shape[0] = rows / 3;
    let begin = tensor.offset + third as u64 * length;
    Ok((shape, begin..begin + length))
}

/// Whether blocks are kept: those of layers' weights whose rows lie as ours do, in a format that the loader expects there beside `smallest`.
fn stays(name: &str, kind: GgmlType, shape: &[usize], smallest: Option<BlockFormat>) -> bool {
    let matrix = match shape {
        [_, columns] | [_, columns, 1, 1] => columns.is_multiple_of(BLOCK),
        _ => false,
    };
    let expected = |format| smallest.is_none_or(|asked| format == asked || format == format_of(name, asked));
    kind.format().is_some_and(expected) && matrix && name.ends_with(".weight") && !name.contains("embeddings.")
}

/// A matrix with rows of so many numbers, of so many bytes each, the other way round.
fn turned(bytes: &[u8], columns: usize, width: usize) -> Vec<u8> {
    let rows = bytes.len() / (columns * width).max(1);
    let mut turned = Vec::with_capacity(bytes.len());
    for column in 0..columns {
        for row in 0..rows {
            let at = (row * columns + column) * width;
            turned.extend_from_slice(&bytes[at..at + width]);
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(kind: Kind, shape: &[usize]) -> Tensor {
        Tensor { kind, shape: shape.to_vec(), offset: 0, length: 6 }
    }

    #[test]
    fn rows_become_columns_and_thirds_are_cut() {
        assert_eq!(turned(&[1, 2, 3, 4, 5, 6], 3, 1), [1, 4, 2, 5, 3, 6]);
        assert_eq!(turned(&[1, 1, 2, 2, 3, 3, 4, 4], 2, 2), [1, 1, 3, 3, 2, 2, 4, 4]);
        let fused = Renamed { third: Some(2), ..Renamed::whole("x") };
        assert_eq!(cut(&fused, &tensor(Kind::Plain(Dtype::F16), &[3])), Ok((vec![1], 4..6)));
        for (dtype, shape) in [(Dtype::F16, &[4][..]), (Dtype::F32, &[3]), (Dtype::F16, &[])] {
            assert!(cut(&fused, &tensor(Kind::Plain(dtype), shape)).is_err(), "{dtype:?} {shape:?}");
        }
        let turned = Renamed { turned: true, ..Renamed::whole("x") };
        for (dtype, shape) in [(Dtype::F4, &[3, 4][..]), (Dtype::F16, &[3])] {
            assert!(planned(&turned, &tensor(Kind::Plain(dtype), shape), None).is_err(), "{dtype:?} {shape:?}");
        }
    }

    /// A part in 4 bits has 8 where the loader expects them; elsewhere 8 bits are widened.
    #[test]
    fn blocks_stay_where_the_loader_expects_them() {
        let (four, eight) = (GgmlType::Q4_0, GgmlType::Q8_0);
        let inner = "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.2.weight";
        for (name, kind, shape, smallest, kept) in [
            (inner, four, &[2, 64][..], BlockFormat::Q4_0, true),
            (inner, eight, &[2, 64], BlockFormat::Q8_0, true),
            (inner, eight, &[2, 64], BlockFormat::Q4_0, false),
            ("time_embedding.linear_1.weight", eight, &[2, 64], BlockFormat::Q4_0, true),
            ("a.conv1.weight", eight, &[2, 32, 1, 1], BlockFormat::Q8_0, true),
            ("a.conv1.weight", eight, &[2, 32, 3, 3], BlockFormat::Q8_0, false),
            ("text_model.embeddings.token_embedding.weight", eight, &[2, 64], BlockFormat::Q8_0, false),
            (inner, GgmlType::Q4_K, &[2, 256], BlockFormat::Q8_0, false),
        ] {
            assert_eq!(stays(name, kind, shape, Some(smallest)), kept, "{name} {kind:?} {shape:?} beside {smallest:?}");
        }
    }
}
