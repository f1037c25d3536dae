//! Euler ancestral: Euler's method to a lower noise level than asked for, then fresh noise up to it
//! (Crowson's k-diffusion; the variances are DDPM's posterior, Song 2020, section 4.1, in terms of sigma).

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::config::{PredictionType, SchedulerConfig};
use super::euler::{add_noise, scale_input};
use super::linear::{combine, entry};
use super::prediction::Rates;
use super::sigmas::SigmaTable;
use super::{Noise, Scheduler, StepOptions, StepOutput};
use crate::error::Result;

/// First order, draws noise in every step, also in the last, where it counts for nothing.
pub struct EulerAncestralDiscrete {
    config: SchedulerConfig,
    schedule: NoiseSchedule,
    table: SigmaTable,
}

impl EulerAncestralDiscrete {
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        if config.prediction_type() == PredictionType::Sample {
            return Err(config.error("prediction_type is sample: Euler ancestral knows epsilon and v_prediction"));
        }
        let schedule = NoiseSchedule::new(&config)?.with_finite_sigmas();
        Ok(Self { config, schedule, table: SigmaTable::default() })
    }
}

impl Scheduler for EulerAncestralDiscrete {
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        self.table = SigmaTable::fractional(&self.config, &self.schedule, num_inference_steps)?;
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

    fn scale_model_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4> {
        scale_input(&sample, self.table.sigmas[index])
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        _options: &StepOptions,
        noise: &mut Noise,
    ) -> Result<StepOutput> {
        entry(&self.table.timesteps, index, "step")?;
        let (from, to) = (f64::from(self.table.sigmas[index]), f64::from(self.table.sigmas[index + 1]));
        let x0 = Rates::exploding(from as f32).x0(self.config.prediction_type(), &sample, &model_output)?;
        let up = (to * to * (from * from - to * to).max(0.0)).sqrt() / from;
        let down = (to * to - up * up).max(0.0).sqrt();
        let fresh = noise(sample.dims());
        let prev_sample = combine(&[(down / from, &sample), (1.0 - down / from, &x0), (up, &fresh)]);
        Ok(StepOutput { prev_sample, pred_original_sample: x0 })
    }

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, indices: &[usize]) -> Result<Tensor<4>> {
        add_noise(&self.table, original, noise, indices)
    }
}
