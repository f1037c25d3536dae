//! From a request to a picture: the denoising loop, and everything before and after it.

mod control;
mod decode;
mod denoise;
mod encode;
mod guidance;
mod index;
mod infotext;
mod load;
mod manifest;
mod opened;
mod plan;
mod preview;
mod request;
mod settings;
mod start;
mod walk;

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor};

pub use denoise::{Denoiser, Kept, Place, Prediction, Start, StepEvent, denoise};
pub use encode::{EncodedPrompt, TextEncoder};
pub use guidance::{Guidance, rescale_noise_cfg};
pub use index::{Family, GUIDANCE_SCALE_RANGE, NEGATIVE_IN_CONTEXT, VAE_LARGE};
pub use infotext::{EDIT_FROM, EDIT_METHOD, Restored};
#[cfg(feature = "native")]
pub(crate) use load::small_files;
pub use load::{Components, LoadOptions};
pub use manifest::{Defaults, FileEntry, MANIFEST, Manifest, Needs, Offers};
pub use opened::{AttentionMap, PromptToken};
pub use plan::{Buffer, ComponentPlan, Phase, Plan, PlanOptions, WEBGPU_BUFFER};
pub use preview::LatentToRgb;
pub use request::{Control, MAX_SIZE, MicroConditioning, Request};
pub use settings::{Settings, parse_seed, parse_steps, seed_of};
pub use walk::slerp;

use start::Beginning;

use crate::Result;
use crate::models::{AddedConditions, Tiling, guidance_scale_embedding};
use crate::picture::Picture;
use crate::random::{Generator, Mt19937};
use crate::schedulers::{self, Noise, SchedulerConfig, StepOptions};
use crate::text::PromptSyntax;

/// A text-to-image model on a device: diffusers' `StableDiffusionPipeline`, `StableDiffusionXLPipeline` and
/// `LatentConsistencyModelPipeline`, with their image-to-image and inpainting variants.
pub struct Pipeline {
    components: Components,
    controlnets: Vec<control::ControlNet>,
    vae_tiling: Option<Tiling>,
    device: Device,
}

/// The result of a run.
pub struct Output {
    /// The last latents `[n, c, h, w]`.
    pub latents: Tensor<4>,
    /// The decoder's output `[n, 3 or 4, height, width]`, about in [-1, 1], not clamped; see [`Picture::from_planes`].
    pub decoded: Tensor<4>,
    /// Warnings for the user, for example about a truncated prompt.
    pub warnings: Vec<String>,
}

impl Pipeline {
    /// A request for `prompt` with the settings that suit the model, and seed 0.
    pub fn request(&self, prompt: impl Into<String>) -> Request {
        Request {
            prompt: prompt.into(),
            negative_prompt: String::new(),
            seed: 0,
            num_inference_steps: self.components.defaults.steps,
            guidance_scale: self.components.defaults.guidance_scale,
            guidance_rescale: 0.0,
            nag_scale: 1.0,
            nag_tau: 2.5,
            nag_alpha: 0.5,
            width: self.components.defaults.width,
            height: self.components.defaults.height,
            large: false,
            num_images_per_prompt: 1,
            clip_skip: None,
            eta: 0.0,
            scheduler: None,
            image: None,
            strength: 0.8,
            mask: None,
            prompt_syntax: PromptSyntax::Plain,
            prompt_2: None,
            negative_prompt_2: None,
            micro_conditioning: MicroConditioning::default(),
            controls: Vec::new(),
        }
    }

    /// Draws `request`, with random numbers from torch's CPU generator seeded with `request.seed`: the same picture on
    /// every device, up to rounding.
    ///
    /// # Errors
    /// Those of [`Self::run`].
    pub async fn generate(
        &self,
        request: &Request,
        on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
    ) -> Result<(Vec<Picture>, Vec<String>)> {
        self.generate_batch(std::slice::from_ref(request), on_step).await
    }

    /// Draws several prompts together, each as [`Self::generate`] would draw it alone, up to rounding. The pictures and
    /// warnings are in the order of the requests.
    ///
    /// # Errors
    /// Those of [`Self::run_batch`].
    pub async fn generate_batch(
        &self,
        requests: &[Request],
        on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
    ) -> Result<(Vec<Picture>, Vec<String>)> {
        let mut generators: Vec<Mt19937> = requests.iter().map(|request| Mt19937::new(request.seed)).collect();
        let device = self.device.clone();
        let mut noise = move |shape: [usize; 4]| {
            let each = shape.iter().product::<usize>() / generators.len();
            let values: Vec<f32> = generators.iter_mut().flat_map(|generator| generator.randn(each)).collect();
            Tensor::from_data(burn::tensor::TensorData::new(values, shape), &device)
        };
        let output = self.run_batch(requests, &mut noise, on_step).await?;
        Ok((requests[0].finished(output.decoded).await?, output.warnings))
    }

    /// Draws `request` with random numbers from `noise`, which is called in diffusers' order: for the latents of the
    /// start picture, if there is one; for the initial noise; for the masked picture; then by the sampler.
    ///
    /// # Errors
    /// [`crate::Error::Request`] for settings out of range, [`crate::Error::NotFinite`] for latents that are NaN or
    /// infinite, [`crate::Error::Stopped`] if the handler asks to stop.
    pub async fn run(
        &self,
        request: &Request,
        noise: &mut Noise<'_>,
        on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Output> {
        self.run_batch(std::slice::from_ref(request), noise, on_step).await
    }

    /// As [`Self::run`], for requests that differ only in prompts and seed; `noise` is called for all of them together.
    ///
    /// # Errors
    /// As [`Self::run`]; [`crate::Error::Request`] for other differences.
    pub async fn run_batch(
        &self,
        requests: &[Request],
        noise: &mut Noise<'_>,
        on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Output> {
        let prompts = self.encode_prompts(requests)?;
        self.run_encoded(requests, prompts, noise, on_step).await
    }

    /// As [`Self::run_batch`], with the encoded prompts, one for each request.
    async fn run_encoded(
        &self,
        requests: &[Request],
        prompts: Vec<EncodedPrompt>,
        noise: &mut Noise<'_>,
        on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Output> {
        let request = Request::common(requests)?;
        request.check(self.components.vae.scale())?;
        self.check_guidance(request)?;
        self.check_large(request)?;
        self.check_controls(request)?;
        let config = request.scheduler.as_ref().unwrap_or(&self.components.scheduler);
        let mut scheduler = schedulers::from_config(config)?;
        let first = self.plan(request, scheduler.as_mut())?;
        let mut warnings: Vec<String> = prompts.iter().flat_map(|prompt| prompt.warnings.clone()).collect();
        warnings.extend(self.unread_sizes(request)?);
        let Beginning { start, inpainting } = self.begin(requests, request, scheduler.as_ref(), first, noise)?;
        let guidance = self.guided(request, prompts, start.latents.dims()[0], inpainting);
        let model = self.controlled(guidance, request);
        let options = StepOptions { eta: request.eta };
        let latents = denoise(&model, scheduler.as_mut(), start, &options, noise, on_step).await?;
        let decoded = if request.large { self.decode_large(latents.clone())? } else { self.decode(latents.clone()) };
        Ok(Output { latents, decoded, warnings })
    }

    /// Steps, guidance, size and the like that suit the model.
    pub fn defaults(&self) -> &Defaults {
        &self.components.defaults
    }

    /// The same model with other default settings.
    pub fn with_defaults(mut self, defaults: Defaults) -> Self {
        self.components.defaults = defaults;
        self
    }

    /// The device that computes; [`Self::encode`] and [`Self::decode`] take tensors there.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The model's own sampler.
    pub fn scheduler(&self) -> &SchedulerConfig {
        &self.components.scheduler
    }

    /// The factor that turns the autoencoder's latents into the UNet's.
    pub fn scaling_factor(&self) -> f64 {
        self.components.vae.scaling_factor()
    }

    /// Pixels for each latent along one side; sizes must be multiples of it.
    pub fn scale(&self) -> usize {
        self.components.vae.scale()
    }

    /// Whether guidance needs a second, negative evaluation (Ho & Salimans, 2022); a model that takes the scale as an
    /// input needs none.
    fn classifier_free(&self, request: &Request) -> bool {
        request.guidance_scale > 1.0 && self.components.unet_config.time_cond_proj_dim.is_none()
    }

    /// The network's conditioning for `n` pictures besides the text's features. `pooled` is Stable Diffusion XL's
    /// pooled text, [`EncodedPrompt::text_embeds`]: a row for each picture, or with guidance two, negative half first.
    pub fn conditions(&self, request: &Request, n: usize, pooled: Option<Tensor<2>>) -> AddedConditions {
        let embed = |dim| guidance_scale_embedding(&vec![request.guidance_scale; n], dim, &self.device);
        let (sizes, size) = (&request.micro_conditioning, [request.height, request.width]);
        let negative = self.classifier_free(request).then(|| sizes.negative_time_ids(size, request.image.is_some()));
        let halves = negative.into_iter().chain([sizes.time_ids(size)]);
        AddedConditions {
            timestep_cond: self.components.unet_config.time_cond_proj_dim.map(embed),
            text_time: pooled.map(|pooled| (pooled, halves.flat_map(|ids| vec![ids; n]).collect())),
            nag: None,
            control: None,
        }
    }

    /// A warning about sizes in a request that are not used.
    ///
    /// # Errors
    /// [`crate::Error::Request`] for sizes that the model has no input for.
    fn unread_sizes(&self, request: &Request) -> Result<Option<String>> {
        let sizes = &request.micro_conditioning;
        if !self.is_xl() && *sizes != MicroConditioning::default() {
            let reason = "original size, target size and crop: only Stable Diffusion XL models are told them";
            return Err(crate::Error::Request(reason.into()));
        }
        let negative = self.classifier_free(request).then(|| sizes.unread(request.image.is_some()));
        Ok(negative.flatten().map(str::to_owned))
    }

    fn is_xl(&self) -> bool {
        matches!(self.components.family, Family::StableDiffusionXl { .. })
    }
}

/// Joins the texts of several prompts to one batch: all of the first part (the negative ones, if there are two), then
/// the next.
fn join<const D: usize>(texts: Vec<Tensor<D>>, parts: usize) -> Tensor<D> {
    let mut joined = vec![Vec::new(); parts];
    for text in texts {
        for (part, states) in joined.iter_mut().zip(text.chunk(parts, 0)) {
            part.push(states);
        }
    }
    Tensor::cat(joined.concat(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::MemoryFiles;

    /// The golden pipeline of that name with the golden vocabulary.
    pub(super) fn golden(name: &str) -> Pipeline {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reference");
        let mut files = MemoryFiles::default();
        let mut add = |name: &str, path: std::path::PathBuf| files.insert(name, std::fs::read(path).unwrap());
        for part in ["unet", "vae", "text_encoder", "scheduler", "tokenizer"] {
            for entry in std::fs::read_dir(root.join("pipelines").join(name).join(part)).unwrap() {
                let entry = entry.unwrap();
                add(&format!("{part}/{}", entry.file_name().to_str().unwrap()), entry.path());
            }
        }
        for name in ["vocab.json", "merges.txt"] {
            add(&format!("tokenizer/{name}"), root.join("tokenizer").join(name));
        }
        add("model_index.json", root.join("pipelines").join(name).join("model_index.json"));
        Pipeline::load(&files, &Device::flex()).unwrap()
    }

    fn request(pipeline: &Pipeline, prompt: &str, seed: u64, scheduler: &str) -> Request {
        let scheduler = Some(schedulers::named(scheduler, pipeline.scheduler()).unwrap());
        let settings =
            Request { num_inference_steps: 3, guidance_scale: 4.0, width: 64, height: 64, ..pipeline.request(prompt) };
        Request { seed, scheduler, negative_prompt: "grey".repeat(seed as usize % 2), ..settings }
    }

    fn drawn(pipeline: &Pipeline, requests: &[Request]) -> Result<Vec<Picture>> {
        let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
        Ok(pollster::block_on(pipeline.generate_batch(requests, &mut on_step))?.0)
    }

    #[test]
    fn a_batch_draws_each_prompt_as_alone() {
        let pipeline = golden("sd15");
        // The second sampler adds noise in each step.
        for scheduler in ["ddim", "euler_a"] {
            let all = [("a fox", 3), ("a green crown above an owl", 4), ("", 5)];
            let all = all.map(|(prompt, seed)| request(&pipeline, prompt, seed, scheduler));
            let together = drawn(&pipeline, &all).unwrap();
            for (request, image) in all.iter().zip(&together) {
                let alone = &drawn(&pipeline, std::slice::from_ref(request)).unwrap()[0];
                let apart = alone.rgb.iter().zip(&image.rgb).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(apart <= Some(1), "{scheduler}: {apart:?} of 255");
            }
            assert!(together[0] != together[1] && together[1] != together[2]);
        }
    }

    #[test]
    fn a_scale_that_a_distilled_model_never_saw_is_refused() {
        let mut pipeline = golden("sd15");
        let asked = request(&pipeline, "a fox", 1, "ddim");
        assert!(drawn(&pipeline, std::slice::from_ref(&asked)).is_ok());
        pipeline.components.guidance_scale_range = Some([1.0, 3.5]);
        let refused = drawn(&pipeline, &[asked]).unwrap_err().to_string();
        assert!(refused.contains("guidance = 4: this model was distilled for 1 to 3.5"), "{refused}");
    }

    #[test]
    fn a_batch_of_different_settings_or_of_nothing_is_refused() {
        let pipeline = golden("sd15");
        let one = request(&pipeline, "a fox", 1, "ddim");
        let other = Request { num_inference_steps: 4, ..one.clone() };
        assert!(drawn(&pipeline, &[one, other]).unwrap_err().to_string().contains("same settings"));
        assert!(drawn(&pipeline, &[]).unwrap_err().to_string().contains("no prompt"));
    }

    #[test]
    fn the_way_between_two_requests_begins_and_ends_at_them() {
        let pipeline = golden("sd15");
        // The second sampler adds noise in each step.
        for scheduler in ["ddim", "euler_a"] {
            let from = request(&pipeline, "a fox", 3, scheduler);
            let to = request(&pipeline, "a green crown above an owl", 4, scheduler);
            let at = |t| {
                let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
                let output = pollster::block_on(pipeline.run_between(&from, &to, t, &mut on_step)).unwrap();
                pollster::block_on(Picture::from_tensor(output.decoded)).unwrap().swap_remove(0)
            };
            let alone = |request: &Request| drawn(&pipeline, std::slice::from_ref(request)).unwrap().swap_remove(0);
            assert_eq!((at(0.0), at(1.0)), (alone(&from), alone(&to)), "{scheduler}");
            assert!(at(0.5) != at(0.0) && at(0.5) != at(1.0));
        }
        let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
        let (from, to) = (request(&pipeline, "a", 1, "ddim"), request(&pipeline, "b", 2, "euler"));
        let error = pollster::block_on(pipeline.run_between(&from, &to, 0.5, &mut on_step)).err().unwrap();
        assert!(error.to_string().contains("same settings"), "{error}");
    }

    #[test]
    fn a_model_without_alpha_sees_what_is_transparent_on_white() {
        let pipeline = golden("sd15");
        let rgba: Vec<u8> = (0..64 * 64 * 4).map(|i| (i * 7 % 251) as u8).collect();
        let start = Picture::from_rgba(64, 64, &rgba).unwrap();
        let on_white = start.over(crate::picture::WHITE).into_owned();
        let from = |image| Request { image: Some(image), ..request(&pipeline, "a fox", 3, "ddim") };
        let from_both = [from(start), from(on_white)].map(|request| drawn(&pipeline, &[request]).unwrap());
        assert_eq!(from_both[0], from_both[1]);
    }

    #[test]
    fn what_a_mask_keeps_stays_to_the_pixel() {
        let pipeline = golden("sd15");
        let image = Picture::opaque(64, 64, (0..64 * 64 * 3).map(|i| (i * 7 % 251) as u8).collect());
        let mut mask = Picture::filled(64, 64, [0; 3]);
        mask.paste(&Picture::filled(32, 64, [255; 3]), 32, 0);
        let own = request(&pipeline, "a fox", 3, "ddim");
        let masked = Request { image: Some(image.clone()), mask: Some(mask), strength: 1.0, ..own };
        let drawn = drawn(&pipeline, &[masked]).unwrap().swap_remove(0);
        let half = |picture: &Picture, left: usize| -> Vec<[u8; 3]> {
            (0..64).flat_map(|y| (left..left + 32).map(move |x| (x, y))).map(|(x, y)| picture.pixel(x, y)).collect()
        };
        assert_eq!(half(&drawn, 0), half(&image, 0));
        assert_ne!(half(&drawn, 32), half(&image, 32));
    }
}
