//! DDIM: Song 2020, "Denoising Diffusion Implicit Models", equation 12.

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::config::SchedulerConfig;
use super::linear::combine;
use super::plan::Plan;
use super::prediction::{Rates, clip};
use super::timesteps::spaced_integers;
use super::{Noise, Scheduler, StepOptions, StepOutput};
use crate::error::Result;

/// DDIM: deterministic for eta = 0, with DDPM's noise for eta = 1.
pub struct Ddim {
    config: SchedulerConfig,
    schedule: NoiseSchedule,
    plan: Plan,
}

impl Ddim {
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        let schedule = NoiseSchedule::new(&config)?;
        Ok(Self { config, schedule, plan: Plan::default() })
    }

    /// `alphas_cumprod` at the end of the step: one stride of the run below `timestep`.
    fn previous_alpha(&self, timestep: usize) -> f32 {
        let stride = self.config.num_train_timesteps() / self.plan.timesteps.len();
        let table = self.schedule.alphas_cumprod();
        match timestep.checked_sub(stride) {
            Some(previous) => table[previous],
            None if self.config.set_alpha_to_one() => 1.0,
            None => table[0],
        }
    }
}

impl Scheduler for Ddim {
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        self.plan = Plan::of_rows(&self.schedule, spaced_integers(&self.config, num_inference_steps)?)?;
        Ok(())
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        options: &StepOptions,
        noise: &mut Noise,
    ) -> Result<StepOutput> {
        let now = self.plan.at(index)?;
        let next = Rates::of_alpha_cumprod(self.previous_alpha(self.plan.rows[index]));
        let kind = self.config.prediction_type();

        let x0 = clip(now.x0(kind, &sample, &model_output)?, self.config.clip_range());
        // The noise is not derived from a clipped x0 (`use_clipped_model_output` is false).
        let eps = now.epsilon(kind, &sample, &model_output);
        let (signal_ratio, noise_ratio) = (now.alpha / next.alpha, next.sigma / now.sigma);
        let deviation = options.eta * noise_ratio * (1.0 - signal_ratio * signal_ratio).max(0.0).sqrt();
        let direction = (next.sigma * next.sigma - deviation * deviation).max(0.0).sqrt();
        let prev_sample = if options.eta > 0.0 {
            let fresh = noise(sample.dims());
            combine(&[(next.alpha, &x0), (direction, &eps), (deviation, &fresh)])
        } else {
            combine(&[(next.alpha, &x0), (direction, &eps)])
        };
        Ok(StepOutput { prev_sample, pred_original_sample: x0 })
    }
}
