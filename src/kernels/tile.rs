//! Shared by the GPU kernels for matrix products and convolutions: tiles of both factors in workgroup memory, weights
//! widened to f32 when they are loaded there, and the sums of one invocation.
//!
//! Numbers are read in quads along the inner dimension. A row of a tile takes five quads, four of numbers and one
//! unused, so that neighbouring rows lie in different memory banks.

use cubecl::prelude::*;

/// Four numbers that are consecutive in the inner dimension.
pub type Quad = Vector<f32, Const<4>>;
/// Quads of the inner dimension in each tile.
pub const QUADS: usize = 4;
/// Distance between rows of a tile, in quads.
pub const STRIDE: usize = QUADS + 1;
/// Invocations for each workgroup: 16 x 16.
pub const UNITS: u32 = 256;
/// Rows of a tile that the invocations of one line of the workgroup share.
pub const SIDE: usize = 16;
/// Columns (of weights) in a tile.
pub const COLUMNS: usize = 64;

/// Multiplies two tiles: `sums[i][j]` += row `row + 16 i` of `a` times row `column + 16 j` of `b`.
#[cube]
pub fn multiply(
    a: &Shared<[Quad]>,
    b: &Shared<[Quad]>,
    row: usize,
    column: usize,
    sums: &mut Array<f32>,
    #[comptime] rows: usize,
    #[comptime] columns: usize,
) {
    #[unroll]
    for k in 0..4usize {
        let mut factors = Array::<Quad>::new(columns);
        #[unroll]
        for j in 0..columns {
            factors[j] = b[(column + j * 16) * 5 + k];
        }
        #[unroll]
        for i in 0..rows {
            let factor = a[(row + i * 16) * 5 + k];
            #[unroll]
            for j in 0..columns {
                sums[i * columns + j] = fused(factor, factors[j], sums[i * columns + j]);
            }
        }
    }
}

/// `sum` + a · b.
#[cube]
pub fn fused(a: Quad, b: Quad, sum: f32) -> f32 {
    let sum = fma(a.extract(0usize), b.extract(0usize), sum);
    let sum = fma(a.extract(1usize), b.extract(1usize), sum);
    let sum = fma(a.extract(2usize), b.extract(2usize), sum);
    fma(a.extract(3usize), b.extract(3usize), sum)
}

/// Numbers `k..k + 4` of a row of weights; zeros beyond its end. `words` holds f32 numbers (`bits` 32) or codes (8, 4),
/// four or eight to a word; `scales` holds two f16 to a word, and is empty with 32 bits.
#[cube]
pub fn weights(words: &[u32], scales: &[u32], row: usize, k: usize, inner: usize, #[comptime] bits: u32) -> Quad {
    let mut quad = Quad::new(0.0f32);
    if comptime!(bits == 32) {
        #[unroll]
        for l in 0..4usize {
            if k + l < inner {
                quad.insert(l, f32::reinterpret(words[row * inner + k + l]));
            }
        }
    } else {
        let blocks = inner.div_ceil(32usize);
        let block = row * blocks + k / 32;
        let scale = half(scales[block / 2] >> (u32::cast_from(block % 2) * 16));
        let place = (k % 32) / 4;
        if comptime!(bits == 8) {
            let word = words[block * 8 + place];
            #[unroll]
            for l in 0..4usize {
                // Two's complement, offset by 128 to be unsigned.
                let code = ((word >> (comptime!(8 * l as u32))) & 255) ^ 128;
                quad.insert(l, (f32::cast_from(code) - 128.0) * scale);
            }
        } else {
            let word = words[block * 4 + place % 4] >> (u32::cast_from(place / 4) * 4);
            #[unroll]
            for l in 0..4usize {
                let code = (word >> (comptime!(8 * l as u32))) & 15;
                quad.insert(l, (f32::cast_from(code) - 8.0) * scale);
            }
        }
    }
    quad
}

/// The f16 in the low half of a word, converted with integer operations, because not every adapter supports f16.
#[cube]
fn half(word: u32) -> f32 {
    let exponent = (word >> 10) & 31;
    let fraction = word & 1023;
    let mut size = f32::cast_from(fraction) * 5.960_464_5e-8;
    if exponent != 0 {
        size = f32::reinterpret(((exponent + 112) << 23) | (fraction << 13));
    }
    if word & 32768 != 0 {
        size = -size;
    }
    size
}
