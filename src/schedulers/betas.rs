//! The noise schedule of training: betas and their cumulative alphas, rounded to float32 as in the reference.

use std::f64::consts::FRAC_PI_2;

use burn::tensor::Tensor;

use super::config::{BetaSchedule, SchedulerConfig};
use super::linear;
use crate::error::Result;

/// `alphas_cumprod[t]` = the product of (1 - beta) up to timestep t (Ho 2020, equation 4).
#[derive(Debug, Clone)]
pub struct NoiseSchedule {
    alphas_cumprod: Vec<f32>,
}

impl NoiseSchedule {
    /// From `beta_schedule`, `beta_start`, `beta_end`, `trained_betas` and `rescale_betas_zero_snr`.
    ///
    /// # Errors
    /// A configuration error if there are fewer than two timesteps, or if the number of `trained_betas` differs from
    /// theirs.
    pub fn new(config: &SchedulerConfig) -> Result<Self> {
        let steps = config.num_train_timesteps();
        if steps < 2 {
            return Err(config.error(format!("num_train_timesteps is {steps}, must be at least 2")));
        }
        let mut betas = betas(config, steps)?;
        if config.rescale_betas_zero_snr == Some(true) {
            betas = rescale_zero_terminal_snr(&betas);
        }
        Ok(Self { alphas_cumprod: cumulated(&betas) })
    }

    /// The table for samplers that divide by the signal: a last entry of 0 (zero terminal SNR) becomes 2^-24, which is
    /// sigma = 4096.
    pub fn with_finite_sigmas(mut self) -> Self {
        if let Some(last) = self.alphas_cumprod.last_mut().filter(|last| **last == 0.0) {
            *last = f32::powi(2.0, -24);
        }
        self
    }

    /// One entry for each training timestep, descending.
    pub fn alphas_cumprod(&self) -> &[f32] {
        &self.alphas_cumprod
    }

    /// `sqrt((1 - a) / a)` for each training timestep, ascending: Karras's sigma (2022, table 1, column VP).
    pub fn sigmas(&self) -> Vec<f32> {
        self.alphas_cumprod.iter().map(|a| ((1.0 - a) / a).sqrt()).collect()
    }

    /// `sqrt(a) original + sqrt(1 - a) noise` (Ho 2020, equation 4), with a timestep for each sample, or one for all.
    ///
    /// # Errors
    /// A request error if the number of timesteps is neither, or one is beyond the end.
    pub fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, timesteps: &[usize]) -> Result<Tensor<4>> {
        linear::mix(original, noise, &self.rates(timesteps)?)
    }

    /// The target of v prediction, `sqrt(a) noise - sqrt(1 - a) original` (Salimans 2022, appendix D).
    ///
    /// # Errors
    /// As [`Self::add_noise`].
    pub fn velocity(&self, original: Tensor<4>, noise: Tensor<4>, timesteps: &[usize]) -> Result<Tensor<4>> {
        let rates: Vec<_> = self.rates(timesteps)?.into_iter().map(|(alpha, sigma)| (-sigma, alpha)).collect();
        linear::mix(original, noise, &rates)
    }

    fn rates(&self, timesteps: &[usize]) -> Result<Vec<(f64, f64)>> {
        timesteps
            .iter()
            .map(|t| {
                let a = *linear::entry(&self.alphas_cumprod, *t, "timestep")?;
                Ok((f64::from(a).sqrt(), (1.0 - f64::from(a)).sqrt()))
            })
            .collect()
    }
}

fn betas(config: &SchedulerConfig, steps: usize) -> Result<Vec<f32>> {
    if let Some(trained) = &config.trained_betas {
        if trained.len() != steps {
            let found = trained.len();
            return Err(config.error(format!("trained_betas has {found} entries, num_train_timesteps is {steps}")));
        }
        return Ok(trained.clone());
    }
    let (start, end) = config.beta_range();
    Ok(match config.beta_schedule() {
        BetaSchedule::Linear => linspace_f32(start, end, steps),
        BetaSchedule::ScaledLinear => {
            linspace_f32(start.sqrt(), end.sqrt(), steps).into_iter().map(|root| root * root).collect()
        }
        BetaSchedule::SquaredcosCapV2 => (0..steps).map(|i| cosine_beta(i, steps)).collect(),
    })
}

/// Nichol 2021, equation 17, with betas of at most 0.999.
fn cosine_beta(i: usize, steps: usize) -> f32 {
    let alpha_bar = |t: f64| ((t + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
    let (now, next) = (i as f64 / steps as f64, (i + 1) as f64 / steps as f64);
    (1.0 - alpha_bar(next) / alpha_bar(now)).min(0.999) as f32
}

/// Lin 2023, algorithm 1: shifts and scales the square roots of the cumulative alphas so that the last is 0.
fn rescale_zero_terminal_snr(betas: &[f32]) -> Vec<f32> {
    let roots: Vec<f32> = cumulated(betas).into_iter().map(f32::sqrt).collect();
    let (first, last) = (roots[0], roots[roots.len() - 1]);
    let scale = first / (first - last);
    let bars: Vec<f32> = roots.iter().map(|root| (root - last) * scale).map(|root| root * root).collect();
    let ratios = bars.windows(2).map(|pair| pair[1] / pair[0]);
    std::iter::once(bars[0]).chain(ratios).map(|alpha| 1.0 - alpha).collect()
}

/// The cumulative product in float64, with each entry rounded to float32.
fn cumulated(betas: &[f32]) -> Vec<f32> {
    let mut product = 1.0_f64;
    betas
        .iter()
        .map(|beta| {
            product *= f64::from(1.0 - beta);
            product as f32
        })
        .collect()
}

/// Float32 points, computed from both ends towards the middle.
fn linspace_f32(start: f64, end: f64, count: usize) -> Vec<f32> {
    let (start, end) = (start as f32, end as f32);
    let step = (end - start) / (count - 1) as f32;
    (0..count)
        .map(|i| if i < count / 2 { start + step * i as f32 } else { end - step * (count - 1 - i) as f32 })
        .collect()
}
