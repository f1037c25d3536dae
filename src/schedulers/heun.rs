//! Heun's method on the probability flow ODE: Karras 2022, algorithm 1, second order, without churn.

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::config::SchedulerConfig;
use super::linear::combine;
use super::plan::Plan;
use super::prediction::{Rates, clip};
use super::{Noise, Scheduler, StepOptions, StepOutput, sigmas};
use crate::error::Result;

/// Two calls of the network for each step except the last: an Euler step, and its correction with the slope at its end.
pub struct HeunDiscrete {
    config: SchedulerConfig,
    schedule: NoiseSchedule,
    plan: Plan,
    /// The Euler step that is not corrected yet.
    pending: Option<Pending>,
}

struct Pending {
    sample: Tensor<4>,
    derivative: Tensor<4>,
    dt: f64,
}

impl HeunDiscrete {
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        let schedule = NoiseSchedule::new(&config)?.with_finite_sigmas();
        Ok(Self { config, schedule, plan: Plan::default(), pending: None })
    }
}

impl Scheduler for HeunDiscrete {
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        let single = sigmas::fractional(&self.config, &self.schedule, num_inference_steps)?;
        let steps = single.timesteps.len();
        // Each level except the first and the end is visited twice: as an end, and as a start.
        let twice = |values: &[f32]| -> Vec<f32> {
            values.iter().enumerate().flat_map(|(i, v)| vec![*v; if i == 0 { 1 } else { 2 }]).collect()
        };
        let mut sigmas = twice(&single.sigmas[..steps]);
        sigmas.push(single.sigmas[steps]);
        self.plan = Plan::of_sigmas(twice(&single.timesteps), sigmas, Rates::exploding, single.init_noise_sigma);
        self.pending = None;
        Ok(())
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn order(&self) -> usize {
        2
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
        let x0 = clip(x0, self.config.clip_range());
        let sigma = self.plan.sigmas[index];
        let inverse = 1.0 / f64::from(sigma);
        let derivative = combine(&[(inverse, &sample), (-inverse, &x0)]);
        let prev_sample = match self.pending.take() {
            None => {
                let dt = f64::from(self.plan.sigmas[index + 1]) - f64::from(sigma);
                let prev_sample = combine(&[(1.0, &sample), (dt, &derivative)]);
                self.pending = Some(Pending { sample, derivative, dt });
                prev_sample
            }
            Some(Pending { sample, derivative: first, dt }) => {
                combine(&[(1.0, &sample), (0.5 * dt, &first), (0.5 * dt, &derivative)])
            }
        };
        Ok(StepOutput { prev_sample, pred_original_sample: x0 })
    }
}
