//! TCD: Zheng 2024, "Trajectory Consistency Distillation", algorithm 4 (strategic stochastic sampling).

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::config::SchedulerConfig;
use super::linear::combine;
use super::plan::Plan;
use super::prediction::Rates;
use super::timesteps::distilled;
use super::{Noise, Scheduler, StepOptions, StepOutput};
use crate::error::{Error, Result};

/// `eta` is the paper's gamma: 0 deterministic, 1 as random as LCM. Draws noise in each step but the last.
pub struct Tcd {
    config: SchedulerConfig,
    schedule: NoiseSchedule,
    strength: f64,
    plan: Plan,
}

impl Tcd {
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        let schedule = NoiseSchedule::new(&config)?;
        Ok(Self { config, schedule, strength: 1.0, plan: Plan::default() })
    }
}

impl Scheduler for Tcd {
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
        options: &StepOptions,
        noise: &mut Noise,
    ) -> Result<StepOutput> {
        let now = self.plan.at(index)?;
        let eta = options.eta;
        if !(0.0..=1.0).contains(&eta) {
            return Err(Error::Request(format!("eta is {eta}, TCD takes 0 to 1")));
        }
        let previous = self.plan.rows.get(index + 1).copied();
        let table = self.schedule.alphas_cumprod();
        // float32, because the reference rounds
        let s = ((1.0 - eta) as f32 * previous.unwrap_or(0) as f32).floor() as usize;
        let middle = Rates::of_alpha_cumprod(table[s]);
        let kind = self.config.prediction_type();
        let x0 = now.x0(kind, &sample, &model_output)?;
        let eps = now.epsilon(kind, &sample, &model_output);
        let prev_sample = match previous.filter(|_| eta > 0.0) {
            Some(previous) => {
                let ratio = f64::from(table[previous]) / f64::from(table[s]);
                let (signal, fresh) = (ratio.sqrt(), (1.0 - ratio).max(0.0).sqrt());
                combine(&[(signal * middle.alpha, &x0), (signal * middle.sigma, &eps), (fresh, &noise(sample.dims()))])
            }
            None => combine(&[(middle.alpha, &x0), (middle.sigma, &eps)]),
        };
        Ok(StepOutput { prev_sample, pred_original_sample: x0 })
    }
}
