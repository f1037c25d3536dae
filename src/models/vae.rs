//! A common interface to both autoencoders. Their latents are scaled as the UNet sees them.

use burn::tensor::{Device, Tensor};
use serde_json::Value;

use super::config::{invalid, parse};
use super::{AutoencoderKl, AutoencoderKlConfig, AutoencoderTiny, AutoencoderTinyConfig, Tiling};
use crate::Result;
use crate::kernels;
use crate::weights::{self, Checkpoint, Quantization};

/// `AutoencoderKL` or `AutoencoderTiny`, by the configuration's `_class_name`.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Vae {
    /// Its latents are scaled for the UNet.
    Kl(AutoencoderKl, AutoencoderKlConfig),
    /// Its latents are used as they are.
    Tiny(AutoencoderTiny, AutoencoderTinyConfig),
}

impl Vae {
    /// Builds and loads the autoencoder that `config` (the bytes of `file`) describes.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for another class or unknown settings; the loader's for the weights.
    pub fn load(file: &str, config: &[u8], checkpoint: Checkpoint, device: &Device) -> Result<Self> {
        let checkpoint = &checkpoint.with_quantization(Quantization::parse(file, config)?);
        Ok(match Self::unfilled(file, config, device)? {
            Self::Kl(module, config) => Self::Kl(weights::load(module, checkpoint)?, config),
            Self::Tiny(module, config) => Self::Tiny(weights::load(module, checkpoint)?, config),
        })
    }

    /// The autoencoder that `config` (the bytes of `file`) describes, without values, for plans.
    ///
    /// # Errors
    /// As [`Self::load`] about the configuration.
    pub fn unfilled(file: &str, config: &[u8], device: &Device) -> Result<Self> {
        let value: Value = parse(file, config)?;
        match value["_class_name"].as_str() {
            Some("AutoencoderKL") => {
                let config: AutoencoderKlConfig = parse(file, config)?;
                Ok(Self::Kl(AutoencoderKl::new(&config, file, device)?, config))
            }
            Some("AutoencoderTiny") => {
                let config: AutoencoderTinyConfig = parse(file, config)?;
                Ok(Self::Tiny(AutoencoderTiny::new(&config, file, device)?, config))
            }
            other => Err(invalid(file, format!("_class_name = {other:?}, expected AutoencoderKL or AutoencoderTiny"))),
        }
    }

    /// Number of pixels of a decoded picture for each latent, along one side.
    pub fn scale(&self) -> usize {
        match self {
            Self::Kl(_, config) => 1 << (config.block_out_channels.len() - 1),
            Self::Tiny(_, config) => {
                let steps = config.decoder_block_out_channels.len() as u32 - 1;
                config.upsampling_scaling_factor.saturating_pow(steps)
            }
        }
    }

    /// Number of pixels of an encoded picture for each latent, along one side. It differs from [`Self::scale`] if the
    /// decoder draws larger.
    pub fn encoder_scale(&self) -> usize {
        match self {
            Self::Kl(..) => self.scale(),
            Self::Tiny(_, config) => 1 << (config.encoder_block_out_channels.len() - 1),
        }
    }

    /// Channels of the pictures that are encoded and decoded: 3, or 4 with alpha.
    pub fn channels(&self) -> [usize; 2] {
        match self {
            Self::Kl(_, config) => [config.in_channels, config.out_channels],
            Self::Tiny(_, config) => [config.in_channels, config.out_channels],
        }
    }

    /// Channels of the latents.
    pub fn latent_channels(&self) -> usize {
        match self {
            Self::Kl(_, config) => config.latent_channels,
            Self::Tiny(_, config) => config.latent_channels,
        }
    }

    /// Divides the latents before decoding.
    pub fn scaling_factor(&self) -> f64 {
        match self {
            Self::Kl(_, config) => config.scaling_factor,
            Self::Tiny(_, config) => config.scaling_factor,
        }
    }

    /// Encodes pictures `[batch, 3 or 4, h, w]` in [-1, 1], with h and w multiples of [`Self::encoder_scale`], to the
    /// UNet's latents `[batch, c, h/f, w/f]`: the mean of the distribution, times the scaling factor.
    pub fn encode(&self, pictures: Tensor<4>) -> Tensor<4> {
        self.posterior(pictures).0
    }

    /// Mean of the UNet's latents of pictures, as in [`Self::encode`], and their standard deviation if the autoencoder
    /// predicts a distribution; the tiny one does not.
    pub fn posterior(&self, pictures: Tensor<4>) -> (Tensor<4>, Option<Tensor<4>>) {
        let factor = self.scaling_factor();
        match self {
            Self::Kl(vae, _) => {
                let latents = vae.encode(pictures);
                (latents.mean * factor, Some((latents.logvar * 0.5).exp() * factor))
            }
            Self::Tiny(vae, _) => (vae.encode(pictures) * factor, None),
        }
    }

    /// Whether [`Self::posterior`] returns a distribution, from which latents are drawn.
    pub fn is_variational(&self) -> bool {
        matches!(self, Self::Kl(..))
    }

    /// Decodes the UNet's latents `[batch, c, h, w]` to pictures `[batch, 3 or 4, h·f, w·f]`, about in [-1, 1], not
    /// clamped.
    ///
    /// It decodes in tiles if a whole picture's activations would not fit into one buffer of the device.
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        let [batch, _, height, width] = latents.dims();
        match self.tile(batch, [height, width], kernels::largest_buffer(&latents)) {
            None => self.decode_whole(latents),
            Some(side) => self.decode_tiled(latents, &Tiling::new(side * self.scale(), self.scale())),
        }
    }

    /// The side of a tile in latents, if decoding latents of that height and width as a whole would need buffers of
    /// more than `limit` bytes.
    pub fn tile(&self, batch: usize, [height, width]: [usize; 2], limit: u64) -> Option<usize> {
        let fits = |height, width| self.largest_activation(batch, [height, width]) <= limit;
        if fits(height, width) {
            return None;
        }
        let sides = std::iter::successors(Some(height.max(width) / 2), |side| Some(side / 2));
        Some(sides.take_while(|side| *side > 0).find(|side| fits(*side, *side)).unwrap_or(1))
    }

    /// As [`Self::decode`], but always in tiles.
    pub fn decode_tiled(&self, latents: Tensor<4>, tiling: &Tiling) -> Tensor<4> {
        tiling.decode(latents, |tile| self.decode_whole(tile))
    }

    fn decode_whole(&self, latents: Tensor<4>) -> Tensor<4> {
        let latents = latents / self.scaling_factor();
        match self {
            Self::Kl(vae, _) => vae.decode(latents),
            Self::Tiny(vae, _) => vae.decode(latents),
        }
    }

    /// Bytes of the largest tensor when latents of that height and width are decoded.
    pub fn largest_activation(&self, batch: usize, [height, width]: [usize; 2]) -> u64 {
        let channels = match self {
            Self::Kl(_, config) => &config.block_out_channels,
            Self::Tiny(_, config) => &config.decoder_block_out_channels,
        };
        // A level keeps its channels while its picture grows to the size of the level above.
        let pixels = (height * width * self.scale() * self.scale()) as u64;
        let level = |(i, channels): (usize, &usize)| (*channels as u64 * pixels) >> (2 * i.saturating_sub(1));
        channels.iter().enumerate().map(level).max().unwrap_or_default() * batch as u64 * 4
    }

    /// Tiles as in diffusers, of the size that the autoencoder was trained for.
    pub fn tiling(&self) -> Tiling {
        match self {
            Self::Kl(_, config) => {
                let side = config.rest.get("sample_size").and_then(Value::as_u64).unwrap_or(512);
                Tiling::new(side as usize, self.scale())
            }
            Self::Tiny(..) => Tiling { tile_overlap_factor: 0.125, ..Tiling::new(512, self.scale()) },
        }
    }
}
