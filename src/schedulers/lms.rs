//! LMS: the linear multistep (Adams-Bashforth) method in sigma for the probability flow ODE of Karras 2022, of order
//! 4, with coefficients for uneven steps.

use std::collections::VecDeque;

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::config::SchedulerConfig;
use super::linear::combine;
use super::plan::Plan;
use super::{Noise, Scheduler, StepOptions, StepOutput, sigmas};
use crate::error::Result;

const ORDER: usize = 4;

/// Keeps the last four derivatives of the sample with respect to sigma.
pub struct LmsDiscrete {
    config: SchedulerConfig,
    schedule: NoiseSchedule,
    plan: Plan,
    /// Newest first.
    derivatives: VecDeque<Tensor<4>>,
}

impl LmsDiscrete {
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        let schedule = NoiseSchedule::new(&config)?.with_finite_sigmas();
        Ok(Self { config, schedule, plan: Plan::default(), derivatives: VecDeque::new() })
    }
}

impl Scheduler for LmsDiscrete {
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        self.plan = sigmas::fractional(&self.config, &self.schedule, num_inference_steps)?;
        self.derivatives.clear();
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
        let inverse = 1.0 / f64::from(self.plan.sigmas[index]);
        self.derivatives.push_front(combine(&[(inverse, &sample), (-inverse, &x0)]));
        self.derivatives.truncate(ORDER.min(index + 1));

        // Sigmas of the available derivatives, newest first. A run that begins in the middle has fewer.
        let nodes: Vec<f64> = (0..self.derivatives.len()).map(|k| f64::from(self.plan.sigmas[index - k])).collect();
        let end = f64::from(self.plan.sigmas[index + 1]);
        let mut terms = vec![(1.0, &sample)];
        terms.extend(self.derivatives.iter().enumerate().map(|(k, d)| (lagrange_integral(&nodes, k, end), d)));
        let prev_sample = combine(&terms);
        Ok(StepOutput { prev_sample, pred_original_sample: x0 })
    }
}

/// The integral from `nodes[0]` to `end` of the Lagrange polynomial that is 1 at `nodes[k]` and 0 at the others, by
/// Gauss-Legendre quadrature with 3 points, exact up to degree 5.
fn lagrange_integral(nodes: &[f64], k: usize, end: f64) -> f64 {
    let (middle, half) = (0.5 * (nodes[0] + end), 0.5 * (end - nodes[0]));
    let offset = half * 0.6_f64.sqrt();
    let polynomial = |tau: f64| -> f64 {
        let others = nodes.iter().enumerate().filter(|(j, _)| *j != k);
        others.map(|(_, node)| (tau - node) / (nodes[k] - node)).product()
    };
    half * (5.0 * polynomial(middle - offset) + 8.0 * polynomial(middle) + 5.0 * polynomial(middle + offset)) / 9.0
}
