//! Where a run begins: with noise (text to image), with a picture (image to image), or with a picture and a mask
//! (inpainting). Random numbers are drawn in diffusers' order.

use burn::tensor::{Device, Tensor, TensorData};

use super::denoise::{Kept, Start};
use super::request::is_redrawn;
use super::{Family, Pipeline, Request};
use crate::picture::Picture;
use crate::schedulers::{Noise, Scheduler};
use crate::{Error, Result};

/// A start, and the additional input of an inpainting network.
pub(super) struct Beginning {
    pub start: Start,
    /// Mask and masked picture `[n, 1 + c, h, w]`.
    pub inpainting: Option<Tensor<4>>,
}

impl Pipeline {
    /// Plans the steps of `request` and returns the index of the first.
    ///
    /// Of n steps at strength s, the last floor(n s) are taken. diffusers' `LatentConsistencyModelImg2ImgPipeline`
    /// instead plans all n steps below the noise level s.
    ///
    /// # Errors
    /// [`Error::Request`] for a strength that leaves no step; the sampler's own.
    pub fn plan(&self, request: &Request, scheduler: &mut dyn Scheduler) -> Result<usize> {
        let (steps, strength) = (request.num_inference_steps, request.strength);
        if request.image.is_none() {
            scheduler.set_timesteps(steps)?;
            return Ok(0);
        }
        let consistency = self.components.family == Family::LatentConsistency && request.mask.is_none();
        let within = consistency && scheduler.set_strength(strength);
        scheduler.set_timesteps(steps)?;
        if within {
            return Ok(0);
        }
        let taken = ((steps as f64 * strength) as usize).min(steps);
        let first = (steps - taken) * scheduler.order();
        match taken > 0 && first < scheduler.timesteps().len() {
            true => Ok(first),
            false => {
                let reason =
                    format!("strength = {strength} leaves none of {steps} steps: raise the strength or the steps");
                Err(Error::Request(reason))
            }
        }
    }

    /// The first sample of `requests`, which share all settings of `request`, at step `index`.
    pub(super) fn begin(
        &self,
        requests: &[Request],
        request: &Request,
        scheduler: &dyn Scheduler,
        index: usize,
        noise: &mut Noise<'_>,
    ) -> Result<Beginning> {
        let f = self.components.vae.scale();
        let n = requests.len() * request.num_images_per_prompt;
        let shape = [n, self.components.vae.latent_channels(), request.height / f, request.width / f];
        let reads_masks = self.reads_masks();
        let (image, mask) = match (&request.image, &request.mask) {
            (None, _) if reads_masks => {
                return Err(Error::Request("this model is for inpainting: it needs an image and a mask".into()));
            }
            (Some(_), None) if reads_masks => {
                return Err(Error::Request("this model is for inpainting: it needs a mask beside the image".into()));
            }
            (None, _) => {
                let latents = noise(shape) * scheduler.init_noise_sigma();
                return Ok(Beginning { start: Start { latents, index, end: None, kept: None }, inpainting: None });
            }
            (Some(image), mask) => (image.to_tensor(self.components.vae.channels()[0], &self.device), mask),
        };
        // Only noise, so that nothing of the picture shows through where it is redrawn.
        let whole = mask.is_some() && request.strength >= 1.0;
        let original = match whole && reads_masks {
            true => None,
            false => Some(self.draw_latents(image.clone(), requests, noise)),
        };
        let unit = noise(shape);
        let latents = match &original {
            Some(original) if !whole => scheduler.add_noise(original.clone(), unit.clone(), &[index])?,
            _ => unit.clone() * scheduler.init_noise_sigma(),
        };
        let Some(mask) = mask.as_ref().map(|mask| Mask::new(mask, f)) else {
            return Ok(Beginning { start: Start { latents, index, end: None, kept: None }, inpainting: None });
        };
        let small = mask.latents(&self.device);
        if reads_masks {
            let kept = image * (mask.pixels(&self.device).neg() + 1.0);
            let masked = self.draw_latents(kept, requests, noise);
            let inpainting = Some(Tensor::cat(vec![small.repeat_dim(0, n), masked], 1));
            return Ok(Beginning { start: Start { latents, index, end: None, kept: None }, inpainting });
        }
        if self.components.vae.is_variational() {
            // diffusers encodes the masked picture for every network. The result is not used here, but its random
            // numbers must be drawn.
            let _ = noise([requests.len(), shape[1], shape[2], shape[3]]);
        }
        let kept = original.map(|original| Kept { original, noise: unit, mask: small });
        Ok(Beginning { start: Start { latents, index, end: None, kept }, inpainting: None })
    }

    /// Whether the network reads a mask and a masked picture together with the latents.
    pub fn reads_masks(&self) -> bool {
        self.components.unet_config.in_channels != self.components.vae.latent_channels()
    }

    /// Latents of a picture, sampled from the autoencoder's distribution once for each request.
    fn draw_latents(&self, image: Tensor<4>, requests: &[Request], noise: &mut Noise<'_>) -> Tensor<4> {
        let (mean, deviation) = self.components.vae.posterior(image);
        let mean = mean.repeat_dim(0, requests.len());
        let latents = match deviation {
            Some(deviation) => {
                let unit = noise(mean.dims());
                mean + unit * deviation.repeat_dim(0, requests.len())
            }
            None => mean,
        };
        let each = requests[0].num_images_per_prompt;
        let [n, c, h, w] = latents.dims();
        latents.reshape([n, 1, c, h, w]).repeat_dim(1, each).reshape([n * each, c, h, w])
    }
}

/// 1 where a picture is redrawn, 0 where it is kept.
struct Mask {
    width: usize,
    height: usize,
    scale: usize,
    values: Vec<f32>,
}

impl Mask {
    /// From a picture's lightness, cut at one half.
    fn new(picture: &Picture, scale: usize) -> Self {
        let values = picture.luminance().map(|light| if is_redrawn(light) { 1.0 } else { 0.0 }).collect();
        Self { width: picture.width, height: picture.height, scale, values }
    }

    /// `[1, 1, height, width]`.
    fn pixels(&self, device: &Device) -> Tensor<4> {
        Tensor::from_data(TensorData::new(self.values.clone(), [1, 1, self.height, self.width]), device)
    }

    /// `[1, 1, h, w]`: for each latent the pixel in its upper left corner, as torch's nearest neighbour interpolation
    /// takes it.
    fn latents(&self, device: &Device) -> Tensor<4> {
        let (h, w) = (self.height / self.scale, self.width / self.scale);
        let at = |y: usize, x: usize| self.values[y * self.scale * self.width + x * self.scale];
        let values: Vec<f32> = (0..h).flat_map(|y| (0..w).map(move |x| at(y, x))).collect();
        Tensor::from_data(TensorData::new(values, [1, 1, h, w]), device)
    }
}
