//! The first stage: the embedding of a text moves until the model, which stays as it is, reconstructs the picture with it
//! (section 3.2, equation 3). It is to end near where it began, so that a line between the two means something; hence few steps.

use std::ops::ControlFlow;

use burn::tensor::Tensor;

use crate::Result;
use crate::edit::fit::{Draw, Ended, Reconstruction, StageOptions, StageStep, Text, descend};
use crate::picture::Picture;
use crate::pipeline::Pipeline;

/// What the first stage leaves.
pub struct OptimizedEmbedding {
    /// `[tokens, features]`, as the UNet takes it. (Of a model that reads prompt and negative prompt as one text: both.)
    pub embedding: Tensor<2>,
    /// The text's own, where it began.
    pub start: Tensor<2>,
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
    options: &StageOptions,
    on_step: &mut impl AsyncFnMut(StageStep<'_>) -> ControlFlow<()>,
) -> Result<OptimizedEmbedding> {
    options.check()?;
    let model = Reconstruction::new(pipeline, std::slice::from_ref(image), text(prompt), options.batch)?;
    run(&model, options, &mut options.draws("imagic.embedding", model.timesteps()), on_step).await
}

/// As [`optimize`], with the random numbers of each step from `draws`, which is given the step and how many numbers of noise it
/// takes.
///
/// # Errors
/// [`crate::Error::Request`] for options out of range, a picture of a size that the model does not take, an inpainting network,
/// and weights in blocks.
pub async fn optimize_with(
    pipeline: &Pipeline,
    image: &Picture,
    prompt: &str,
    options: &StageOptions,
    draws: &mut impl FnMut(usize, usize) -> Draw,
    on_step: &mut impl AsyncFnMut(StageStep<'_>) -> ControlFlow<()>,
) -> Result<OptimizedEmbedding> {
    options.check()?;
    let model = Reconstruction::new(pipeline, std::slice::from_ref(image), text(prompt), options.batch)?;
    run(&model, options, draws, on_step).await
}

fn text(prompt: &str) -> Text<'_> {
    Text { prompt, negative_prompt: "" }
}

pub(super) async fn run(
    model: &Reconstruction,
    options: &StageOptions,
    draws: &mut impl FnMut(usize, usize) -> Draw,
    on_step: &mut impl AsyncFnMut(StageStep<'_>) -> ControlFlow<()>,
) -> Result<OptimizedEmbedding> {
    let loss = |leaves: &[Tensor<2>], step, draw: Draw| model.loss(&model.unet, leaves[0].clone(), step, draw);
    let draws = |step| draws(step, model.numbers());
    let mut ended = descend(vec![model.target.clone()], options, draws, loss, on_step).await?;
    Ok(OptimizedEmbedding {
        embedding: ended.values.remove(0),
        start: model.target.clone(),
        losses: ended.losses,
        ended: ended.ended,
    })
}
