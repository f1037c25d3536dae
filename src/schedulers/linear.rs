//! Linear combinations of latents with coefficients from the host. All tensor arithmetic of a scheduler's step is here;
//! nothing is read back from the device.

use burn::tensor::{Tensor, TensorData};

use crate::error::{Error, Result};

/// The sum of coefficient x tensor. A coefficient of exactly 0 omits its tensor, whatever it contains.
pub fn combine(terms: &[(f64, &Tensor<4>)]) -> Tensor<4> {
    let scaled = terms
        .iter()
        .filter(|(c, _)| *c != 0.0)
        .map(|(c, x)| if *c == 1.0 { (*x).clone() } else { (*x).clone().mul_scalar(*c as f32) });
    scaled.reduce(|sum, term| sum + term).unwrap_or_else(|| terms[0].1.zeros_like())
}

/// `a original + b noise`, with one pair (a, b) for each sample of the batch, or one for all.
///
/// # Errors
/// [`Error::Request`] if the number of pairs is neither.
pub fn mix(original: Tensor<4>, noise: Tensor<4>, pairs: &[(f64, f64)]) -> Result<Tensor<4>> {
    let batch = original.dims()[0];
    match pairs {
        [(a, b)] => Ok(combine(&[(*a, &original), (*b, &noise)])),
        _ if pairs.len() == batch => {
            let device = original.device();
            let column = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [batch, 1, 1, 1]), &device);
            let a = column(pairs.iter().map(|p| p.0 as f32).collect());
            let b = column(pairs.iter().map(|p| p.1 as f32).collect());
            Ok(original * a + noise * b)
        }
        _ => Err(Error::Request(format!("{} timesteps for a batch of {batch}", pairs.len()))),
    }
}

/// The entry of a table.
///
/// # Errors
/// [`Error::Request`] beyond its end.
pub fn entry<'a, T>(table: &'a [T], index: usize, what: &str) -> Result<&'a T> {
    table.get(index).ok_or_else(|| Error::Request(format!("{what} {index}: there are {}", table.len())))
}
