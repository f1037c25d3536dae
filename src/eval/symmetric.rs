//! Eigenvalues of small symmetric matrices, by Jacobi's rotations (Golub & Van Loan, "Matrix Computations", section
//! 8.5). For the 48 features of the classifier this takes milliseconds, and is accurate to the last digits. A crate for
//! linear algebra would change features of the crates below burn.

/// A square matrix in f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    size: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// A matrix of `size` rows and columns, from a function of row and column.
    pub fn from_fn(size: usize, value: impl Fn(usize, usize) -> f64) -> Self {
        Self { size, values: (0..size * size).map(|at| value(at / size, at % size)).collect() }
    }

    /// The entry of a row and a column.
    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.size + column]
    }

    /// The matrix product.
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn times(&self, other: &Self) -> Self {
        assert_eq!(self.size, other.size, "matrices of one size");
        Self::from_fn(self.size, |i, j| (0..self.size).map(|k| self.at(i, k) * other.at(k, j)).sum())
    }

    /// Half of the sum with the transpose; for a symmetric matrix this is the matrix itself, up to rounding.
    pub fn symmetric_part(&self) -> Self {
        Self::from_fn(self.size, |i, j| (self.at(i, j) + self.at(j, i)) / 2.0)
    }

    /// The sum of the diagonal.
    pub fn trace(&self) -> f64 {
        (0..self.size).map(|i| self.at(i, i)).sum()
    }

    /// Rotates rows `p` and `q` by the angle with this cosine and sine.
    fn turn_rows(&mut self, (p, q): (usize, usize), (c, s): (f64, f64)) {
        for k in 0..self.size {
            let (a, b) = (self.at(p, k), self.at(q, k));
            self.values[p * self.size + k] = c * a - s * b;
            self.values[q * self.size + k] = s * a + c * b;
        }
    }

    /// The same for columns.
    fn turn_columns(&mut self, (p, q): (usize, usize), (c, s): (f64, f64)) {
        for k in 0..self.size {
            let (a, b) = (self.at(k, p), self.at(k, q));
            self.values[k * self.size + p] = c * a - s * b;
            self.values[k * self.size + q] = s * a + c * b;
        }
    }
}

/// Eigenvalues of a symmetric matrix, in no particular order, and its eigenvectors as columns in the same order.
pub fn eigen(matrix: &Matrix) -> (Vec<f64>, Matrix) {
    let size = matrix.size;
    let mut left = matrix.clone();
    let mut vectors = Matrix::from_fn(size, |i, j| if i == j { 1.0 } else { 0.0 });
    let all: f64 = matrix.values.iter().map(|v| v * v).sum();
    for _ in 0..SWEEPS {
        let off = |i: usize, j: usize| if i == j { 0.0 } else { left.at(i, j).powi(2) };
        let rest: f64 = (0..size * size).map(|at| off(at / size, at % size)).sum();
        if rest <= all * f64::EPSILON.powi(2) {
            break;
        }
        for (p, q) in (0..size).flat_map(|p| (p + 1..size).map(move |q| (p, q))) {
            if left.at(p, q) != 0.0 {
                let turn = angle(left.at(p, p), left.at(q, q), left.at(p, q));
                left.turn_rows((p, q), turn);
                left.turn_columns((p, q), turn);
                vectors.turn_columns((p, q), turn);
            }
        }
    }
    ((0..size).map(|i| left.at(i, i)).collect(), vectors)
}

/// Greatest number of rounds through all pairs. Convergence is quadratic, and six to ten are usual.
const SWEEPS: usize = 50;

/// Cosine and sine of the smaller rotation that makes the entry `off` of [[`first`, `off`], [`off`, `second`]] vanish.
fn angle(first: f64, second: f64, off: f64) -> (f64, f64) {
    let ratio = (second - first) / (2.0 * off);
    let tangent = ratio.signum() / (ratio.abs() + ratio.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    (cosine, tangent * cosine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(mut values: Vec<f64>) -> Vec<f64> {
        values.sort_unstable_by(f64::total_cmp);
        values
    }

    #[test]
    fn known_eigenvalues() {
        let two = Matrix::from_fn(2, |i, j| if i == j { 2.0 } else { 1.0 });
        let found = sorted(eigen(&two).0);
        assert!((found[0] - 1.0).abs() < 1e-14 && (found[1] - 3.0).abs() < 1e-14, "{found:?}");
        // The eigenvalues of the second difference on n points: 2 - 2 cos(k π / (n + 1)).
        let n = 48;
        let difference = Matrix::from_fn(n, |i, j| [2.0, -1.0].get(i.abs_diff(j)).copied().unwrap_or(0.0));
        let expected = (1..=n).map(|k| 2.0 - 2.0 * (k as f64 * std::f64::consts::PI / (n + 1) as f64).cos());
        let found = sorted(eigen(&difference).0);
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn vectors_and_values_make_the_matrix_again() {
        let matrix = Matrix::from_fn(7, |i, j| ((i * j) as f64).sin() + ((i + j) as f64).cos());
        let (values, vectors) = eigen(&matrix);
        let again = |i: usize, j: usize| (0..7).map(|k| vectors.at(i, k) * values[k] * vectors.at(j, k)).sum::<f64>();
        for (i, j) in (0..49).map(|at| (at / 7, at % 7)) {
            assert!((again(i, j) - matrix.at(i, j)).abs() < 1e-12);
            let dot: f64 = (0..7).map(|k| vectors.at(k, i) * vectors.at(k, j)).sum();
            assert!((dot - if i == j { 1.0 } else { 0.0 }).abs() < 1e-13);
        }
        assert_eq!(eigen(&Matrix::from_fn(3, |_, _| 0.0)).0, [0.0; 3]);
    }
}
