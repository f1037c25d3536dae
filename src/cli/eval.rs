//! `fourstep eval`: counts how often a model of stickers draws what was asked for.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::drawing::Drawing;
use super::model::ModelArgs;
use super::progress::Progress;
use crate::dataset::Stickers;
use crate::eval::{Asked, Evaluation, Settings, evaluate};
use crate::picture::Picture;
use crate::pipeline::{Pipeline, parse_steps};
use crate::train::sheet::sheet;

/// Counts how often the drawn sticker is the one that was asked for, and has the colour that was asked for
#[derive(clap::Args)]
pub struct Eval {
    #[command(flatten)]
    model: ModelArgs,
    /// Number of plain prompts ("a fox") [default: one for each concept of the recipe]
    #[arg(long)]
    prompts: Option<usize>,
    /// Number of prompts for a colour ("a green fox"), and as many for a background
    #[arg(long, default_value_t = 100)]
    colour_prompts: usize,
    /// Denoising steps [default: the model's]
    #[arg(long, value_parser = parse_steps)]
    steps: Option<usize>,
    /// How strongly the picture follows the prompt; no guidance at 1 and below [default: the model's]
    #[arg(long)]
    guidance: Option<f32>,
    /// ddim, euler, euler_a, lms, ... [default: the model's]
    #[arg(long, value_name = "NAME", alias = "scheduler")]
    sampler: Option<String>,
    #[command(flatten)]
    drawing: Drawing,
    /// Folder for eval.json, table.md, failures.txt and sheet.png, created if missing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the command: prints the table, writes everything else into the folder.
pub fn run(args: &Eval) -> Result<()> {
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    }
    let stickers = args.drawing.stickers()?;
    let pipeline = args.model.open()?.load(&args.drawing.device.open()?)?;
    let settings = args.settings(&pipeline, &stickers)?;
    let mut progress = Progress::new();
    let evaluation =
        evaluate(&pipeline, &stickers, settings, &mut |what, done, total| progress.say(what, done, total))?;
    progress.end();
    for warning in &evaluation.report.warnings {
        eprintln!("note: {warning}");
    }
    let table = evaluation.report.markdown();
    write!(std::io::stdout(), "{table}")?;
    let Some(out) = &args.out else { return Ok(()) };
    write_folder(&evaluation, &table, out)
}

impl Eval {
    fn settings(&self, pipeline: &Pipeline, stickers: &Stickers) -> Result<Settings> {
        let defaults = pipeline.defaults();
        ensure!(
            defaults.width == defaults.height,
            "the model draws {} x {}: stickers are square",
            defaults.width,
            defaults.height
        );
        Ok(Settings {
            model: self.model.model.display().to_string(),
            pack: self.drawing.pack.display().to_string(),
            recipe: self.drawing.recipe.display().to_string(),
            device: self.drawing.device.to_string(),
            prompts: self.prompts.unwrap_or(stickers.names.len()),
            colour_prompts: self.colour_prompts,
            steps: self.steps.unwrap_or(defaults.steps),
            guidance_scale: self.guidance.unwrap_or(defaults.guidance_scale),
            sampler: self.sampler.clone(),
            size: defaults.width,
            seed: self.drawing.seed,
            batch: self.drawing.batch,
        })
    }
}

fn write_folder(evaluation: &Evaluation, table: &str, out: &Path) -> Result<()> {
    let report = &evaluation.report;
    let texts = [
        ("eval.json", serde_json::to_string_pretty(report)? + "\n"),
        ("table.md", table.to_owned()),
        ("failures.txt", report.failures()),
    ];
    for (name, text) in texts {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    let failed = report.drawings.iter().filter(|drawing| !drawing.found).count();
    eprintln!(
        "{failed} of {} drawings do not show what was asked: {}",
        report.drawings.len(),
        out.join("failures.txt").display()
    );
    Ok(sheet(&cells(evaluation), SHEET_COLUMNS).write_png(&out.join("sheet.png"))?)
}

const SHEET_COLUMNS: usize = 8;
const SHEET_CELLS: usize = 64;

/// 64 prompts, half of them plain and a quarter each for colours and backgrounds: the truth with the drawing on its
/// right, and below them the prompt, and for failures what the drawing looks like instead.
fn cells(evaluation: &Evaluation) -> Vec<(Picture, String)> {
    let drawings = &evaluation.report.drawings;
    let shares =
        [(Asked::Concept, SHEET_CELLS / 2), (Asked::Colour, SHEET_CELLS / 4), (Asked::Background, SHEET_CELLS / 4)];
    let mut chosen: Vec<usize> = Vec::new();
    for (asked, count) in shares {
        let these: Vec<usize> = (0..drawings.len()).filter(|&i| drawings[i].asked == asked).collect();
        // Evenly spread, so that trained and held-out combinations both appear.
        let count = count.min(these.len());
        chosen.extend((0..count).map(|k| these[k * these.len() / count]));
    }
    let cell = |i: usize| {
        let (truth, drawn) = (&evaluation.truth[i], &evaluation.drawn[i]);
        let mut both = Picture::filled(2 * truth.width + 2, truth.height, [226, 226, 228]);
        both.paste(truth, 0, 0);
        both.paste(drawn, truth.width + 2, 0);
        let drawing = &drawings[i];
        let failed = if drawing.found { String::new() } else { format!("\n({})", drawing.looks_like) };
        (both.enlarged(if truth.width < 100 { 2 } else { 1 }), format!("{}{failed}", drawing.prompt))
    };
    chosen.into_iter().map(cell).collect()
}
