//! UniPC: Zhao 2023, "UniPC: A Unified Predictor-Corrector Framework", multistep, with B(h) = h (bh1) or
//! e^h - 1 (bh2).

use std::collections::VecDeque;

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::config::{FinalSigmasType, SchedulerConfig, SolverType};
use super::linear::combine;
use super::plan::Plan;
use super::{Noise, Scheduler, StepOptions, StepOutput, sigmas};
use crate::error::Result;

/// Each prediction of the network first corrects the step that led to it (UniC), then predicts the next (UniP).
pub struct UniPcMultistep {
    config: SchedulerConfig,
    schedule: NoiseSchedule,
    plan: Plan,
    /// x0 (or eps, without `predict_x0`) of the last steps, newest first.
    outputs: VecDeque<Tensor<4>>,
    /// The sample at the start of the last step, and that step's order.
    last: Option<(Tensor<4>, usize)>,
}

impl UniPcMultistep {
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        let order = config.solver_order();
        if order == 0 {
            return Err(config.error("solver_order is 0, must be at least 1"));
        }
        let ends_in_zero = config.final_sigmas_type() == FinalSigmasType::Zero;
        if config.lower_order_final == Some(false) && ends_in_zero && order > 1 {
            return Err(config.error("lower_order_final is false, which needs final_sigmas_type sigma_min"));
        }
        let schedule = NoiseSchedule::new(&config)?.with_finite_sigmas();
        Ok(Self { config, schedule, plan: Plan::default(), outputs: VecDeque::new(), last: None })
    }

    /// A step from `start` at `index` to the next index (Zhao 2023, equations 3 and 8): UniP without the network's
    /// `answer` at its end, UniC with it.
    fn update(&self, start: &Tensor<4>, index: usize, order: usize, answer: Option<&Tensor<4>>) -> Tensor<4> {
        let rates = &self.plan.rates;
        let (from, to) = (rates[index], rates[index + 1]);
        let h = to.lambda() - from.lambda();
        let predict_x0 = self.config.predict_x0.unwrap_or(true);
        let (hh, ratio, scale) =
            if predict_x0 { (-h, to.sigma / from.sigma, to.alpha) } else { (h, to.alpha / from.alpha, to.sigma) };
        let bh1 = self.config.solver_type == Some(SolverType::Bh1);
        let b_h = if bh1 { hh } else { hh.exp_m1() };

        let mut nodes: Vec<f64> = (1..order).map(|k| (rates[index - k].lambda() - from.lambda()) / h).collect();
        let weights = match (answer, order) {
            (None, 2) | (Some(_), 1) => vec![0.5],
            (None, _) => weights(&nodes, hh, b_h),
            (Some(_), _) => weights(&[nodes.as_slice(), &[1.0]].concat(), hh, b_h),
        };
        nodes.push(1.0);

        // Differences to the newest output m0, divided by their distance in lambda.
        let m0 = &self.outputs[0];
        let mut m0_weight = -scale * hh.exp_m1();
        let mut terms = vec![(ratio, start)];
        let others = self.outputs.iter().skip(1).take(order - 1).chain(answer);
        for ((weight, node), output) in weights.iter().zip(&nodes).zip(others) {
            let coefficient = -scale * b_h * weight / node;
            terms.push((coefficient, output));
            m0_weight -= coefficient;
        }
        terms.push((m0_weight, m0));
        combine(&terms)
    }
}

impl Scheduler for UniPcMultistep {
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        let last = self.config.num_train_timesteps();
        self.plan = sigmas::whole(&self.config, &self.schedule, num_inference_steps, last)?;
        self.outputs.clear();
        self.last = None;
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
        let kind = self.config.prediction_type();
        let now = self.plan.at(index)?;
        let x0 = now.x0(kind, &sample, &model_output)?;
        let output =
            if self.config.predict_x0.unwrap_or(true) { x0.clone() } else { now.epsilon(kind, &sample, &model_output) };
        let disabled = self.config.disable_corrector.as_deref().unwrap_or(&[]);
        let sample = match self.last.take() {
            Some((start, order)) if index > 0 && !disabled.contains(&(index - 1)) => {
                self.update(&start, index - 1, order, Some(&output))
            }
            _ => sample,
        };
        self.outputs.push_front(output);
        self.outputs.truncate(self.config.solver_order());

        let remaining = self.plan.timesteps.len() - index;
        let lower = self.config.lower_order_final.unwrap_or(true);
        let order = self.outputs.len().min(if lower { remaining } else { usize::MAX });
        let prev_sample = self.update(&sample, index, order, None);
        self.last = Some((sample, order));
        Ok(StepOutput { prev_sample, pred_original_sample: x0 })
    }
}

/// The weights a of the divided differences: `sum_m a_m r_m^(k-1) = hh k! phi_(k+1)(hh) / B(h)` for k = 1 to the number
/// of nodes r (Zhao 2023, theorem 3.1), with `phi_(k+1)(hh) = (phi_k(hh) - 1/k!) / hh`.
fn weights(nodes: &[f64], hh: f64, b_h: f64) -> Vec<f64> {
    let n = nodes.len();
    // hh phi_(k+1)(hh), from k = 1
    let mut phi = hh.exp_m1() / hh - 1.0;
    let mut factorial = 1.0;
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(n);
    for k in 0..n {
        let mut row: Vec<f64> = nodes.iter().map(|r| r.powi(k as i32)).collect();
        row.push(phi * factorial / b_h);
        rows.push(row);
        factorial *= (k + 2) as f64;
        phi = phi / hh - 1.0 / factorial;
    }
    solve(rows)
}

/// Gaussian elimination with pivoting, for n rows of n + 1 numbers.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let n = rows.len();
    for column in 0..n {
        let pivot = (column..n).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()));
        rows.swap(column, pivot.unwrap_or(column));
        let lead = rows[column].clone();
        for row in rows.iter_mut().enumerate().filter(|(i, _)| *i != column).map(|(_, row)| row) {
            let factor = row[column] / lead[column];
            row.iter_mut().zip(&lead).for_each(|(x, l)| *x -= factor * l);
        }
    }
    (0..n).map(|i| rows[i][n] / rows[i][i]).collect()
}
