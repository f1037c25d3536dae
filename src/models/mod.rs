//! The networks, configured by the `config.json` files of the diffusers layout.

mod autoencoder_kl;
mod autoencoder_tiny;
mod clip;
mod config;
mod controlnet;
mod tiling;
mod unet;
mod vae;

pub use autoencoder_kl::{AutoencoderKl, AutoencoderKlConfig};
pub use autoencoder_tiny::{AutoencoderTiny, AutoencoderTinyConfig, Layer as AutoencoderTinyLayer};
pub use clip::{ClipTextConfig, ClipTextModel, ClipTextOutput};
pub use config::{PerBlock, parse};
pub use controlnet::{ConditioningEmbedding, ControlNetConfig, ControlNetModel};
pub use tiling::Tiling;
pub use unet::{
    AddedConditions, Depths, MID_CROSS, MID_PLAIN, Residuals, UNet2DConditionConfig, UNet2DConditionModel,
    guidance_scale_embedding,
};
pub use vae::Vae;
