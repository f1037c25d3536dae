//! Euler's method on the probability flow ODE: Karras 2022, "Elucidating the Design Space", algorithm 1 without its
//! second-order correction; without churn.

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::config::SchedulerConfig;
use super::linear::combine;
use super::plan::Plan;
use super::{Noise, Scheduler, StepOptions, StepOutput, sigmas};
use crate::error::Result;

/// First order, deterministic.
pub struct EulerDiscrete {
    config: SchedulerConfig,
    schedule: NoiseSchedule,
    plan: Plan,
}

impl EulerDiscrete {
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        let schedule = NoiseSchedule::new(&config)?.with_finite_sigmas();
        Ok(Self { config, schedule, plan: Plan::default() })
    }
}

impl Scheduler for EulerDiscrete {
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
        _noise: &mut Noise,
    ) -> Result<StepOutput> {
        let x0 = self.plan.at(index)?.x0(self.config.prediction_type(), &sample, &model_output)?;
        // sample + (sample - x0) / sigma * (next - sigma)
        let ratio = f64::from(self.plan.sigmas[index + 1]) / f64::from(self.plan.sigmas[index]);
        let prev_sample = combine(&[(ratio, &sample), (1.0 - ratio, &x0)]);
        Ok(StepOutput { prev_sample, pred_original_sample: x0 })
    }
}
