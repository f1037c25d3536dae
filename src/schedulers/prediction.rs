//! Converts a network's prediction to x0 (the finished latents) and eps (the noise), for all schedulers.
//!
//! With z = alpha x0 + sigma eps, alpha^2 + sigma^2 = 1 (Kingma 2021), a network predicts eps, x0, or v = alpha eps -
//! sigma x0 (Salimans 2022, appendix D).

use burn::tensor::Tensor;

use super::config::PredictionType;
use super::linear::combine;
use crate::error::{Error, Result};

/// Signal and noise at one point of the path, and how the scheduler's sample relates to z there.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Signal rate, 0 to 1.
    pub alpha: f64,
    /// Noise rate, 0 to 1.
    pub sigma: f64,
    /// z = `input_scale` x sample: 1 if samples preserve variance, alpha if they grow with the noise.
    pub input_scale: f64,
}

impl Rates {
    /// From an entry of `alphas_cumprod` = alpha^2; the sample is z.
    pub fn of_alpha_cumprod(a: f32) -> Self {
        let a = f64::from(a);
        Self { alpha: a.sqrt(), sigma: (1.0 - a).sqrt(), input_scale: 1.0 }
    }

    /// From Karras's sigma = (noise rate) / (signal rate); the sample is z.
    pub fn of_sigma(sigma: f32) -> Self {
        let sigma = f64::from(sigma);
        let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
        Self { alpha, sigma: sigma * alpha, input_scale: 1.0 }
    }

    /// From Karras's sigma; the sample is x0 + sigma eps = z / alpha.
    pub fn exploding(sigma: f32) -> Self {
        let rates = Self::of_sigma(sigma);
        Self { input_scale: rates.alpha, ..rates }
    }

    /// On a rectified flow (Esser 2024, section 2), where the sample is (1 - sigma) x0 + sigma eps.
    pub fn straight(sigma: f32) -> Self {
        let sigma = f64::from(sigma);
        Self { alpha: 1.0 - sigma, sigma, input_scale: 1.0 }
    }

    /// ln(alpha / sigma), half the logarithm of the signal-to-noise ratio (Lu 2022); infinite without noise.
    pub fn lambda(&self) -> f64 {
        self.alpha.ln() - self.sigma.ln()
    }

    /// The network's estimate of x0.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for eps prediction without any signal, because eps says nothing about x0 there.
    pub fn x0(&self, kind: PredictionType, sample: &Tensor<4>, output: &Tensor<4>) -> Result<Tensor<4>> {
        let Self { alpha, sigma, input_scale } = *self;
        Ok(match kind {
            PredictionType::Epsilon if alpha == 0.0 => {
                let reason = "epsilon prediction at a timestep without signal (rescale_betas_zero_snr)";
                return Err(Error::Unsupported(reason.into()));
            }
            PredictionType::Epsilon => combine(&[(input_scale / alpha, sample), (-sigma / alpha, output)]),
            PredictionType::VPrediction => combine(&[(alpha * input_scale, sample), (-sigma, output)]),
            PredictionType::Sample => output.clone(),
        })
    }

    /// The network's estimate of eps. There must be noise (sigma > 0) for x0 prediction.
    pub fn epsilon(&self, kind: PredictionType, sample: &Tensor<4>, output: &Tensor<4>) -> Tensor<4> {
        let Self { alpha, sigma, input_scale } = *self;
        match kind {
            PredictionType::Epsilon => output.clone(),
            PredictionType::VPrediction => combine(&[(sigma * input_scale, sample), (alpha, output)]),
            PredictionType::Sample => combine(&[(input_scale / sigma, sample), (-alpha / sigma, output)]),
        }
    }
}

/// Clips x0 to [-range, range] if the configuration says so.
pub fn clip(x0: Tensor<4>, range: Option<f64>) -> Tensor<4> {
    match range {
        Some(range) => x0.clamp(-range as f32, range as f32),
        None => x0,
    }
}
