//! The timesteps and noise levels of a run, which do not depend on how a step is computed.

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::linear::{combine, entry, mix};
use super::prediction::Rates;
use crate::error::Result;

/// The timesteps of one run, with signal and noise at each. Empty before a scheduler plans its first run.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What the network is told at each of its calls, descending.
    pub(super) timesteps: Vec<f32>,
    /// The same as rows of the noise schedule; empty for schedulers that plan in sigmas, whose timesteps may be fractions.
    pub(super) rows: Vec<usize>,
    /// Noise over signal for each timestep, and where the run ends; empty for schedulers that only know timesteps.
    pub(super) sigmas: Vec<f32>,
    /// For each timestep, and where there are sigmas also for the end.
    pub(super) rates: Vec<Rates>,
    /// What unit noise is multiplied with to become the first sample.
    pub(super) init_noise_sigma: f64,
}

impl Plan {
    /// In rows of the noise schedule; samples preserve variance.
    ///
    /// # Errors
    /// [`crate::Error::Request`] for a row that the schedule does not have.
    pub(super) fn of_rows(schedule: &NoiseSchedule, rows: Vec<usize>) -> Result<Self> {
        let table = schedule.alphas_cumprod();
        let rates = |row: &usize| entry(table, *row, "timestep").map(|alpha| Rates::of_alpha_cumprod(*alpha));
        Ok(Self {
            timesteps: rows.iter().map(|t| *t as f32).collect(),
            rates: rows.iter().map(rates).collect::<Result<_>>()?,
            rows,
            sigmas: Vec::new(),
            init_noise_sigma: 1.0,
        })
    }

    /// In sigmas, one more than timesteps; `rates` says what a sigma means.
    pub(super) fn of_sigmas(
        timesteps: Vec<f32>,
        sigmas: Vec<f32>,
        rates: impl Fn(f32) -> Rates,
        init_noise_sigma: f64,
    ) -> Self {
        let rates = sigmas.iter().map(|sigma| rates(*sigma)).collect();
        Self { timesteps, rows: Vec::new(), sigmas, rates, init_noise_sigma }
    }

    /// Signal and noise at a timestep.
    ///
    /// # Errors
    /// [`crate::Error::Request`] for an index that is not one of the timesteps.
    pub(crate) fn at(&self, index: usize) -> Result<Rates> {
        entry(&self.timesteps, index, "step").map(|_| self.rates[index])
    }

    /// [`super::Scheduler::scale_model_input`]: z, of which the network knows the variance.
    pub(super) fn scale_model_input(&self, sample: &Tensor<4>, index: usize) -> Tensor<4> {
        combine(&[(self.rates[index].input_scale, sample)])
    }

    /// [`super::Scheduler::add_noise`].
    pub(super) fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, indices: &[usize]) -> Result<Tensor<4>> {
        let pair = |Rates { alpha, sigma, input_scale }| (alpha / input_scale, sigma / input_scale);
        let pairs: Vec<_> = indices.iter().map(|index| self.at(*index).map(pair)).collect::<Result<_>>()?;
        mix(original, noise, &pairs)
    }
}
