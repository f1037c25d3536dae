//! Samplers: how the denoising loop goes from noise to latents. Each is in its own file.
//!
//! Every scheduler has the interface of diffusers' scheduler of the same name, with two differences: a step is named by
//! its index into [`Scheduler::timesteps`], and the estimate of the finished latents is always returned. Coefficients
//! are computed on the host; tensors stay on their device and are never read back.

pub mod betas;
pub mod config;
mod ddim;
mod ddpm;
mod dpmpp;
mod euler;
mod euler_ancestral;
mod flow_match_euler;
mod heun;
mod lcm;
mod linear;
mod lms;
mod names;
mod plan;
mod pndm;
mod prediction;
mod sigmas;
mod tcd;
mod timesteps;
mod unipc;

use burn::tensor::Tensor;

pub use betas::NoiseSchedule;
pub use config::{PredictionType, SchedulerClass, SchedulerConfig, TimestepSpacing};
pub(crate) use linear::combine;
#[cfg(feature = "native")]
pub(crate) use linear::mix;
pub use names::{NAMES, name_of, named};
pub use plan::Plan;
pub use timesteps::spaced_integers;

use crate::error::Result;

/// Standard normal noise of the given shape, from the caller's generator, in the order of the calls.
pub type Noise<'a> = dyn FnMut([usize; 4]) -> Tensor<4> + 'a;

/// The result of one step.
#[derive(Debug, Clone)]
pub struct StepOutput {
    /// The next sample, of the same shape.
    pub prev_sample: Tensor<4>,
    /// The estimate of the finished latents at this step, for previews.
    pub pred_original_sample: Tensor<4>,
}

/// Options of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StepOptions {
    /// DDIM: the share of DDPM's noise, 0 to 1 (Song 2020, equation 16). TCD: gamma, 0 to 1 (Zheng 2024).
    /// Others ignore it, as in diffusers.
    pub eta: f64,
}

/// A sampler. Latents are NCHW; those of Euler, Euler ancestral, LMS and Heun grow with the noise (x0 + sigma eps),
/// those of the others keep unit variance.
pub trait Scheduler {
    /// Plans a run and clears the history of the last one.
    ///
    /// # Errors
    /// [`crate::Error::Request`] for 0 steps or more than the scheduler allows.
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()>;

    /// The plan of [`Self::set_timesteps`].
    fn plan(&self) -> &Plan;

    /// The timestep of each call of the network, descending; empty before [`Self::set_timesteps`]. Heun and PNDM call
    /// the network more than once in a step.
    fn timesteps(&self) -> &[f32] {
        &self.plan().timesteps
    }

    /// Noise divided by signal for each timestep and at the end; none for schedulers that only use timesteps.
    fn sigmas(&self) -> Option<&[f32]> {
        Some(self.plan().sigmas.as_slice()).filter(|sigmas| !sigmas.is_empty())
    }

    /// The factor that turns unit noise into the first sample.
    fn init_noise_sigma(&self) -> f64 {
        self.plan().init_noise_sigma
    }

    /// Calls of the network for each step in the middle of a run (2 for Heun): a run that skips k steps begins at
    /// `timesteps()[k * order()]`, as in diffusers.
    fn order(&self) -> usize {
        1
    }

    /// Plans all steps within the lowest share `strength` of the noise, instead of skipping the first ones. Returns
    /// whether this scheduler can do that (in diffusers, those of consistency distillation can). Call it before
    /// [`Self::set_timesteps`].
    fn set_strength(&mut self, strength: f64) -> bool {
        let _ = strength;
        false
    }

    /// The network's input for a sample.
    ///
    /// # Panics
    /// If `index` is not one of the timesteps.
    fn scale_model_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4> {
        self.plan().scale_model_input(&sample, index)
    }

    /// One step, from the network's output at `timesteps()[index]` and the unscaled sample that was its input.
    /// Multistep schedulers expect the indices in order; a run may begin at any of them.
    ///
    /// # Errors
    /// [`crate::Error::Request`] for an index that is not one of the timesteps; [`crate::Error::Unsupported`] for eps
    /// prediction where there is no signal.
    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        options: &StepOptions,
        noise: &mut Noise,
    ) -> Result<StepOutput>;

    /// Finished latents with the noise of `timesteps()[index]`, to begin a run in the middle; one index for each sample
    /// of the batch, or one for all. For training, use [`NoiseSchedule::add_noise`].
    ///
    /// # Errors
    /// [`crate::Error::Request`] for an index that is not one of the timesteps, or a wrong number of them.
    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, indices: &[usize]) -> Result<Tensor<4>> {
        self.plan().add_noise(original, noise, indices)
    }

    /// Sets the shift of a flow-matching schedule that depends on the picture's size (`use_dynamic_shifting`). Call it
    /// before [`Self::set_timesteps`]. Other schedulers ignore it.
    fn set_mu(&mut self, mu: f64) {
        let _ = mu;
    }
}

/// The scheduler that a configuration describes.
///
/// # Errors
/// [`crate::Error::Config`] for a missing class, or values that are contradictory or not supported.
pub fn from_config(config: &SchedulerConfig) -> Result<Box<dyn Scheduler + Send>> {
    config.refuse("thresholding", config.thresholding)?;
    config.refuse("use_flow_sigmas", config.use_flow_sigmas)?;
    let config = config.clone().without_foreign_spacing();
    Ok(match config.class()? {
        SchedulerClass::Ddim => Box::new(ddim::Ddim::new(config)?),
        SchedulerClass::Ddpm => Box::new(ddpm::Ddpm::new(config)?),
        SchedulerClass::Euler => Box::new(euler::EulerDiscrete::new(config)?),
        SchedulerClass::EulerAncestral => Box::new(euler_ancestral::EulerAncestralDiscrete::new(config)?),
        SchedulerClass::Lms => Box::new(lms::LmsDiscrete::new(config)?),
        SchedulerClass::DpmSolverMultistep => Box::new(dpmpp::DpmSolverMultistep::new(config)?),
        SchedulerClass::Pndm => Box::new(pndm::Pndm::new(config)?),
        SchedulerClass::Heun => Box::new(heun::HeunDiscrete::new(config)?),
        SchedulerClass::Lcm => Box::new(lcm::Lcm::new(config)?),
        SchedulerClass::Tcd => Box::new(tcd::Tcd::new(config)?),
        SchedulerClass::UniPc => Box::new(unipc::UniPcMultistep::new(config)?),
        SchedulerClass::FlowMatchEuler => Box::new(flow_match_euler::FlowMatchEulerDiscrete::new(config)?),
    })
}
