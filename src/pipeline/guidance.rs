//! Classifier-free guidance (Ho & Salimans, 2022) around the UNet.

use burn::tensor::Tensor;

use super::denoise::{Denoiser, Prediction};
use crate::models::{AddedConditions, UNet2DConditionModel};

/// A UNet with the text it draws.
pub struct Guidance<'a> {
    /// The network.
    pub unet: &'a UNet2DConditionModel,
    /// `[2n, tokens, features]`, negative half first, with guidance; `[n, ...]` without.
    pub context: Tensor<3>,
    /// How far to go from the negative prediction through the conditional one; none for a single pass.
    pub guidance_scale: Option<f32>,
    /// 0 to 1; see [`rescale_noise_cfg`].
    pub guidance_rescale: f32,
    /// Beyond text and timestep.
    pub conditions: AddedConditions,
    /// Mask and masked picture `[n, 1 + c, h, w]`, which an inpainting network reads beside the latents.
    pub inpainting: Option<Tensor<4>>,
}

impl Denoiser for Guidance<'_> {
    fn predict(&self, x: Tensor<4>, t: f32) -> Prediction {
        let x = match &self.inpainting {
            Some(more) => Tensor::cat(vec![x, more.clone()], 1),
            None => x,
        };
        let Some(scale) = self.guidance_scale else {
            let output = self.unet.forward(x.clone(), &[t], self.context.clone(), &self.conditions);
            return Prediction { guided: output.clone(), model_input: x, model_output: output };
        };
        let model_input = x.repeat_dim(0, 2);
        let output = self.unet.forward(model_input.clone(), &[t], self.context.clone(), &self.conditions);
        let [negative, text] = output.clone().chunk(2, 0).try_into().expect("two halves");
        let guided = negative.clone() + (text.clone() - negative) * scale;
        let guided = match self.guidance_rescale {
            0.0 => guided,
            rescale => rescale_noise_cfg(guided, text, rescale),
        };
        Prediction { guided, model_input, model_output: output }
    }
}

/// Brings the guided prediction's standard deviation towards the conditional one's, against overexposure (Lin et al.,
/// 2023, section 3.4). `guidance_rescale` 0 leaves it as it is, 1 takes all of it over.
pub fn rescale_noise_cfg(guided: Tensor<4>, text: Tensor<4>, guidance_rescale: f32) -> Tensor<4> {
    let ratio = (variance(text) / variance(guided.clone())).sqrt();
    guided.clone() * ratio * guidance_rescale + guided * (1.0 - guidance_rescale)
}

/// Over everything of each picture: `[n, c, h, w]` to `[n, 1, 1, 1]`.
fn variance(x: Tensor<4>) -> Tensor<4> {
    let n = x.dims()[0];
    let flat: Tensor<2> = x.flatten(1, 3);
    flat.var(1).reshape([n, 1, 1, 1])
}
