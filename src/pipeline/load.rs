//! From a folder in the diffusers layout to a [`Pipeline`].

use burn::tensor::Device;
use serde_json::Value;

use super::encode::TextEncoder;
use super::{Defaults, MANIFEST, Manifest, Pipeline};
use crate::models::{ClipTextConfig, ClipTextModel, UNet2DConditionConfig, UNet2DConditionModel, Vae, parse};
use crate::schedulers::SchedulerConfig;
use crate::text::Tokenizer;
use crate::weights::{self, Checkpoint, Files, Lora, Part, Quantization, Updates};
use crate::{Error, Result};

const UNET: &str = "unet/config.json";
const VAE: &str = "vae/config.json";
const TEXT_ENCODER: &str = "text_encoder/config.json";
const SCHEDULER: &str = "scheduler/scheduler_config.json";
const INDEX: &str = "model_index.json";
const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

/// The key of `model_index.json` that says that the text encoder takes prompt and negative prompt together.
pub const NEGATIVE_IN_CONTEXT: &str = "negative_prompt_in_context";

/// What the pipelines of different model families do differently; by `_class_name` of `model_index.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `StableDiffusionPipeline`: versions 1 and 2, Turbo.
    StableDiffusion,
    /// `LatentConsistencyModelPipeline`: image to image plans its steps in its own way.
    LatentConsistency,
    /// `StableDiffusionXLPipeline`: two text encoders, and sizes among the conditions.
    StableDiffusionXl {
        /// An empty negative prompt is all zeros.
        force_zeros_for_empty_prompt: bool,
    },
}

/// What a Stable Diffusion pipeline is made of.
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
        let family = Family::StableDiffusion;
        let text = vec![TextEncoder { tokenizer, model: text_encoder }];
        let device = device.clone();
        let vae_tiling = None;
        Self { family, text, unet, unet_config, vae, scheduler, defaults, negative_prompt_in_context, vae_tiling, device }
    }

    /// Reads `model_index.json`, the configurations and the weights.
    ///
    /// # Errors
    /// [`Error::NotAModel`] names the missing file, [`Error::Unsupported`] another family,
    /// [`Error::Config`] an unknown value, and the loader's own for the weights.
    pub fn load(files: &impl Files, device: &Device) -> Result<Self> {
        Self::load_with_loras(files, &[], device)
    }

    /// As [`Self::load`], with adapters added to the weights.
    ///
    /// # Errors
    /// As [`Self::load`]; those of [`Lora::updates`] for adapters that do not fit.
    pub fn load_with_loras(files: &impl Files, loras: &[Lora], device: &Device) -> Result<Self> {
        let Index { family, negative_prompt_in_context } = Index::read(files)?;
        let parts: &[Part] = match family {
            Family::StableDiffusionXl { .. } => &[Part::TextEncoder, Part::TextEncoder2, Part::Unet],
            _ => &[Part::TextEncoder, Part::Unet],
        };
        loras.iter().try_for_each(|lora| lora.check_parts(parts))?;
        let unet_config: UNet2DConditionConfig = parse(UNET, &files.read(UNET)?)?;
        let encoders = parts.iter().filter(|part| **part != Part::Unet);
        let texts = encoders.map(|part| TextFiles::read(files, *part)).collect::<Result<Vec<_>>>()?;
        check_widths(family, &unet_config, &texts)?;
        if negative_prompt_in_context {
            check_two_stretches(&unet_config, &texts[0].config, &texts[0].tokenizer)?;
        }
        let text = texts.into_iter().map(|text| text.encoder(files, loras, device)).collect::<Result<Vec<_>>>()?;
        let unet = UNet2DConditionModel::new(&unet_config, UNET, device)?;
        let unet = load_weights(unet, files, (UNET, &format!("unet/{WEIGHTS}")), Part::Unet, loras)?;
        let vae = load_vae(files, "vae", device)?;
        check_channels(&unet_config, &vae)?;
        let defaults = defaults(files, family, &unet_config, &vae)?;
        let scheduler = SchedulerConfig::parse(SCHEDULER, &files.read_text(SCHEDULER)?)?;
        let device = device.clone();
        let vae_tiling = None;
        Ok(Self { family, text, unet, unet_config, vae, scheduler, defaults, negative_prompt_in_context, vae_tiling, device })
    }

    /// The same model with another autoencoder, from a folder of its own.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn with_vae(mut self, files: &impl Files) -> Result<Self> {
        let config = files.read("config.json")?;
        let bytes = files.read(WEIGHTS)?;
        self.vae = Vae::load("config.json", &config, Checkpoint::parse(WEIGHTS, &bytes)?, &self.device)?;
        check_channels(&self.unet_config, &self.vae)?;
        Ok(self)
    }
}

/// What `model_index.json` says.
struct Index {
    family: Family,
    negative_prompt_in_context: bool,
}

impl Index {
    fn read(files: &impl Files) -> Result<Self> {
        let index: Value = parse(INDEX, &files.read(INDEX)?)?;
        let flag = |key: &str, default: bool| match &index[key] {
            Value::Null => Ok(default),
            Value::Bool(value) => Ok(*value),
            other => {
                let reason = format!("{key} = {other}: must be true or false");
                Err(Error::Config { file: INDEX.into(), reason })
            }
        };
        let family = match index["_class_name"].as_str() {
            Some("StableDiffusionPipeline" | "StableDiffusionInpaintPipeline") => Family::StableDiffusion,
            Some("LatentConsistencyModelPipeline") => Family::LatentConsistency,
            Some("StableDiffusionXLPipeline" | "StableDiffusionXLInpaintPipeline") => {
                Family::StableDiffusionXl { force_zeros_for_empty_prompt: flag("force_zeros_for_empty_prompt", true)? }
            }
            Some(other) => return Err(Error::Unsupported(format!("{}: pipelines of class {other}", files.place()))),
            None => {
                let reason = format!("{INDEX} has no _class_name");
                return Err(Error::NotAModel { place: files.place(), reason });
            }
        };
        let negative_prompt_in_context = flag(NEGATIVE_IN_CONTEXT, false)?;
        if negative_prompt_in_context && matches!(family, Family::StableDiffusionXl { .. }) {
            let reason = format!("{NEGATIVE_IN_CONTEXT} is not supported for Stable Diffusion XL");
            return Err(Error::Config { file: INDEX.into(), reason });
        }
        Ok(Self { family, negative_prompt_in_context })
    }
}

/// A text encoder before its weights are read.
struct TextFiles {
    part: Part,
    config: ClipTextConfig,
    tokenizer: Tokenizer,
}

impl TextFiles {
    fn read(files: &impl Files, part: Part) -> Result<Self> {
        let tokenizer = load_tokenizer(files, &part.folder().replace("text_encoder", "tokenizer"))?;
        let file = Self::file(part);
        let config: ClipTextConfig = parse(&file, &files.read(&file)?)?;
        let problem = |reason: String| Err(Error::Config { file: file.clone(), reason });
        let (length, places) = (tokenizer.model_max_length(), config.max_position_embeddings);
        if length > places {
            return problem(format!(
                "the tokenizer's model_max_length is {length}, the text encoder reads {places} tokens"
            ));
        }
        let (tokens, rows) = (tokenizer.vocab_size(), config.vocab_size);
        if tokens > rows {
            return problem(format!("the tokenizer has {tokens} tokens, the text encoder's vocab_size is {rows}"));
        }
        Ok(Self { part, config, tokenizer })
    }

    fn file(part: Part) -> String {
        format!("{}/config.json", part.folder())
    }

    fn encoder(self, files: &impl Files, loras: &[Lora], device: &Device) -> Result<TextEncoder> {
        let model = ClipTextModel::new(&self.config, &Self::file(self.part), device)?;
        let path = format!("{}/model.safetensors", self.part.folder());
        let model = load_weights(model, files, (&Self::file(self.part), &path), self.part, loras)?;
        Ok(TextEncoder { tokenizer: self.tokenizer, model })
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

/// Whether the UNet reads what the text encoders give.
fn check_widths(family: Family, unet: &UNet2DConditionConfig, texts: &[TextFiles]) -> Result<()> {
    let problem = |reason: String| Err(Error::Config { file: UNET.into(), reason });
    let width: usize = texts.iter().map(|text| text.config.hidden_size).sum();
    if unet.cross_attention_dim != width {
        let (a, b) = (unet.cross_attention_dim, width);
        let encoder =
            if texts.len() > 1 { "text encoders' hidden sizes add up to" } else { "text encoder's hidden_size is" };
        return problem(format!("cross_attention_dim = {a}, but the {encoder} {b}"));
    }
    let xl = matches!(family, Family::StableDiffusionXl { .. });
    if xl != unet.addition_embed_type.is_some() {
        let (model, value) = if xl { ("an XL model", "\"text_time\"") } else { ("a model of this class", "none") };
        return problem(format!("addition_embed_type = {:?}: {model} has {value}", unet.addition_embed_type));
    }
    if let (true, Some(text)) = (xl, texts.last()) {
        let (pooled, number) = (text.config.projection_dim, unet.addition_time_embed_dim.unwrap_or(0));
        let given = unet.projection_class_embeddings_input_dim.unwrap_or(0);
        if given != pooled + 6 * number {
            let reason =
                format!("projection_class_embeddings_input_dim = {given}, but the text's projection_dim is {pooled}");
            return problem(format!("{reason} and addition_time_embed_dim {number} (six times)"));
        }
        if !text.config.architectures.iter().any(|name| name == "CLIPTextModelWithProjection") {
            let reason = "architectures: an XL model's is CLIPTextModelWithProjection".to_string();
            return Err(Error::Config { file: TextFiles::file(text.part), reason });
        }
    }
    Ok(())
}

/// A UNet reads the autoencoder's latents, for inpainting beside a mask and the masked picture's latents.
fn check_channels(unet: &UNet2DConditionConfig, vae: &Vae) -> Result<()> {
    let (read, made, latent) = (unet.in_channels, unet.out_channels, vae.latent_channels());
    match made == latent && (read == latent || read == 2 * latent + 1) {
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

/// `config` is the component's, which says how the weights at `path` are stored.
fn load_weights<M: burn::module::Module>(
    module: M,
    files: &impl Files,
    (config, path): (&str, &str),
    part: Part,
    loras: &[Lora],
) -> Result<M> {
    let quantization = Quantization::parse(config, &files.read(config)?)?;
    let bytes = files.read(path)?;
    let targets = if loras.is_empty() { Vec::new() } else { weights::paths(&module) };
    let updates = loras.iter().map(|lora| lora.updates(part, &targets)).collect::<Result<Vec<_>>>()?;
    let checkpoint = Checkpoint::parse(path, &bytes)?.with_quantization(quantization);
    weights::load_with(module, &checkpoint, &Updates::together(updates))
}

fn load_vae(files: &impl Files, folder: &str, device: &Device) -> Result<Vae> {
    let path = format!("{folder}/{WEIGHTS}");
    let bytes = files.read(&path)?;
    Vae::load(VAE, &files.read(VAE)?, Checkpoint::parse(&path, &bytes)?, device)
}

/// The manifest's, or those of diffusers' pipeline where there is no manifest.
fn defaults(files: &impl Files, family: Family, unet: &UNet2DConditionConfig, vae: &Vae) -> Result<Defaults> {
    if let Some(bytes) = files.get(MANIFEST)? {
        let manifest: Manifest = parse(MANIFEST, &bytes)?;
        return Ok(manifest.defaults);
    }
    let size = unet.sample_size().unwrap_or(64) * vae.scale();
    let (steps, guidance_scale) = match family {
        Family::StableDiffusion => (50, 7.5),
        Family::LatentConsistency => (4, 8.5),
        Family::StableDiffusionXl { .. } => (50, 5.0),
    };
    Ok(Defaults { steps, guidance_scale, width: size, height: size })
}
