//! From a folder in the diffusers layout to a [`Pipeline`].

use burn::tensor::Device;
use serde_json::Value;

use super::{Defaults, MANIFEST, Manifest, Pipeline};
use crate::models::{ClipTextConfig, ClipTextModel, UNet2DConditionConfig, UNet2DConditionModel, Vae, parse};
use crate::schedulers::SchedulerConfig;
use crate::text::Tokenizer;
use crate::weights::{self, Checkpoint, Files};
use crate::{Error, Result};

const UNET: &str = "unet/config.json";
const VAE: &str = "vae/config.json";
const TEXT_ENCODER: &str = "text_encoder/config.json";
const SCHEDULER: &str = "scheduler/scheduler_config.json";
const INDEX: &str = "model_index.json";
const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

/// The key of `model_index.json` that says that the text encoder takes prompt and negative prompt together.
pub const NEGATIVE_IN_CONTEXT: &str = "negative_prompt_in_context";

/// What a pipeline is made of.
pub struct Components {
    /// Prompts to ids.
    pub tokenizer: Tokenizer,
    /// Ids to features.
    pub text_encoder: ClipTextModel,
    /// The denoising network.
    pub unet: UNet2DConditionModel,
    /// Its configuration.
    pub unet_config: UNet2DConditionConfig,
    /// Latents to pictures.
    pub vae: Vae,
    /// The model's own sampler.
    pub scheduler: SchedulerConfig,
    /// Settings that suit the model.
    pub defaults: Defaults,
    /// The text encoder takes prompt and negative prompt together; see [`Pipeline::encode_prompt`].
    pub negative_prompt_in_context: bool,
}

impl Pipeline {
    /// From a model in memory, all of it on `device`: what the trainer draws its samples with.
    pub fn from_components(components: Components, device: &Device) -> Self {
        let Components { tokenizer, text_encoder, unet, unet_config, vae, scheduler, defaults, .. } = components;
        let negative_prompt_in_context = components.negative_prompt_in_context;
        let device = device.clone();
        Self {
            tokenizer,
            text_encoder,
            unet,
            unet_config,
            vae,
            scheduler,
            defaults,
            negative_prompt_in_context,
            device,
        }
    }

    /// Reads `model_index.json`, the configurations and the weights.
    ///
    /// # Errors
    /// [`Error::NotAModel`] names the missing file, [`Error::Unsupported`] another family,
    /// [`Error::Config`] an unknown value, and the loader's own for the weights.
    pub fn load(files: &impl Files, device: &Device) -> Result<Self> {
        let negative_prompt_in_context = read_index(files)?;
        let unet_config: UNet2DConditionConfig = parse(UNET, &files.read(UNET)?)?;
        let text_config: ClipTextConfig = parse(TEXT_ENCODER, &files.read(TEXT_ENCODER)?)?;
        let tokenizer = load_tokenizer(files, "tokenizer")?;
        check_widths(&unet_config, &text_config, &tokenizer)?;
        if negative_prompt_in_context {
            check_two_stretches(&unet_config, &text_config, &tokenizer)?;
        }
        let text_encoder = ClipTextModel::new(&text_config, TEXT_ENCODER, device)?;
        let text_encoder = load_weights(text_encoder, files, "text_encoder/model.safetensors")?;
        let unet = UNet2DConditionModel::new(&unet_config, UNET, device)?;
        let unet = load_weights(unet, files, &format!("unet/{WEIGHTS}"))?;
        let vae = load_vae(files, "vae", device)?;
        check_channels(&unet_config, &vae)?;
        let defaults = defaults(files, &unet_config, &vae)?;
        let scheduler = SchedulerConfig::parse(SCHEDULER, &files.read_text(SCHEDULER)?)?;
        let parts = Components {
            tokenizer,
            text_encoder,
            unet,
            unet_config,
            vae,
            scheduler,
            defaults,
            negative_prompt_in_context,
        };
        Ok(Self::from_components(parts, device))
    }

    /// The same model with another autoencoder, from a folder of its own.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn with_vae(mut self, files: &impl Files) -> Result<Self> {
        let config = files.read("config.json")?;
        let bytes = files.read(WEIGHTS)?;
        self.vae = Vae::load("config.json", &config, &Checkpoint::parse(WEIGHTS, &bytes)?, &self.device)?;
        check_channels(&self.unet_config, &self.vae)?;
        Ok(self)
    }
}

/// `negative_prompt_in_context`, after a look at the family.
fn read_index(files: &impl Files) -> Result<bool> {
    let index: Value = parse(INDEX, &files.read(INDEX)?)?;
    match index["_class_name"].as_str() {
        Some("StableDiffusionPipeline" | "LatentConsistencyModelPipeline") => {}
        Some(other) => return Err(Error::Unsupported(format!("{}: pipelines of class {other}", files.place()))),
        None => {
            let reason = format!("{INDEX} has no _class_name");
            return Err(Error::NotAModel { place: files.place(), reason });
        }
    }
    match &index[NEGATIVE_IN_CONTEXT] {
        Value::Null => Ok(false),
        Value::Bool(value) => Ok(*value),
        other => {
            let reason = format!("{NEGATIVE_IN_CONTEXT} = {other}: must be true or false");
            Err(Error::Config { file: INDEX.into(), reason })
        }
    }
}

/// What a model that takes the negative prompt in its context needs.
fn check_two_stretches(unet: &UNet2DConditionConfig, text: &ClipTextConfig, tokenizer: &Tokenizer) -> Result<()> {
    let problem = |file: &str, reason: String| Err(Error::Config { file: file.into(), reason });
    let (places, length) = (text.max_position_embeddings, tokenizer.model_max_length());
    if places != 2 * length {
        let needed = format!("max_position_embeddings = {places}: {NEGATIVE_IN_CONTEXT} needs twice the tokenizer's");
        return problem(TEXT_ENCODER, format!("{needed} model_max_length, {}", 2 * length));
    }
    match unet.time_cond_proj_dim {
        Some(_) => Ok(()),
        None => {
            problem(UNET, format!("{NEGATIVE_IN_CONTEXT} needs the guidance scale as an input: time_cond_proj_dim"))
        }
    }
}

fn check_widths(unet: &UNet2DConditionConfig, text: &ClipTextConfig, tokenizer: &Tokenizer) -> Result<()> {
    let problem = |file: &str, reason: String| Err(Error::Config { file: file.into(), reason });
    if unet.cross_attention_dim != text.hidden_size {
        let (a, b) = (unet.cross_attention_dim, text.hidden_size);
        return problem(UNET, format!("cross_attention_dim = {a}, but the text encoder's hidden_size is {b}"));
    }
    if tokenizer.model_max_length() > text.max_position_embeddings {
        let (a, b) = (tokenizer.model_max_length(), text.max_position_embeddings);
        return problem(
            TEXT_ENCODER,
            format!("the tokenizer's model_max_length is {a}, the text encoder reads {b} tokens"),
        );
    }
    if tokenizer.vocab_size() > text.vocab_size {
        let (a, b) = (tokenizer.vocab_size(), text.vocab_size);
        return problem(TEXT_ENCODER, format!("the tokenizer has {a} tokens, the text encoder's vocab_size is {b}"));
    }
    Ok(())
}

fn check_channels(unet: &UNet2DConditionConfig, vae: &Vae) -> Result<()> {
    let (read, made, latent) = (unet.in_channels, unet.out_channels, vae.latent_channels());
    match (read, made) == (latent, latent) {
        true => Ok(()),
        false => {
            let reason =
                format!("in_channels = {read}, out_channels = {made}, but the autoencoder's latents have {latent}");
            Err(Error::Config { file: UNET.into(), reason })
        }
    }
}

fn load_tokenizer(files: &impl Files, folder: &str) -> Result<Tokenizer> {
    let path = |name: &str| format!("{folder}/{name}");
    let special = files.get(&path("special_tokens_map.json"))?;
    let config = files.read(&path("tokenizer_config.json"))?;
    match (files.get(&path("vocab.json"))?, files.get(&path("tokenizer.json"))?) {
        (None, Some(whole)) => Tokenizer::from_tokenizer_json(&whole, &config, special.as_deref()),
        (Some(vocab), _) => {
            Tokenizer::from_files(&vocab, &files.read(&path("merges.txt"))?, &config, special.as_deref())
        }
        (None, None) => {
            let reason = format!("{} is missing (or tokenizer.json in its place)", path("vocab.json"));
            Err(Error::NotAModel { place: files.place(), reason })
        }
    }
}

fn load_weights<M: burn::module::Module>(module: M, files: &impl Files, path: &str) -> Result<M> {
    let bytes = files.read(path)?;
    weights::load(module, &Checkpoint::parse(path, &bytes)?)
}

fn load_vae(files: &impl Files, folder: &str, device: &Device) -> Result<Vae> {
    let path = format!("{folder}/{WEIGHTS}");
    let bytes = files.read(&path)?;
    Vae::load(VAE, &files.read(VAE)?, &Checkpoint::parse(&path, &bytes)?, device)
}

/// The manifest's, or diffusers' own where there is no manifest.
fn defaults(files: &impl Files, unet: &UNet2DConditionConfig, vae: &Vae) -> Result<Defaults> {
    if let Some(bytes) = files.get(MANIFEST)? {
        let manifest: Manifest = parse(MANIFEST, &bytes)?;
        return Ok(manifest.defaults);
    }
    let size = unet.sample_size().unwrap_or(64) * vae.scale();
    Ok(Defaults { steps: 50, guidance_scale: 7.5, width: size, height: size })
}
