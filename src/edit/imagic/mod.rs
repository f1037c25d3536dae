//! Imagic (Kawar et al., 2022, arXiv 2210.09276): a picture and a sentence go in, and the picture comes out as the sentence says,
//! because the model is fitted to the picture first.
//!
//! 1. [`embedding`]: the embedding of the target text moves until the model reconstructs the picture with it.
//! 2. [`adapters`]: the model is fitted around that embedding.
//! 3. [`Imagic::draw`]: it draws with embeddings between that one and the text's own.
//!
//! Gradients need floats: a model in blocks is loaded on a device that keeps gradients, where its weights are widened.

mod adam;
pub mod adapters;
mod descend;
pub mod embedding;
mod reconstruction;

use std::ops::ControlFlow;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};

pub use adapters::Adapters;
pub use descend::{Draw, Ended, StageOptions, StageStep};
pub use embedding::OptimizedEmbedding;

use crate::Result;
use crate::models::{AddedConditions, UNet2DConditionModel};
use crate::picture::Picture;
use crate::pipeline::{Guidance, Pipeline, Request, Settings, Start, StepEvent, denoise};
use crate::random::{Generator, Mt19937};
use crate::schedulers::{self, StepOptions};
use reconstruction::Reconstruction;

/// What a model is fitted to, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct ImagicRequest {
    /// What is edited; its sides are multiples of the autoencoder's scale.
    pub image: Picture,
    /// What it should show.
    pub prompt: String,
    /// Of the first stage.
    pub embedding: StageOptions,
    /// Of the second stage.
    pub adapters: StageOptions,
    /// Of the adapters.
    pub rank: usize,
}

/// A stage, for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The first.
    Embedding,
    /// The second.
    Adapters,
}

/// A model that was fitted to a picture. The pipeline stays as it was.
pub struct Imagic {
    /// The first stage's.
    pub embedding: OptimizedEmbedding,
    /// The second stage's; none where the first was stopped.
    pub adapters: Option<Adapters>,
    unet: UNet2DConditionModel,
    image: Picture,
    prompt: String,
}

impl Imagic {
    /// The first two stages. Stopping in the second leaves what it has reached.
    ///
    /// # Errors
    /// [`crate::Error::Request`] for options out of range, a picture of a size that the model does not take, an inpainting
    /// network, and weights in blocks.
    pub async fn fit(
        pipeline: &Pipeline,
        request: &ImagicRequest,
        on_step: &mut impl AsyncFnMut(Stage, StageStep<'_>) -> ControlFlow<()>,
    ) -> Result<Self> {
        let ImagicRequest { image, prompt, .. } = request;
        request.embedding.check()?;
        request.adapters.check()?;
        let mut first = async |step: StageStep<'_>| on_step(Stage::Embedding, step).await;
        let embedding = embedding::optimize(pipeline, image, prompt, &request.embedding, &mut first).await?;
        let model = Reconstruction::new(pipeline, image, prompt, request.adapters.batch)?;
        let adapters = match embedding.ended {
            Ended::Stopped => None,
            Ended::Finished | Ended::Diverged => {
                let mut second = async |step: StageStep<'_>| on_step(Stage::Adapters, step).await;
                let (rank, options) = (request.rank, &request.adapters);
                Some(adapters::run(&model, &embedding.embedding, rank, options, &mut second).await?)
            }
        };
        let unet = model.unet.valid();
        let unet = match &adapters {
            Some(Adapters { keys, factors, .. }) => adapters::apply(unet, keys, factors),
            None => unet,
        };
        Ok(Self { embedding, adapters, unet, image: image.clone(), prompt: prompt.clone() })
    }

    /// The third stage: a picture drawn with the embedding eta · target + (1 - eta) · fitted (section 3.3, equation 5), from noise
    /// that is torch's of `seed`. At 0 it is the picture, as well as the model was fitted; at 1 it has the text's own embedding.
    ///
    /// # Errors
    /// Those of [`Pipeline::run`].
    pub async fn draw(
        &self,
        pipeline: &Pipeline,
        eta: f64,
        settings: Settings,
        on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Picture> {
        let (width, height) = (self.image.width, self.image.height);
        let size = Settings { prompt: self.prompt.clone(), width: Some(width), height: Some(height), ..settings };
        let request = Request { num_images_per_prompt: 1, image: None, ..pipeline.request_of(size)? };
        let (network, _) = pipeline.denoiser(&request)?;
        let OptimizedEmbedding { embedding, target, .. } = &self.embedding;
        let mixed = target.clone() * eta + embedding.clone() * (1.0 - eta);
        let mixed = mixed.unsqueeze::<3>();
        // With guidance the negative text comes first.
        let context = match network.context.dims()[0] {
            1 => mixed,
            texts => Tensor::cat(vec![network.context.inner().narrow(0, 0, texts - 1), mixed], 0),
        };
        let AddedConditions { timestep_cond, text_time } = network.conditions;
        let conditions = AddedConditions {
            timestep_cond: timestep_cond.map(Tensor::inner),
            text_time: text_time.map(|(text, sizes)| (text.inner(), sizes)),
        };
        let model = Guidance { unet: &self.unet, context, conditions, ..network };
        let mut scheduler = schedulers::from_config(request.scheduler.as_ref().unwrap_or(pipeline.scheduler()))?;
        let first = pipeline.plan(&request, scheduler.as_mut())?;
        let (device, mut generator) = (target.device(), Mt19937::new(request.seed));
        let mut noise = |shape: [usize; 4]| {
            Tensor::from_data(TensorData::new(generator.randn(shape.iter().product()), shape), &device)
        };
        let (scale, channels) = (pipeline.scale(), self.unet.conv_in.weight.dims()[1]);
        let latents = noise([1, channels, height / scale, width / scale]) * scheduler.init_noise_sigma();
        let start = Start { latents, index: first, end: None, kept: None };
        let options = StepOptions { eta: request.eta };
        let latents = denoise(&model, scheduler.as_mut(), start, &options, &mut noise, on_step).await?;
        let latents = if pipeline.device().is_autodiff() { latents.autodiff() } else { latents };
        Ok(Picture::from_tensor(pipeline.decode(latents).inner()).await?.swap_remove(0))
    }
}
