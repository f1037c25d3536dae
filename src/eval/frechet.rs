//! The Fréchet distance between two sets of pictures, each taken as a normal distribution of features (Heusel et al.,
//! 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium").

use super::symmetric::{Matrix, eigen};
use crate::{Error, Result};

/// Mean and covariance of features.
#[derive(Clone, Debug)]
pub struct Gaussian {
    mean: Vec<f64>,
    covariance: Matrix,
}

impl Gaussian {
    /// From one row of features for each picture; the covariance is the unbiased one.
    ///
    /// # Errors
    /// [`Error::Request`] for fewer than two rows, rows of different lengths, or values that are not finite.
    pub fn new(features: &[Vec<f64>]) -> Result<Self> {
        let (n, d) = (features.len(), features.first().map_or(0, Vec::len));
        let sound = |row: &Vec<f64>| row.len() == d && row.iter().all(|value| value.is_finite());
        if n < 2 || d == 0 || !features.iter().all(sound) {
            let reason = format!("the Frechet distance needs two or more rows of finite features, not {n} of {d}");
            return Err(Error::Request(reason));
        }
        let mean: Vec<f64> = (0..d).map(|i| features.iter().map(|row| row[i]).sum::<f64>() / n as f64).collect();
        let product =
            |i: usize, j: usize| -> f64 { features.iter().map(|row| (row[i] - mean[i]) * (row[j] - mean[j])).sum() };
        let covariance = Matrix::from_fn(d, |i, j| product(i, j) / (n - 1) as f64);
        Ok(Self { mean, covariance })
    }

    /// |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½), 0 or more. The last trace is that of (√Σ₁ Σ₂ √Σ₁)^½, which is symmetric,
    /// so it is the sum of the roots of its eigenvalues. Covariances of less than full rank need no special case.
    ///
    /// # Panics
    /// If the numbers of features differ.
    pub fn distance(&self, other: &Self) -> f64 {
        let root = square_root(&self.covariance);
        let product = root.times(&other.covariance).times(&root);
        let (values, _) = eigen(&product.symmetric_part());
        let trace: f64 = values.iter().map(|value| value.max(0.0).sqrt()).sum();
        let means: f64 = self.mean.iter().zip(&other.mean).map(|(a, b)| (a - b).powi(2)).sum();
        (means + self.covariance.trace() + other.covariance.trace() - 2.0 * trace).max(0.0)
    }
}

/// The symmetric root of a symmetric matrix without negative eigenvalues (except for rounding).
fn square_root(matrix: &Matrix) -> Matrix {
    let (values, vectors) = eigen(matrix);
    let roots: Vec<f64> = values.iter().map(|value| value.max(0.0).sqrt()).collect();
    let entry =
        |i: usize, j: usize| roots.iter().enumerate().map(|(k, r)| vectors.at(i, k) * r * vectors.at(j, k)).sum();
    Matrix::from_fn(values.len(), entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows that numpy can reproduce: sin(1.7 i (j + 1) + shift) + 0.3 j cos(0.9 i (j + 2)).
    fn rows(shift: f64, n: usize, change: impl Fn(f64) -> f64) -> Vec<Vec<f64>> {
        let value = |i: f64, j: f64| (1.7 * i * (j + 1.0) + shift).sin() + 0.3 * j * (0.9 * i * (j + 2.0)).cos();
        (0..n).map(|i| (0..5).map(|j| change(value(i as f64, f64::from(j)))).collect()).collect()
    }

    fn distance(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
        Gaussian::new(a).unwrap().distance(&Gaussian::new(b).unwrap())
    }

    /// The value is from numpy.cov and scipy.linalg.sqrtm of the product of the covariances.
    #[test]
    fn the_distance_is_scipys() {
        let (a, b) = (rows(0.5, 40, |x| x), rows(2.0, 30, |x| 1.2 * x + 0.1));
        assert!((distance(&a, &b) - 0.483_497_289_487_386_74).abs() < 1e-9, "{}", distance(&a, &b));
        assert!((distance(&b, &a) - distance(&a, &b)).abs() < 1e-9);
        // Four rows of five features: a covariance of rank 3.
        let few = rows(0.5, 4, |x| x);
        assert!((distance(&few, &b) - 3.251_629_890_770_994).abs() < 1e-6, "{}", distance(&few, &b));
    }

    /// In one dimension (μ₁ - μ₂)² + (σ₁ - σ₂)².
    #[test]
    fn closed_forms() {
        let column = |values: &[f64]| values.iter().map(|v| vec![*v]).collect::<Vec<_>>();
        // Means 2 and 7, deviations 1 and 3.
        let (a, b) = (column(&[1.0, 2.0, 3.0]), column(&[4.0, 7.0, 10.0]));
        assert!((distance(&a, &b) - (25.0 + 4.0)).abs() < 1e-12);
        assert!(distance(&a, &a) < 1e-12);
        // For independent features, the sum over them. Deviations 1 and 2, then 3 and 1, from corners of a square.
        let corners = |x: f64, y: f64| {
            let scale = 0.75f64.sqrt();
            let at = |sx: f64, sy: f64| vec![sx * x * scale, sy * y * scale];
            vec![at(1.0, 1.0), at(1.0, -1.0), at(-1.0, 1.0), at(-1.0, -1.0)]
        };
        assert!((distance(&corners(1.0, 2.0), &corners(3.0, 1.0)) - (4.0 + 1.0)).abs() < 1e-9);
    }

    #[test]
    fn the_root_of_a_matrix_is_numpys() {
        let root = square_root(&Matrix::from_fn(2, |i, j| [[4.0, 1.0], [1.0, 3.0]][i][j]));
        let expected = [[1.981_577_63, 0.270_832_21], [0.270_832_21, 1.710_745_43]];
        let near = |i: usize, j: usize| (root.at(i, j) - expected[i][j]).abs() < 1e-8;
        assert!(near(0, 0) && near(0, 1) && near(1, 0) && near(1, 1), "{root:?}");
    }

    #[test]
    fn too_little_is_refused() {
        for features in [vec![], vec![vec![1.0]], vec![vec![1.0], vec![1.0, 2.0]], vec![vec![1.0], vec![f64::NAN]]] {
            assert!(Gaussian::new(&features).is_err(), "{features:?}");
        }
    }
}
