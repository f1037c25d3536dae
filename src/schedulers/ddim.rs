//! DDIM: Song 2020, "Denoising Diffusion Implicit Models", equation 12.

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::config::SchedulerConfig;
use super::linear::{combine, entry};
use super::prediction::{Rates, clip};
use super::timesteps::spaced_integers;
use super::{Noise, Scheduler, StepOptions, StepOutput};
use crate::error::Result;

/// Deterministic for eta = 0, DDPM's noise for eta = 1.
pub struct Ddim {
    config: SchedulerConfig,
    schedule: NoiseSchedule,
    steps: Vec<usize>,
    timesteps: Vec<f32>,
}

impl Ddim {
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        let schedule = NoiseSchedule::new(&config)?;
        Ok(Self { config, schedule, steps: Vec::new(), timesteps: Vec::new() })
    }

    /// `alphas_cumprod` where the step ends: one stride of the whole run below `timestep`.
    fn previous_alpha(&self, timestep: usize) -> f32 {
        let stride = self.config.num_train_timesteps() / self.steps.len();
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
        options: &StepOptions,
        noise: &mut Noise,
    ) -> Result<StepOutput> {
        let timestep = *entry(&self.steps, index, "step")?;
        let kind = self.config.prediction_type();
        let a = self.schedule.alphas_cumprod()[timestep];
        let now = Rates::of_alpha_cumprod(a);
        let next = Rates::of_alpha_cumprod(self.previous_alpha(timestep));

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

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, indices: &[usize]) -> Result<Tensor<4>> {
        let timesteps: Vec<usize> =
            indices.iter().map(|i| entry(&self.steps, *i, "step").copied()).collect::<Result<_>>()?;
        self.schedule.add_noise(original, noise, &timesteps)
    }
}
