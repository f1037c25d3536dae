//! `fourstep generate`: draws a prompt, or a saved edit, as a PNG, the same picture as the page draws for the same settings.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::control::ControlArgs;
use super::device::DeviceName;
use super::generate_edit::{self, Again};
use super::memory::Memory;
use super::model::ModelArgs;
use super::progress::Progress;
use super::strip::check_writable;
use crate::kernels::BlockFormat;
use crate::picture::Picture;
use crate::pipeline::{
    Control, LoadOptions, MicroConditioning, PlanOptions, Settings, StepEvent, parse_seed, parse_steps,
};
use crate::text::PromptSyntax;
use crate::weights::{Lora, TextualInversion};

/// Draws a picture of a prompt
#[derive(clap::Args)]
pub struct Generate {
    /// The prompt
    #[arg(required_unless_present = "edit")]
    prompt: Option<String>,
    #[command(flatten)]
    model: ModelArgs,
    /// What the picture should not show
    #[arg(long, value_name = "TEXT", default_value = "")]
    negative: String,
    /// Seed of the random numbers: the same seed gives the same picture [default: 0; with --edit the edit's]
    #[arg(long, value_parser = parse_seed)]
    seed: Option<u64>,
    /// Denoising steps [default: the model's]
    #[arg(long, value_parser = parse_steps)]
    steps: Option<usize>,
    /// How strongly the picture follows the prompt; no guidance at 1 and below [default: the model's]
    #[arg(long)]
    guidance: Option<f32>,
    /// ddim, euler, euler_a, lms, ... [default: the model's]
    #[arg(long, value_name = "NAME", alias = "scheduler")]
    sampler: Option<String>,
    /// Width in pixels [default: the model's]
    #[arg(long)]
    width: Option<usize>,
    /// Height in pixels [default: the model's]
    #[arg(long)]
    height: Option<usize>,
    /// Decodes with the model's large decoder, to a picture two or four times as large
    #[arg(long)]
    large: bool,
    /// Adds a white outline, if the model draws transparent pictures; the picture may grow a little
    #[arg(long)]
    outline: bool,
    /// A picture to start from; its size becomes the default size
    #[arg(long, value_name = "FILE.png")]
    image: Option<PathBuf>,
    /// How much of --image is redrawn, 0 to 1 [default: 0.8; with --mask 1]
    #[arg(long, requires = "image")]
    strength: Option<f64>,
    /// A mask: light where --image is redrawn, dark where it is kept
    #[arg(long, value_name = "FILE.png", requires = "image")]
    mask: Option<PathBuf>,
    /// A LoRA adapter, in the names of diffusers or kohya, with its weight [default: 1]; may be repeated
    #[arg(long, value_name = "FILE[:WEIGHT]")]
    lora: Vec<String>,
    /// A learned word (textual inversion), with the word to use in prompts [default: the file's]; may be repeated
    #[arg(long, value_name = "FILE[:WORD]")]
    embedding: Vec<String>,
    /// Draws, instead of a prompt, an edit that `fourstep edit --method imagic` wrote; needs the same model
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "prompt", "negative", "width", "height", "large", "outline", "image", "lora", "embedding", "clip_skip", "guidance_rescale", "nag_scale", "weighting",
        "Sizes", "controlnet", "vae_tile", "text_on_cpu", "memory",
    ])]
    edit: Option<PathBuf>,
    /// With --edit: how far from the picture (0) to the prompt (1) [default: 0.5]
    #[arg(long, value_name = "NUMBER")]
    eta: Option<f64>,
    /// How many of the text encoder's last layers to skip
    #[arg(long, value_name = "LAYERS")]
    clip_skip: Option<usize>,
    /// Reduces overexposure at high guidance, 0 to 1 (Lin et al., 2023, section 3.4)
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    guidance_rescale: f32,
    /// For models that draw without guidance (LCM, Turbo): how strongly the cross-attention avoids the negative prompt,
    /// above 1, for example 3 (NAG; Chen et al., 2025)
    #[arg(long, value_name = "SCALE")]
    nag_scale: Option<f32>,
    /// With --nag-scale: the greatest growth of the features' norm [default: 2.5]
    #[arg(long, value_name = "RATIO", requires = "nag_scale")]
    nag_tau: Option<f32>,
    /// With --nag-scale: the share of the guided features, 0 to 1 [default: 0.5]
    #[arg(long, value_name = "SHARE", requires = "nag_scale")]
    nag_alpha: Option<f32>,
    /// Reads (word:1.3), [word] and BREAK as the web UIs do, and long prompts completely
    #[arg(long)]
    weighting: bool,
    #[command(flatten)]
    sizes: Sizes,
    #[command(flatten)]
    controls: ControlArgs,
    /// Where to draw: the CPU, or a graphics card through wgpu
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// File for the picture; it also stores the settings, as A1111 does
    #[arg(long, value_name = "FILE.png")]
    out: PathBuf,
    /// Puts float weights into blocks of 8 or 4 bits while they are read
    #[arg(long, value_name = "BITS", value_parser = super::quantize::format)]
    quantize: Option<BlockFormat>,
    /// Decodes in tiles of this many pixels, which takes less memory and may shift tones [default: whole, if the device
    /// can]
    #[arg(long, value_name = "PIXELS")]
    vae_tile: Option<usize>,
    /// Keeps the text encoders in main memory instead of the graphics card's
    #[arg(long)]
    text_on_cpu: bool,
    /// Prints how much memory the graphics card held, and what `fourstep plan` predicts at the model's own guidance
    #[arg(long, conflicts_with_all = ["text_on_cpu", "vae_tile", "large"])]
    memory: bool,
    /// Does not store the settings in the picture
    #[arg(long)]
    no_settings: bool,
}

// Heights and rows first, as in diffusers. (A doc comment would become the command's own help.)
#[derive(clap::Args)]
#[command(next_help_heading = "Sizes that Stable Diffusion XL is told")]
struct Sizes {
    /// Size of the picture before it was scaled [default: the picture's]
    #[arg(long, value_name = "HEIGHT,WIDTH", value_parser = pair)]
    original_size: Option<[usize; 2]>,
    /// Rows and columns cut off at the top and at the left [default: 0,0]
    #[arg(long, value_name = "TOP,LEFT", value_parser = pair)]
    crops_coords_top_left: Option<[usize; 2]>,
    /// Size of the picture that is wanted [default: the picture's]
    #[arg(long, value_name = "HEIGHT,WIDTH", value_parser = pair)]
    target_size: Option<[usize; 2]>,
    /// An original size to avoid
    #[arg(long, value_name = "HEIGHT,WIDTH", value_parser = pair)]
    negative_original_size: Option<[usize; 2]>,
    /// A crop to avoid [default: 0,0]
    #[arg(long, value_name = "TOP,LEFT", value_parser = pair)]
    negative_crops_coords_top_left: Option<[usize; 2]>,
    /// A target size to avoid
    #[arg(long, value_name = "HEIGHT,WIDTH", value_parser = pair)]
    negative_target_size: Option<[usize; 2]>,
}

impl Sizes {
    fn micro_conditioning(&self) -> MicroConditioning {
        MicroConditioning {
            original_size: self.original_size,
            crops_coords_top_left: self.crops_coords_top_left.unwrap_or_default(),
            target_size: self.target_size,
            negative_original_size: self.negative_original_size,
            negative_crops_coords_top_left: self.negative_crops_coords_top_left.unwrap_or_default(),
            negative_target_size: self.negative_target_size,
        }
    }
}

fn pair(text: &str) -> Result<[usize; 2], String> {
    let numbers = text.split_once(',').and_then(|(a, b)| Some([a.trim().parse().ok()?, b.trim().parse().ok()?]));
    numbers.ok_or_else(|| "use two whole numbers with a comma between them".to_string())
}

pub fn run(args: &Generate) -> Result<()> {
    if let Some(edit) = &args.edit {
        return generate_edit::run(&args.again(edit));
    }
    ensure!(args.eta.is_none(), "--eta: only --edit has it");
    let device = args.device.open()?;
    let (image, mask) = (read_picture(&args.image, "--image")?, read_picture(&args.mask, "--mask")?);
    let controls = args.controls.controls()?;
    let adapters = args.lora.iter().map(|text| read_lora(text)).collect::<Result<Vec<_>>>()?;
    let loras = adapters.iter().map(|(file, bytes, weight)| Lora::parse(file, bytes, *weight));
    let loras = loras.collect::<crate::Result<Vec<_>>>().context("--lora")?;
    let options = LoadOptions { loras: &loras, quantize: args.quantize, text_encoders_on_cpu: args.text_on_cpu };
    let model = args.model.open()?;
    let mut pipeline = model.load_with(&options, &device)?;
    args.controls.load(&mut pipeline, args.quantize)?;
    for text in &args.embedding {
        let inversion = read_embedding(text).with_context(|| format!("--embedding {text}"))?;
        pipeline.add_textual_inversion(&inversion)?;
    }
    let mut memory = args.memory.then(|| Memory::of(&device)).transpose()?;
    if args.vae_tile.is_some() {
        pipeline.enable_vae_tiling(args.vae_tile);
    }
    let request = pipeline.request_of(args.settings(image, mask, controls))?;
    check_writable(&args.out).with_context(|| args.out.display().to_string())?;
    let mut progress = Progress::new();
    let mut on_step = async |event: StepEvent<'_>| {
        progress.say("steps", event.index + 1, event.steps);
        memory.iter_mut().for_each(Memory::read);
        ControlFlow::Continue(())
    };
    let drawn = pollster::block_on(pipeline.generate(&request, &mut on_step));
    progress.end();
    let (images, warnings) = drawn?;
    if let Some(memory) = &mut memory {
        memory.read();
        let size = Some((request.width, request.height));
        memory.print(&model.files, &PlanOptions { size, quantize: args.quantize, buffer: None })?;
    }
    for warning in warnings {
        eprintln!("note: {warning}");
    }
    let labels: Vec<String> = loras.iter().map(Lora::label).collect();
    let infotext = || request.infotext(pipeline.scheduler(), &args.model.name()).with_adapters(&labels).to_string();
    let settings = (!args.no_settings).then(infotext);
    let picture = if args.outline { images[0].outlined() } else { images[0].clone() };
    if args.outline && picture == images[0] {
        eprintln!("note: --outline: nothing in this picture is transparent, so that it has no outline");
    }
    let png = picture.to_png(settings.as_deref())?;
    std::fs::write(&args.out, png).with_context(|| args.out.display().to_string())?;
    writeln!(std::io::stdout(), "{}", args.out.display())?;
    Ok(())
}

impl Generate {
    fn again<'a>(&'a self, file: &'a Path) -> Again<'a> {
        Again {
            file,
            eta: self.eta.unwrap_or(0.5),
            model: &self.model,
            device: self.device,
            quantize: self.quantize,
            seed: self.seed,
            steps: self.steps,
            guidance: self.guidance,
            sampler: self.sampler.clone(),
            out: &self.out,
        }
    }

    fn settings(&self, image: Option<Picture>, mask: Option<Picture>, controls: Vec<Control>) -> Settings {
        Settings {
            prompt: self.prompt.clone().unwrap_or_default(),
            negative_prompt: self.negative.clone(),
            seed: self.seed.unwrap_or(0),
            steps: self.steps,
            guidance_scale: self.guidance,
            guidance_rescale: Some(self.guidance_rescale),
            nag_scale: self.nag_scale,
            nag_tau: self.nag_tau,
            nag_alpha: self.nag_alpha,
            sampler: self.sampler.clone(),
            width: self.width,
            height: self.height,
            large: self.large,
            strength: self.strength,
            clip_skip: self.clip_skip,
            prompt_syntax: self.weighting.then_some(PromptSyntax::Weighted),
            micro_conditioning: self.sizes.micro_conditioning(),
            image,
            mask,
            controls,
            ..Settings::default()
        }
    }
}

fn read_picture(path: &Option<PathBuf>, argument: &str) -> Result<Option<Picture>> {
    path.as_ref().map(|path| Picture::read_png(path)).transpose().context(argument.to_string())
}

/// The word in `FILE` or `FILE:WORD`.
fn read_embedding(text: &str) -> Result<TextualInversion> {
    let whole = Path::new(text).exists();
    let (file, word) = match text.rsplit_once(':').filter(|_| !whole) {
        Some((file, word)) => (file, Some(word)),
        None => (text, None),
    };
    if [".pt", ".bin"].iter().any(|ending| file.ends_with(ending)) {
        bail!("a file of Python objects can run code when it is read: save it as .safetensors first");
    }
    Ok(TextualInversion::parse(file, &std::fs::read(file)?, word)?)
}

/// Name, bytes and weight of `FILE` or `FILE:WEIGHT`.
fn read_lora(text: &str) -> Result<(String, Vec<u8>, f32)> {
    let parted = text.rsplit_once(':').and_then(|(file, weight)| Some((file, weight.parse().ok()?)));
    let (file, weight) = parted.unwrap_or((text, 1.0));
    let bytes = std::fs::read(file).with_context(|| format!("--lora {file}"))?;
    Ok((file.to_string(), bytes, weight))
}
