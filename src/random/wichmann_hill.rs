//! The generator of Wichmann and Hill: three short congruential generators whose sum is good enough to learn from, and
//! small enough to follow by hand. The lessons use it; pictures do not.
//!
//! Source: Wichmann and Hill, "Algorithm AS 183", Applied Statistics 31, 1982; integer seeds as in Python's old
//! `whrandom`, by the README of the reference set.

use super::Generator;
use crate::{Error, Result};
use std::f64::consts::TAU;

const MODULI: [u32; 3] = [30_269, 30_307, 30_323];
const FACTORS: [u32; 3] = [171, 172, 170];

/// Period about 6.95e12.
///
/// A clone draws the same numbers as the original: see the module [`random`](super).
#[derive(Clone, Debug)]
pub struct WichmannHill {
    state: [u32; 3],
    spare: Option<f64>,
}

impl WichmannHill {
    /// The state from the seed's digits in the mixed base 30268, 30306, 30322, each plus 1.
    pub fn new(mut seed: u64) -> Self {
        let state = MODULI.map(|modulus| {
            let base = u64::from(modulus - 1);
            let digit = seed % base;
            seed /= base;
            digit as u32 + 1
        });
        Self { state, spare: None }
    }

    /// A given state: x in 1..30269, y in 1..30307, z in 1..30323; anything else is an [`Error::Request`].
    pub fn from_state(state: [u32; 3]) -> Result<Self> {
        if state.iter().zip(MODULI).any(|(&value, modulus)| value == 0 || value >= modulus) {
            return Err(Error::Request(format!(
                "Wichmann-Hill state {state:?}: each must be above 0 and below {MODULI:?}"
            )));
        }
        Ok(Self { state, spare: None })
    }

    /// The three numbers x, y, z.
    pub fn state(&self) -> [u32; 3] {
        self.state
    }

    /// The next value, uniform in [0, 1).
    pub fn random(&mut self) -> f64 {
        let mut sum = 0.0;
        for ((value, factor), modulus) in self.state.iter_mut().zip(FACTORS).zip(MODULI) {
            *value = factor * *value % modulus;
            sum += f64::from(*value) / f64::from(modulus);
        }
        sum % 1.0
    }

    /// One normal value, by the rule of Python's `random.gauss`; every second call answers from the pair before.
    pub fn gauss(&mut self) -> f64 {
        if let Some(value) = self.spare.take() {
            return value;
        }
        let theta = TAU * self.random();
        let r = (-2.0 * (1.0 - self.random()).ln()).sqrt();
        self.spare = Some(r * theta.sin());
        r * theta.cos()
    }
}

impl Generator for WichmannHill {
    /// Rounded to single precision and kept below 1.
    fn rand(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| super::below_one(self.random())).collect()
    }

    fn randn(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.gauss() as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_states_that_are_fixed_points_or_too_large() {
        for state in [[0, 1, 1], [1, 30_307, 1], [1, 1, 30_323]] {
            let message = WichmannHill::from_state(state).expect_err("refused").to_string();
            assert!(message.contains("Wichmann-Hill state"), "{message}");
        }
        assert!(WichmannHill::from_state([30_268, 30_306, 30_322]).is_ok());
    }

    #[test]
    fn normal_values_have_mean_0_and_variance_1() {
        let drawn = WichmannHill::new(9).randn(20_000);
        let mean = drawn.iter().sum::<f32>() / 20_000.0;
        let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "mean {mean}, variance {variance}");
    }
}
