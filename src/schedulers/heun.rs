//! Heun's method on the probability flow ODE: Karras 2022, algorithm 1, second order, without churn.

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::config::SchedulerConfig;
use super::euler::{add_noise, scale_input};
use super::linear::{combine, entry};
use super::prediction::{Rates, clip};
use super::sigmas::SigmaTable;
use super::{Noise, Scheduler, StepOptions, StepOutput};
use crate::error::Result;

/// Two calls of the network for each step but the last: an Euler step, and its correction from the slope at its end.
pub struct HeunDiscrete {
    config: SchedulerConfig,
    schedule: NoiseSchedule,
    table: SigmaTable,
    /// The Euler step that waits for its correction.
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
        Ok(Self { config, schedule, table: SigmaTable::default(), pending: None })
    }
}

impl Scheduler for HeunDiscrete {
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        let single = SigmaTable::fractional(&self.config, &self.schedule, num_inference_steps)?;
        let steps = single.timesteps.len();
        // Each level but the first and the end is visited twice: once as an end, once as a start.
        let twice = |values: &[f32]| -> Vec<f32> {
            values.iter().enumerate().flat_map(|(i, v)| vec![*v; if i == 0 { 1 } else { 2 }]).collect()
        };
        let mut sigmas = twice(&single.sigmas[..steps]);
        sigmas.push(single.sigmas[steps]);
        self.table = SigmaTable { timesteps: twice(&single.timesteps), sigmas, ..single };
        self.pending = None;
        Ok(())
    }

    fn timesteps(&self) -> &[f32] {
        &self.table.timesteps
    }

    fn sigmas(&self) -> Option<&[f32]> {
        Some(&self.table.sigmas)
    }

    fn init_noise_sigma(&self) -> f64 {
        self.table.init_noise_sigma
    }

    fn order(&self) -> usize {
        2
    }

    fn scale_model_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4> {
        scale_input(&sample, self.table.sigmas[index])
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        _options: &StepOptions,
        _noise: &mut Noise,
    ) -> Result<StepOutput> {
        entry(&self.table.timesteps, index, "step")?;
        let sigma = self.table.sigmas[index];
        let x0 = Rates::exploding(sigma).x0(self.config.prediction_type(), &sample, &model_output)?;
        let x0 = clip(x0, self.config.clip_range());
        let inverse = 1.0 / f64::from(sigma);
        let derivative = combine(&[(inverse, &sample), (-inverse, &x0)]);
        let prev_sample = match self.pending.take() {
            None => {
                let dt = f64::from(self.table.sigmas[index + 1]) - f64::from(sigma);
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

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, indices: &[usize]) -> Result<Tensor<4>> {
        add_noise(&self.table, original, noise, indices)
    }
}
