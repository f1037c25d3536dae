//! Loads a [`Pipeline`] from a folder in the diffusers layout.

use burn::tensor::Device;

use super::encode::TextEncoder;
use super::index::{Family, INDEX, Index, NEGATIVE_IN_CONTEXT, VAE_LARGE};
use super::{Defaults, MANIFEST, Manifest, Pipeline};
use crate::kernels::BlockFormat;
use crate::models::{ClipTextConfig, ClipTextModel, UNet2DConditionConfig, UNet2DConditionModel, Vae, parse};
use crate::schedulers::SchedulerConfig;
use crate::text::Tokenizer;
use crate::weights::{self, Checkpoint, Files, Lora, Part, Quantization, Updates};
use crate::{Error, Result};

pub(super) const UNET: &str = "unet/config.json";
pub(super) const VAE: &str = "vae/config.json";
const TEXT_ENCODER: &str = "text_encoder/config.json";
const SCHEDULER: &str = "scheduler/scheduler_config.json";
pub(super) const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

/// Options for loading a model.
#[derive(Clone, Copy, Default)]
pub struct LoadOptions<'l> {
    /// Adapters that are added to the weights.
    pub loras: &'l [Lora<'l>],
    /// Puts the float weights of layers into blocks while they are read, as `fourstep quantize` would, so a checkpoint
    /// needs no conversion first. Weights that are in blocks already must be in this format.
    pub quantize: Option<BlockFormat>,
    /// Keeps the text encoders in main memory and computes them on the CPU, so that a GPU holds none of them while the
    /// UNet runs. This serves the purpose of diffusers' `enable_model_cpu_offload`, without moving weights.
    pub text_encoders_on_cpu: bool,
}

/// The parts of a loaded model.
pub struct Components {
    /// Decides how text is encoded and which conditions the UNet gets.
    pub family: Family,
    /// The text encoders: one, or Stable Diffusion XL's two.
    pub text: Vec<TextEncoder>,
    /// The denoising network.
    pub unet: UNet2DConditionModel,
    /// Its configuration.
    pub unet_config: UNet2DConditionConfig,
    /// The autoencoder.
    pub vae: Vae,
    /// An autoencoder whose decoder draws the same latents larger.
    pub vae_large: Option<Vae>,
    /// The configuration of the model's own sampler.
    pub scheduler: SchedulerConfig,
    /// Settings that suit the model.
    pub defaults: Defaults,
    /// Whether the text encoder reads prompt and negative prompt together; see [`Pipeline::encode_prompt`].
    pub negative_prompt_in_context: bool,
    /// The smallest and the greatest guidance scale that a distilled model learned.
    pub guidance_scale_range: Option<[f32; 2]>,
}

impl Pipeline {
    /// A pipeline from a model in memory, which is on `device` except for text encoders with their own device.
    pub fn from_components(components: Components, device: &Device) -> Self {
        Self { components, controlnets: Vec::new(), vae_tiling: None, device: device.clone() }
    }

    /// Reads `model_index.json`, the configurations and the weights.
    ///
    /// # Errors
    /// [`Error::NotAModel`] names the missing file, [`Error::Unsupported`] another family, [`Error::Config`] an unknown
    /// value; also the loader's errors for the weights.
    pub fn load(files: &impl Files, device: &Device) -> Result<Self> {
        Self::load_with(files, &LoadOptions::default(), device)
    }

    /// As [`Self::load`], with options. Weights are read tensor by tensor, so main memory needs to hold only about the
    /// largest of them.
    ///
    /// # Errors
    /// As [`Self::load`]; those of [`Lora::updates`] for adapters that do not fit; [`Error::BadFile`] for weights that
    /// are in other blocks already.
    pub fn load_with(files: &impl Files, options: &LoadOptions, device: &Device) -> Result<Self> {
        let loras = options.loras;
        let Index { family, negative_prompt_in_context, guidance_scale_range, vae_large } = Index::read(files)?;
        let parts = [family.encoders(), &[Part::Unet]].concat();
        loras.iter().try_for_each(|lora| lora.check_parts(&parts))?;
        let unet_config: UNet2DConditionConfig = parse(UNET, &files.read(UNET)?)?;
        unet_config.check(UNET)?;
        let texts = family.encoders().iter().map(|part| TextFiles::read(files, *part)).collect::<Result<Vec<_>>>()?;
        check_widths(family, &unet_config, &texts)?;
        if negative_prompt_in_context {
            check_two_stretches(&unet_config, &texts[0].config, &texts[0].tokenizer)?;
        }
        // Frees the memory of an earlier model, which the device would otherwise keep for weights of the same sizes.
        device.memory_cleanup();
        let home = if options.text_encoders_on_cpu { Device::flex() } else { device.clone() };
        let text = texts.into_iter().map(|text| text.encoder(files, options, &home)).collect::<Result<Vec<_>>>()?;
        let unet = UNet2DConditionModel::new(&unet_config, UNET, device)?;
        let unet = load_weights(unet, files, (UNET, &format!("unet/{WEIGHTS}")), Part::Unet, options)?;
        let vae = load_vae(files, "vae", options, device)?;
        check_vae(VAE, &vae)?;
        check_channels(&unet_config, &vae)?;
        let vae_large = vae_large.then(|| load_vae(files, VAE_LARGE, options, device)).transpose()?;
        vae_large.iter().try_for_each(|large| check_large(&vae, large))?;
        let defaults = defaults_for(files, family, &unet_config, vae.scale())?;
        let scheduler = SchedulerConfig::parse(SCHEDULER, &files.read_text(SCHEDULER)?)?;
        let components = Components {
            family,
            text,
            unet,
            unet_config,
            vae,
            vae_large,
            scheduler,
            defaults,
            negative_prompt_in_context,
            guidance_scale_range,
        };
        Ok(Self::from_components(components, device))
    }

    /// The settings that suit a model, without loading it.
    ///
    /// # Errors
    /// As [`Self::load`] for the configurations.
    pub fn defaults_of(files: &impl Files) -> Result<Defaults> {
        Ok(super::Plan::read(files, &super::PlanOptions::default())?.defaults)
    }
}

/// A text encoder before its weights are read.
pub(super) struct TextFiles {
    pub part: Part,
    pub config: ClipTextConfig,
    tokenizer: Tokenizer,
}

impl TextFiles {
    pub fn read(files: &impl Files, part: Part) -> Result<Self> {
        let tokenizer = load_tokenizer(files, &part.folder().replace("text_encoder", "tokenizer"))?;
        let file = Self::file(part);
        let config: ClipTextConfig = parse(&file, &files.read(&file)?)?;
        config.check(&file)?;
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

    pub fn file(part: Part) -> String {
        format!("{}/config.json", part.folder())
    }

    fn encoder(self, files: &impl Files, options: &LoadOptions, device: &Device) -> Result<TextEncoder> {
        let model = ClipTextModel::new(&self.config, &Self::file(self.part), device)?;
        let path = format!("{}/model.safetensors", self.part.folder());
        let model = load_weights(model, files, (&Self::file(self.part), &path), self.part, options)?;
        Ok(TextEncoder { tokenizer: self.tokenizer, model, device: device.clone() })
    }
}

/// Checks a model that reads the negative prompt in its context.
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

/// Checks that the UNet's widths match the text encoders'.
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

/// Checks that the UNet reads the autoencoder's latents, for inpainting also a mask and the masked picture's latents.
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

/// Checks that pictures are encoded and decoded in the same form: three channels, or four with alpha.
pub(super) fn check_vae(file: &str, vae: &Vae) -> Result<()> {
    let problem = |reason: String| Err(Error::Config { file: file.into(), reason });
    match (vae.channels(), vae.encoder_scale(), vae.scale()) {
        ([3, 3] | [4, 4], read, drawn) if read == drawn => Ok(()),
        ([3, 3] | [4, 4], read, drawn) => {
            problem(format!("a latent is encoded from {read} pixels, but decoded to {drawn}: they must agree"))
        }
        ([read, drawn], ..) => problem(format!(
            "in_channels = {read}, out_channels = {drawn}: must be 3 and 3, or 4 and 4 for pictures with alpha"
        )),
    }
}

/// Checks that a large decoder takes the latents of the other one and draws pictures of the same form, but larger.
pub(super) fn check_large(vae: &Vae, large: &Vae) -> Result<()> {
    let problem = |reason: String| Err(Error::Config { file: format!("{VAE_LARGE}/config.json"), reason });
    let ([_, drawn], [_, wanted]) = (large.channels(), vae.channels());
    let (latent, wanted_latent) = (large.latent_channels(), vae.latent_channels());
    if (drawn, latent) != (wanted, wanted_latent) {
        return problem(format!(
            "out_channels = {drawn}, latent_channels = {latent}, but the small decoder has {wanted} and {wanted_latent}"
        ));
    }
    let (scale, small) = (large.scale(), vae.scale());
    match scale > small && scale.is_multiple_of(small) {
        true => Ok(()),
        false => {
            problem(format!("draws {scale} pixels a latent: must be two or more times the small decoder's {small}"))
        }
    }
}

fn load_tokenizer(files: &impl Files, folder: &str) -> Result<Tokenizer> {
    let path = |name: &str| format!("{folder}/{name}");
    let special = files.get_small(&path("special_tokens_map.json"))?;
    let config = files.read(&path("tokenizer_config.json"))?;
    match (files.get_small(&path("vocab.json"))?, files.get_small(&path("tokenizer.json"))?) {
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

/// `config` is that of the component; it says how the weights at `path` are stored.
fn load_weights<M: burn::module::Module>(
    module: M,
    files: &impl Files,
    (config, path): (&str, &str),
    part: Part,
    options: &LoadOptions,
) -> Result<M> {
    let quantization = Quantization::parse(config, &files.read(config)?)?;
    let loras = options.loras;
    let targets = if loras.is_empty() { Vec::new() } else { weights::paths(&module) };
    let updates = loras.iter().map(|lora| lora.updates(part, &targets)).collect::<Result<Vec<_>>>()?;
    let checkpoint = Checkpoint::open(files, path)?.with_quantization(quantization).quantizing(options.quantize);
    weights::load_with(module, &checkpoint, &Updates::together(updates))
}

fn load_vae(files: &impl Files, folder: &str, options: &LoadOptions, device: &Device) -> Result<Vae> {
    let checkpoint = Checkpoint::open(files, &format!("{folder}/{WEIGHTS}"))?;
    let config = format!("{folder}/config.json");
    Vae::load(&config, &files.read(&config)?, checkpoint.quantizing(options.quantize), device)
}

/// The manifest's settings, or those of diffusers' pipeline if there is no manifest; `scale` is the autoencoder's.
pub(super) fn defaults_for(
    files: &impl Files,
    family: Family,
    unet: &UNet2DConditionConfig,
    scale: usize,
) -> Result<Defaults> {
    if let Some(bytes) = files.get_small(MANIFEST)? {
        let manifest: Manifest = parse(MANIFEST, &bytes)?;
        return Ok(manifest.defaults);
    }
    let size = unet.sample_size().unwrap_or(64).saturating_mul(scale);
    let (steps, guidance_scale) = match family {
        Family::StableDiffusion => (50, 7.5),
        Family::LatentConsistency => (4, 8.5),
        Family::StableDiffusionXl { .. } => (50, 5.0),
    };
    Ok(Defaults { steps, guidance_scale, guidance_scale_range: None, width: size, height: size })
}

/// All files that a model of this family may have besides its weights; not all of them must exist.
pub fn small_files(family: Family) -> Vec<String> {
    let mut paths: Vec<String> = [INDEX, UNET, VAE, SCHEDULER].map(str::to_string).to_vec();
    paths.push(format!("{VAE_LARGE}/config.json"));
    for part in family.encoders() {
        paths.push(TextFiles::file(*part));
        let folder = part.folder().replace("text_encoder", "tokenizer");
        let names = ["tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt", "tokenizer.json"];
        paths.extend(names.map(|name| format!("{folder}/{name}")));
    }
    paths
}
