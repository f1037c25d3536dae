//! The two networks that a diffusion run trains, as one module with one optimizer, one average and one checkpoint.

use burn::module::Module;

use crate::models::{ClipTextModel, UNet2DConditionModel};

/// The networks that are trained together.
#[derive(Module, Debug)]
pub struct DiffusionModel {
    /// From captions to features.
    pub text_encoder: ClipTextModel,
    /// From noisy latents and features to a prediction.
    pub unet: UNet2DConditionModel,
}
