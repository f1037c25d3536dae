//! `fourstep adapt`: a few pictures of a thing and a text that names it become an adapter, with which the model draws the thing.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::device::DeviceName;
use super::edit_imagic::print_losses;
use super::model::ModelArgs;
use super::progress::Progress;
use super::strip::{check_writable, print_notes};
use crate::edit::adapt::{AdaptRequest, adapt, to_bytes};
use crate::edit::fit::{StageOptions, StageStep};
use crate::picture::Picture;
use crate::pipeline::parse_seed;
use crate::weights;

/// Teaches a model a thing from one to eight pictures of it: writes a LoRA adapter for `fourstep generate --lora`
#[derive(clap::Args)]
pub struct AdaptArgs {
    /// What the pictures show, with the word that is to name it, for example "a zib"
    prompt: String,
    /// A picture of it; may be given up to eight times, all of one size
    #[arg(long, value_name = "FILE.png", required = true)]
    image: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// Steps of Adam [default: 200]
    #[arg(long)]
    steps: Option<usize>,
    /// The learning rate of all steps [default: 0.001]
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
    /// Noise levels in each step [default: 4]
    #[arg(long, value_name = "NUMBER")]
    batch: Option<usize>,
    /// The rank of the adapter [default: 4]
    #[arg(long, value_name = "NUMBER")]
    rank: Option<usize>,
    /// Of the random numbers: the same seed makes the same adapter
    #[arg(long, default_value_t = 0, value_parser = parse_seed)]
    seed: u64,
    /// Where to compute: the processor, or a graphics card through wgpu
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// The adapter, in diffusers' names
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
}

/// Runs the command.
pub fn run(args: &AdaptArgs) -> Result<()> {
    let read = |path: &PathBuf| Picture::read_png(path).context("--image");
    let request = args.request(args.image.iter().map(read).collect::<Result<_>>()?);
    // Gradients need floats: blocks are widened on a device that keeps gradients.
    let pipeline = args.model.open()?.load(&args.device.open()?.autodiff())?;
    check_writable(&args.out).with_context(|| args.out.display().to_string())?;
    let mut progress = Progress::new();
    let mut on_step = async |step: StageStep<'_>| {
        progress.say("steps", step.index + 1, step.steps);
        ControlFlow::Continue(())
    };
    let (adapters, notes) = pollster::block_on(adapt(&pipeline, &request, &mut on_step))?;
    progress.end();
    print_notes(notes);
    print_losses("adapters", &adapters.losses, adapters.ended);
    weights::write(&args.out, &pollster::block_on(to_bytes(&adapters, &request.prompt)))?;
    writeln!(std::io::stdout(), "{}", args.out.display())?;
    Ok(())
}

impl AdaptArgs {
    fn request(&self, images: Vec<Picture>) -> AdaptRequest {
        let own = AdaptRequest::new(images, &self.prompt, self.seed);
        let options = StageOptions {
            steps: self.steps.unwrap_or(own.options.steps),
            learning_rate: self.rate.unwrap_or(own.options.learning_rate),
            batch: self.batch.unwrap_or(own.options.batch),
            ..own.options
        };
        AdaptRequest { options, rank: self.rank.unwrap_or(own.rank), ..own }
    }
}
