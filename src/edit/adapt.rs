//! Teaches a model a thing from a few pictures of it: low-rank adapters of the attention are fitted until it reconstructs them with a
//! text that names the thing (as the LoRA form of DreamBooth does; Ruiz et al., 2023, without its loss on pictures of other things).

use std::ops::ControlFlow;

use super::fit::{Adapters, Reconstruction, StageOptions, StageStep, Text, adapters};
use crate::picture::Picture;
use crate::pipeline::Pipeline;
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
