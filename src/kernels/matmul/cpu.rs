//! The matrix product with packed weights on the processor. Some rows of the weight are widened, multiplied and
//! dropped, so the whole weight never exists as floats. With float weights the product is burn's own.

use super::super::BLOCK;
use super::super::packed::PackedRows;
use super::super::parallel::{Share, for_each_share, shares};
use super::super::product::{Matrix, product};
use super::MatmulSizes;

/// Number of rows of the weight that are widened together.
const ROWS: usize = 32;

/// Multiplies `x` `[rows, inner]`, adds `bias` `[columns]`, to `[rows, columns]`.
pub fn matmul(x: &[f32], weight: PackedRows, bias: Option<&[f32]>, sizes: &MatmulSizes) -> Vec<f32> {
    let MatmulSizes { rows, inner, columns } = *sizes;
    let mut y = vec![0.0; rows * columns];
    let out = Share::new(&mut y);
    for_each_share(shares(columns.div_ceil(ROWS)), |tiles| {
        let mut scratch = vec![0.0; inner.div_ceil(BLOCK) * BLOCK];
        let mut floats = vec![0.0; ROWS * inner];
        let mut part = vec![0.0; ROWS * rows];
        for first in tiles.map(|tile| tile * ROWS) {
            let some = ROWS.min(columns - first);
            for (i, floats) in floats.chunks_exact_mut(inner).take(some).enumerate() {
                weight.widen(first + i, &mut scratch);
                floats.copy_from_slice(&scratch[..inner]);
            }
            let (part, floats) = (&mut part[..some * rows], &floats[..some * inner]);
            product(Matrix::rows(x, inner), Matrix::rows(floats, inner).transposed(), part, false);
            for (row, part) in part.chunks_exact(some).enumerate() {
                let place = row * columns + first;
                // SAFETY: tiles do not share columns.
                #[allow(unsafe_code)]
                let y = unsafe { out.slice(place..place + some) };
                y.copy_from_slice(part);
                if let Some(bias) = bias {
                    y.iter_mut().zip(&bias[first..]).for_each(|(y, bias)| *y += bias);
                }
            }
        }
    });
    y
}
