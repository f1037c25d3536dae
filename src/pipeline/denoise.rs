//! The denoising loop: the only one in the project.

use std::ops::ControlFlow;

use burn::tensor::Tensor;

use crate::schedulers::{Noise, Scheduler, StepOptions};
use crate::{Error, Result};

/// Predicts noise, velocity or sample: a UNet with its text and guidance.
pub trait Denoiser {
    /// From `x` `[n, c, h, w]` at timestep `t` to the guided prediction, and the network's input and output.
    fn predict(&self, x: Tensor<4>, t: f32, place: Place) -> Prediction;
}

/// Which of a run's evaluations of the network one is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Counted from 0.
    pub index: usize,
    /// Their number.
    pub steps: usize,
}

/// A guided prediction and the network's input and output.
pub struct Prediction {
    /// The prediction that the sampler takes, `[n, c, h, w]`.
    pub guided: Tensor<4>,
    /// The network's input; with classifier-free guidance a batch twice as large, negative half first.
    pub model_input: Tensor<4>,
    /// The network's output for it.
    pub model_output: Tensor<4>,
}

/// Where a run begins, and which part of a picture it keeps.
pub struct Start {
    /// The first sample, `[n, c, h, w]`.
    pub latents: Tensor<4>,
    /// Index of the first step into the sampler's timesteps.
    pub index: usize,
    /// Index after the last step; none to run all steps.
    pub end: Option<usize>,
    /// For inpainting with a network that has no mask input.
    pub kept: Option<Kept>,
}

/// The part of a picture that is restored after each step, with the noise of that step (Lugmayr et al., 2022, figure
/// 2).
pub struct Kept {
    /// The picture's latents `[n, c, h, w]`.
    pub original: Tensor<4>,
    /// Unit noise of the same shape: the run's first.
    pub noise: Tensor<4>,
    /// 1 where the picture is redrawn, 0 where it is kept, `[1, 1, h, w]`.
    pub mask: Tensor<4>,
}

impl Kept {
    /// `x`, the sample of step `index` (after the last step: the finished latents), with the kept part restored.
    fn put_back(&self, scheduler: &dyn Scheduler, x: Tensor<4>, index: usize) -> Result<Tensor<4>> {
        let original = match index < scheduler.timesteps().len() {
            true => scheduler.add_noise(self.original.clone(), self.noise.clone(), &[index])?,
            false => self.original.clone(),
        };
        let kept = self.mask.clone().neg() + 1.0;
        Ok(original * kept + x * self.mask.clone())
    }
}

/// One finished step.
pub struct StepEvent<'a> {
    /// Index of the step, from 0.
    pub index: usize,
    /// Total number of steps (evaluations of the network; Heun takes two a step).
    pub steps: usize,
    /// Timestep of the network's evaluation, 0 to 999.
    pub timestep: f32,
    /// Noise level before the step, for samplers that have one.
    pub sigma: Option<f32>,
    /// The network's input and output.
    pub prediction: &'a Prediction,
    /// The latents after the step, `[n, c, h, w]`.
    pub latents: &'a Tensor<4>,
    /// The current estimate of the finished latents, `[n, c, h, w]`.
    pub pred_original_sample: &'a Tensor<4>,
}

/// The denoising loop: from noise, or a picture with noise, to latents.
///
/// # Errors
/// The sampler's own; [`Error::NotFinite`]; [`Error::Stopped`] if `on_step` breaks.
pub async fn denoise(
    model: &impl Denoiser,
    scheduler: &mut dyn Scheduler,
    start: Start,
    options: &StepOptions,
    noise: &mut Noise<'_>,
    on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
) -> Result<Tensor<4>> {
    let timesteps = scheduler.timesteps().to_vec();
    let sigmas = scheduler.sigmas().map(<[f32]>::to_vec);
    let end = start.end.unwrap_or(timesteps.len());
    let mut x = start.latents;
    for (index, &t) in timesteps.iter().enumerate().take(end).skip(start.index) {
        let place = Place { index: index - start.index, steps: end - start.index };
        let prediction = model.predict(scheduler.scale_model_input(x.clone(), index), t, place);
        let step = scheduler.step(prediction.guided.clone(), index, x, options, noise)?;
        x = step.prev_sample;
        if let Some(kept) = &start.kept {
            x = kept.put_back(scheduler, x, index + 1)?;
        }
        let done = place.index;
        check_finite(&x, done).await?;
        let event = StepEvent {
            index: done,
            steps: place.steps,
            timestep: t,
            sigma: sigmas.as_ref().map(|sigmas| sigmas[index]),
            prediction: &prediction,
            latents: &x,
            pred_original_sample: &step.pred_original_sample,
        };
        if on_step(event).await.is_break() {
            return Err(Error::Stopped { step: done });
        }
    }
    Ok(x)
}

async fn check_finite(x: &Tensor<4>, step: usize) -> Result<()> {
    let data = x.clone().into_data_async().await.map_err(|error| Error::Device(format!("{error:?}")))?;
    match data.iter::<f32>().all(f32::is_finite) {
        true => Ok(()),
        false => Err(Error::NotFinite { step }),
    }
}
