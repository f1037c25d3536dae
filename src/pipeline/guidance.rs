//! Classifier-free guidance (Ho & Salimans, 2022) around the UNet.

use burn::tensor::Tensor;

use super::denoise::{Denoiser, Place, Prediction};
use super::{EncodedPrompt, Pipeline, Request, join};
use crate::models::{AddedConditions, UNet2DConditionModel};
use crate::nn::Nag;
use crate::{Error, Result};

/// A UNet with the text to draw.
pub struct Guidance<'a> {
    /// The network.
    pub unet: &'a UNet2DConditionModel,
    /// `[2n, tokens, features]`, negative half first, with guidance; `[n, ...]` without.
    pub context: Tensor<3>,
    /// How far to go from the negative prediction through the conditional one; none for a single evaluation.
    pub guidance_scale: Option<f32>,
    /// 0 to 1; see [`rescale_noise_cfg`].
    pub guidance_rescale: f32,
    /// Conditioning beyond text and timestep.
    pub conditions: AddedConditions,
    /// Mask and masked picture `[n, 1 + c, h, w]`, which an inpainting network reads together with the latents.
    pub inpainting: Option<Tensor<4>>,
}

impl Denoiser for Guidance<'_> {
    fn predict(&self, x: Tensor<4>, t: f32, _: Place) -> Prediction {
        self.predict_with(x, t, &self.conditions)
    }
}

impl Guidance<'_> {
    /// The prediction with other conditions than its own.
    pub(super) fn predict_with(&self, x: Tensor<4>, t: f32, conditions: &AddedConditions) -> Prediction {
        let x = match &self.inpainting {
            Some(more) => Tensor::cat(vec![x, more.clone()], 1),
            None => x,
        };
        let Some(scale) = self.guidance_scale else {
            let output = self.unet.forward(x.clone(), &[t], self.context.clone(), conditions);
            return Prediction { guided: output.clone(), model_input: x, model_output: output };
        };
        let model_input = x.repeat_dim(0, 2);
        let output = self.unet.forward(model_input.clone(), &[t], self.context.clone(), conditions);
        let [negative, text] = output.clone().chunk(2, 0).try_into().expect("two halves");
        let guided = negative.clone() + (text.clone() - negative) * scale;
        let guided = match self.guidance_rescale {
            0.0 => guided,
            rescale => rescale_noise_cfg(guided, text, rescale),
        };
        Prediction { guided, model_input, model_output: output }
    }
}

impl Pipeline {
    /// The network with the text and guidance of `request`, for `num_images_per_prompt` samples, and warnings for the
    /// user. [`super::denoise`] calls this network; use it to start from something other than [`Self::run`] does.
    ///
    /// # Errors
    /// Those of [`Self::run`] about settings and prompts; [`Error::Request`] for an inpainting network.
    pub fn denoiser(&self, request: &Request) -> Result<(Guidance<'_>, Vec<String>)> {
        request.check(self.scale())?;
        self.check_guidance(request)?;
        if self.reads_masks() {
            return Err(Error::Request("this model is for inpainting: it draws only with an image and a mask".into()));
        }
        let unread = self.unread_sizes(request)?;
        let prompt = self.encode_prompt(request)?;
        let warnings = prompt.warnings.iter().cloned().chain(unread).collect();
        Ok((self.guided(request, vec![prompt], request.num_images_per_prompt, None), warnings))
    }

    /// The network for `n` samples with the texts `prompts`, with the settings of `request`.
    pub(super) fn guided(
        &self,
        request: &Request,
        prompts: Vec<EncodedPrompt>,
        n: usize,
        inpainting: Option<Tensor<4>>,
    ) -> Guidance<'_> {
        let guided = self.classifier_free(request);
        let parts = if guided { 2 } else { 1 };
        let pooled: Option<Vec<Tensor<2>>> = prompts.iter().map(|prompt| prompt.text_embeds.clone()).collect();
        let nag = self.nag(request, &prompts);
        let contexts = prompts.into_iter().map(|prompt| prompt.encoder_hidden_states).collect();
        Guidance {
            unet: &self.components.unet,
            context: join(contexts, parts),
            guidance_scale: guided.then_some(request.guidance_scale),
            guidance_rescale: request.guidance_rescale,
            conditions: AddedConditions {
                nag,
                ..self.conditions(request, n, pooled.map(|pooled| join(pooled, parts)))
            },
            inpainting,
        }
    }

    /// Checks that a network that takes the guidance scale as an input was trained with this scale, and that a model
    /// that reads the negative prompt itself is not asked to avoid it by other means.
    pub(super) fn check_guidance(&self, request: &Request) -> Result<()> {
        if request.nag().is_some() && self.components.negative_prompt_in_context {
            let reason = "NAG scale: this model reads the negative prompt itself; leave the setting out";
            return Err(Error::Request(reason.into()));
        }
        let Some([least, largest]) = self.components.guidance_scale_range else { return Ok(()) };
        let scale = request.guidance_scale;
        if (least..=largest).contains(&scale) {
            return Ok(());
        }
        let reason = format!("guidance = {scale}: this model was distilled for {least} to {largest}");
        Err(Error::Request(reason))
    }

    /// Guidance scales that the model learned, if it takes the scale as an input and says so.
    pub fn guidance_scale_range(&self) -> Option<[f32; 2]> {
        self.components.guidance_scale_range
    }

    /// The text to avoid in the cross-attention, for the samples of all prompts.
    pub(super) fn nag(&self, request: &Request, prompts: &[EncodedPrompt]) -> Option<(Nag, Tensor<3>)> {
        let avoided = prompts.iter().map(|prompt| prompt.nag_hidden_states.clone()).collect::<Option<Vec<_>>>()?;
        Some((request.nag()?, Tensor::cat(avoided, 0)))
    }
}

/// Moves the guided prediction's standard deviation towards the conditional one's, against overexposure (Lin et al.,
/// 2023, section 3.4). `guidance_rescale` 0 does nothing, 1 replaces it completely.
pub fn rescale_noise_cfg(guided: Tensor<4>, text: Tensor<4>, guidance_rescale: f32) -> Tensor<4> {
    let ratio = (variance(text) / variance(guided.clone())).sqrt();
    guided.clone() * ratio * guidance_rescale + guided * (1.0 - guidance_rescale)
}

/// The variance of each picture: `[n, c, h, w]` to `[n, 1, 1, 1]`.
fn variance(x: Tensor<4>) -> Tensor<4> {
    let n = x.dims()[0];
    let flat: Tensor<2> = x.flatten(1, 3);
    flat.var(1).reshape([n, 1, 1, 1])
}
