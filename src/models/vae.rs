//! Either autoencoder behind one face, speaking latents as the UNet sees them.

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
    /// Scaled latents.
    Kl(AutoencoderKl, AutoencoderKlConfig),
    /// Latents as they are.
    Tiny(AutoencoderTiny, AutoencoderTinyConfig),
}

impl Vae {
    /// Builds and fills the autoencoder that `config` (the bytes of `file`) describes.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for another class or unknown settings; the loader's for the weights.
    pub fn load(file: &str, config: &[u8], checkpoint: Checkpoint, device: &Device) -> Result<Self> {
        let value: Value = parse(file, config)?;
        let checkpoint = &checkpoint.with_quantization(Quantization::parse(file, config)?);
        match value["_class_name"].as_str() {
            Some("AutoencoderKL") => {
                let config: AutoencoderKlConfig = parse(file, config)?;
                Ok(Self::Kl(weights::load(AutoencoderKl::new(&config, file, device)?, checkpoint)?, config))
            }
            Some("AutoencoderTiny") => {
                let config: AutoencoderTinyConfig = parse(file, config)?;
                Ok(Self::Tiny(weights::load(AutoencoderTiny::new(&config, file, device)?, checkpoint)?, config))
            }
            other => Err(invalid(file, format!("_class_name = {other:?}, expected AutoencoderKL or AutoencoderTiny"))),
        }
    }

    /// Pixels a latent stands for, along one side.
    pub fn scale(&self) -> usize {
        let levels = match self {
            Self::Kl(_, config) => config.block_out_channels.len(),
            Self::Tiny(_, config) => config.decoder_block_out_channels.len(),
        };
        1 << (levels - 1)
    }

    /// Channels of the latents.
    pub fn latent_channels(&self) -> usize {
        match self {
            Self::Kl(_, config) => config.latent_channels,
            Self::Tiny(_, config) => config.latent_channels,
        }
    }

    /// What the latents are divided by before the decoder proper.
    pub fn scaling_factor(&self) -> f64 {
        match self {
            Self::Kl(_, config) => config.scaling_factor,
            Self::Tiny(_, config) => config.scaling_factor,
        }
    }

    /// Pictures `[batch, 3, h, w]` in [-1, 1], h and w multiples of [`Self::scale`], to the UNet's latents
    /// `[batch, c, h/f, w/f]`: the most likely ones (the mean) times the scaling factor.
    pub fn encode(&self, pictures: Tensor<4>) -> Tensor<4> {
        self.posterior(pictures).0
    }

    /// Mean of the UNet's latents of pictures, as [`Self::encode`] gives it, and their standard deviation where the
    /// autoencoder gives a distribution; the tiny one does not.
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

    /// Whether [`Self::posterior`] is a distribution, from which latents are drawn.
    pub fn is_variational(&self) -> bool {
        matches!(self, Self::Kl(..))
    }

    /// The UNet's latents `[batch, c, h, w]` to pictures `[batch, 3, h·f, w·f]`, about in [-1, 1], not clamped.
    ///
    /// In tiles where a whole picture's activations would not fit into one buffer of the device.
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        let [batch, _, height, width] = latents.dims();
        let fits = |height, width| self.largest_activation(batch, [height, width]) <= kernels::largest_buffer(&latents);
        if fits(height, width) {
            return self.decode_whole(latents);
        }
        let sides = std::iter::successors(Some(height.max(width) / 2), |side| Some(side / 2));
        let side = sides.take_while(|side| *side > 0).find(|side| fits(*side, *side)).unwrap_or(1);
        self.decode_tiled(latents, &Tiling::new(side * self.scale(), self.scale()))
    }

    /// As [`Self::decode`], in tiles in any case.
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

    /// Bytes of the largest tensor on the way from latents of that height and width to pictures.
    pub fn largest_activation(&self, batch: usize, [height, width]: [usize; 2]) -> u64 {
        let channels = match self {
            Self::Kl(_, config) => &config.block_out_channels,
            Self::Tiny(_, config) => &config.decoder_block_out_channels,
        };
        // A level's channels are still there when its picture has grown to the size of the level above.
        let pixels = (height * width * self.scale() * self.scale()) as u64;
        let level = |(i, channels): (usize, &usize)| *channels as u64 * pixels >> (2 * i.saturating_sub(1));
        channels.iter().enumerate().map(level).max().unwrap_or_default() * batch as u64 * 4
    }

    /// Tiles as diffusers cuts them: of the size that the autoencoder was trained for.
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
