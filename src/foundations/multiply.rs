//! Matrix products, from three loops to many threads. Every rung of the ladder computes the same numbers.

use super::Matrix;
use crate::{Error, Result};

/// The ways to multiply, the slowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// Row, column, inner index, each number by `m[(row, column)]`.
    Loops,
    /// A number of `a` times a whole row of `b`, as slices.
    Slices,
    /// A row of `a` with a column of `b`, as iterators.
    Iterators,
    /// In blocks that fit into the fastest cache.
    Blocked,
    /// Sixteen products at a time.
    Simd,
    /// The same on every core.
    Threads,
}

impl Rung {
    /// All rungs that this build has; a wasm module has no threads.
    pub const ALL: &[Self] = &[
        Self::Loops,
        Self::Slices,
        Self::Iterators,
        Self::Blocked,
        Self::Simd,
        #[cfg(not(target_arch = "wasm32"))]
        Self::Threads,
    ];

    /// The name on the page and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loops => "three loops",
            Self::Slices => "slices",
            Self::Iterators => "iterators",
            Self::Blocked => "blocked",
            Self::Simd => "SIMD",
            Self::Threads => "threads",
        }
    }

    /// The rung with this name.
    ///
    /// # Errors
    /// [`Error::Request`] that lists the names.
    pub fn named(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|rung| rung.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|rung| rung.name()).collect();
            Error::Request(format!("no way to multiply is called {name:?}; there are: {}", known.join(", ")))
        })
    }

    /// `a` (rows x inner) times `b` (inner x columns).
    ///
    /// # Errors
    /// [`Error::Request`] if the columns of `a` are not as many as the rows of `b`.
    pub fn multiply(self, a: &Matrix, b: &Matrix) -> Result<Matrix> {
        let ([rows, inner], [inner_b, columns]) = (a.shape(), b.shape());
        if inner != inner_b {
            return Err(Error::Request(format!(
                "cannot multiply {rows} x {inner} by {inner_b} x {columns}: {inner} columns meet {inner_b} rows"
            )));
        }
        let mut out = Matrix::zeros(rows, columns);
        match self {
            Self::Loops => loops(a, b, &mut out),
            Self::Slices => slices(a, b, &mut out),
            Self::Iterators => iterators(a, b, &mut out),
            Self::Blocked => blocked(a, b, &mut out),
            Self::Simd => simd(a, b, &mut out),
            Self::Threads => threads(a, b, &mut out),
        }
        Ok(out)
    }
}

// cell: multiply-loops
/// The definition: out[i, j] is the sum over k of a[i, k] * b[k, j].
fn loops(a: &Matrix, b: &Matrix, out: &mut Matrix) {
    for i in 0..a.rows() {
        for j in 0..b.columns() {
            for k in 0..a.columns() {
                out[(i, j)] += a[(i, k)] * b[(k, j)];
            }
        }
    }
}
// end

// cell: multiply-slices
/// Each number of `a` is multiplied with a whole row of `b` (the lesson's broadcasting).
fn slices(a: &Matrix, b: &Matrix, out: &mut Matrix) {
    for i in 0..a.rows() {
        let sums = out.row_mut(i);
        for k in 0..a.columns() {
            let (factor, row) = (a[(i, k)], b.row(k));
            for j in 0..row.len() {
                sums[j] += factor * row[j];
            }
        }
    }
}
// end

// cell: multiply-iterators
/// Each number is a row of `a` and a column of `b`, multiplied pairwise and summed (the lesson's dot).
fn iterators(a: &Matrix, b: &Matrix, out: &mut Matrix) {
    for i in 0..a.rows() {
        for j in 0..b.columns() {
            let column = b.values().iter().skip(j).step_by(b.columns());
            out[(i, j)] = a.row(i).iter().zip(column).map(|(x, y)| x * y).sum();
        }
    }
}
// end

// cell: multiply-blocked
/// 64 x 64 numbers of `b` are used for all rows of `a` while they are in the fast cache.
fn blocked(a: &Matrix, b: &Matrix, out: &mut Matrix) {
    const SIDE: usize = 64;
    for k0 in (0..a.columns()).step_by(SIDE) {
        let k1 = (k0 + SIDE).min(a.columns());
        for j0 in (0..b.columns()).step_by(SIDE) {
            let j1 = (j0 + SIDE).min(b.columns());
            for i in 0..a.rows() {
                let sums = &mut out.row_mut(i)[j0..j1];
                for k in k0..k1 {
                    let factor = a[(i, k)];
                    for (sum, value) in sums.iter_mut().zip(&b.row(k)[j0..j1]) {
                        *sum += factor * value;
                    }
                }
            }
        }
    }
}
// end

// cell: multiply-simd
/// `b` is transposed once, so that both lists are contiguous in memory.
fn simd(a: &Matrix, b: &Matrix, out: &mut Matrix) {
    let columns = b.transposed();
    for i in 0..a.rows() {
        for (j, sum) in out.row_mut(i).iter_mut().enumerate() {
            *sum = dot(a.row(i), columns.row(j));
        }
    }
}

/// Sixteen sums side by side. The compiler turns them into vector instructions, which multiply 4, 8 or 16 pairs
/// together.
fn dot(x: &[f32], y: &[f32]) -> f32 {
    const LANES: usize = 16;
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (x, y) in xs.iter().zip(ys) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f32 = x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}
// end

// cell: multiply-threads
/// Every core takes a share of the rows. No core waits for another, because no row is written by two.
fn threads(a: &Matrix, b: &Matrix, out: &mut Matrix) {
    let columns = b.transposed();
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let rows_each = a.rows().div_ceil(cores).max(1);
    let width = b.columns().max(1);
    std::thread::scope(|scope| {
        for (share, rows) in out.values_mut().chunks_mut(rows_each * width).enumerate() {
            let columns = &columns;
            scope.spawn(move || {
                for (i, row) in rows.chunks_mut(width).enumerate() {
                    for (j, sum) in row.iter_mut().enumerate() {
                        *sum = dot(a.row(share * rows_each + i), columns.row(j));
                    }
                }
            });
        }
    });
}
// end

#[cfg(test)]
mod tests {
    use super::super::testing::{matrix, reference_product};
    use super::*;
    use crate::random::stream;

    #[test]
    fn every_rung_agrees_with_float64_on_random_odd_shapes() {
        let mut generator = stream(5, "shapes", 0);
        for case in 0..40 {
            let [m, k, n] = [0, 0, 0].map(|_| 2 * (generator.next_u32() % 70) as usize + 1);
            let (a, b) = (matrix(m, k, 2 * case), matrix(k, n, 2 * case + 1));
            check(&a, &b);
        }
        check(&matrix(5, 784, 90), &matrix(784, 10, 91));
        check(&matrix(1, 1, 92), &matrix(1, 1, 93));
    }

    fn check(a: &Matrix, b: &Matrix) {
        let expected = reference_product(a, b);
        for rung in Rung::ALL {
            let found = rung.multiply(a, b).expect("shapes fit");
            for (i, (found, expected)) in found.values().iter().zip(&expected).enumerate() {
                let (a, b) = (a.shape(), b.shape());
                assert!((f64::from(*found) - expected).abs() < 1e-4, "{rung:?} {a:?} {b:?} at {i}: {found} {expected}");
            }
        }
    }

    #[test]
    fn empty_matrices_have_empty_products() {
        for rung in Rung::ALL {
            for [m, k, n] in [[0, 3, 2], [2, 0, 3], [2, 3, 0], [0, 0, 0]] {
                let out = rung.multiply(&Matrix::zeros(m, k), &Matrix::zeros(k, n)).expect("shapes fit");
                assert_eq!((out.shape(), out.values().iter().sum::<f32>()), ([m, n], 0.0), "{rung:?}");
            }
        }
    }

    #[test]
    fn shapes_that_do_not_meet_are_named() {
        for rung in Rung::ALL {
            let error = rung.multiply(&Matrix::zeros(5, 784), &Matrix::zeros(10, 784)).expect_err("refused");
            assert_eq!(error.to_string(), "cannot multiply 5 x 784 by 10 x 784: 784 columns meet 10 rows");
            assert_eq!(Rung::named(rung.name()).expect("its own name"), *rung);
        }
        assert!(Rung::named("abacus").expect_err("unknown").to_string().contains("three loops, slices"));
    }
}
