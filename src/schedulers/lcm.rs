//! LCM: Luo 2023, "Latent Consistency Models", algorithm 3: each step predicts x0 with the consistency function, then
//! adds noise.

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::config::SchedulerConfig;
use super::linear::combine;
use super::plan::Plan;
use super::prediction::clip;
use super::timesteps::distilled;
use super::{Noise, Scheduler, StepOptions, StepOutput};
use crate::error::Result;

/// Standard deviation of the data in the boundary condition (Song 2023, appendix C).
const SIGMA_DATA: f64 = 0.5;

/// Draws noise in each step except the last.
pub struct Lcm {
    config: SchedulerConfig,
    schedule: NoiseSchedule,
    strength: f64,
    plan: Plan,
}

impl Lcm {
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        let schedule = NoiseSchedule::new(&config)?;
        Ok(Self { config, schedule, strength: 1.0, plan: Plan::default() })
    }
}

impl Scheduler for Lcm {
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        self.plan = Plan::of_rows(&self.schedule, distilled(&self.config, num_inference_steps, self.strength)?)?;
        Ok(())
    }

    fn set_strength(&mut self, strength: f64) -> bool {
        self.strength = strength;
        true
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        _options: &StepOptions,
        noise: &mut Noise,
    ) -> Result<StepOutput> {
        let x0 = self.plan.at(index)?.x0(self.config.prediction_type(), &sample, &model_output)?;
        let x0 = clip(x0, self.config.clip_range());
        // The boundary condition f(x, 0) = x (Luo 2023, equation 9).
        let scaled = self.plan.rows[index] as f64 * self.config.timestep_scaling.unwrap_or(10.0);
        let spread = scaled * scaled + SIGMA_DATA * SIGMA_DATA;
        let (c_skip, c_out) = (SIGMA_DATA * SIGMA_DATA / spread, scaled / spread.sqrt());
        let denoised = combine(&[(c_out, &x0), (c_skip, &sample)]);
        let prev_sample = match self.plan.rates.get(index + 1) {
            Some(next) => combine(&[(next.alpha, &denoised), (next.sigma, &noise(sample.dims()))]),
            None => denoised.clone(),
        };
        Ok(StepOutput { prev_sample, pred_original_sample: denoised })
    }
}
