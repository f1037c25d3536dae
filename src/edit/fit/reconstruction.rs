//! The loss that fitting lowers: how badly a network reconstructs pictures x with an embedding e (Kawar et al., 2022, equations 3
//! and 4),
//!
//! ```text
//! the mean over x, t and eps of |f(alpha_t x + sigma_t eps, t, e) - target|^2
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

/// Pictures, and the network that is to reconstruct them.
pub(in crate::edit) struct Reconstruction {
    /// With autodiff; its weights keep no gradients.
    pub unet: UNet2DConditionModel,
    /// The text's embedding, `[tokens, features]`, without autodiff.
    pub target: Tensor<2>,
    /// What the user should know.
    pub warnings: Vec<String>,
    batch: usize,
    schedule: NoiseSchedule,
    prediction_type: PredictionType,
    /// With autodiff, of a batch.
    conditions: AddedConditions,
    /// Without autodiff, `[pictures, c, h, w]`.
    latents: Tensor<4>,
}

/// A text with what to keep away from.
#[derive(Clone, Copy)]
pub(in crate::edit) struct Text<'a> {
    pub prompt: &'a str,
    /// Part of the embedding in models that read both as one text; not read while another model is fitted.
    pub negative_prompt: &'a str,
}

impl Reconstruction {
    /// # Errors
    /// [`Error::Request`] for no pictures, pictures of a size that the model does not take or of different sizes, an inpainting
    /// network, and weights in blocks.
    pub fn new(pipeline: &Pipeline, images: &[Picture], text: Text<'_>, batch: usize) -> Result<Self> {
        let first = images.first().ok_or_else(|| Error::Request("there is no picture to fit the model to".into()))?;
        if let Some(other) = images.iter().find(|image| (image.width, image.height) != (first.width, first.height)) {
            let [a, b] = [first, other].map(|image| format!("{} x {}", image.width, image.height));
            return Err(Error::Request(format!("pictures of {a} and {b} pixels: use pictures of one size")));
        }
        // Without guidance, or with the least that a model has learned which takes the scale as an input.
        let guidance_scale = pipeline.guidance_scale_range().map_or(1.0, |[least, _]| least.max(1.0));
        let request = pipeline.request_of(Settings {
            prompt: text.prompt.into(),
            negative_prompt: text.negative_prompt.into(),
            guidance_scale: Some(guidance_scale),
            image: Some(first.clone()),
            ..Settings::default()
        })?;
        let (network, warnings) = pipeline.denoiser(&Request { num_images_per_prompt: batch, ..request })?;
        check_floats(network.unet)?;
        let AddedConditions { timestep_cond, text_time, .. } = network.conditions;
        let config = pipeline.scheduler();
        let encoded =
            |image: &Picture| pipeline.encode(image.to_tensor(pipeline.channels(), pipeline.device())).inner();
        Ok(Self {
            unet: network.unet.clone().no_grad().train(),
            target: network.context.inner().narrow(0, 0, 1).squeeze_dim(0),
            warnings,
            batch,
            schedule: NoiseSchedule::new(config)?,
            prediction_type: config.prediction_type(),
            conditions: AddedConditions {
                timestep_cond: timestep_cond.map(Tensor::autodiff),
                text_time: text_time.map(|(text, sizes)| (text.autodiff(), sizes)),
                nag: None,
                control: None,
            },
            latents: Tensor::cat(images.iter().map(encoded).collect(), 0),
        })
    }

    /// Of the noise of a batch's latents.
    pub fn numbers(&self) -> usize {
        let [_, c, h, w] = self.latents.dims();
        self.batch * c * h * w
    }

    /// Of the schedule.
    pub fn timesteps(&self) -> usize {
        self.schedule.alphas_cumprod().len()
    }

    /// The latents of a step's batch `[batch, c, h, w]`: the pictures in turn, from step to step.
    fn batch(&self, step: usize) -> Tensor<4> {
        let n = self.latents.dims()[0];
        let picture = |i| self.latents.clone().narrow(0, (step * self.batch + i) % n, 1);
        Tensor::cat((0..self.batch).map(picture).collect(), 0)
    }

    /// Mean squared error of the prediction by `unet` `[1]`, all with autodiff; `embedding` `[tokens, features]`.
    pub fn loss(
        &self,
        unet: &UNet2DConditionModel,
        embedding: Tensor<2>,
        step: usize,
        draw: Draw,
    ) -> Result<Tensor<1>> {
        let Draw { timesteps, noise } = draw;
        let latents = self.batch(step);
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
            let reason = "fitting needs gradients, which weights in blocks do not have: load the model on a device with autodiff";
            Err(Error::Request(reason.into()))
        }
        false => Ok(()),
    }
}
