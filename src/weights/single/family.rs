//! Which model a single file holds, from its keys, shapes and markers, as diffusers' `from_single_file` tells it.

use serde_json::Value;

use super::layout::Layout;
use super::original::Original;
use crate::weights::files::Files;
use crate::{Error, Result};

/// The generations of Stable Diffusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Generation {
    /// CLIP's text encoder.
    One,
    /// OpenCLIP's.
    Two,
    /// Both.
    Xl,
}

/// What the network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// The velocity.
    Velocity,
}

impl Prediction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Epsilon, Self::Velocity];

    /// As diffusers' `prediction_type` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::Velocity => "v_prediction",
        }
    }

    /// The one of that [`Self::name`].
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Epsilon => "the noise (epsilon)",
            Self::Velocity => "the velocity (v)",
        }
    }
}

/// What kind of model it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub generation: Generation,
    pub prediction: Prediction,
    /// Whether a marker says what is predicted.
    pub marked: bool,
    /// Trained to the end of the noise: betas rescaled to a signal of zero.
    pub zero_snr: bool,
    /// The guidance scale is an input: latent consistency.
    pub guided: bool,
    /// Mask and masked picture are inputs.
    pub inpainting: bool,
}

/// The largest deviation of a norm's bias in a network that predicts the noise (ComfyUI's way to tell the networks of generation two
/// apart, which their keys do not).
const EPSILON_BIAS: f32 = 0.09;
/// The step at which Stable Diffusion 2's base ended its training, which its file notes.
const BASE_STEP: f32 = 875_000.0;

impl Family {
    /// Of `file`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for relatives that are not built; those of reading.
    pub fn of(files: &dyn Files, file: &str, original: &Original, layout: &Layout) -> Result<Self> {
        let unet = |key: &str| original.shape(&format!("{}{key}", layout.unet_prefix));
        let refuse = |what: &str| Err(Error::Unsupported(format!("{file}: {what}")));
        if original.has("edm_mean") || original.has("edm_vpred.") {
            return refuse("Playground v2.5 and other models with EDM's noise levels");
        }
        let width = |key| unet(key).and_then(|shape| shape.last()).copied();
        // Six numbers' embeddings of 256 and the pooled text of 1280; the refiner has five, and one text encoder.
        let added = width("label_emb.0.0.weight");
        let refiner = "conditioner.embedders.0.model.";
        if added.is_some() && (original.has(refiner) || added == Some(2560)) {
            return refuse("Stable Diffusion XL's refiner");
        }
        let open_clip = original.has("cond_stage_model.model.");
        let context = context_width(original, layout);
        let generation = match (added, open_clip || context == Some(1024)) {
            (Some(_), true) => return refuse("Stable Diffusion 2 with pictures as prompts (unCLIP)"),
            (Some(_), false) => Generation::Xl,
            (None, true) => Generation::Two,
            (None, false) => Generation::One,
        };
        let inputs = unet("input_blocks.0.0.weight").and_then(|shape| shape.get(1)).copied();
        match inputs {
            Some(4 | 9) => {}
            Some(5) => return refuse("a model with depth as its fifth input channel"),
            Some(8) => return refuse("InstructPix2Pix, with a picture as its last four input channels"),
            other => return refuse(&format!("a UNet with {} input channels", other.unwrap_or(0))),
        }
        let inpainting = inputs == Some(9);
        let mut this = Self {
            generation,
            prediction: Prediction::Epsilon,
            marked: false,
            zero_snr: original.has("ztsnr"),
            guided: ["time_embed.cond_proj.weight", "time_embedding.cond_proj.weight"]
                .into_iter()
                .any(|key| unet(key).is_some()),
            inpainting,
        };
        let marker = marker(original);
        this.marked = marker.is_some();
        this.prediction = match marker {
            Some(prediction) => prediction,
            None => this.guessed(files, file, original, layout)?,
        };
        Ok(this)
    }

    /// What an unmarked network predicts: in generation two by the step of its training, else by the weights.
    fn guessed(&self, files: &dyn Files, file: &str, original: &Original, layout: &Layout) -> Result<Prediction> {
        if self.generation != Generation::Two || self.inpainting {
            return Ok(Prediction::Epsilon);
        }
        let step = original.numbers(files, file, "global_step")?;
        if step.and_then(|step| step.first().copied()) == Some(BASE_STEP) {
            return Ok(Prediction::Epsilon);
        }
        let bias = format!("{}output_blocks.11.1.transformer_blocks.0.norm1.bias", layout.unet_prefix);
        match original.numbers(files, file, &bias)? {
            Some(bias) if deviation(&bias) <= EPSILON_BIAS => Ok(Prediction::Epsilon),
            _ => Ok(Prediction::Velocity),
        }
    }

    /// With what a sampler's configuration says of the prediction.
    pub fn predicting(self, kind: Option<&Value>) -> Self {
        match kind.and_then(Value::as_str) {
            Some("v_prediction") => Self { prediction: Prediction::Velocity, ..self },
            Some("epsilon") => Self { prediction: Prediction::Epsilon, ..self },
            _ => self,
        }
    }

    /// In words.
    pub fn words(&self) -> String {
        let zero = if self.zero_snr { ", noise to the end (zero terminal SNR)" } else { "" };
        format!("{}, predicts {}{zero}", self.kind(), self.prediction.words())
    }

    /// The model in words.
    pub fn kind(&self) -> String {
        let name = match (self.generation, self.guided) {
            (Generation::One, false) => "Stable Diffusion 1.x",
            (Generation::Two, false) => "Stable Diffusion 2.x",
            (Generation::Xl, false) => "Stable Diffusion XL",
            (Generation::Xl, true) => "a latent consistency model of Stable Diffusion XL",
            (_, true) => "a latent consistency model of Stable Diffusion",
        };
        let inpainting = if self.inpainting { " for inpainting" } else { "" };
        format!("{name}{inpainting}")
    }
}

/// Features of a token that the UNet reads.
pub(super) fn context_width(original: &Original, layout: &Layout) -> Option<usize> {
    let keys = original.tensors.range(layout.unet_prefix.to_string()..);
    let mut of_unet = keys.take_while(|(key, _)| key.starts_with(layout.unet_prefix));
    of_unet.find(|(key, _)| key.ends_with(".attn2.to_k.weight")).and_then(|(_, tensor)| tensor.shape.last().copied())
}

/// What the file says that its network predicts.
fn marker(original: &Original) -> Option<Prediction> {
    let noted = original.notes.get("modelspec.prediction_type").map(|note| note.to_lowercase());
    match noted.as_deref() {
        Some("v" | "v_prediction" | "v-prediction") => Some(Prediction::Velocity),
        Some("epsilon" | "eps") => Some(Prediction::Epsilon),
        _ => original.has("v_pred").then_some(Prediction::Velocity),
    }
}

fn deviation(values: &[f32]) -> f32 {
    let count = values.len().max(1) as f32;
    let mean = values.iter().sum::<f32>() / count;
    (values.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / count).sqrt()
}
