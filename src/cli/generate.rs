//! `fourstep generate`: a prompt becomes a PNG, the same picture as the page draws for the same settings.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::device::DeviceName;
use super::progress::Progress;
use crate::pipeline::{Pipeline, Request, StepEvent};
use crate::schedulers;
use crate::weights::DirFiles;

/// Draws a picture of what a prompt says
#[derive(clap::Args)]
pub struct Generate {
    /// What to draw
    prompt: String,
    /// A model in the diffusers folder layout
    #[arg(long, value_name = "DIR", default_value = "models/stickers")]
    model: PathBuf,
    /// What to keep away from
    #[arg(long, value_name = "TEXT", default_value = "")]
    negative: String,
    /// Of the random numbers: the same seed gives the same picture
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Denoising steps [default: the model's]
    #[arg(long)]
    steps: Option<usize>,
    /// How strongly the picture follows the prompt; 1 and below: no guidance [default: the model's]
    #[arg(long)]
    guidance: Option<f32>,
    /// ddim, euler, euler_a, lms, ... [default: the model's]
    #[arg(long)]
    scheduler: Option<String>,
    /// Pixels [default: the model's]
    #[arg(long)]
    width: Option<usize>,
    /// Pixels [default: the model's]
    #[arg(long)]
    height: Option<usize>,
    /// Where to draw: the processor, or a graphics card through wgpu
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// The picture; its settings are written into it, as A1111 does
    #[arg(long, value_name = "FILE.png")]
    out: PathBuf,
    /// Leaves the settings out of the picture
    #[arg(long)]
    no_settings: bool,
}

/// Runs the command.
pub fn run(args: &Generate) -> Result<()> {
    let device = args.device.open()?;
    let pipeline = Pipeline::load(&DirFiles::new(&args.model), &device)?;
    let request = args.request(&pipeline)?;
    check_writable(&args.out).with_context(|| args.out.display().to_string())?;
    let mut progress = Progress::new();
    let mut on_step = async |event: StepEvent<'_>| {
        progress.say("steps", event.index + 1, event.steps);
        ControlFlow::Continue(())
    };
    let drawn = pollster::block_on(pipeline.generate(&request, &mut on_step));
    progress.end();
    let (images, warnings) = drawn?;
    for warning in warnings {
        eprintln!("note: {warning}");
    }
    let settings = (!args.no_settings).then(|| request.infotext(pipeline.scheduler(), &args.model_name()).to_string());
    let png = images[0].to_png(settings.as_deref())?;
    std::fs::write(&args.out, png).with_context(|| args.out.display().to_string())?;
    writeln!(std::io::stdout(), "{}", args.out.display())?;
    Ok(())
}

impl Generate {
    /// The folder's name.
    fn model_name(&self) -> String {
        let whole = self.model.canonicalize();
        let name = whole.ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        name.unwrap_or_else(|| self.model.display().to_string())
    }

    fn request(&self, pipeline: &Pipeline) -> Result<Request> {
        let own = pipeline.request(&self.prompt);
        let named = |name: &String| schedulers::named(name, pipeline.scheduler());
        Ok(Request {
            negative_prompt: self.negative.clone(),
            seed: self.seed,
            num_inference_steps: self.steps.unwrap_or(own.num_inference_steps),
            guidance_scale: self.guidance.unwrap_or(own.guidance_scale),
            width: self.width.unwrap_or(own.width),
            height: self.height.unwrap_or(own.height),
            scheduler: self.scheduler.as_ref().map(named).transpose()?,
            ..own
        })
    }
}

/// Finds out before a long drawing whether its file can be written; leaves no trace.
fn check_writable(path: &Path) -> std::io::Result<()> {
    let existed = path.exists();
    std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    match existed {
        true => Ok(()),
        false => std::fs::remove_file(path),
    }
}
