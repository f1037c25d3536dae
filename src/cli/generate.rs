//! `fourstep generate`: a prompt becomes a PNG, the same picture as the page draws for the same settings.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::device::DeviceName;
use super::memory::Memory;
use super::model::ModelArgs;
use super::progress::Progress;
use crate::kernels::BlockFormat;
use crate::picture::Picture;
use crate::pipeline::{LoadOptions, MicroConditioning, PlanOptions, Settings, StepEvent, parse_seed, parse_steps};
use crate::text::PromptSyntax;
use crate::weights::Lora;

/// Draws a picture of what a prompt says
#[derive(clap::Args)]
pub struct Generate {
    /// What to draw
    prompt: String,
    #[command(flatten)]
    model: ModelArgs,
    /// What to keep away from
    #[arg(long, value_name = "TEXT", default_value = "")]
    negative: String,
    /// Of the random numbers: the same seed gives the same picture
    #[arg(long, default_value_t = 0, value_parser = parse_seed)]
    seed: u64,
    /// Denoising steps [default: the model's]
    #[arg(long, value_parser = parse_steps)]
    steps: Option<usize>,
    /// How strongly the picture follows the prompt; 1 and below: no guidance [default: the model's]
    #[arg(long)]
    guidance: Option<f32>,
    /// ddim, euler, euler_a, lms, ... [default: the model's]
    #[arg(long, value_name = "NAME", alias = "scheduler")]
    sampler: Option<String>,
    /// Pixels [default: the model's]
    #[arg(long)]
    width: Option<usize>,
    /// Pixels [default: the model's]
    #[arg(long)]
    height: Option<usize>,
    /// Draws with the model's large decoder, which makes a picture two or four times as large of the same latents
    #[arg(long)]
    large: bool,
    /// Puts a white outline around what is drawn, where the model draws transparent pictures; the picture may grow a little
    #[arg(long)]
    outline: bool,
    /// A picture to begin from; its size is then the default size
    #[arg(long, value_name = "FILE.png")]
    image: Option<PathBuf>,
    /// How much of --image is redrawn, 0 to 1 [default: 0.8; with --mask 1]
    #[arg(long, requires = "image")]
    strength: Option<f64>,
    /// Light where --image is redrawn, dark where it is kept
    #[arg(long, value_name = "FILE.png", requires = "image")]
    mask: Option<PathBuf>,
    /// A LoRA adapter, in the names of diffusers or kohya, with its weight [default: 1]; may be given several times
    #[arg(long, value_name = "FILE[:WEIGHT]")]
    lora: Vec<String>,
    /// Layers of the text encoder to leave out at its end
    #[arg(long, value_name = "LAYERS")]
    clip_skip: Option<usize>,
    /// Against overexposure at high guidance, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    guidance_rescale: f32,
    /// Read (word:1.3), [word] and BREAK as the web UIs do, and long prompts whole
    #[arg(long)]
    weighting: bool,
    #[command(flatten)]
    sizes: Sizes,
    /// Where to draw: the processor, or a graphics card through wgpu
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// The picture; its settings are written into it, as A1111 does
    #[arg(long, value_name = "FILE.png")]
    out: PathBuf,
    /// Puts float weights into blocks of 8 or 4 bits as they are read
    #[arg(long, value_name = "BITS", value_parser = super::quantize::format)]
    quantize: Option<BlockFormat>,
    /// Decodes in tiles of so many pixels, which takes less memory and may shift tones [default: whole, where the device can]
    #[arg(long, value_name = "PIXELS")]
    vae_tile: Option<usize>,
    /// Keeps the text encoders in main memory, so that the graphics card has none of them
    #[arg(long)]
    text_on_cpu: bool,
    /// Says how much memory the graphics card held, beside what `fourstep plan` foretells at the model's own guidance
    #[arg(long, conflicts_with_all = ["text_on_cpu", "vae_tile", "large"])]
    memory: bool,
    /// Leaves the settings out of the picture
    #[arg(long)]
    no_settings: bool,
}

// Heights and rows first, as in diffusers. (A doc comment would become the command's own help.)
#[derive(clap::Args)]
#[command(next_help_heading = "Sizes that Stable Diffusion XL is told")]
struct Sizes {
    /// Of the picture before it was scaled [default: the picture's]
    #[arg(long, value_name = "HEIGHT,WIDTH", value_parser = pair)]
    original_size: Option<[usize; 2]>,
    /// Rows and columns cut off at the top and at the left [default: 0,0]
    #[arg(long, value_name = "TOP,LEFT", value_parser = pair)]
    crops_coords_top_left: Option<[usize; 2]>,
    /// Of the picture that is wanted [default: the picture's]
    #[arg(long, value_name = "HEIGHT,WIDTH", value_parser = pair)]
    target_size: Option<[usize; 2]>,
    /// An original size to draw away from
    #[arg(long, value_name = "HEIGHT,WIDTH", value_parser = pair)]
    negative_original_size: Option<[usize; 2]>,
    /// A crop to draw away from [default: 0,0]
    #[arg(long, value_name = "TOP,LEFT", value_parser = pair)]
    negative_crops_coords_top_left: Option<[usize; 2]>,
    /// A target size to draw away from
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

/// Runs the command.
pub fn run(args: &Generate) -> Result<()> {
    let device = args.device.open()?;
    let (image, mask) = (read_picture(&args.image, "--image")?, read_picture(&args.mask, "--mask")?);
    let adapters = args.lora.iter().map(|text| read_lora(text)).collect::<Result<Vec<_>>>()?;
    let loras = adapters.iter().map(|(file, bytes, weight)| Lora::parse(file, bytes, *weight));
    let loras = loras.collect::<crate::Result<Vec<_>>>().context("--lora")?;
    let options = LoadOptions { loras: &loras, quantize: args.quantize, text_encoders_on_cpu: args.text_on_cpu };
    let model = args.model.open()?;
    let mut pipeline = model.load_with(&options, &device)?;
    let mut memory = args.memory.then(|| Memory::of(&device)).transpose()?;
    if args.vae_tile.is_some() {
        pipeline.enable_vae_tiling(args.vae_tile);
    }
    let request = pipeline.request_of(args.settings(image, mask))?;
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
    let settings = (!args.no_settings).then(|| request.infotext(pipeline.scheduler(), &args.model.name()).to_string());
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
    fn settings(&self, image: Option<Picture>, mask: Option<Picture>) -> Settings {
        Settings {
            prompt: self.prompt.clone(),
            negative_prompt: self.negative.clone(),
            seed: self.seed,
            steps: self.steps,
            guidance_scale: self.guidance,
            guidance_rescale: Some(self.guidance_rescale),
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
            ..Settings::default()
        }
    }
}

fn read_picture(path: &Option<PathBuf>, argument: &str) -> Result<Option<Picture>> {
    path.as_ref().map(|path| Picture::read_png(path)).transpose().context(argument.to_string())
}

/// Name, bytes and weight of `FILE` or `FILE:WEIGHT`.
fn read_lora(text: &str) -> Result<(String, Vec<u8>, f32)> {
    let parted = text.rsplit_once(':').and_then(|(file, weight)| Some((file, weight.parse().ok()?)));
    let (file, weight) = parted.unwrap_or((text, 1.0));
    let bytes = std::fs::read(file).with_context(|| format!("--lora {file}"))?;
    Ok((file.to_string(), bytes, weight))
}

/// Finds out before a long drawing whether its file can be written; leaves no trace.
pub(super) fn check_writable(path: &Path) -> std::io::Result<()> {
    let existed = path.exists();
    std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    match existed {
        true => Ok(()),
        false => std::fs::remove_file(path),
    }
}
