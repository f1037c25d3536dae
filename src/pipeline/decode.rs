//! Between pictures and latents: the model's autoencoder, whole or in tiles, and its second decoder, which draws larger
//! pictures.

use burn::tensor::Tensor;

use super::{LatentToRgb, MAX_SIZE, Pipeline, Request};
use crate::models::{Tiling, Vae};
use crate::{Error, Result};

impl Pipeline {
    /// Encodes pictures `[n, c, height, width]` in [-1, 1], with c as in [`Self::channels`], to the latents that
    /// [`Self::decode`] takes.
    pub fn encode(&self, pictures: Tensor<4>) -> Tensor<4> {
        self.components.vae.encode(pictures)
    }

    /// Decodes latents to a picture: whole, or in tiles if [`Self::enable_vae_tiling`] asks for them or a buffer of the
    /// device is too small.
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        self.decode_by(&self.components.vae, latents)
    }

    /// As [`Self::decode`], with the large decoder; the picture is [`Self::large`] times as large.
    ///
    /// # Errors
    /// [`Error::Request`] if the model has none.
    pub fn decode_large(&self, latents: Tensor<4>) -> Result<Tensor<4>> {
        let vae = self.components.vae_large.as_ref().ok_or_else(no_large_decoder)?;
        Ok(self.decode_by(vae, latents))
    }

    fn decode_by(&self, vae: &Vae, latents: Tensor<4>) -> Tensor<4> {
        match &self.vae_tiling {
            Some(Tiling { tile_sample_min_size, tile_overlap_factor, .. }) => {
                let tiling = Tiling::new(*tile_sample_min_size, vae.scale());
                vae.decode_tiled(latents, &Tiling { tile_overlap_factor: *tile_overlap_factor, ..tiling })
            }
            None => vae.decode(latents),
        }
    }

    /// How many times larger the pictures of the model's large decoder are.
    ///
    /// # Errors
    /// [`Error::Request`] if the model has none.
    pub fn large(&self) -> Result<usize> {
        let large = self.components.vae_large.as_ref().ok_or_else(no_large_decoder)?;
        Ok(large.scale() / self.components.vae.scale())
    }

    /// Channels of the pictures: 3, or 4 with alpha, in which case the colours are multiplied by alpha.
    pub fn channels(&self) -> usize {
        self.components.vae.channels()[0]
    }

    /// The map for cheap previews that was published for this model's autoencoder, if there is one.
    pub fn published_preview(&self) -> Option<LatentToRgb> {
        LatentToRgb::published(&self.components.vae)
    }

    /// Decodes pictures larger than `tile_sample_min_size` pixels in tiles of that size (`None`: the size that the autoencoder
    /// was trained for), which takes less memory: diffusers' method of that name.
    pub fn enable_vae_tiling(&mut self, tile_sample_min_size: Option<usize>) {
        let own = self.components.vae.tiling();
        self.vae_tiling = Some(match tile_sample_min_size {
            Some(size) => Tiling {
                tile_overlap_factor: own.tile_overlap_factor,
                ..Tiling::new(size, self.components.vae.scale())
            },
            None => own,
        });
    }

    /// Decodes whole pictures again, if the device allows it.
    pub fn disable_vae_tiling(&mut self) {
        self.vae_tiling = None;
    }

    /// Checks this before anything is drawn.
    pub(super) fn check_large(&self, request: &Request) -> Result<()> {
        if !request.large {
            return Ok(());
        }
        let times = self.large()?;
        for (name, size) in [("width", request.width), ("height", request.height)] {
            if size * times > MAX_SIZE {
                let reason = format!("{name} = {size}: the large decoder draws {times} times that, at most {MAX_SIZE}");
                return Err(Error::Request(reason));
            }
        }
        Ok(())
    }
}

fn no_large_decoder() -> Error {
    Error::Request("this model has no large decoder: its model_index.json lists no vae_large".into())
}
