//! Euler's method on the probability flow ODE: Karras 2022, "Elucidating the Design Space", algorithm 1 without its
//! second-order correction; without churn.

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::config::SchedulerConfig;
use super::linear::{combine, entry, mix};
use super::prediction::Rates;
use super::sigmas::SigmaTable;
use super::{Noise, Scheduler, StepOptions, StepOutput};
use crate::error::Result;

/// First order, deterministic.
pub struct EulerDiscrete {
    config: SchedulerConfig,
    schedule: NoiseSchedule,
    table: SigmaTable,
}

impl EulerDiscrete {
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        let schedule = NoiseSchedule::new(&config)?.with_finite_sigmas();
        Ok(Self { config, schedule, table: SigmaTable::default() })
    }
}

impl Scheduler for EulerDiscrete {
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        self.table = SigmaTable::fractional(&self.config, &self.schedule, num_inference_steps)?;
        Ok(())
    }

    fn timesteps(&self) -> &[f32] {
        &self.table.timesteps
    }

    fn sigmas(&self) -> Option<&[f32]> {
        Some(&self.table.sigmas)
    }

    fn init_noise_sigma(&self) -> f64 {
        self.table.init_noise_sigma
    }

    fn scale_model_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4> {
        scale_input(&sample, self.table.sigmas[index])
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        _options: &StepOptions,
        _noise: &mut Noise,
    ) -> Result<StepOutput> {
        entry(&self.table.timesteps, index, "step")?;
        let (sigma, next) = (self.table.sigmas[index], self.table.sigmas[index + 1]);
        let x0 = Rates::exploding(sigma).x0(self.config.prediction_type(), &sample, &model_output)?;
        // sample + (sample - x0) / sigma * (next - sigma)
        let ratio = f64::from(next) / f64::from(sigma);
        let prev_sample = combine(&[(ratio, &sample), (1.0 - ratio, &x0)]);
        Ok(StepOutput { prev_sample, pred_original_sample: x0 })
    }

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, indices: &[usize]) -> Result<Tensor<4>> {
        add_noise(&self.table, original, noise, indices)
    }
}

/// `sample / sqrt(sigma^2 + 1)`: unit variance for the network (Karras 2022, c_in of the VP column).
pub fn scale_input(sample: &Tensor<4>, sigma: f32) -> Tensor<4> {
    combine(&[(Rates::exploding(sigma).input_scale, sample)])
}

/// `original + sigma noise` for each index.
pub fn add_noise(table: &SigmaTable, original: Tensor<4>, noise: Tensor<4>, indices: &[usize]) -> Result<Tensor<4>> {
    let pairs: Vec<(f64, f64)> = indices
        .iter()
        .map(|i| entry(&table.timesteps, *i, "step").map(|_| (1.0, f64::from(table.sigmas[*i]))))
        .collect::<Result<_>>()?;
    mix(original, noise, &pairs)
}
