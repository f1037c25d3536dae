//! Helpers for several tests of the foundations.

use super::Matrix;
use crate::random::{Generator, stream};

/// Values in -1..1 from a separate stream.
pub fn matrix(rows: usize, columns: usize, index: u64) -> Matrix {
    let values = stream(1, "test matrix", index).rand(rows * columns);
    Matrix::new(rows, columns, values.iter().map(|x| 2.0 * x - 1.0).collect()).expect("as many as asked for")
}

/// The product in float64, in the order of the definition.
pub fn reference_product(a: &Matrix, b: &Matrix) -> Vec<f64> {
    let entry = |i: usize, j: usize| (0..a.columns()).map(|k| f64::from(a[(i, k)]) * f64::from(b[(k, j)])).sum();
    (0..a.rows()).flat_map(|i| (0..b.columns()).map(move |j| (i, j))).map(|(i, j)| entry(i, j)).collect()
}
