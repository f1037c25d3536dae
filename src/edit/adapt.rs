//! Teaches a model a thing from a few pictures of it: low-rank adapters of the attention are fitted until it reconstructs them with a
//! text that names the thing (as the LoRA form of DreamBooth does; Ruiz et al., 2023, without its loss on pictures of other things).

use std::collections::HashMap;
use std::ops::ControlFlow;

use burn::tensor::Tensor;

use super::fit::drawing::{Asked, draw};
use super::fit::{Adapters, Reconstruction, StageOptions, StageStep, Text, adapters};
use super::recognised::ADAPT;
use crate::picture::Picture;
use crate::pipeline::{Pipeline, Settings};
use crate::weights::serialize;
use crate::{Error, Result};

/// Most pictures of a thing.
pub const MAX_PICTURES: usize = 8;

/// What a model is to learn, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptRequest {
    /// One to eight, of one size; their sides are multiples of the autoencoder's scale.
    pub images: Vec<Picture>,
    /// What all of them show, with the word that is to name it: "a zib".
    pub prompt: String,
    /// How the adapters are fitted.
    pub options: StageOptions,
    /// Of the adapters, 1 to [`adapters::MAX_RANK`].
    pub rank: usize,
}

impl AdaptRequest {
    /// 200 steps at rank 4.
    pub fn new(images: Vec<Picture>, prompt: impl Into<String>, seed: u64) -> Self {
        let options = StageOptions { steps: 200, learning_rate: 1e-3, batch: 4, seed };
        Self { images, prompt: prompt.into(), options, rank: 4 }
    }
}

/// The adapters, and what the user should know. The pipeline stays as it was. When it is stopped, what it has reached is kept.
///
/// # Errors
/// [`Error::Request`] for no or too many pictures, options out of range, pictures of different sizes or of one that the model does
/// not take, an empty prompt, an inpainting network, and weights in blocks.
pub async fn adapt(
    pipeline: &Pipeline,
    request: &AdaptRequest,
    on_step: &mut impl AsyncFnMut(StageStep<'_>) -> ControlFlow<()>,
) -> Result<(Adapters, Vec<String>)> {
    let AdaptRequest { images, prompt, options, rank } = request;
    options.check()?;
    if !(1..=MAX_PICTURES).contains(&images.len()) {
        return Err(Error::Request(format!("{} pictures: use 1 to {MAX_PICTURES}", images.len())));
    }
    if prompt.trim().is_empty() {
        return Err(Error::Request("say what the pictures show, with the word that is to name it".into()));
    }
    let model = Reconstruction::new(pipeline, images, Text { prompt, negative_prompt: "" }, options.batch)?;
    let adapters = adapters::run(&model, &model.target, (*rank, options, "adapt"), on_step).await?;
    Ok((adapters, model.warnings))
}

/// What the adapters have learned so far: the picture of the request's own prompt, from the noise of its seed, with the factors of the
/// adapters ([`StageStep::values`]).
///
/// # Errors
/// Those of [`Pipeline::run`].
pub async fn reached(pipeline: &Pipeline, request: &AdaptRequest, factors: &[Tensor<2>]) -> Result<Picture> {
    let size = request.images.first().map_or([0, 0], |image| [image.width, image.height]);
    let settings = Settings { seed: request.options.seed, ..Settings::default() };
    let asked = Asked::new(pipeline, (&request.prompt, ""), size, settings)?;
    let (embedding, unet) = (asked.text(), asked.unet_with(factors));
    let mut on_step = async |_: crate::pipeline::StepEvent<'_>| ControlFlow::Continue(());
    draw(pipeline, asked, Some(&unet), embedding, &mut on_step).await
}

/// The adapters as a LoRA file in the names of diffusers; its header also says what they were taught.
pub async fn to_bytes(adapters: &Adapters, prompt: &str) -> Vec<u8> {
    let taught = serde_json::json!({ "version": 1, "prompt": prompt }).to_string();
    serialize(&adapters.matrices().await, HashMap::from([(ADAPT.to_owned(), taught)]))
}
