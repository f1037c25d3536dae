//! A request: everything that determines a picture.

use std::borrow::Cow;

use burn::tensor::Tensor;
use serde::Deserialize;

use crate::nn::Nag;
use crate::picture::{Picture, WHITE};
use crate::schedulers::SchedulerConfig;
use crate::text::PromptSyntax;
use crate::{Error, Result};

/// Greatest width and height of a request, in pixels.
pub const MAX_SIZE: usize = 2048;

/// Whether the picture is redrawn where its mask has this lightness; masks are cut at one half, as in diffusers.
pub(super) fn is_redrawn(lightness: u8) -> bool {
    lightness >= 128
}

/// A picture to draw; the fields have diffusers' names.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The prompt; may be empty.
    pub prompt: String,
    /// The negative prompt; may be empty.
    pub negative_prompt: String,
    /// Seed of all random numbers.
    pub seed: u64,
    /// From 1 to the number of training timesteps.
    pub num_inference_steps: usize,
    /// No guidance at 1 and below.
    pub guidance_scale: f32,
    /// 0 to 1; see `rescale_noise_cfg`.
    pub guidance_rescale: f32,
    /// Guidance by the negative prompt inside the cross-attention, for models that draw without classifier-free
    /// guidance: [`Nag::scale`]; none at 1 and below.
    pub nag_scale: f32,
    /// [`Nag::tau`], above 0.
    pub nag_tau: f32,
    /// [`Nag::alpha`], 0 to 1.
    pub nag_alpha: f32,
    /// Width in pixels, a multiple of the autoencoder's scale.
    pub width: usize,
    /// Height in pixels, a multiple of the autoencoder's scale.
    pub height: usize,
    /// Whether the model's large decoder draws the latents, [`super::Pipeline::large`] times as large as `width` and
    /// `height`.
    pub large: bool,
    /// Pictures drawn together.
    pub num_images_per_prompt: usize,
    /// How many of the text encoder's last layers to skip.
    pub clip_skip: Option<usize>,
    /// Noise that DDIM adds in each step, 0 (none) to 1 (as much as DDPM).
    pub eta: f64,
    /// A sampler instead of the model's own.
    pub scheduler: Option<SchedulerConfig>,
    /// A start picture of `width` x `height`, for image to image. A model without alpha sees transparent pictures on
    /// white.
    pub image: Option<Picture>,
    /// How much of `image` is redrawn: 0 (nothing) to 1 (everything). It is the share of the steps that are taken.
    pub strength: f64,
    /// A mask of the same size for inpainting: light where `image` is redrawn, dark where it is kept.
    pub mask: Option<Picture>,
    /// How the prompts are read.
    pub prompt_syntax: PromptSyntax,
    /// The text of Stable Diffusion XL's second text encoder, instead of `prompt`. Other families have none.
    pub prompt_2: Option<String>,
    /// The negative text of Stable Diffusion XL's second text encoder, instead of `negative_prompt`.
    pub negative_prompt_2: Option<String>,
    /// Sizes as conditioning of Stable Diffusion XL.
    pub micro_conditioning: MicroConditioning,
    /// What each loaded ControlNet reads, in the order of loading.
    pub controls: Vec<Control>,
}

/// What one ControlNet of a request reads; the fields have diffusers' names.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// As large as the picture that is drawn. Transparent parts are white.
    pub image: Picture,
    /// How strongly the drawing follows it; 0 is not at all.
    pub controlnet_conditioning_scale: f32,
    /// The share of the steps after which it begins, 0 to 1.
    pub control_guidance_start: f64,
    /// The share of the steps after which it ends.
    pub control_guidance_end: f64,
}

impl Control {
    /// The picture at full strength, in all steps.
    pub fn new(image: Picture) -> Self {
        Self { image, controlnet_conditioning_scale: 1.0, control_guidance_start: 0.0, control_guidance_end: 1.0 }
    }

    /// Refuses what cannot be followed in `request`.
    pub(super) fn check(&self, request: &Request) -> Result<()> {
        let refuse = |reason: String| Err(Error::Request(reason));
        let (has, wants) = ((self.image.width, self.image.height), (request.width, request.height));
        if has != wants {
            let sizes = format!("{} x {} pixels, the picture asked for {} x {}", has.0, has.1, wants.0, wants.1);
            return refuse(format!("the control image has {sizes}: they must agree"));
        }
        let scale = self.controlnet_conditioning_scale;
        if !(0.0..=10.0).contains(&scale) {
            return refuse(format!("controlnet scale = {scale}: use 0 to 10"));
        }
        let (start, end) = (self.control_guidance_start, self.control_guidance_end);
        if !(0.0..=1.0).contains(&start) || !(0.0..=1.0).contains(&end) || start >= end {
            return refuse(format!(
                "control start = {start}, control end = {end}: use 0 to 1, and an end after the start"
            ));
        }
        Ok(())
    }
}

/// Stable Diffusion XL's conditioning on the picture's sizes (Podell et al., 2023, section 2.2); heights first.
///
/// The negative sizes condition the negative half of guidance, so that the picture moves away from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MicroConditioning {
    /// Height and width before scaling [default: the picture's].
    pub original_size: Option<[usize; 2]>,
    /// Rows and columns cut off at the top and at the left.
    pub crops_coords_top_left: [usize; 2],
    /// Height and width of the wanted picture [default: the picture's].
    pub target_size: Option<[usize; 2]>,
    /// As `original_size`, for the negative half [default: as the other half].
    pub negative_original_size: Option<[usize; 2]>,
    /// As `crops_coords_top_left`, for the negative half.
    pub negative_crops_coords_top_left: [usize; 2],
    /// As `target_size`, for the negative half [default: as the other half].
    pub negative_target_size: Option<[usize; 2]>,
}

impl MicroConditioning {
    /// The six numbers of the network's input for a picture of `size`, height first.
    pub fn time_ids(&self, size: [usize; 2]) -> [f32; 6] {
        let (original, target) = (self.original_size.unwrap_or(size), self.target_size.unwrap_or(size));
        six(original, self.crops_coords_top_left, target)
    }

    /// The same for the negative half of guidance, as in diffusers. Text to image uses the negative sizes and crop only
    /// if both sizes are given. A run that begins `from_picture` fills in a missing size, and uses the other half's
    /// crop.
    pub fn negative_time_ids(&self, size: [usize; 2], from_picture: bool) -> [f32; 6] {
        match (self.negative_original_size, self.negative_target_size) {
            (original, target) if from_picture => {
                let original = original.or(self.original_size).unwrap_or(size);
                let target = target.or(self.target_size).unwrap_or(size);
                six(original, self.crops_coords_top_left, target)
            }
            (Some(original), Some(target)) => six(original, self.negative_crops_coords_top_left, target),
            _ => self.time_ids(size),
        }
    }

    /// The negative settings that [`Self::negative_time_ids`] does not use, if any.
    pub(super) fn unread(&self, from_picture: bool) -> Option<&'static str> {
        let sizes = [self.negative_original_size, self.negative_target_size].map(|size| size.is_some());
        let crop = self.negative_crops_coords_top_left != [0, 0];
        match (from_picture, sizes, crop) {
            (true, _, true) => Some("the negative crop is not read when a picture is given, as in diffusers"),
            (false, [true, false] | [false, true], _) | (false, [false, false], true) => {
                Some("negative sizes are read when the original and the target size are both given, as in diffusers")
            }
            _ => None,
        }
    }
}

fn six(original: [usize; 2], crop: [usize; 2], target: [usize; 2]) -> [f32; 6] {
    let [[height, width], [top, left], [target_height, target_width]] = [original, crop, target];
    [height, width, top, left, target_height, target_width].map(|number| number as f32)
}

impl Request {
    /// The settings that all requests of a batch share: those of the first.
    ///
    /// # Errors
    /// [`Error::Request`] if there are none, or if they differ in more than prompts and seed.
    pub fn common(batch: &[Self]) -> Result<&Self> {
        let Some((first, others)) = batch.split_first() else {
            return Err(Error::Request("no prompt to draw".into()));
        };
        let like_first = |other: &Self| Self {
            prompt: first.prompt.clone(),
            negative_prompt: first.negative_prompt.clone(),
            prompt_2: first.prompt_2.clone(),
            negative_prompt_2: first.negative_prompt_2.clone(),
            seed: first.seed,
            ..other.clone()
        };
        match others.iter().all(|other| like_first(other) == *first) {
            true => Ok(first),
            false => Err(Error::Request("the prompts of one batch need the same settings".into())),
        }
    }

    /// The pictures of a decoder's output. If a mask keeps a part of the start picture, that part is restored exactly,
    /// as in A1111, because the autoencoder would soften it a little more each time. A large picture has no such pixels
    /// and stays as it was decoded.
    ///
    /// # Errors
    /// Those of [`Picture::from_tensor`].
    pub async fn finished(&self, decoded: Tensor<4>) -> Result<Vec<Picture>> {
        let [_, channels, ..] = decoded.dims();
        let mut pictures = Picture::from_tensor(decoded).await?;
        let (Some(image), Some(mask), false) = (&self.image, &self.mask, self.large) else { return Ok(pictures) };
        let original = if channels == 3 { image.over(WHITE) } else { Cow::Borrowed(image) };
        for picture in &mut pictures {
            let pixels = picture.pixels().zip(original.pixels()).zip(mask.luminance());
            let chosen = pixels.flat_map(|((drawn, kept), light)| if is_redrawn(light) { drawn } else { kept });
            *picture = Picture::from_rgba(picture.width, picture.height, &chosen.collect::<Vec<u8>>())?;
        }
        Ok(pictures)
    }

    /// The settings of normalized attention guidance, if it is asked for.
    pub fn nag(&self) -> Option<Nag> {
        (self.nag_scale > 1.0).then_some(Nag { scale: self.nag_scale, tau: self.nag_tau, alpha: self.nag_alpha })
    }

    /// Refuses requests that cannot be drawn. `scale` is the number of pixels for each latent along one side.
    ///
    /// # Errors
    /// [`Error::Request`] that names the setting, its value and the range.
    pub fn check(&self, scale: usize) -> Result<()> {
        let refuse = |reason: String| Err(Error::Request(reason));
        if self.num_inference_steps == 0 {
            return refuse("steps = 0: at least one step is needed to draw anything".into());
        }
        for (name, size) in [("width", self.width), ("height", self.height)] {
            if size == 0 || size > MAX_SIZE || !size.is_multiple_of(scale) {
                return refuse(format!("{name} = {size}: use a multiple of {scale} up to {MAX_SIZE}"));
            }
        }
        if !self.guidance_scale.is_finite() || self.guidance_scale < 0.0 || self.guidance_scale > 50.0 {
            return refuse(format!("guidance = {}: use 0 to 50", self.guidance_scale));
        }
        if !(0.0..=1.0).contains(&self.guidance_rescale) {
            return refuse(format!("guidance rescale = {}: use 0 to 1", self.guidance_rescale));
        }
        if !self.nag_scale.is_finite() || self.nag_scale < 0.0 || self.nag_scale > 50.0 {
            return refuse(format!("NAG scale = {}: use 0 to 50", self.nag_scale));
        }
        if !(self.nag_tau > 0.0 && self.nag_tau <= 50.0) {
            return refuse(format!("NAG tau = {}: use more than 0, up to 50", self.nag_tau));
        }
        if !(0.0..=1.0).contains(&self.nag_alpha) {
            return refuse(format!("NAG alpha = {}: use 0 to 1", self.nag_alpha));
        }
        if !(0.0..=1.0).contains(&self.eta) {
            return refuse(format!("eta = {}: use 0 to 1", self.eta));
        }
        if !(0.0..=1.0).contains(&self.strength) {
            return refuse(format!("strength = {}: use 0 to 1", self.strength));
        }
        if self.mask.is_some() && self.image.is_none() {
            return refuse(
                "a mask without an image: give the image that is to be redrawn where the mask is light".into(),
            );
        }
        for (name, picture) in [("image", &self.image), ("mask", &self.mask)] {
            let Some(picture) = picture else { continue };
            if (picture.width, picture.height) != (self.width, self.height) {
                let (has, wants) = ((picture.width, picture.height), (self.width, self.height));
                let sizes = format!("{} x {} pixels, the picture asked for {} x {}", has.0, has.1, wants.0, wants.1);
                return refuse(format!("the {name} has {sizes}: they must agree"));
            }
        }
        match self.num_images_per_prompt {
            1..=64 => Ok(()),
            n => refuse(format!("{n} pictures at once: use 1 to 64")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers by `_get_add_time_ids` of diffusers' three pipelines; whole runs are in the golden sets.
    #[test]
    fn negative_sizes_follow_diffusers() {
        let sizes = MicroConditioning { crops_coords_top_left: [4, 2], ..MicroConditioning::default() };
        let own = [64.0, 96.0, 4.0, 2.0, 64.0, 96.0];
        assert_eq!(sizes.time_ids([64, 96]), own);
        assert_eq!([false, true].map(|picture| sizes.negative_time_ids([64, 96], picture)), [own, own]);
        assert_eq!([false, true].map(|picture| sizes.unread(picture)), [None, None]);

        let half = MicroConditioning { negative_original_size: Some([20, 28]), ..sizes };
        assert_eq!(half.negative_time_ids([64, 96], false), own);
        assert_eq!(half.negative_time_ids([64, 96], true), [20.0, 28.0, 4.0, 2.0, 64.0, 96.0]);
        assert!(half.unread(false).is_some() && half.unread(true).is_none());

        let crop = [6, 1];
        let whole =
            MicroConditioning { negative_crops_coords_top_left: crop, negative_target_size: Some([72, 48]), ..half };
        assert_eq!(whole.negative_time_ids([64, 96], false), [20.0, 28.0, 6.0, 1.0, 72.0, 48.0]);
        assert_eq!(whole.negative_time_ids([64, 96], true), [20.0, 28.0, 4.0, 2.0, 72.0, 48.0]);
        assert!(whole.unread(false).is_none() && whole.unread(true).is_some());
        assert_eq!(whole.time_ids([64, 96]), own);
    }
}
