//! Encodes pictures to latents with a run's frozen autoencoder.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::{Map, Value};

use super::config::{Latents, Training};
use super::data::{Content, LatentStore, Prefetch};
use super::export;
use crate::Result;
use crate::dataset::{Captioned, Split};
use crate::models::{AutoencoderTiny, AutoencoderTinyConfig, parse};
use crate::weights::{self, Checkpoint, DirFiles, Files};

/// A trained autoencoder and the size of its pictures.
pub struct LatentEncoder {
    /// The network, on the device without autodiff.
    pub vae: AutoencoderTiny,
    /// Its configuration.
    pub config: AutoencoderTinyConfig,
    /// The configuration as it was read.
    pub json: Map<String, Value>,
    /// Side of the pictures in pixels.
    pub size: usize,
    device: Device,
}

impl LatentEncoder {
    /// Reads a folder with `config.json` and weights.
    ///
    /// # Errors
    /// Those of reading, parsing and loading.
    pub fn read(folder: &Path, size: usize, device: &Device) -> Result<Self> {
        let files = DirFiles::new(folder);
        let bytes = files.read("config.json")?;
        let json = parse("vae/config.json", &bytes)?;
        let config: AutoencoderTinyConfig = parse("vae/config.json", &bytes)?;
        let structure = AutoencoderTiny::new(&config, "vae/config.json", device)?;
        let vae = weights::load(structure, &Checkpoint::open(&files, export::MODEL)?)?;
        Ok(Self { vae, config, json, size, device: device.clone() })
    }

    /// Channels, height and width of a picture's latents.
    pub fn shape(&self) -> [usize; 3] {
        let side = self.size >> (self.config.encoder_block_out_channels.len() - 1);
        [self.config.latent_channels, side, side]
    }

    /// Latents of pictures `[n, channels, size, size]` in [-1, 1], scaled for the UNet.
    pub fn encode(&self, planes: Vec<f32>) -> Tensor<4> {
        let channels = self.config.in_channels;
        let n = planes.len() / (channels * self.size * self.size);
        let pictures = Tensor::from_data(TensorData::new(planes, [n, channels, self.size, self.size]), &self.device);
        self.vae.encode(pictures) * self.config.scaling_factor
    }

    /// The latents of a batch, which are encoded now unless they already were.
    pub fn latents(&self, content: &Content) -> Tensor<4> {
        match content {
            Content::Pictures(planes) => self.encode(planes.clone()),
            Content::Latents(values) => {
                let [channels, height, width] = self.shape();
                let n = values.len() / (channels * height * width);
                Tensor::from_data(TensorData::new(values.clone(), [n, channels, height, width]), &self.device)
            }
        }
    }

    /// The latents of the first training pictures, for [`Latents::Precomputed`].
    ///
    /// # Errors
    /// Those of drawing and rendering.
    pub fn store(
        &self,
        latents: Latents,
        training: &Training,
        pictures: &Arc<dyn Captioned>,
        workers: usize,
    ) -> Result<Option<LatentStore>> {
        let Latents::Precomputed(count) = latents else { return Ok(None) };
        let (size, batch, seed) = (self.size, training.batch, training.seed);
        let (source, channels) = (Arc::clone(pictures), self.config.in_channels);
        let mut pictures = Prefetch::start(0, workers, move |n| {
            let mut planes = Vec::new();
            for i in (n as usize * batch)..count.min((n as usize + 1) * batch) {
                planes.extend(source.picture_at(seed, Split::Train, i as u64, size)?.planes(channels));
            }
            Ok(planes)
        })?;
        let each = self.shape().iter().product();
        let mut values = Vec::with_capacity(count * each);
        while values.len() < count * each {
            values.extend(self.encode(pictures.next_batch()?).into_data().iter::<f32>());
        }
        Ok(Some(LatentStore { values, each }))
    }
}
