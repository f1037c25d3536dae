//! The generator of Wichmann and Hill: three short congruential generators whose sum is good enough for a lesson, and
//! small enough to follow by hand. The lesson uses it; pictures do not.
//!
//! Source: Wichmann and Hill, "Algorithm AS 183", Applied Statistics 31, 1982; integer seeds as in Python 2's
//! `random.WichmannHill`, by the README of the reference set.

use super::Generator;
use crate::{Error, Result};
use std::f64::consts::TAU;

const MODULI: [u32; 3] = [30_269, 30_307, 30_323];
const FACTORS: [u32; 3] = [171, 172, 170];

/// The period is about 6.95e12.
///
/// A clone draws the same numbers as the original: see the module [`random`](super).
#[derive(Clone, Debug)]
pub struct WichmannHill {
    state: [u32; 3],
    spare: Option<f64>,
}

impl WichmannHill {
    /// The state consists of the seed's three lowest digits in the mixed base 30268, 30306, 30322, each plus 1.
    /// Division rounds down, as in Python's `divmod`, so negative seeds have digits too.
    pub fn new(seed: impl Into<i128>) -> Self {
        let mut seed = seed.into();
        Self::from_digits(|base| {
            let digit = seed.rem_euclid(base.into());
            seed = seed.div_euclid(base.into());
            digit as u32
        })
    }

    /// As [`Self::new`], for an integer of any size: decimal digits, with or without a sign.
    ///
    /// # Errors
    /// [`Error::Request`] if the text is no integer.
    pub fn from_decimal(seed: &str) -> Result<Self> {
        let negative = seed.starts_with('-');
        let digits = seed.strip_prefix(['-', '+']).unwrap_or(seed);
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(Error::Request(format!("seed = {seed}: use a whole number")));
        }
        let mut number: Vec<u8> = digits.bytes().map(|digit| digit - b'0').collect();
        // A negative number is -1 - k. Its quotient is -1 - (k div base), and its digit is the base's complement of k's
        // digit.
        let negative = negative && number.iter().any(|digit| *digit != 0);
        if negative {
            subtract_one(&mut number);
        }
        Ok(Self::from_digits(|base| {
            let digit = divide(&mut number, base);
            if negative { base - 1 - digit } else { digit }
        }))
    }

    /// `digit` gives the next digit in a base.
    fn from_digits(mut digit: impl FnMut(u32) -> u32) -> Self {
        Self { state: MODULI.map(|modulus| digit(modulus - 1) + 1), spare: None }
    }

    /// A given state: x in 1..30269, y in 1..30307, z in 1..30323; otherwise [`Error::Request`].
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

    /// One normal value, by the rule of Python's `random.gauss`; every second call returns the second value of a pair.
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

/// Subtracts 1 from a decimal number above 0.
fn subtract_one(number: &mut [u8]) {
    for digit in number.iter_mut().rev() {
        match digit {
            0 => *digit = 9,
            _ => {
                *digit -= 1;
                return;
            }
        }
    }
}

/// Divides a decimal number, rounding down, and returns the remainder.
fn divide(number: &mut [u8], by: u32) -> u32 {
    number.iter_mut().fold(0, |rest, digit| {
        let dividend = rest * 10 + u32::from(*digit);
        *digit = (dividend / by) as u8;
        dividend % by
    })
}

impl Generator for WichmannHill {
    /// Rounded to single precision, but below 1.
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

    /// By Python's `divmod(a, 30268)`, then by 30306, then by 30322. More seeds are in the golden sets.
    #[test]
    fn seeds_are_integers_of_any_size_and_sign() {
        let state = |seed: &str| WichmannHill::from_decimal(seed).unwrap().state();
        assert_eq!(state("0"), [1, 1, 1]);
        assert_eq!(state("-0"), [1, 1, 1]);
        assert_eq!(state("+42"), [43, 1, 1]);
        assert_eq!(state("-1"), [30_268, 30_306, 30_322]);
        assert_eq!(state("-30268"), [1, 30_306, 30_322]);
        for seed in [i128::from(i64::MIN), -907_302_001, -30_269, -7, 5, 30_268, i128::from(u64::MAX), i128::MAX] {
            assert_eq!(state(&seed.to_string()), WichmannHill::new(seed).state(), "{seed}");
        }
        for text in ["", "-", "1.5", "0x10", "1_000", " 1"] {
            assert!(WichmannHill::from_decimal(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn normal_values_have_mean_0_and_variance_1() {
        let drawn = WichmannHill::new(9).randn(20_000);
        let mean = drawn.iter().sum::<f32>() / 20_000.0;
        let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "mean {mean}, variance {variance}");
    }
}
