//! The first stage: the embedding e of the target text moves until the model reconstructs the picture x with it (section 3.2,
//! equation 3),
//!
//! ```text
//! e <- Adam on the mean over t and eps of |f(alpha_t x + sigma_t eps, t, e) - target|^2
//! ```
//!
//! where f is the network, which stays as it is, and the target is what it was trained to predict: eps, the velocity alpha_t eps -
//! sigma_t x, or x. The embedding is to end near where it began, so that a line between the two means something; hence few steps.

use std::ops::ControlFlow;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Int, Tensor, TensorData};

use super::adam::Adam;
use crate::models::{AddedConditions, UNet2DConditionModel};
use crate::picture::Picture;
use crate::pipeline::{Pipeline, Request, Settings};
use crate::random::{self, Generator};
use crate::schedulers::{NoiseSchedule, PredictionType};
use crate::{Error, Result};

const MAX_STEPS: usize = 100_000;
const MAX_BATCH: usize = 64;
/// Steps over which losses are averaged before they are compared: a loss alone says more about its timesteps.
const WINDOW: usize = 20;
/// How many times the mean loss of the first window counts as diverging.
const DIVERGED: f64 = 4.0;

/// How an embedding is optimised.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingOptions {
    /// Of Adam.
    pub steps: usize,
    /// Of Adam, for all steps.
    pub learning_rate: f64,
    /// Timesteps in each step, each with noise of its own.
    pub batch: usize,
    /// Of timesteps and noise.
    pub seed: u64,
}

impl Default for EmbeddingOptions {
    /// The paper's 100 steps at 0.001, not tuned yet.
    fn default() -> Self {
        Self { steps: 100, learning_rate: 1e-3, batch: 4, seed: 0 }
    }
}

impl EmbeddingOptions {
    fn check(&self) -> Result<()> {
        let Self { steps, learning_rate, batch, .. } = self;
        let reason = if !(1..=MAX_STEPS).contains(steps) {
            format!("steps of the embedding = {steps}: use 1 to {MAX_STEPS}")
        } else if !(1..=MAX_BATCH).contains(batch) {
            format!("timesteps in a step of the embedding = {batch}: use 1 to {MAX_BATCH}")
        } else if !(learning_rate.is_finite() && *learning_rate > 0.0) {
            format!("learning rate of the embedding = {learning_rate}: must be above 0")
        } else {
            return Ok(());
        };
        Err(Error::Request(reason))
    }
}

/// The random numbers of a step.
pub struct Draw {
    /// One for each sample of the batch.
    pub timesteps: Vec<usize>,
    /// Standard normal, for the batch's latents `[batch, c, h, w]`.
    pub noise: Vec<f32>,
}

/// A step that was taken.
pub struct EmbeddingStep<'a> {
    /// From 0.
    pub index: usize,
    /// Of all.
    pub steps: usize,
    /// Mean squared error before the step.
    pub loss: f32,
    /// After the step, `[1, tokens, features]`.
    pub embedding: &'a Tensor<3>,
}

/// Why the optimisation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All steps are taken.
    Finished,
    /// The handler asked to stop.
    Stopped,
    /// The loss was not finite any more, or several times what it was at first: the embedding is the last sound one.
    Diverged,
}

/// What the first stage leaves.
pub struct OptimizedEmbedding {
    /// `[1, tokens, features]`, as the UNet takes it. (Of a model that reads prompt and negative prompt as one text: both.)
    pub embedding: Tensor<3>,
    /// The target text's own, where it began.
    pub target: Tensor<3>,
    /// Before each step.
    pub losses: Vec<f32>,
    /// Why it ended.
    pub ended: Ended,
}

/// Fits the embedding of `prompt` to `image`, with timesteps and noise from streams of `options.seed`.
///
/// # Errors
/// Those of [`optimize_with`].
pub async fn optimize(
    pipeline: &Pipeline,
    image: &Picture,
    prompt: &str,
    options: &EmbeddingOptions,
    on_step: &mut impl AsyncFnMut(EmbeddingStep<'_>) -> ControlFlow<()>,
) -> Result<OptimizedEmbedding> {
    let timesteps = NoiseSchedule::new(pipeline.scheduler())?.alphas_cumprod().len() as i64;
    let (seed, batch) = (options.seed, options.batch);
    let mut draws = move |step: usize, numbers: usize| Draw {
        timesteps: random::stream(seed, "imagic.embedding.timesteps", step as u64)
            .randint(0, timesteps, batch)
            .into_iter()
            .map(|t| t as usize)
            .collect(),
        noise: random::stream(seed, "imagic.embedding.noise", step as u64).randn(numbers),
    };
    optimize_with(pipeline, image, prompt, options, &mut draws, on_step).await
}

/// As [`optimize`], with the random numbers of each step from `draws`, which is given the step and how many numbers of noise it
/// takes.
///
/// # Errors
/// [`Error::Request`] for options out of range, a picture of a size that the model does not take, an inpainting network, and
/// weights in blocks.
pub async fn optimize_with(
    pipeline: &Pipeline,
    image: &Picture,
    prompt: &str,
    options: &EmbeddingOptions,
    draws: &mut impl FnMut(usize, usize) -> Draw,
    on_step: &mut impl AsyncFnMut(EmbeddingStep<'_>) -> ControlFlow<()>,
) -> Result<OptimizedEmbedding> {
    options.check()?;
    let (model, target) = Reconstruction::new(pipeline, image, prompt, options)?;
    let mut adam = Adam::new(options.learning_rate);
    let mut watch = Watch::new(target.clone());
    let mut embedding = target.clone();
    let mut ended = Ended::Finished;
    for index in 0..options.steps {
        let draw = draws(index, model.latents.dims().iter().product());
        let (loss, gradient) = model.loss_and_gradient(&embedding, draw)?;
        let loss = read(loss).await;
        if !watch.sound(loss, &embedding) {
            (embedding, ended) = (watch.good.clone(), Ended::Diverged);
            break;
        }
        embedding = adam.step(embedding, gradient);
        let step = EmbeddingStep { index, steps: options.steps, loss, embedding: &embedding };
        if on_step(step).await.is_break() {
            ended = Ended::Stopped;
            break;
        }
    }
    // No loss was taken of what the last step made.
    if ended != Ended::Diverged && !read(embedding.clone().sum()).await.is_finite() {
        (embedding, ended) = (watch.good, Ended::Diverged);
    }
    Ok(OptimizedEmbedding { embedding, target, losses: watch.losses, ended })
}

async fn read(number: Tensor<1>) -> f32 {
    let data = number.into_data_async().await.expect("a number of the device");
    data.iter::<f32>().next().expect("one number")
}

/// The picture, and the network that is to reconstruct it.
struct Reconstruction {
    /// With autodiff, but without gradients of its own.
    unet: UNet2DConditionModel,
    schedule: NoiseSchedule,
    prediction_type: PredictionType,
    /// With autodiff, of a batch.
    conditions: AddedConditions,
    /// Without autodiff, `[batch, c, h, w]`, all the same.
    latents: Tensor<4>,
}

impl Reconstruction {
    /// And the target text's embedding `[1, tokens, features]`.
    fn new(
        pipeline: &Pipeline,
        image: &Picture,
        prompt: &str,
        options: &EmbeddingOptions,
    ) -> Result<(Self, Tensor<3>)> {
        // Without guidance, or with the least that a model has learned which takes the scale as an input.
        let guidance_scale = pipeline.guidance_scale_range().map_or(1.0, |[least, _]| least.max(1.0));
        let request = pipeline.request_of(Settings {
            prompt: prompt.into(),
            guidance_scale: Some(guidance_scale),
            image: Some(image.clone()),
            ..Settings::default()
        })?;
        let batch = options.batch;
        let (network, _) = pipeline.denoiser(&Request { num_images_per_prompt: batch, ..request })?;
        check_floats(network.unet)?;
        let AddedConditions { timestep_cond, text_time } = network.conditions;
        let config = pipeline.scheduler();
        let latents = pipeline.encode(image.to_tensor(pipeline.channels(), pipeline.device()));
        let model = Self {
            unet: network.unet.clone().no_grad().train(),
            schedule: NoiseSchedule::new(config)?,
            prediction_type: config.prediction_type(),
            conditions: AddedConditions {
                timestep_cond: timestep_cond.map(Tensor::autodiff),
                text_time: text_time.map(|(text, sizes)| (text.autodiff(), sizes)),
            },
            latents: latents.inner().repeat_dim(0, batch),
        };
        Ok((model, network.context.inner().narrow(0, 0, 1)))
    }

    /// Mean squared error of the prediction `[1]` and its gradient in `embedding`, both without autodiff.
    fn loss_and_gradient(&self, embedding: &Tensor<3>, draw: Draw) -> Result<(Tensor<1>, Tensor<3>)> {
        let Draw { timesteps, noise } = draw;
        let latents = self.latents.clone();
        let noise = Tensor::from_data(TensorData::new(noise, latents.dims()), &latents.device());
        let noisy = self.schedule.add_noise(latents.clone(), noise.clone(), &timesteps)?;
        let target = match self.prediction_type {
            PredictionType::Epsilon => noise,
            PredictionType::VPrediction => self.schedule.velocity(latents, noise, &timesteps)?,
            PredictionType::Sample => latents,
        };
        let leaf = embedding.clone().autodiff().require_grad();
        let context = leaf.clone().repeat_dim(0, timesteps.len());
        let times: Vec<f32> = timesteps.iter().map(|t| *t as f32).collect();
        let prediction = self.unet.forward(noisy.autodiff(), &times, context, &self.conditions);
        let loss = (prediction - target.autodiff()).square().mean();
        let gradients = loss.backward();
        let gradient = leaf.grad(&gradients).expect("the network reads its text");
        Ok((loss.inner(), gradient))
    }
}

/// # Errors
/// [`Error::Request`] for weights in blocks.
fn check_floats(unet: &UNet2DConditionModel) -> Result<()> {
    struct Blocks(bool);
    impl ModuleVisitor for Blocks {
        fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
            self.0 |= param.lazy_shape().num_elements() > 0;
        }
    }
    let mut blocks = Blocks(false);
    unet.visit(&mut blocks);
    match blocks.0 {
        true => {
            let reason =
                "Imagic needs gradients, which weights in blocks have not: load the model on a device with autodiff";
            Err(Error::Request(reason.into()))
        }
        false => Ok(()),
    }
}

/// Looks for a loss that leaves the numbers behind or grows, and keeps the last embedding that was sound.
struct Watch {
    losses: Vec<f32>,
    good: Tensor<3>,
    /// Means of the first and of the best window, and the embedding at the best one's end.
    windows: Option<(f64, f64, Tensor<3>)>,
}

impl Watch {
    fn new(start: Tensor<3>) -> Self {
        Self { losses: Vec::new(), good: start, windows: None }
    }

    /// Whether `loss`, which `embedding` has, allows to go on; if not, `good` is what to go back to.
    fn sound(&mut self, loss: f32, embedding: &Tensor<3>) -> bool {
        if !loss.is_finite() {
            return false;
        }
        self.losses.push(loss);
        self.good = embedding.clone();
        if !self.losses.len().is_multiple_of(WINDOW) {
            return true;
        }
        let last = &self.losses[self.losses.len() - WINDOW..];
        let mean = last.iter().map(|loss| f64::from(*loss)).sum::<f64>() / WINDOW as f64;
        match &mut self.windows {
            None => self.windows = Some((mean, mean, embedding.clone())),
            Some((first, _, best)) if mean > DIVERGED * *first => {
                self.good = best.clone();
                return false;
            }
            Some((_, least, best)) if mean < *least => (*least, *best) = (mean, embedding.clone()),
            Some(_) => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn at(x: f32) -> Tensor<3> {
        Tensor::from_floats([[[x]]], &Device::flex())
    }

    /// The step at which the losses are unsound, and what is gone back to.
    fn watched(losses: impl IntoIterator<Item = f32>) -> (Option<usize>, f32) {
        let mut watch = Watch::new(at(-1.0));
        let wrong = losses.into_iter().enumerate().position(|(i, loss)| !watch.sound(loss, &at(i as f32)));
        (wrong, watch.good.into_scalar::<f32>())
    }

    #[test]
    fn a_loss_that_is_no_number_or_grows_is_unsound() {
        assert_eq!(watched([f32::NAN]), (Some(0), -1.0));
        assert_eq!(watched([1.0, 2.0, f32::INFINITY]), (Some(2), 1.0));
        // One large loss of some timesteps is not growth.
        assert_eq!(watched((0..60).map(|i| if i == 30 { 40.0 } else { 1.0 })), (None, 59.0));
        // It falls for two windows and then grows: back to the end of the second.
        let falls = |i: usize| if i < 40 { 1.0 - i as f32 / 80.0 } else { 9.0 };
        assert_eq!(watched((0..100).map(falls)), (Some(59), 39.0));
    }
}
