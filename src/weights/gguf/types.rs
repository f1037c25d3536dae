//! The types of a GGUF file's tensors, and how the simple blocks of 32 numbers are widened.

use half::bf16;
use safetensors::Dtype;

use super::kblocks::{self, half};
use crate::kernels::BlockFormat;

/// How the numbers of a tensor are stored; by ggml's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, non_camel_case_types)]
pub(crate) enum GgmlType {
    F32,
    F16,
    BF16,
    F64,
    I8,
    I16,
    I32,
    I64,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
}

use GgmlType::*;

/// Code in the file, numbers a block, bytes a block.
const TABLE: [(GgmlType, u32, usize, usize); 18] = [
    (F32, 0, 1, 4),
    (F16, 1, 1, 2),
    (Q4_0, 2, 32, 18),
    (Q4_1, 3, 32, 20),
    (Q5_0, 6, 32, 22),
    (Q5_1, 7, 32, 24),
    (Q8_0, 8, 32, 34),
    (Q2_K, 10, 256, 84),
    (Q3_K, 11, 256, 110),
    (Q4_K, 12, 256, 144),
    (Q5_K, 13, 256, 176),
    (Q6_K, 14, 256, 210),
    (I8, 24, 1, 1),
    (I16, 25, 1, 2),
    (I32, 26, 1, 4),
    (I64, 27, 1, 8),
    (F64, 28, 1, 8),
    (BF16, 30, 1, 2),
];

impl GgmlType {
    /// The type of a code, if it is read.
    pub fn from_code(code: u32) -> Option<Self> {
        TABLE.iter().find(|(_, other, ..)| *other == code).map(|(this, ..)| *this)
    }

    /// Numbers a block.
    pub fn numbers(self) -> usize {
        self.row().2
    }

    /// Bytes a block.
    pub fn bytes(self) -> usize {
        self.row().3
    }

    /// The same in a safetensors file, where the numbers stand one by one.
    pub fn dtype(self) -> Option<Dtype> {
        Some(match self {
            F32 => Dtype::F32,
            F16 => Dtype::F16,
            BF16 => Dtype::BF16,
            F64 => Dtype::F64,
            I8 => Dtype::I8,
            I16 => Dtype::I16,
            I32 => Dtype::I32,
            I64 => Dtype::I64,
            _ => return None,
        })
    }

    /// The format of our own that has the same codes and scales.
    pub fn format(self) -> Option<BlockFormat> {
        match self {
            Q8_0 => Some(BlockFormat::Q8_0),
            Q4_0 => Some(BlockFormat::Q4_0),
            _ => None,
        }
    }

    /// The numbers of whole blocks (or of floats), as f32. What is behind the last whole block is left out.
    pub fn widen(self, bytes: &[u8]) -> Vec<f32> {
        let widen: fn(&[u8], &mut [f32]) = match self {
            F32 => |b, to| to[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            F16 => |b, to| to[0] = half(b, 0),
            BF16 => |b, to| to[0] = bf16::from_le_bytes([b[0], b[1]]).to_f32(),
            F64 => |b, to| to[0] = f64::from_le_bytes(b.try_into().expect("eight bytes")) as f32,
            I8 => |b, to| to[0] = f32::from(b[0] as i8),
            I16 => |b, to| to[0] = f32::from(i16::from_le_bytes([b[0], b[1]])),
            I32 => |b, to| to[0] = i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32,
            I64 => |b, to| to[0] = i64::from_le_bytes(b.try_into().expect("eight bytes")) as f32,
            Q4_0 => |b, to| each(to, |j| half(b, 0) * (f32::from(nibble(&b[2..], j)) - 8.0)),
            Q4_1 => |b, to| each(to, |j| half(b, 0) * f32::from(nibble(&b[4..], j)) + half(b, 2)),
            Q5_0 => |b, to| each(to, |j| half(b, 0) * (f32::from(nibble(&b[6..], j) | fifth(&b[2..], j)) - 16.0)),
            Q5_1 => |b, to| each(to, |j| half(b, 0) * f32::from(nibble(&b[8..], j) | fifth(&b[4..], j)) + half(b, 2)),
            Q8_0 => |b, to| each(to, |j| half(b, 0) * f32::from(b[2 + j] as i8)),
            Q2_K => kblocks::q2,
            Q3_K => kblocks::q3,
            Q4_K => kblocks::q4,
            Q5_K => kblocks::q5,
            Q6_K => kblocks::q6,
        };
        let blocks = bytes.chunks_exact(self.bytes());
        let mut values = vec![0.0; blocks.len() * self.numbers()];
        for (block, to) in blocks.zip(values.chunks_exact_mut(self.numbers())) {
            widen(block, to);
        }
        values
    }

    /// Codes and scales of blocks that are ours, apart: a block is its scale, an f16, and its codes.
    pub fn codes(self, bytes: &[u8]) -> Vec<u8> {
        bytes.chunks_exact(self.bytes()).flat_map(|block| &block[2..]).copied().collect()
    }

    /// See [`Self::codes`].
    pub fn scales(self, bytes: &[u8]) -> Vec<u8> {
        bytes.chunks_exact(self.bytes()).flat_map(|block| &block[..2]).copied().collect()
    }

    fn row(self) -> &'static (Self, u32, usize, usize) {
        TABLE.iter().find(|(this, ..)| *this == self).expect("every type is in the table")
    }
}

/// What a code stands for that is not read, where it has a name.
pub(super) fn unread(code: u32) -> String {
    let name = match code {
        9 => "Q8_1",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return format!("number {code}"),
    };
    name.to_string()
}

fn each(to: &mut [f32], number: impl Fn(usize) -> f32) {
    to.iter_mut().enumerate().for_each(|(j, to)| *to = number(j));
}

/// Number `j` of 32 in 16 bytes: low halves first.
fn nibble(codes: &[u8], j: usize) -> u8 {
    codes[j % 16] >> (j / 16 * 4) & 15
}

/// The fifth bit of number `j` of 32, from four bytes.
fn fifth(bits: &[u8], j: usize) -> u8 {
    (bits[j / 8] >> (j % 8) & 1) << 4
}
