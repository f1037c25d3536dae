//! Matrices: numbers in rows and columns, stored in one flat list, with an index that takes a row and a column.

use std::ops::{Index, IndexMut};

use crate::{Error, Result};

// cell: matrix
/// A matrix: `rows` x `columns` numbers in one list, row after row.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

/// `m[(row, column)]` reads a number, like `__getitem__` in Python.
impl Index<(usize, usize)> for Matrix {
    type Output = f32;

    fn index(&self, (row, column): (usize, usize)) -> &f32 {
        assert!(column < self.columns, "column {column} of a matrix with {}", self.columns);
        &self.values[row * self.columns + column]
    }
}

/// `m[(row, column)] = x` writes one, like `__setitem__`.
impl IndexMut<(usize, usize)> for Matrix {
    fn index_mut(&mut self, (row, column): (usize, usize)) -> &mut f32 {
        assert!(column < self.columns, "column {column} of a matrix with {}", self.columns);
        &mut self.values[row * self.columns + column]
    }
}
// end

impl Matrix {
    /// A matrix of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }

    /// A matrix with these values, row after row.
    ///
    /// # Errors
    /// [`Error::Request`] if their number is not rows times columns.
    pub fn new(rows: usize, columns: usize, values: Vec<f32>) -> Result<Self> {
        if rows.checked_mul(columns) != Some(values.len()) {
            let found = values.len();
            return Err(Error::Request(format!("{found} numbers do not fill a matrix of {rows} x {columns}")));
        }
        Ok(Self { rows, columns, values })
    }

    /// A matrix from a list of lists, as the lesson's images are at first.
    ///
    /// # Errors
    /// [`Error::Request`] if a row has another length than the first.
    pub fn from_rows(rows: &[Vec<f32>]) -> Result<Self> {
        let columns = rows.first().map_or(0, Vec::len);
        if let Some(at) = rows.iter().position(|row| row.len() != columns) {
            let found = rows[at].len();
            return Err(Error::Request(format!("row {at} has {found} numbers, the rows before it have {columns}")));
        }
        Self::new(rows.len(), columns, rows.concat())
    }

    /// A matrix filled by a function of row and column.
    pub fn from_fn(rows: usize, columns: usize, mut value: impl FnMut(usize, usize) -> f32) -> Self {
        let values = (0..rows * columns).map(|i| value(i / columns, i % columns)).collect();
        Self { rows, columns, values }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Rows, then columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// All numbers, row after row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The same, mutable.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// One row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// One row, mutable.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// The rows with the indices `wanted`, in that order.
    pub fn pick(&self, wanted: &[usize]) -> Self {
        let values = wanted.iter().flat_map(|&row| self.row(row)).copied().collect();
        Self { rows: wanted.len(), columns: self.columns, values }
    }

    /// The transpose.
    pub fn transposed(&self) -> Self {
        Self::from_fn(self.columns, self.rows, |row, column| self[(column, row)])
    }

    /// The sum of two matrices of the same shape.
    ///
    /// # Errors
    /// [`Error::Request`] that names both shapes.
    pub fn plus(&self, other: &Self) -> Result<Self> {
        self.paired(other, "add", |a, b| a + b)
    }

    /// Each number times its counterpart (not the matrix product, which is [`super::multiply`]).
    ///
    /// # Errors
    /// [`Error::Request`] that names both shapes.
    pub fn times_elementwise(&self, other: &Self) -> Result<Self> {
        self.paired(other, "multiply elementwise", |a, b| a * b)
    }

    /// The matrix with a function applied to each number.
    pub fn map(&self, change: impl Fn(f32) -> f32) -> Self {
        Self { values: self.values.iter().map(|&value| change(value)).collect(), ..*self }
    }

    fn paired(&self, other: &Self, what: &str, combine: impl Fn(f32, f32) -> f32) -> Result<Self> {
        let ([r, c], [r2, c2]) = (self.shape(), other.shape());
        if (r, c) != (r2, c2) {
            return Err(Error::Request(format!("cannot {what} {r} x {c} and {r2} x {c2}: the shapes differ")));
        }
        let values = self.values.iter().zip(&other.values).map(|(&a, &b)| combine(a, b)).collect();
        Ok(Self { rows: r, columns: c, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_by_row_and_column() {
        let mut m = Matrix::from_rows(&[vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0]]).expect("two rows");
        assert_eq!(m[(1, 0)], 4.0);
        m[(1, 2)] = 9.0;
        assert_eq!(m.row(1), [4.0, 5.0, 9.0]);
        assert_eq!(m.transposed()[(2, 1)], 9.0);
        assert_eq!(m.transposed().transposed(), m);
        assert_eq!(m.pick(&[1, 1]).shape(), [2, 3]);
    }

    #[test]
    #[should_panic(expected = "column 3 of a matrix with 3")]
    fn an_index_beside_the_row_does_not_read_the_next_row() {
        let _ = Matrix::zeros(2, 3)[(0, 3)];
    }

    #[test]
    fn shapes_are_checked() {
        let message = |e: Result<Matrix>| e.expect_err("refused").to_string();
        assert!(message(Matrix::new(2, 3, vec![0.0; 5])).contains("5 numbers do not fill a matrix of 2 x 3"));
        assert!(message(Matrix::new(usize::MAX, 2, vec![])).contains("do not fill"));
        assert!(message(Matrix::from_rows(&[vec![1.0], vec![]])).contains("row 1 has 0 numbers"));
        let (a, b) = (Matrix::zeros(2, 3), Matrix::zeros(3, 2));
        assert!(message(a.plus(&b)).contains("cannot add 2 x 3 and 3 x 2"));
        assert!(message(a.times_elementwise(&b)).contains("the shapes differ"));
        assert_eq!(a.plus(&a).expect("one shape").shape(), [2, 3]);
    }
}
