//! Pictures by a model that was fitted: the pipeline's own way to a picture, with another embedding of the prompt, another network,
//! and without gradients.

use std::ops::ControlFlow;

use burn::module::Module;
use burn::tensor::Tensor;

use super::adapters;
use crate::Result;
use crate::models::{AddedConditions, UNet2DConditionModel};
use crate::picture::Picture;
use crate::pipeline::{Guidance, Pipeline, Request, Settings, Start, StepEvent, denoise};
use crate::schedulers::{self, StepOptions};

/// A picture that is asked for, and the network for it.
pub(in crate::edit) struct Asked<'a> {
    request: Request,
    network: Guidance<'a>,
}

impl<'a> Asked<'a> {
    /// Of `[width, height]` pixels by `(prompt, negative prompt)`; those in `settings` are not read.
    ///
    /// # Errors
    /// Those of [`Pipeline::request_of`], and for a prompt that the model does not take.
    pub fn new(pipeline: &'a Pipeline, words: (&str, &str), size: [usize; 2], settings: Settings) -> Result<Self> {
        let request = request(pipeline, words, size, settings)?;
        let network = pipeline.denoiser(&request)?.0;
        Ok(Self { request, network })
    }

    /// The model's own embedding of the prompt, `[tokens, features]`, without autodiff.
    pub fn text(&self) -> Tensor<2> {
        let context = self.network.context.clone().inner();
        let texts = context.dims()[0];
        context.narrow(0, texts - 1, 1).squeeze_dim(0)
    }

    /// The pipeline's network with the factors of adapters, without autodiff.
    pub fn unet_with(&self, factors: &[Tensor<2>]) -> UNet2DConditionModel {
        let unet = self.network.unet.clone().valid();
        let keys = adapters::keys(&unet);
        adapters::apply(unet, &keys, factors)
    }
}

/// The request for a picture of `[width, height]` pixels by `(prompt, negative prompt)`; those in `settings` are not read.
///
/// # Errors
/// Those of [`Pipeline::request_of`].
pub(in crate::edit) fn request(
    pipeline: &Pipeline,
    (prompt, negative_prompt): (&str, &str),
    [width, height]: [usize; 2],
    settings: Settings,
) -> Result<Request> {
    let settings = Settings {
        prompt: prompt.into(),
        negative_prompt: negative_prompt.into(),
        width: Some(width),
        height: Some(height),
        image: None,
        mask: None,
        ..settings
    };
    Ok(Request { num_images_per_prompt: 1, ..pipeline.request_of(settings)? })
}

/// The picture with `embedding` `[tokens, features]` in the place of the prompt's own, and with `unet` instead of the pipeline's.
///
/// # Errors
/// Those of [`Pipeline::run`].
pub(in crate::edit) async fn draw(
    pipeline: &Pipeline,
    Asked { request, network }: Asked<'_>,
    unet: Option<&UNet2DConditionModel>,
    embedding: Tensor<2>,
    on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
) -> Result<Picture> {
    let device = embedding.device();
    let (embedding, text) = (embedding.unsqueeze::<3>(), network.context.inner());
    // With guidance the negative text comes first.
    let context = match text.dims()[0] {
        1 => embedding,
        texts => Tensor::cat(vec![text.narrow(0, 0, texts - 1), embedding], 0),
    };
    let AddedConditions { timestep_cond, text_time, .. } = network.conditions;
    let conditions = AddedConditions {
        timestep_cond: timestep_cond.map(Tensor::inner),
        text_time: text_time.map(|(text, sizes)| (text.inner(), sizes)),
        nag: None,
        control: None,
    };
    let own = if unet.is_none() && pipeline.device().is_autodiff() { Some(network.unet.clone().valid()) } else { None };
    let unet = unet.or(own.as_ref()).unwrap_or(network.unet);
    let model = Guidance { unet, context, conditions, ..network };
    let mut scheduler = schedulers::from_config(request.scheduler.as_ref().unwrap_or(pipeline.scheduler()))?;
    let first = pipeline.plan(&request, scheduler.as_mut())?;
    let mut noise = crate::edit::noise_of(request.seed, device);
    let (scale, channels) = (pipeline.scale(), unet.conv_in.weight.dims()[1]);
    let latents = noise([1, channels, request.height / scale, request.width / scale]) * scheduler.init_noise_sigma();
    let start = Start { latents, index: first, end: None, kept: None };
    let options = StepOptions { eta: request.eta };
    let latents = denoise(&model, scheduler.as_mut(), start, &options, &mut noise, on_step).await?;
    let latents = if pipeline.device().is_autodiff() { latents.autodiff() } else { latents };
    Ok(Picture::from_tensor(pipeline.decode(latents).inner()).await?.swap_remove(0))
}
