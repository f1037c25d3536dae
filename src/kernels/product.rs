//! Matrix products on one thread of the processor, by the crate `gemm`.

use gemm::{Parallelism, gemm};

/// A view of a matrix in memory.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    numbers: &'a [f32],
    /// Distance from one row to the next, and from one column to the next.
    strides: [usize; 2],
    size: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// A matrix of rows of `width` contiguous numbers.
    pub fn rows(numbers: &'a [f32], width: usize) -> Self {
        assert!(numbers.len().is_multiple_of(width.max(1)), "whole rows");
        Self { numbers, strides: [width, 1], size: [numbers.len() / width.max(1), width] }
    }

    /// The transposed view.
    pub fn transposed(self) -> Self {
        let ([a, b], [m, n]) = (self.strides, self.size);
        Self { strides: [b, a], size: [n, m], ..self }
    }
}

/// Writes `a · b` into `out` (row after row), or adds it.
///
/// # Panics
/// If the sizes do not fit.
#[allow(unsafe_code)]
pub fn product(a: Matrix, b: Matrix, out: &mut [f32], add: bool) {
    let ([rows, inner], columns) = (a.size, b.size[1]);
    assert!(inner == b.size[0] && rows * columns == out.len(), "sizes of a product");
    let [a_row, a_column] = a.strides.map(|s| s as isize);
    let [b_row, b_column] = b.strides.map(|s| s as isize);
    // SAFETY: by the assertions, everything that is read or written lies within the slices.
    unsafe {
        gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            columns as isize,
            add,
            a.numbers.as_ptr(),
            a_column,
            a_row,
            b.numbers.as_ptr(),
            b_column,
            b_row,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
