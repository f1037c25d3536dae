//! numpy's legacy `RandomState`. Its normal numbers differ from torch's although both use MT19937.
//!
//! Source: numpy's legacy distributions, frozen by NEP 19; Marsaglia and Bray's polar method, SIAM Review 6(3), 1964.

use super::{Generator, Mt19937};

/// `numpy.random.RandomState(seed)`.
///
/// A clone draws the same numbers as the original: see the module [`random`](super).
#[derive(Clone, Debug)]
pub struct NumpyLegacy {
    bits: Mt19937,
    spare: Option<f64>,
}

impl NumpyLegacy {
    /// numpy only takes integer seeds of 32 bits.
    pub fn new(seed: u32) -> Self {
        Self { bits: Mt19937::new(seed.into()), spare: None }
    }

    /// One `random_sample`: a multiple of 2^-53 in [0, 1), 27 bits from the first draw and 26 from the second.
    pub fn random_sample(&mut self) -> f64 {
        let (a, b) = (self.bits.next_u32() >> 5, self.bits.next_u32() >> 6);
        (f64::from(a) * (1u32 << 26) as f64 + f64::from(b)) / (1u64 << 53) as f64
    }

    /// One `standard_normal`; every second call returns the second value of a pair.
    pub fn standard_normal(&mut self) -> f64 {
        if let Some(value) = self.spare.take() {
            return value;
        }
        loop {
            let (x, y) = (2.0 * self.random_sample() - 1.0, 2.0 * self.random_sample() - 1.0);
            let square = x * x + y * y;
            if square < 1.0 && square != 0.0 {
                let f = (-2.0 * square.ln() / square).sqrt();
                self.spare = Some(f * x);
                return f * y;
            }
        }
    }
}

impl Generator for NumpyLegacy {
    /// `random_sample(n)`, rounded to single precision and kept below 1.
    fn rand(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| super::below_one(self.random_sample())).collect()
    }

    /// `standard_normal(n)`, rounded to single precision.
    fn randn(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.standard_normal() as f32).collect()
    }
}
