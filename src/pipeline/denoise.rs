//! The denoising loop: the only one in the project.

use std::ops::ControlFlow;

use burn::tensor::Tensor;

use crate::schedulers::{Noise, Scheduler, StepOptions};
use crate::{Error, Result};

/// What predicts noise, velocity or sample: a UNet with its text and guidance.
pub trait Denoiser {
    /// `x` `[n, c, h, w]` at timestep `t` to the guided prediction, and the network's raw input and output.
    fn predict(&self, x: Tensor<4>, t: f32) -> Prediction;
}

/// A guided prediction and where it comes from.
pub struct Prediction {
    /// `[n, c, h, w]`, what the sampler takes.
    pub guided: Tensor<4>,
    /// The network's input; twice as many with classifier-free guidance, negative half first.
    pub model_input: Tensor<4>,
    /// The network's output for it.
    pub model_output: Tensor<4>,
}

/// One finished step, for whoever watches.
pub struct StepEvent<'a> {
    /// From 0.
    pub index: usize,
    /// Number of steps in all (evaluations of the network; Heun takes two a step).
    pub steps: usize,
    /// Of the network's evaluation, 0 to 999.
    pub timestep: f32,
    /// Noise level before the step, for samplers that have one.
    pub sigma: Option<f32>,
    /// The network's input and output.
    pub prediction: &'a Prediction,
    /// After the step, `[n, c, h, w]`.
    pub latents: &'a Tensor<4>,
    /// The present estimate of the finished latents, `[n, c, h, w]`.
    pub pred_original_sample: &'a Tensor<4>,
}

/// From noise to latents.
///
/// # Errors
/// The sampler's own; [`Error::NotFinite`]; [`Error::Stopped`] when `on_step` breaks.
pub async fn denoise(
    model: &impl Denoiser,
    scheduler: &mut dyn Scheduler,
    start: Tensor<4>,
    options: &StepOptions,
    noise: &mut Noise<'_>,
    on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
) -> Result<Tensor<4>> {
    let timesteps = scheduler.timesteps().to_vec();
    let sigmas = scheduler.sigmas().map(<[f32]>::to_vec);
    let mut x = start;
    for (index, &t) in timesteps.iter().enumerate() {
        let prediction = model.predict(scheduler.scale_model_input(x.clone(), index), t);
        let step = scheduler.step(prediction.guided.clone(), index, x, options, noise)?;
        x = step.prev_sample;
        check_finite(&x, index).await?;
        let event = StepEvent {
            index,
            steps: timesteps.len(),
            timestep: t,
            sigma: sigmas.as_ref().map(|sigmas| sigmas[index]),
            prediction: &prediction,
            latents: &x,
            pred_original_sample: &step.pred_original_sample,
        };
        if on_step(event).await.is_break() {
            return Err(Error::Stopped { step: index });
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
