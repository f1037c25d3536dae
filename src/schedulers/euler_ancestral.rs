//! Euler ancestral: Euler's method to a noise level below the next one, then fresh noise up to it (Crowson's
//! k-diffusion; the variances are DDPM's posterior, Song 2020, section 4.1, in terms of sigma).

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::config::{PredictionType, SchedulerConfig};
use super::linear::combine;
use super::plan::Plan;
use super::{Noise, Scheduler, StepOptions, StepOutput, sigmas};
use crate::error::Result;

/// First order. Draws noise in every step, also in the last, where it has no effect.
pub struct EulerAncestralDiscrete {
    config: SchedulerConfig,
    schedule: NoiseSchedule,
    plan: Plan,
}

impl EulerAncestralDiscrete {
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        if config.prediction_type() == PredictionType::Sample {
            return Err(config.error("prediction_type is sample: Euler ancestral knows epsilon and v_prediction"));
        }
        let schedule = NoiseSchedule::new(&config)?.with_finite_sigmas();
        Ok(Self { config, schedule, plan: Plan::default() })
    }
}

impl Scheduler for EulerAncestralDiscrete {
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        self.plan = sigmas::fractional(&self.config, &self.schedule, num_inference_steps)?;
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
        let (from, to) = (f64::from(self.plan.sigmas[index]), f64::from(self.plan.sigmas[index + 1]));
        let up = (to * to * (from * from - to * to).max(0.0)).sqrt() / from;
        let down = (to * to - up * up).max(0.0).sqrt();
        let fresh = noise(sample.dims());
        let prev_sample = combine(&[(down / from, &sample), (1.0 - down / from, &x0), (up, &fresh)]);
        Ok(StepOutput { prev_sample, pred_original_sample: x0 })
    }
}
