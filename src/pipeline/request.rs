//! What somebody asks for.

use crate::schedulers::SchedulerConfig;
use crate::{Error, Result};

/// Largest width and height that a request may ask for, in pixels.
pub const MAX_SIZE: usize = 2048;

/// A picture to draw; the fields have diffusers' names.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What to draw; may be empty.
    pub prompt: String,
    /// What to keep away from; may be empty.
    pub negative_prompt: String,
    /// Of all random numbers.
    pub seed: u64,
    /// From 1 to the number of steps of training.
    pub num_inference_steps: usize,
    /// 1 and below: no guidance.
    pub guidance_scale: f32,
    /// 0 to 1.
    pub guidance_rescale: f32,
    /// Pixels; a multiple of the autoencoder's scale.
    pub width: usize,
    /// Pixels; a multiple of the autoencoder's scale.
    pub height: usize,
    /// Pictures at once.
    pub num_images_per_prompt: usize,
    /// Layers of the text encoder to leave out at its end.
    pub clip_skip: Option<usize>,
    /// Noise that DDIM adds in each step, 0 (none) to 1 (as much as DDPM).
    pub eta: f64,
    /// Instead of the model's own sampler.
    pub scheduler: Option<SchedulerConfig>,
}

impl Request {
    /// The settings that all requests of a batch share: those of the first.
    ///
    /// # Errors
    /// [`Error::Request`] when there is none, or when they differ in more than prompt, negative prompt and seed.
    pub fn common(batch: &[Self]) -> Result<&Self> {
        let Some((first, others)) = batch.split_first() else {
            return Err(Error::Request("no prompt to draw".into()));
        };
        let like_first = |other: &Self| Self {
            prompt: first.prompt.clone(),
            negative_prompt: first.negative_prompt.clone(),
            seed: first.seed,
            ..other.clone()
        };
        match others.iter().all(|other| like_first(other) == *first) {
            true => Ok(first),
            false => Err(Error::Request("the prompts of one batch need the same settings".into())),
        }
    }

    /// Refuses what cannot be drawn. `scale` is the number of pixels a latent stands for.
    ///
    /// # Errors
    /// [`Error::Request`] names the setting, its value and the range.
    pub fn check(&self, scale: usize) -> Result<()> {
        let refuse = |reason: String| Err(Error::Request(reason));
        if self.num_inference_steps == 0 {
            return refuse("steps = 0: at least one step is needed to draw anything".into());
        }
        for (name, size) in [("width", self.width), ("height", self.height)] {
            if size == 0 || size > MAX_SIZE || !size.is_multiple_of(scale) {
                return refuse(format!("{name} = {size}: use a multiple of {scale} up to {MAX_SIZE}"));
            }
        }
        if !self.guidance_scale.is_finite() || self.guidance_scale < 0.0 || self.guidance_scale > 50.0 {
            return refuse(format!("guidance = {}: use 0 to 50", self.guidance_scale));
        }
        if !(0.0..=1.0).contains(&self.guidance_rescale) {
            return refuse(format!("guidance rescale = {}: use 0 to 1", self.guidance_rescale));
        }
        if !(0.0..=1.0).contains(&self.eta) {
            return refuse(format!("eta = {}: use 0 to 1", self.eta));
        }
        match self.num_images_per_prompt {
            1..=64 => Ok(()),
            n => refuse(format!("{n} pictures at once: use 1 to 64")),
        }
    }
}
