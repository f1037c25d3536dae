//! The matrix product on a GPU. Each workgroup of 16 x 16 invocations computes a tile of 64 x 64 results (16 x 64 if
//! there are few rows) from tiles of both factors in workgroup memory. Weights are widened when they are loaded there.

use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::super::launch::{self, Rows};
use super::super::tile::{self, COLUMNS, Quad, SIDE, STRIDE, UNITS};
use super::MatmulSizes;

/// Multiplies `x` `[..., inner]`, adds `bias` `[columns]`, to `[..., columns]`.
pub fn matmul(x: CubeTensor, weight: Rows, bias: Option<CubeTensor>, sizes: &MatmulSizes) -> CubeTensor {
    let MatmulSizes { rows, inner, columns } = *sizes;
    let mut shape = x.shape();
    let last = shape.num_dims() - 1;
    shape[last] = columns;
    let y = empty_device_contiguous_dtype(x.client.clone(), x.device.clone(), shape, DType::F32);
    let per_unit = if rows <= SIDE { 1 } else { 4 };
    let count = launch::count([columns.div_ceil(COLUMNS), rows.div_ceil(SIDE * per_unit), 1]);
    let biased = bias.is_some();
    let bias = bias.map_or_else(|| weight.scales.clone(), launch::contiguous);
    // SAFETY: every index is checked against the sizes, and the buffers have those sizes.
    #[allow(unsafe_code)]
    unsafe {
        kernel::launch_unchecked(
            &y.client,
            count,
            CubeDim::new_1d(UNITS),
            launch::buffer(&launch::contiguous(x)),
            launch::buffer(&weight.words),
            launch::buffer(&weight.scales),
            launch::buffer(&bias),
            launch::buffer(&y),
            rows as u32,
            inner as u32,
            columns as u32,
            weight.bits,
            per_unit,
            biased,
        );
    }
    y
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn kernel(
    x: &[f32],
    words: &[u32],
    scales: &[u32],
    bias: &[f32],
    y: &mut [f32],
    rows: u32,
    inner: u32,
    columns: u32,
    #[comptime] bits: u32,
    #[comptime] per_unit: usize,
    #[comptime] biased: bool,
) {
    let (rows, inner, columns) = (rows as usize, inner as usize, columns as usize);
    let mut a = Shared::<[Quad]>::new_slice(comptime!(SIDE * per_unit * STRIDE));
    let mut b = Shared::<[Quad]>::new_slice(comptime!(COLUMNS * STRIDE));
    let unit = UNIT_POS as usize;
    let (down, across) = (unit / 16, unit % 16);
    let first_row = CUBE_POS_Y as usize * comptime!(SIDE * per_unit);
    let first_column = CUBE_POS_X as usize * 64;
    // What this invocation loads.
    let (staged, quad) = (unit / 4, unit % 4);
    let weight_row = min(first_column + staged, columns - 1);
    let mut sums = Array::<f32>::new(comptime!(per_unit * 4));
    for step in 0..inner.div_ceil(16usize) {
        let k = step * 16 + quad * 4;
        sync_cube();
        if staged < comptime!(SIDE * per_unit) {
            a[staged * 5 + quad] = activations(x, first_row + staged, k, rows, inner);
        }
        b[staged * 5 + quad] = tile::weights(words, scales, weight_row, k, inner, bits);
        sync_cube();
        tile::multiply(&a, &b, down, across, &mut sums, per_unit, 4usize);
    }
    #[unroll]
    for j in 0..4usize {
        let column = first_column + across + j * 16;
        if column < columns {
            let mut shift = 0.0f32;
            if comptime!(biased) {
                shift = bias[column];
            }
            #[unroll]
            for i in 0..per_unit {
                let row = first_row + down + i * 16;
                if row < rows {
                    y[row * columns + column] = sums[i * 4 + j] + shift;
                }
            }
        }
    }
}

/// Numbers `k..k + 4` of a row; zeros beyond the end.
#[cube]
fn activations(x: &[f32], row: usize, k: usize, rows: usize, inner: usize) -> Quad {
    let mut quad = Quad::new(0.0f32);
    if row < rows {
        #[unroll]
        for l in 0..4usize {
            if k + l < inner {
                quad.insert(l, x[row * inner + k + l]);
            }
        }
    }
    quad
}
