//! From a request to a picture: the only denoising loop of the project, and what goes before and after it.

mod denoise;
mod guidance;
mod load;
mod manifest;
mod request;

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor};

pub use denoise::{Denoiser, StepEvent, denoise};
pub use guidance::{Guidance, rescale_noise_cfg};
pub use load::{Components, NEGATIVE_IN_CONTEXT};
pub use manifest::{Defaults, FileEntry, MANIFEST, Manifest};
pub use request::{MAX_SIZE, Request};

use crate::models::{
    AddedConditions, ClipTextModel, UNet2DConditionConfig, UNet2DConditionModel, Vae, guidance_scale_embedding,
};
use crate::picture::Picture;
use crate::random::{Generator, Mt19937};
use crate::schedulers::{self, Noise, SchedulerConfig, StepOptions};
use crate::text::Tokenizer;
use crate::{Error, Result};

/// A text-to-image model, ready on a device: diffusers' `StableDiffusionPipeline` and
/// `LatentConsistencyModelPipeline`.
pub struct Pipeline {
    tokenizer: Tokenizer,
    text_encoder: ClipTextModel,
    unet: UNet2DConditionModel,
    unet_config: UNet2DConditionConfig,
    vae: Vae,
    scheduler: SchedulerConfig,
    defaults: Defaults,
    negative_prompt_in_context: bool,
    device: Device,
}

/// What a run leaves behind.
pub struct Output {
    /// The last latents `[n, c, h, w]`.
    pub latents: Tensor<4>,
    /// The decoder's output `[n, 3, height, width]`, about in [-1, 1], not clamped.
    pub decoded: Tensor<4>,
    /// Things the user should know, in plain words: a truncated prompt, for instance.
    pub warnings: Vec<String>,
}

/// The text as the UNet takes it.
pub struct EncodedPrompt {
    /// `[2n, tokens, features]` with guidance, negative half first; `[n, ...]` without; `[n, 2 tokens, features]`, the
    /// negative prompt's tokens last, for a model that takes both at once.
    pub encoder_hidden_states: Tensor<3>,
    /// Padded ids of the prompt.
    pub token_ids: Vec<i64>,
    /// Padded ids of the negative prompt.
    pub negative_token_ids: Vec<i64>,
    /// What was cut off, in words.
    pub warnings: Vec<String>,
}

impl Pipeline {
    /// A request for `prompt` with the settings that suit the model, and seed 0.
    pub fn request(&self, prompt: impl Into<String>) -> Request {
        Request {
            prompt: prompt.into(),
            negative_prompt: String::new(),
            seed: 0,
            num_inference_steps: self.defaults.steps,
            guidance_scale: self.defaults.guidance_scale,
            guidance_rescale: 0.0,
            width: self.defaults.width,
            height: self.defaults.height,
            num_images_per_prompt: 1,
            clip_skip: None,
            eta: 0.0,
            scheduler: None,
        }
    }

    /// Draws `request`, with its random numbers from torch's CPU generator seeded with `request.seed`: the same picture
    /// on every device, up to rounding.
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

    /// Draws several prompts at once, each as [`Self::generate`] would draw it alone, up to rounding. The pictures and
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
        Ok((Picture::from_tensor(output.decoded).await?, output.warnings))
    }

    /// Draws `request` with random numbers from `noise`, which is asked first for the latents to start from, then by the
    /// sampler in its own order.
    ///
    /// # Errors
    /// [`Error::Request`] for settings out of range, [`Error::NotFinite`] for latents that are NaN or infinite,
    /// [`Error::Stopped`] when the handler asks to stop.
    pub async fn run(
        &self,
        request: &Request,
        noise: &mut Noise<'_>,
        on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Output> {
        self.run_batch(std::slice::from_ref(request), noise, on_step).await
    }

    /// As [`Self::run`], for requests that differ in prompt, negative prompt and seed alone; `noise` is asked for all of
    /// them together.
    ///
    /// # Errors
    /// As [`Self::run`]; [`Error::Request`] for other differences.
    pub async fn run_batch(
        &self,
        requests: &[Request],
        noise: &mut Noise<'_>,
        on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Output> {
        let request = Request::common(requests)?;
        request.check(self.vae.scale())?;
        let config = request.scheduler.as_ref().unwrap_or(&self.scheduler);
        let mut scheduler = schedulers::from_config(config)?;
        scheduler.set_timesteps(request.num_inference_steps)?;
        let prompts = requests.iter().map(|request| self.encode_prompt(request)).collect::<Result<Vec<_>>>()?;
        let warnings = prompts.iter().flat_map(|prompt| prompt.warnings.clone()).collect();
        let guided = self.classifier_free(request);
        let n = requests.len() * request.num_images_per_prompt;
        let model = Guidance {
            unet: &self.unet,
            context: join(prompts, if guided { 2 } else { 1 }),
            guidance_scale: guided.then_some(request.guidance_scale),
            guidance_rescale: request.guidance_rescale,
            conditions: self.conditions(request, n),
        };
        let f = self.vae.scale();
        let unit = noise([n, self.unet_config.in_channels, request.height / f, request.width / f]);
        let start = unit * scheduler.init_noise_sigma();
        let options = StepOptions { eta: request.eta };
        let latents = denoise(&model, scheduler.as_mut(), start, &options, noise, on_step).await?;
        let decoded = self.vae.decode(latents.clone());
        Ok(Output { latents, decoded, warnings })
    }

    /// Tokens and text encoder.
    ///
    /// A model distilled with guidance and negative prompt as inputs (`negative_prompt_in_context`) reads the padded ids
    /// of the prompt and then those of the negative prompt as one text: the second stretch has places, and so position
    /// embeddings, of its own.
    ///
    /// # Errors
    /// [`Error::Request`] for a clip skip that leaves no layer.
    pub fn encode_prompt(&self, request: &Request) -> Result<EncodedPrompt> {
        let n = request.num_images_per_prompt;
        let positive = self.tokenizer.encode_padded(&request.prompt)?;
        let negative = self.tokenizer.encode_padded(&request.negative_prompt)?;
        let apart = self.classifier_free(request);
        let states = if self.negative_prompt_in_context {
            vec![self.encode_ids(&[positive.ids.as_slice(), &negative.ids].concat(), request.clip_skip)?]
        } else if apart {
            vec![self.encode_ids(&negative.ids, None)?, self.encode_ids(&positive.ids, request.clip_skip)?]
        } else {
            vec![self.encode_ids(&positive.ids, request.clip_skip)?]
        };
        let read = (apart || self.negative_prompt_in_context).then_some(("negative prompt", &negative.truncated));
        let texts = read.into_iter().chain([("prompt", &positive.truncated)]);
        let warnings =
            texts.filter_map(|(name, cut)| cut.as_ref().map(|cut| truncation(name, cut, &self.tokenizer))).collect();
        let states = states.into_iter().map(|states| states.repeat_dim(0, n)).collect();
        Ok(EncodedPrompt {
            encoder_hidden_states: Tensor::cat(states, 0),
            token_ids: positive.ids,
            negative_token_ids: negative.ids,
            warnings,
        })
    }

    /// Pictures `[n, 3, height, width]` in [-1, 1] to the latents that [`Self::decode`] takes.
    pub fn encode(&self, pictures: Tensor<4>) -> Tensor<4> {
        self.vae.encode(pictures)
    }

    /// Latents to a picture, for previews.
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        self.vae.decode(latents)
    }

    /// Steps, guidance, size and the like that suit the model.
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// Where it computes; [`Self::encode`] and [`Self::decode`] take tensors there.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The model's own sampler.
    pub fn scheduler(&self) -> &SchedulerConfig {
        &self.scheduler
    }

    /// Pixels a latent stands for, along one side: sizes must be multiples of it.
    pub fn scale(&self) -> usize {
        self.vae.scale()
    }

    /// Guided by a second, negative pass (Ho & Salimans, 2022); a model that takes the scale as an input needs none.
    fn classifier_free(&self, request: &Request) -> bool {
        request.guidance_scale > 1.0 && self.unet_config.time_cond_proj_dim.is_none()
    }

    /// For `n` pictures.
    fn conditions(&self, request: &Request, n: usize) -> AddedConditions {
        let embed = |dim| guidance_scale_embedding(&vec![request.guidance_scale; n], dim, &self.device);
        AddedConditions { timestep_cond: self.unet_config.time_cond_proj_dim.map(embed), text_time: None }
    }

    fn encode_ids(&self, ids: &[i64], clip_skip: Option<usize>) -> Result<Tensor<3>> {
        let output = self.text_encoder.forward(&[ids.to_vec()], &self.device);
        let Some(skip) = clip_skip else { return Ok(output.last_hidden_state) };
        let mut states = output.hidden_states;
        if skip + 1 >= states.len() {
            let reason =
                format!("clip skip {skip} leaves no layer of the text encoder, which has {}", states.len() - 1);
            return Err(Error::Request(reason));
        }
        let state = states.swap_remove(states.len() - 1 - skip);
        Ok(self.text_encoder.final_layer_norm(state))
    }
}

/// The contexts of several prompts as one batch: all of the first part (the negative ones, with two), then the next.
fn join(prompts: Vec<EncodedPrompt>, parts: usize) -> Tensor<3> {
    let mut joined = vec![Vec::new(); parts];
    for prompt in prompts {
        for (part, states) in joined.iter_mut().zip(prompt.encoder_hidden_states.chunk(parts, 0)) {
            part.push(states);
        }
    }
    Tensor::cat(joined.concat(), 0)
}

fn truncation(name: &str, cut: &str, tokenizer: &Tokenizer) -> String {
    const SHOWN: usize = 60;
    let limit = tokenizer.model_max_length() - 2;
    let words = cut.split_whitespace().collect::<Vec<_>>().join(" ");
    let start: String = words.chars().take(SHOWN).collect();
    let more = if start.len() < words.len() { "…" } else { "" };
    format!("the {name} is longer than this model reads ({limit} tokens); left out: “{start}{more}”")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::MemoryFiles;

    /// The golden pipeline of that name with the golden vocabulary.
    fn golden(name: &str) -> Pipeline {
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
        // The second adds noise in each step.
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
    fn a_batch_of_different_settings_or_of_nothing_is_refused() {
        let pipeline = golden("sd15");
        let one = request(&pipeline, "a fox", 1, "ddim");
        let other = Request { num_inference_steps: 4, ..one.clone() };
        assert!(drawn(&pipeline, &[one, other]).unwrap_err().to_string().contains("same settings"));
        assert!(drawn(&pipeline, &[]).unwrap_err().to_string().contains("no prompt"));
    }
}
