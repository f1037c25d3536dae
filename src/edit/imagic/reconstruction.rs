//! How badly a network reconstructs a picture with an embedding: what the first two stages lower (equations 3 and 4),
//!
//! ```text
//! the mean over t and eps of |f(alpha_t x + sigma_t eps, t, e) - target|^2
//! ```
//!
//! where the target is what the network f was trained to predict: eps, the velocity alpha_t eps - sigma_t x, or x.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Int, Tensor, TensorData};

use super::descend::Draw;
use crate::models::{AddedConditions, UNet2DConditionModel};
use crate::picture::Picture;
use crate::pipeline::{Pipeline, Request, Settings};
use crate::schedulers::{NoiseSchedule, PredictionType};
use crate::{Error, Result};

/// The picture, and the network that is to reconstruct it.
pub(super) struct Reconstruction {
    /// With autodiff, but without gradients of its own.
    pub unet: UNet2DConditionModel,
    /// The target text's embedding, `[tokens, features]`, without autodiff.
    pub target: Tensor<2>,
    schedule: NoiseSchedule,
    prediction_type: PredictionType,
    /// With autodiff, of a batch.
    conditions: AddedConditions,
    /// Without autodiff, `[batch, c, h, w]`, all the same.
    latents: Tensor<4>,
}

impl Reconstruction {
    /// # Errors
    /// [`Error::Request`] for a picture of a size that the model does not take, an inpainting network, and weights in blocks.
    pub fn new(pipeline: &Pipeline, image: &Picture, prompt: &str, batch: usize) -> Result<Self> {
        // Without guidance, or with the least that a model has learned which takes the scale as an input.
        let guidance_scale = pipeline.guidance_scale_range().map_or(1.0, |[least, _]| least.max(1.0));
        let request = pipeline.request_of(Settings {
            prompt: prompt.into(),
            guidance_scale: Some(guidance_scale),
            image: Some(image.clone()),
            ..Settings::default()
        })?;
        let (network, _) = pipeline.denoiser(&Request { num_images_per_prompt: batch, ..request })?;
        check_floats(network.unet)?;
        let AddedConditions { timestep_cond, text_time } = network.conditions;
        let config = pipeline.scheduler();
        let latents = pipeline.encode(image.to_tensor(pipeline.channels(), pipeline.device()));
        Ok(Self {
            unet: network.unet.clone().no_grad().train(),
            target: network.context.inner().narrow(0, 0, 1).squeeze_dim(0),
            schedule: NoiseSchedule::new(config)?,
            prediction_type: config.prediction_type(),
            conditions: AddedConditions {
                timestep_cond: timestep_cond.map(Tensor::autodiff),
                text_time: text_time.map(|(text, sizes)| (text.autodiff(), sizes)),
            },
            latents: latents.inner().repeat_dim(0, batch),
        })
    }

    /// Of the batch's latents.
    pub fn numbers(&self) -> usize {
        self.latents.dims().iter().product()
    }

    /// Of the schedule.
    pub fn timesteps(&self) -> usize {
        self.schedule.alphas_cumprod().len()
    }

    /// Mean squared error of the prediction by `unet` `[1]`, all with autodiff; `embedding` `[tokens, features]`.
    pub fn loss(&self, unet: &UNet2DConditionModel, embedding: Tensor<2>, draw: Draw) -> Result<Tensor<1>> {
        let Draw { timesteps, noise } = draw;
        let latents = self.latents.clone();
        let noise = Tensor::from_data(TensorData::new(noise, latents.dims()), &latents.device());
        let noisy = self.schedule.add_noise(latents.clone(), noise.clone(), &timesteps)?;
        let target = match self.prediction_type {
            PredictionType::Epsilon => noise,
            PredictionType::VPrediction => self.schedule.velocity(latents, noise, &timesteps)?,
            PredictionType::Sample => latents,
        };
        let context = embedding.unsqueeze::<3>().repeat_dim(0, timesteps.len());
        let times: Vec<f32> = timesteps.iter().map(|t| *t as f32).collect();
        let prediction = unet.forward(noisy.autodiff(), &times, context, &self.conditions);
        Ok((prediction - target.autodiff()).square().mean())
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
