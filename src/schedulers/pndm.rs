//! PNDM: Liu 2022, "Pseudo Numerical Methods for Diffusion Models on Manifolds": equation 11 for the transfer,
//! equations 12 and 13 for the linear multistep and Runge-Kutta combinations of the network's predictions.

use std::collections::VecDeque;

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::config::{PredictionType, SchedulerConfig};
use super::linear::combine;
use super::plan::Plan;
use super::prediction::Rates;
use super::timesteps::spaced_integers;
use super::{Noise, Scheduler, StepOptions, StepOutput};
use crate::error::Result;

/// Runge-Kutta for the first 12 calls (unless `skip_prk_steps`), then the linear multistep method of order 4.
pub struct Pndm {
    config: SchedulerConfig,
    schedule: NoiseSchedule,
    /// Distance between the run's timesteps, without repetitions.
    stride: usize,
    prk: Vec<usize>,
    plan: Plan,
    counter: usize,
    /// The network's predictions, newest first.
    outputs: VecDeque<Tensor<4>>,
    /// Weighted predictions of the current Runge-Kutta step.
    sum: Option<Tensor<4>>,
    /// The sample at the start of the current step.
    start: Option<Tensor<4>>,
}

impl Pndm {
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        if config.prediction_type() == PredictionType::Sample {
            return Err(config.error("prediction_type is sample: PNDM knows epsilon and v_prediction"));
        }
        config.refuse("rescale_betas_zero_snr", config.rescale_betas_zero_snr)?;
        let schedule = NoiseSchedule::new(&config)?;
        Ok(Self {
            config,
            schedule,
            stride: 0,
            prk: Vec::new(),
            plan: Plan::default(),
            counter: 0,
            outputs: VecDeque::new(),
            sum: None,
            start: None,
        })
    }

    fn step_prk(&mut self, output: &Tensor<4>, timestep: usize, sample: &Tensor<4>) -> Tensor<4> {
        let half = if self.counter % 2 == 1 { 0 } else { self.stride / 2 };
        let previous = timestep as i64 - half as i64;
        let stage = self.counter % 4;
        if stage == 0 {
            self.outputs.push_front(output.clone());
            self.start = Some(sample.clone());
        }
        let weight = if stage == 0 || stage == 3 { 1.0 / 6.0 } else { 1.0 / 3.0 };
        let sum = match self.sum.take() {
            Some(sum) => combine(&[(1.0, &sum), (weight, output)]),
            None => combine(&[(weight, output)]),
        };
        let slope = if stage == 3 {
            sum
        } else {
            self.sum = Some(sum);
            output.clone()
        };
        let start = self.start.as_ref().unwrap_or(sample);
        self.transfer(start, self.prk[self.counter / 4 * 4], previous, &slope)
    }

    fn step_plms(&mut self, output: &Tensor<4>, timestep: usize, sample: &Tensor<4>) -> Tensor<4> {
        // The second call repeats the first timestep's step with the mean of both predictions.
        let (timestep, previous) = if self.counter == 1 {
            (timestep + self.stride, timestep as i64)
        } else {
            self.outputs.truncate(3);
            self.outputs.push_front(output.clone());
            (timestep, timestep as i64 - self.stride as i64)
        };
        let y = &self.outputs;
        let mut start = None;
        let slope = match (y.len(), self.counter) {
            (1, 0) => {
                self.start = Some(sample.clone());
                output.clone()
            }
            (1, 1) => {
                start = self.start.take();
                combine(&[(0.5, output), (0.5, &y[0])])
            }
            (1, _) => output.clone(),
            (2, _) => combine(&[(1.5, &y[0]), (-0.5, &y[1])]),
            (3, _) => combine(&[(23.0 / 12.0, &y[0]), (-16.0 / 12.0, &y[1]), (5.0 / 12.0, &y[2])]),
            _ => combine(&[(55.0 / 24.0, &y[0]), (-59.0 / 24.0, &y[1]), (37.0 / 24.0, &y[2]), (-9.0 / 24.0, &y[3])]),
        };
        self.transfer(start.as_ref().unwrap_or(sample), timestep, previous, &slope)
    }

    /// Liu 2022, equation 11.
    fn transfer(&self, sample: &Tensor<4>, timestep: usize, previous: i64, output: &Tensor<4>) -> Tensor<4> {
        let table = self.schedule.alphas_cumprod();
        let a_now = table[timestep];
        let a_previous = match usize::try_from(previous) {
            Ok(t) => table[t],
            Err(_) if self.config.set_alpha_to_one() => 1.0,
            Err(_) => table[0],
        };
        let eps = Rates::of_alpha_cumprod(a_now).epsilon(self.config.prediction_type(), sample, output);
        let (a, p) = (f64::from(a_now), f64::from(a_previous));
        let denominator = a * (1.0 - p).sqrt() + (a * (1.0 - a) * p).sqrt();
        combine(&[((p / a).sqrt(), sample), ((a - p) / denominator, &eps)])
    }
}

impl Scheduler for Pndm {
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        let descending = spaced_integers(&self.config, num_inference_steps)?;
        let n = descending.len();
        self.stride = self.config.num_train_timesteps() / num_inference_steps;
        self.prk.clear();
        let multistep: Vec<usize> = if self.config.skip_prk_steps == Some(true) {
            // The second timestep is visited twice.
            let second = descending.get(1).copied();
            [descending[0]].into_iter().chain(second).chain(descending[1..].iter().copied()).collect()
        } else {
            if n < 4 {
                let reason = "PNDM needs at least 4 steps unless skip_prk_steps is true";
                return Err(crate::Error::Request(format!("{n} steps: {reason}")));
            }
            self.prk = runge_kutta_timesteps(&descending[..4], self.stride / 2);
            descending[3..].to_vec()
        };
        self.plan = Plan::of_rows(&self.schedule, self.prk.iter().copied().chain(multistep).collect())?;
        self.counter = 0;
        self.outputs.clear();
        (self.sum, self.start) = (None, None);
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
        let timestep = self.plan.rows[index];
        let prev_sample = if self.counter < self.prk.len() {
            self.step_prk(&model_output, timestep, &sample)
        } else {
            self.step_plms(&model_output, timestep, &sample)
        };
        self.counter += 1;
        Ok(StepOutput { prev_sample, pred_original_sample: x0 })
    }
}

/// Three Runge-Kutta steps of four calls each: at the start, twice half a stride later, and at the end.
fn runge_kutta_timesteps(descending: &[usize], half: usize) -> Vec<usize> {
    let pairs: Vec<usize> = descending.iter().rev().flat_map(|t| [*t, t + half]).collect();
    let twice: Vec<usize> = pairs[..pairs.len() - 1].iter().flat_map(|t| [*t, *t]).collect();
    twice[1..twice.len() - 1].iter().rev().copied().collect()
}
