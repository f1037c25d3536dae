//! Euler's method on a rectified flow: Esser 2024, "Scaling Rectified Flow Transformers", sections 2 and 5.3.2.
//!
//! x = (1 - sigma) x0 + sigma eps; the network predicts the velocity eps - x0; and t = 1000 sigma.

use burn::tensor::Tensor;

use super::config::{SchedulerConfig, TimeShiftType};
use super::linear::combine;
use super::plan::Plan;
use super::prediction::Rates;
use super::sigmas::SigmaRule;
use super::timesteps::{check_steps, linspace};
use super::{Noise, Scheduler, StepOptions, StepOutput};
use crate::error::{Error, Result};

/// First order; deterministic unless `stochastic_sampling`.
pub struct FlowMatchEulerDiscrete {
    config: SchedulerConfig,
    rule: Option<SigmaRule>,
    mu: Option<f64>,
    plan: Plan,
}

impl FlowMatchEulerDiscrete {
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        config.refuse("invert_sigmas", config.invert_sigmas)?;
        let rule = SigmaRule::of(&config)?;
        Ok(Self { config, rule, mu: None, plan: Plan::default() })
    }

    fn dynamic(&self) -> bool {
        self.config.use_dynamic_shifting == Some(true)
    }

    /// `shift sigma / (1 + (shift - 1) sigma)` (Esser 2024, equation 23).
    fn shift(&self, sigma: f64) -> f64 {
        let shift = self.config.shift.unwrap_or(1.0);
        shift * sigma / (1.0 + (shift - 1.0) * sigma)
    }

    fn dynamic_shift(&self, sigma: f64) -> Result<f64> {
        let Some(mu) = self.mu else {
            return Err(Error::Request("use_dynamic_shifting is true: mu must be set for the picture's size".into()));
        };
        let factor = match self.config.time_shift_type.unwrap_or(TimeShiftType::Exponential) {
            TimeShiftType::Exponential => mu.exp(),
            TimeShiftType::Linear => mu,
        };
        Ok(factor / (factor + (1.0 / sigma - 1.0)))
    }
}

impl Scheduler for FlowMatchEulerDiscrete {
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        let trained = self.config.num_train_timesteps();
        check_steps(num_inference_steps, trained)?;
        // The ends of the range are those of the shifted table, and are shifted again.
        let end = |sigma: f64| f64::from((if self.dynamic() { sigma } else { self.shift(sigma) }) as f32);
        let (max, min) = (end(1.0), end(1.0 / trained as f64));
        let mut sigmas = linspace(max, min, num_inference_steps)
            .into_iter()
            .map(|sigma| if self.dynamic() { self.dynamic_shift(sigma) } else { Ok(self.shift(sigma)) })
            .collect::<Result<Vec<f64>>>()?;
        if let Some(terminal) = self.config.shift_terminal.filter(|terminal| *terminal != 0.0) {
            let factor = (1.0 - sigmas[num_inference_steps - 1]) / (1.0 - terminal);
            sigmas.iter_mut().for_each(|sigma| *sigma = 1.0 - (1.0 - *sigma) / factor);
        }
        if let Some(rule) = self.rule {
            sigmas = rule.between(sigmas[0], sigmas[num_inference_steps - 1], num_inference_steps);
        }
        let mut sigmas: Vec<f32> = sigmas.into_iter().map(|sigma| sigma as f32).collect();
        let timesteps = sigmas.iter().map(|sigma| sigma * trained as f32).collect();
        sigmas.push(0.0);
        self.plan = Plan::of_sigmas(timesteps, sigmas, Rates::straight, 1.0);
        Ok(())
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn set_mu(&mut self, mu: f64) {
        self.mu = Some(mu);
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        _options: &StepOptions,
        noise: &mut Noise,
    ) -> Result<StepOutput> {
        let (sigma, next) = (self.plan.at(index)?.sigma, self.plan.rates[index + 1].sigma);
        let x0 = combine(&[(1.0, &sample), (-sigma, &model_output)]);
        let prev_sample = if self.config.stochastic_sampling == Some(true) {
            combine(&[(1.0 - next, &x0), (next, &noise(sample.dims()))])
        } else {
            combine(&[(1.0, &sample), (next - sigma, &model_output)])
        };
        Ok(StepOutput { prev_sample, pred_original_sample: x0 })
    }
}
