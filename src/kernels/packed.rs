//! Weights in blocks as a device stores them: 32-bit words of codes and of scales, and how the processor widens a row.

use half::f16;

use super::lanes::wide;
use super::{BLOCK, BlockFormat, Blocks};

/// How a weight is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packing {
    /// The format of its blocks.
    pub format: BlockFormat,
    /// Number of rows; each makes one output.
    pub rows: usize,
    /// Numbers in each row.
    pub columns: usize,
}

impl Packing {
    /// Blocks in each row.
    pub fn blocks(&self) -> usize {
        self.columns.div_ceil(BLOCK)
    }

    /// Words of codes in each block.
    pub fn block_words(&self) -> usize {
        self.format.code_bytes() / 4
    }

    /// Total number of words of codes.
    pub fn code_words(&self) -> usize {
        self.rows * self.blocks() * self.block_words()
    }

    /// Total number of words of scales; each holds two.
    pub fn scale_words(&self) -> usize {
        (self.rows * self.blocks()).div_ceil(2)
    }
}

/// Four bytes of codes a word, in order; the first in the lowest bits.
pub fn code_words(blocks: &Blocks) -> Vec<i32> {
    blocks.codes().as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect()
}

/// Two scales a word, the first in the lower half.
pub fn scale_words(blocks: &Blocks) -> Vec<i32> {
    let word = |pair: &[f16]| {
        let second = pair.get(1).map_or(0, |scale| u32::from(scale.to_bits()));
        (u32::from(pair[0].to_bits()) | second << 16) as i32
    };
    blocks.scales().chunks(2).map(word).collect()
}

/// A packed weight in main memory.
#[derive(Clone, Copy)]
pub struct PackedRows<'a> {
    /// The words of [`code_words`].
    pub codes: &'a [i32],
    /// The words of [`scale_words`].
    pub scales: &'a [i32],
    /// The packing of both.
    pub packing: Packing,
}

impl PackedRows<'_> {
    /// Widens a row, in the order of the blocks; `out` has space for [`Packing::blocks`] times 32 numbers.
    pub fn widen(&self, row: usize, out: &mut [f32]) {
        let (blocks, words) = (self.packing.blocks(), self.packing.block_words());
        let codes = &self.codes[row * blocks * words..][..blocks * words];
        let scale = |block: usize| {
            let at = row * blocks + block;
            f16::from_bits((self.scales[at / 2] as u32 >> (16 * (at % 2))) as u16).to_f32()
        };
        wide(
            #[inline(always)]
            || {
                let numbers = out.as_chunks_mut::<BLOCK>().0.iter_mut();
                for (block, (out, codes)) in numbers.zip(codes.chunks_exact(words)).enumerate() {
                    match self.packing.format {
                        BlockFormat::Q8_0 => widen_8(codes, scale(block), out),
                        BlockFormat::Q4_0 => widen_4(codes, scale(block), out),
                    }
                }
            },
        );
    }

    /// Widens a row of a convolution with this many taps into the order of floats: in, then the taps.
    pub fn widen_window(&self, row: usize, taps: usize, scratch: &mut [f32], out: &mut [f32]) {
        self.widen(row, scratch);
        let channels = out.len() / taps;
        for (tap, numbers) in scratch[..out.len()].chunks_exact(channels).enumerate() {
            out[tap..].iter_mut().step_by(taps).zip(numbers).for_each(|(out, number)| *out = *number);
        }
    }
}

#[inline(always)]
fn widen_8(codes: &[i32], scale: f32, out: &mut [f32; BLOCK]) {
    for (out, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(codes) {
        let bytes = word.to_le_bytes();
        out.iter_mut().zip(bytes).for_each(|(out, code)| *out = f32::from(code as i8) * scale);
    }
}

#[inline(always)]
fn widen_4(codes: &[i32], scale: f32, out: &mut [f32; BLOCK]) {
    let (low, high) = out.split_at_mut(BLOCK / 2);
    let quads = low.as_chunks_mut::<4>().0.iter_mut().zip(high.as_chunks_mut::<4>().0.iter_mut());
    for ((low, high), word) in quads.zip(codes) {
        for ((low, high), byte) in low.iter_mut().zip(high).zip(word.to_le_bytes()) {
            *low = (f32::from(byte & 15) - 8.0) * scale;
            *high = (f32::from(byte >> 4) - 8.0) * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Generator, stream};

    #[test]
    fn rows_widen_to_the_blocks_numbers() {
        for format in [BlockFormat::Q8_0, BlockFormat::Q4_0] {
            for shape in [vec![3, 40], vec![5, 3, 3, 3], vec![1, 64, 1, 1]] {
                let (rows, columns) = (shape[0], shape[1..].iter().product());
                let values = stream(7, "packed", 0).randn(rows * columns);
                let blocks = Blocks::quantize(format, &shape, &values).unwrap();
                let packing = Packing { format, rows, columns };
                let (codes, scales) = (code_words(&blocks), scale_words(&blocks));
                assert_eq!((codes.len(), scales.len()), (packing.code_words(), packing.scale_words()));
                let packed = PackedRows { codes: &codes, scales: &scales, packing };
                let taps = shape[2..].iter().product();
                let (mut scratch, mut row) = (vec![0.0; packing.blocks() * BLOCK], vec![0.0; columns]);
                for (i, expected) in blocks.dequantize().chunks_exact(columns).enumerate() {
                    packed.widen_window(i, taps, &mut scratch, &mut row);
                    assert_eq!(row, expected, "{format:?} {shape:?}");
                }
            }
        }
    }
}
