//! Random generators, and tests of randomness.

use wasm_bindgen::prelude::*;

use crate::Thrown;
use crate::foundations::{fork, statistics};
use crate::random::{Generator, Mt19937, Philox, WichmannHill};

/// The lesson's generator.
#[wasm_bindgen]
pub struct Wichmann {
    generator: WichmannHill,
}

#[wasm_bindgen]
impl Wichmann {
    /// From a seed.
    #[wasm_bindgen(constructor)]
    pub fn new(seed: u64) -> Wichmann {
        Self { generator: WichmannHill::new(seed) }
    }

    /// From a copied state.
    pub fn from_state(state: Vec<u32>) -> Thrown<Wichmann> {
        let state: [u32; 3] = state.try_into().map_err(|_| JsError::new("a state has three numbers"))?;
        Ok(Self { generator: WichmannHill::from_state(state)? })
    }

    /// x, y and z.
    pub fn state(&self) -> Vec<u32> {
        self.generator.state().to_vec()
    }

    /// The next number, 0 up to 1.
    pub fn random(&mut self) -> f64 {
        self.generator.random()
    }

    /// The next `n` normal numbers.
    pub fn normal(&mut self, n: usize) -> Vec<f32> {
        self.generator.randn(n)
    }
}

/// The first `n` numbers of a generator.
#[wasm_bindgen]
pub fn draw(generator: &str, seed: u64, n: usize) -> Thrown<Vec<f64>> {
    if generator == "wichmann-hill" {
        let mut generator = WichmannHill::new(seed);
        return Ok((0..n).map(|_| generator.random()).collect());
    }
    Ok(by_name(generator, seed)?.rand(n).into_iter().map(f64::from).collect())
}

/// Counts in bins of equal width.
#[wasm_bindgen]
pub fn histogram(numbers: &[f64], bins: usize) -> Thrown<Vec<usize>> {
    if bins == 0 {
        return Err(JsError::new("a histogram needs at least one bin"));
    }
    Ok(statistics::histogram(numbers, bins))
}

/// Pairs of each number and the one `lag` later: x, y, x, y, ...
#[wasm_bindgen]
pub fn lag_pairs(numbers: &[f64], lag: usize) -> Vec<f64> {
    statistics::lag_pairs(numbers, lag).into_iter().flat_map(|(x, y)| [x, y]).collect()
}

/// Statistic and p-value of three tests: chi-square over `bins`, runs, and serial correlation.
#[wasm_bindgen]
pub fn tests(numbers: &[f64], bins: usize) -> Thrown<Vec<f64>> {
    if bins < 2 || numbers.len() < 2 {
        return Err(JsError::new("the tests need at least two bins and two numbers"));
    }
    let outcomes = [
        statistics::chi_square(&statistics::histogram(numbers, bins)),
        statistics::runs(numbers),
        statistics::serial_correlation(numbers),
    ];
    Ok(outcomes.iter().flat_map(|outcome| [outcome.statistic, outcome.p]).collect())
}

/// The first `n` normal numbers of a worker's own stream.
#[wasm_bindgen]
pub fn worker_numbers(seed: u64, worker: u64, n: usize) -> Vec<f32> {
    fork::worker_stream(seed, worker).randn(n)
}

pub(crate) fn by_name(generator: &str, seed: u64) -> Thrown<Box<dyn Generator>> {
    match generator {
        "wichmann-hill" => Ok(Box::new(WichmannHill::new(seed))),
        "mt19937" => Ok(Box::new(Mt19937::new(seed))),
        "philox" => Ok(Box::new(Philox::new(seed))),
        other => Err(JsError::new(&format!("no generator is called {other:?}"))),
    }
}
