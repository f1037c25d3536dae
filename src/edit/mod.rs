//! Edits by words: a picture and two sentences go in, what it shows and what it should show, and the picture comes out as the
//! second sentence says, with the rest kept.
//!
//! The two methods without training ask the network about two samples with the same noise, one of the picture and one of the
//! edit, and let the difference of its two answers move the edit. That difference walks through the pipeline's denoising loop like
//! any other sample (`difference.rs`), by DDIM in [FlowEdit](flowedit) and by DDCM in [InfEdit](infedit). They work with every
//! checkpoint that the pipeline loads, but for inpainting networks. Two methods fit the model first (`fit/`): Imagic (`imagic/`) to
//! the picture that is edited, `adapt` to pictures of a thing that it is to learn.

#[cfg(feature = "fit")]
pub mod adapt;
mod difference;
#[cfg(feature = "fit")]
pub mod fit;
pub mod flowedit;
#[cfg(feature = "fit")]
pub mod imagic;
pub mod infedit;
mod infotext;
pub mod recognised;

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor, TensorData};

use crate::picture::Picture;
use crate::pipeline::{Output, Pipeline, Request, Settings, StepEvent};
use crate::random::{Generator, Mt19937};
use crate::schedulers::Noise;
use crate::{Error, Result};

/// Most draws of noise in a step.
const MAX_AVERAGED: usize = 64;

/// How a picture is edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Kulikov et al., 2024: [`flowedit`].
    FlowEdit,
    /// Xu et al., 2023: [`infedit`], without attention control.
    InfEdit,
}

impl Method {
    /// Every method by its name in requests, with the name that its paper gives it.
    pub const NAMES: [(&str, &str, Self); 2] =
        [("flowedit", "FlowEdit", Self::FlowEdit), ("infedit", "InfEdit", Self::InfEdit)];

    /// The method of that name.
    ///
    /// # Errors
    /// [`Error::Request`] names those that there are.
    pub fn named(name: &str) -> Result<Self> {
        let found = Self::NAMES.iter().find(|(known, ..)| *known == name);
        let known = Self::NAMES.map(|(known, ..)| known).join(" or ");
        found.map(|(.., method)| *method).ok_or_else(|| Error::Request(format!("edit method {name}: use {known}")))
    }
}

/// How far an edit may go by default, as [`EditRequest::strength`] counts it.
pub const STRENGTH: f64 = 0.75;

/// An edit to make. The fields have the names of the papers' programs where those agree.
#[derive(Clone, Debug, PartialEq)]
pub struct EditRequest {
    /// How.
    pub method: Method,
    /// What is edited; its sides are multiples of the autoencoder's scale.
    pub image: Picture,
    /// What it shows; may be empty.
    pub source_prompt: String,
    /// What it should show.
    pub target_prompt: String,
    /// What to keep away from, for both.
    pub negative_prompt: String,
    /// Steps of a whole run, of which the share `strength` is taken (FlowEdit: `T_steps`).
    pub num_inference_steps: usize,
    /// 0 to 1: of n steps the last floor(n s) are taken (FlowEdit: `n_max`, the number of them). The more, the further from
    /// the picture an edit may go.
    pub strength: f64,
    /// Guidance by the source prompt (FlowEdit: `src_guidance_scale`).
    pub source_guidance_scale: f32,
    /// Guidance by the target prompt (FlowEdit: `tar_guidance_scale`; InfEdit: `guidance_scale`).
    pub target_guidance_scale: f32,
    /// Draws of noise over which each step takes the mean, from 1. InfEdit's paper has one.
    pub n_avg: usize,
    /// FlowEdit: steps at the end that are ordinary sampling by the target prompt. InfEdit has none of them.
    pub n_min: usize,
    /// Of all random numbers.
    pub seed: u64,
}

impl EditRequest {
    /// An edit of `image` with seed 0 and the settings that suited *Stickers*: both prompts at the model's own guidance, so that
    /// what the network would say of any picture cancels out. (The papers, with models a thousand times its size, give the
    /// target more: FlowEdit 13.5 to 3.5, InfEdit 2 to 1.)
    pub fn new(pipeline: &Pipeline, method: Method, image: Picture, source: &str, target: &str) -> Self {
        let own = pipeline.defaults();
        Self {
            method,
            image,
            source_prompt: source.into(),
            target_prompt: target.into(),
            negative_prompt: String::new(),
            num_inference_steps: own.steps,
            strength: STRENGTH,
            source_guidance_scale: own.guidance_scale,
            target_guidance_scale: own.guidance_scale,
            n_avg: 1,
            n_min: 0,
            seed: 0,
        }
    }

    /// An edit of the settings' picture to what their prompt says; `source` is what it shows. What they leave out is as in
    /// [`Self::new`]. The sampler is the method's, whatever the settings say.
    ///
    /// # Errors
    /// [`Error::Request`] without a picture, with a mask, or for a picture of another size than the settings ask for; those of
    /// [`Pipeline::request_of`].
    pub fn of(pipeline: &Pipeline, method: Method, source: &str, settings: Settings) -> Result<Self> {
        let strength = settings.strength.unwrap_or(STRENGTH);
        let request = pipeline.request_of(settings)?;
        request.check(pipeline.scale())?;
        if request.mask.is_some() {
            return Err(Error::Request("an edit by words takes no mask: it changes what the words ask for".into()));
        }
        let no_image = || Error::Request("an edit by words needs an image: the picture that is to be changed".into());
        let image = request.image.ok_or_else(no_image)?;
        Ok(Self {
            negative_prompt: request.negative_prompt,
            num_inference_steps: request.num_inference_steps,
            strength,
            source_guidance_scale: request.guidance_scale,
            target_guidance_scale: request.guidance_scale,
            seed: request.seed,
            ..Self::new(pipeline, method, image, source, &request.prompt)
        })
    }

    /// What the pipeline is asked for with one of the two prompts.
    fn half(&self, pipeline: &Pipeline, prompt: &str, guidance_scale: f32) -> Result<Request> {
        let request = pipeline.request_of(Settings {
            prompt: prompt.into(),
            negative_prompt: self.negative_prompt.clone(),
            seed: self.seed,
            steps: Some(self.num_inference_steps),
            guidance_scale: Some(guidance_scale),
            strength: Some(self.strength),
            image: Some(self.image.clone()),
            ..Settings::default()
        })?;
        Ok(Request { num_images_per_prompt: self.n_avg, ..request })
    }
}

/// Makes an edit, with its random numbers from torch's CPU generator seeded with `request.seed`: the picture, and what the user
/// should know.
///
/// # Errors
/// Those of [`run`].
pub async fn edit(
    pipeline: &Pipeline,
    request: &EditRequest,
    on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
) -> Result<(Picture, Vec<String>)> {
    let mut noise = noise_of(request.seed, pipeline.device().clone());
    let output = run(pipeline, request, &mut noise, on_step).await?;
    let picture = Picture::from_tensor(output.decoded).await?.swap_remove(0);
    Ok((picture, output.warnings))
}

/// Standard normal noise from torch's CPU generator.
fn noise_of(seed: u64, device: Device) -> impl FnMut([usize; 4]) -> Tensor<4> {
    let mut generator = Mt19937::new(seed);
    move |shape| Tensor::from_data(TensorData::new(generator.randn(shape.iter().product()), shape), &device)
}

/// Makes an edit with random numbers from `noise`, which is asked once in each step, for `n_avg` samples.
///
/// A step's event has, as `latents`, the picture's latents with the difference so far added; `pred_original_sample` is the
/// present estimate of the edit.
///
/// # Errors
/// [`crate::Error::Request`] for settings out of range, a picture of a size that the model does not take, or an inpainting
/// network; otherwise as [`Pipeline::run`].
pub async fn run(
    pipeline: &Pipeline,
    request: &EditRequest,
    noise: &mut Noise<'_>,
    on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
) -> Result<Output> {
    if !(1..=MAX_AVERAGED).contains(&request.n_avg) {
        return Err(Error::Request(format!("n_avg = {}: use 1 to {MAX_AVERAGED}", request.n_avg)));
    }
    let (latents, warnings) = match request.method {
        Method::FlowEdit => flowedit::run(pipeline, request, noise, on_step).await?,
        Method::InfEdit => infedit::run(pipeline, request, noise, on_step).await?,
    };
    Ok(Output { decoded: pipeline.decode(latents.clone()), latents, warnings })
}
