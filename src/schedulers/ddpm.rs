//! DDPM: Ho 2020, "Denoising Diffusion Probabilistic Models", equations 6 and 7.

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::config::{SchedulerConfig, VarianceType};
use super::linear::combine;
use super::plan::Plan;
use super::prediction::clip;
use super::timesteps::spaced_integers;
use super::{Noise, Scheduler, StepOptions, StepOutput};
use crate::error::Result;

/// Ancestral sampling from the posterior q(x_prev | x_t, x0).
pub struct Ddpm {
    config: SchedulerConfig,
    schedule: NoiseSchedule,
    plan: Plan,
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
        Ok(Self { config, schedule, plan: Plan::default() })
    }
}

impl Scheduler for Ddpm {
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
        _options: &StepOptions,
        noise: &mut Noise,
    ) -> Result<StepOutput> {
        let x0 = self.plan.at(index)?.x0(self.config.prediction_type(), &sample, &model_output)?;
        let x0 = clip(x0, self.config.clip_range());

        let (rows, table) = (&self.plan.rows, self.schedule.alphas_cumprod());
        let a = f64::from(table[rows[index]]);
        let a_prev = rows.get(index + 1).map_or(1.0, |previous| f64::from(table[*previous]));
        let (alpha, beta) = (a / a_prev, 1.0 - a / a_prev);
        let x0_coefficient = a_prev.sqrt() * beta / (1.0 - a);
        let sample_coefficient = alpha.sqrt() * (1.0 - a_prev) / (1.0 - a);
        let mut terms = vec![(x0_coefficient, &x0), (sample_coefficient, &sample)];
        let fresh;
        if rows[index] > 0 {
            let small = ((1.0 - a_prev) / (1.0 - a) * beta).max(1e-20);
            let variance = if self.config.variance_type == Some(VarianceType::FixedLarge) { beta } else { small };
            fresh = noise(sample.dims());
            terms.push((variance.sqrt(), &fresh));
        }
        let prev_sample = combine(&terms);
        Ok(StepOutput { prev_sample, pred_original_sample: x0 })
    }
}
