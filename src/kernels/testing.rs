//! Helpers for the tests of kernels.

use crate::random::{self, Generator, Mt19937};

/// Random sizes and numbers, the same in every run; the seed is printed in case a test fails.
pub struct Draw(Mt19937);

impl Draw {
    pub fn new(test: &str) -> Self {
        const SEED: u64 = 20;
        println!("{test}: seed {SEED}");
        Self(random::stream(SEED, test, 0))
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0.next_u32() as usize % n
    }

    /// Standard normal numbers.
    pub fn numbers(&mut self, count: usize) -> Vec<f32> {
        self.0.randn(count)
    }
}

/// Asserts a relative L2 distance of at most 1e-5.
pub fn close(found: &[f32], known: &[f64], what: &str) {
    assert_eq!(found.len(), known.len(), "{what}");
    let distance: f64 = found.iter().zip(known).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    let length: f64 = known.iter().map(|b| b * b).sum();
    let relative = (distance / length.max(1e-12)).sqrt();
    assert!(relative <= 1e-5, "{what}: off by {relative:.1e}");
}
