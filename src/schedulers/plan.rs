//! The timesteps and noise levels of a run, which do not depend on how a step is computed.

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::linear::{combine, entry, mix};
use super::prediction::Rates;
use crate::error::Result;

/// The timesteps of one run, with signal and noise at each. Empty before a scheduler plans its first run.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The timestep of each call of the network, descending.
    pub(super) timesteps: Vec<f32>,
    /// The same as rows of the noise schedule; empty for schedulers that plan in sigmas, whose timesteps may be
    /// fractions.
    pub(super) rows: Vec<usize>,
    /// Noise divided by signal for each timestep and at the end; empty for schedulers that only use timesteps.
    pub(super) sigmas: Vec<f32>,
    /// Rates for each timestep and, if there are sigmas, also for the end.
    pub(super) rates: Vec<Rates>,
    /// The factor that turns unit noise into the first sample.
    pub(super) init_noise_sigma: f64,
}

impl Plan {
    /// A plan in rows of the noise schedule; samples preserve variance.
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

    /// A plan in sigmas, one more than timesteps; `rates` converts a sigma.
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

    /// See [`super::Scheduler::scale_model_input`]: z, whose variance the network expects.
    pub(super) fn scale_model_input(&self, sample: &Tensor<4>, index: usize) -> Tensor<4> {
        combine(&[(self.rates[index].input_scale, sample)])
    }

    /// See [`super::Scheduler::add_noise`].
    pub(super) fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, indices: &[usize]) -> Result<Tensor<4>> {
        let pair = |Rates { alpha, sigma, input_scale }| (alpha / input_scale, sigma / input_scale);
        let pairs: Vec<_> = indices.iter().map(|index| self.at(*index).map(pair)).collect::<Result<_>>()?;
        mix(original, noise, &pairs)
    }
}
