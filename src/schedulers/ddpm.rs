//! DDPM: Ho 2020, "Denoising Diffusion Probabilistic Models", equations 6 and 7.

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::config::{SchedulerConfig, VarianceType};
use super::linear::{combine, entry};
use super::prediction::{Rates, clip};
use super::timesteps::spaced_integers;
use super::{Noise, Scheduler, StepOptions, StepOutput};
use crate::error::Result;

/// Ancestral sampling from the posterior q(x_prev | x_t, x0).
pub struct Ddpm {
    config: SchedulerConfig,
    schedule: NoiseSchedule,
    steps: Vec<usize>,
    timesteps: Vec<f32>,
}

impl Ddpm {
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        match config.variance_type {
            None | Some(VarianceType::FixedSmall | VarianceType::FixedSmallLog | VarianceType::FixedLarge) => {}
            Some(other) => {
                let known = "fixed_small, fixed_small_log, fixed_large";
                return Err(config.error(format!("variance_type is {other:?}, supported are {known}")));
            }
        }
        let schedule = NoiseSchedule::new(&config)?;
        Ok(Self { config, schedule, steps: Vec::new(), timesteps: Vec::new() })
    }
}

impl Scheduler for Ddpm {
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        self.steps = spaced_integers(&self.config, num_inference_steps)?;
        self.timesteps = self.steps.iter().map(|t| *t as f32).collect();
        Ok(())
    }

    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        _options: &StepOptions,
        noise: &mut Noise,
    ) -> Result<StepOutput> {
        let timestep = *entry(&self.steps, index, "step")?;
        let table = self.schedule.alphas_cumprod();
        let a = table[timestep];
        let a_prev = self.steps.get(index + 1).map_or(1.0, |previous| table[*previous]);
        let x0 = Rates::of_alpha_cumprod(a).x0(self.config.prediction_type(), &sample, &model_output)?;
        let x0 = clip(x0, self.config.clip_range());

        let (a, a_prev) = (f64::from(a), f64::from(a_prev));
        let (alpha, beta) = (a / a_prev, 1.0 - a / a_prev);
        let x0_coefficient = a_prev.sqrt() * beta / (1.0 - a);
        let sample_coefficient = alpha.sqrt() * (1.0 - a_prev) / (1.0 - a);
        let mut terms = vec![(x0_coefficient, &x0), (sample_coefficient, &sample)];
        let fresh;
        if timestep > 0 {
            let small = ((1.0 - a_prev) / (1.0 - a) * beta).max(1e-20);
            let variance = if self.config.variance_type == Some(VarianceType::FixedLarge) { beta } else { small };
            fresh = noise(sample.dims());
            terms.push((variance.sqrt(), &fresh));
        }
        let prev_sample = combine(&terms);
        Ok(StepOutput { prev_sample, pred_original_sample: x0 })
    }

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, indices: &[usize]) -> Result<Tensor<4>> {
        let timesteps: Vec<usize> =
            indices.iter().map(|i| entry(&self.steps, *i, "step").copied()).collect::<Result<_>>()?;
        self.schedule.add_noise(original, noise, &timesteps)
    }
}
