//! `fourstep generate --edit`: an edit that `fourstep edit --method imagic` saved is drawn again, at any eta.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::generate::{Generate, check_writable};
use super::progress::Progress;
use crate::edit::imagic::SavedEdit;
use crate::pipeline::{LoadOptions, Settings, StepEvent};

/// Draws the edit in the file. The picture carries no settings: a prompt and a seed alone do not draw it.
pub fn run(args: &Generate, file: &Path) -> Result<()> {
    let eta = args.eta.unwrap_or(0.5);
    ensure!((0.0..=1.0).contains(&eta), "--eta: use a number from 0 to 1");
    let device = args.device.open()?;
    let bytes = std::fs::read(file).with_context(|| format!("--edit {}", file.display()))?;
    let SavedEdit { edit, lora, drawn } = SavedEdit::parse(&file.display().to_string(), &bytes, &device)?;
    let loras = Vec::from_iter(lora);
    let options = LoadOptions { loras: &loras, quantize: args.quantize, ..LoadOptions::default() };
    let pipeline = args.model.open()?.load_with(&options, &device)?;
    check_writable(&args.out).with_context(|| args.out.display().to_string())?;
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
    let picture = pollster::block_on(edit.draw(&pipeline, eta, settings, &mut on_step));
    progress.end();
    std::fs::write(&args.out, picture?.to_png(None)?).with_context(|| args.out.display().to_string())?;
    writeln!(std::io::stdout(), "{}", args.out.display())?;
    Ok(())
}
