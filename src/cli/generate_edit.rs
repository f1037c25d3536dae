//! `fourstep generate --edit`: an edit that `fourstep edit --method imagic` saved is drawn again, at any eta.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::device::DeviceName;
use super::model::ModelArgs;
use super::progress::Progress;
use super::strip::check_writable;
use crate::edit::imagic::SavedEdit;
use crate::kernels::BlockFormat;
use crate::pipeline::{LoadOptions, Settings, StepEvent};

/// What is asked of an edit; the edit's own settings replace what is missing.
pub struct Again<'a> {
    /// The edit.
    pub file: &'a Path,
    /// How far from the picture to the words, 0 to 1.
    pub eta: f64,
    /// The model that the edit was made with.
    pub model: &'a ModelArgs,
    /// Where to draw.
    pub device: DeviceName,
    /// Blocks for float weights.
    pub quantize: Option<BlockFormat>,
    /// Of the random numbers.
    pub seed: Option<u64>,
    /// Denoising steps.
    pub steps: Option<usize>,
    /// Guidance scale.
    pub guidance: Option<f32>,
    /// By name; the model's own where it is missing.
    pub sampler: Option<String>,
    /// The picture.
    pub out: &'a Path,
}

/// Draws the edit in the file. The picture carries no settings: a prompt and a seed alone do not draw it.
pub fn run(args: &Again<'_>) -> Result<()> {
    ensure!((0.0..=1.0).contains(&args.eta), "--eta: use a number from 0 to 1");
    let (device, file) = (args.device.open()?, args.file.display());
    let bytes = std::fs::read(args.file).with_context(|| format!("--edit {file}"))?;
    let SavedEdit { edit, lora, drawn } = SavedEdit::parse(&file.to_string(), &bytes, &device)?;
    let loras = Vec::from_iter(lora);
    let options = LoadOptions { loras: &loras, quantize: args.quantize, ..LoadOptions::default() };
    let pipeline = args.model.open()?.load_with(&options, &device)?;
    check_writable(args.out).with_context(|| args.out.display().to_string())?;
    let settings = Settings {
        seed: args.seed.unwrap_or(drawn.seed),
        steps: args.steps.or(drawn.steps),
        guidance_scale: args.guidance.or(drawn.guidance_scale),
        sampler: args.sampler.clone(),
        ..Settings::default()
    };
    let mut progress = Progress::new();
    let mut on_step = async |event: StepEvent<'_>| {
        progress.say("steps", event.index + 1, event.steps);
        ControlFlow::Continue(())
    };
    let picture = pollster::block_on(edit.draw(&pipeline, args.eta, settings, &mut on_step));
    progress.end();
    std::fs::write(args.out, picture?.to_png(None)?).with_context(|| args.out.display().to_string())?;
    writeln!(std::io::stdout(), "{}", args.out.display())?;
    Ok(())
}
