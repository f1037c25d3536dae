//! Reads `model_index.json`: the family of a model, and the inputs of a distilled one.

use serde_json::Value;

use crate::models::parse;
use crate::weights::{Files, Part};
use crate::{Error, Result};

pub(super) const INDEX: &str = "model_index.json";

/// The key of `model_index.json` for models whose text encoder reads prompt and negative prompt together.
pub const NEGATIVE_IN_CONTEXT: &str = "negative_prompt_in_context";

/// The key of `model_index.json` with the smallest and the greatest guidance scale that a distilled model learned.
pub const GUIDANCE_SCALE_RANGE: &str = "guidance_scale_range";

/// The key of `model_index.json` for a second autoencoder, `["diffusers", "AutoencoderTiny"]`, whose decoder draws the
/// same latents larger. diffusers' pipelines ignore it; `AutoencoderTiny.from_pretrained(…, subfolder="vae_large")`
/// opens it.
pub const VAE_LARGE: &str = "vae_large";

/// The model families, by `_class_name` of `model_index.json`. Their pipelines differ in a few points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `StableDiffusionPipeline`: versions 1 and 2, Turbo.
    StableDiffusion,
    /// `LatentConsistencyModelPipeline`: image to image plans its steps differently.
    LatentConsistency,
    /// `StableDiffusionXLPipeline`: two text encoders, and picture sizes as conditioning.
    StableDiffusionXl {
        /// Whether an empty negative prompt becomes zeros.
        force_zeros_for_empty_prompt: bool,
    },
}

impl Family {
    /// Reads a model's `model_index.json`.
    ///
    /// # Errors
    /// Those of [`super::Pipeline::load`] for that file.
    pub fn read(files: &impl Files) -> Result<Self> {
        Ok(Index::read(files)?.family)
    }

    /// The family's text encoders, in order.
    pub fn encoders(self) -> &'static [Part] {
        match self {
            Self::StableDiffusionXl { .. } => &[Part::TextEncoder, Part::TextEncoder2],
            _ => &[Part::TextEncoder],
        }
    }
}

/// The content of `model_index.json`.
pub(super) struct Index {
    pub family: Family,
    pub negative_prompt_in_context: bool,
    pub guidance_scale_range: Option<[f32; 2]>,
    /// Whether there is a large decoder.
    pub vae_large: bool,
}

impl Index {
    pub fn read(files: &impl Files) -> Result<Self> {
        let index: Value = parse(INDEX, &files.read(INDEX)?)?;
        let flag = |key: &str, default: bool| match &index[key] {
            Value::Null => Ok(default),
            Value::Bool(value) => Ok(*value),
            other => {
                let reason = format!("{key} = {other}: must be true or false");
                Err(Error::Config { file: INDEX.into(), reason })
            }
        };
        let family = match index["_class_name"].as_str() {
            Some("StableDiffusionPipeline" | "StableDiffusionInpaintPipeline") => Family::StableDiffusion,
            Some("LatentConsistencyModelPipeline") => Family::LatentConsistency,
            Some("StableDiffusionXLPipeline" | "StableDiffusionXLInpaintPipeline") => {
                Family::StableDiffusionXl { force_zeros_for_empty_prompt: flag("force_zeros_for_empty_prompt", true)? }
            }
            Some(other) => return Err(Error::Unsupported(format!("{}: pipelines of class {other}", files.place()))),
            None => {
                let reason = format!("{INDEX} has no _class_name");
                return Err(Error::NotAModel { place: files.place(), reason });
            }
        };
        let negative_prompt_in_context = flag(NEGATIVE_IN_CONTEXT, false)?;
        if negative_prompt_in_context && matches!(family, Family::StableDiffusionXl { .. }) {
            let reason = format!("{NEGATIVE_IN_CONTEXT} is not supported for Stable Diffusion XL");
            return Err(Error::Config { file: INDEX.into(), reason });
        }
        let guidance_scale_range = match &index[GUIDANCE_SCALE_RANGE] {
            Value::Null => None,
            range => match serde_json::from_value::<[f32; 2]>(range.clone()) {
                Ok([least, largest]) if least <= largest => Some([least, largest]),
                _ => {
                    let reason = format!("{GUIDANCE_SCALE_RANGE} = {range}: must be two numbers, the least first");
                    return Err(Error::Config { file: INDEX.into(), reason });
                }
            },
        };
        let vae_large = match &index[VAE_LARGE] {
            Value::Null => false,
            Value::Array(class) => class.iter().any(|part| !part.is_null()),
            other => {
                let reason = format!("{VAE_LARGE} = {other}: must be a library and a class");
                return Err(Error::Config { file: INDEX.into(), reason });
            }
        };
        Ok(Self { family, negative_prompt_in_context, guidance_scale_range, vae_large })
    }
}
