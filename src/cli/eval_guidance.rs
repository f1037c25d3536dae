//! `fourstep eval-guidance`: compares how student and teacher follow guidance scale and negative prompt.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::drawing::Drawing;
use super::progress::Progress;
use crate::chart::figure;
use crate::eval::guidance::{Pair, Report, Settings, agreement, negatives};
use crate::eval::store::{Model, Store};
use crate::picture::Picture;
use crate::train::sheet::sheet;

/// Compares how a student and its teacher follow guidance scales and negative prompts
#[derive(clap::Args)]
pub struct EvalGuidance {
    /// A model that evaluates its network twice a step for guidance, in the diffusers folder layout
    #[arg(long, value_name = "DIR")]
    teacher: PathBuf,
    /// A model distilled from it
    #[arg(long, value_name = "DIR")]
    student: PathBuf,
    /// Denoising steps of the teacher
    #[arg(long, value_name = "STEPS", default_value_t = 64)]
    teacher_steps: usize,
    /// Denoising steps of the student
    #[arg(long, value_name = "STEPS", default_value_t = 4)]
    student_steps: usize,
    /// The student's sampler [default: its own]
    #[arg(long, value_name = "NAME")]
    student_sampler: Option<String>,
    /// Guidance scales to compare at
    #[arg(long, value_delimiter = ',', default_value = "1,1.5,2,3,4,5")]
    scales: Vec<f32>,
    /// Pictures for each scale; 0 skips this part
    #[arg(long, default_value_t = 64)]
    pictures: usize,
    /// Guidance scale with negative prompts [default: the student's]
    #[arg(long)]
    guidance: Option<f32>,
    /// Cases with an open colour, and as many with an open background; 0 skips these
    #[arg(long, default_value_t = 100)]
    cases: usize,
    /// Cases in which the prompt names the colour, and as many in which it implies it
    #[arg(long, default_value_t = 40)]
    other_cases: usize,
    #[command(flatten)]
    drawing: Drawing,
    /// Folder for drawn pictures, tables and charts, created if missing; pictures that are there are not drawn again
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs the command: prints the tables, writes everything into the folder.
pub fn run(args: &EvalGuidance) -> Result<()> {
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let stickers = args.drawing.stickers()?;
    let device = args.drawing.device.open()?;
    let load =
        |name: &str, folder: &PathBuf| Model::load(name, folder, &device).with_context(|| folder.display().to_string());
    let (teacher, student) = (load("teacher", &args.teacher)?, load("student", &args.student)?);
    student.scheduler(args.student_sampler.as_deref())?;
    let settings = args.settings(&student);
    let pair = Pair { teacher: &teacher, student: &student, student_sampler: args.student_sampler.clone() };
    let store = Store::open(&args.out, &args.drawing.device.to_string(), args.drawing.batch)?;
    let mut progress = Progress::new();
    let mut said = |what: &str, done: usize, total: usize| progress.say(what, done, total);
    let agreement = match settings.pictures {
        0 => Vec::new(),
        _ => agreement(&pair, &stickers, &settings, &store, &mut said)?,
    };
    let negatives = match settings.cases + settings.other_cases {
        0 => Vec::new(),
        _ => negatives(&pair, &stickers, &settings, &store, &mut said)?,
    };
    progress.end();
    let report = Report { settings, agreement, negatives };
    write!(std::io::stdout(), "{}", report.markdown())?;
    write_folder(&report, &args.out)
}

impl EvalGuidance {
    fn settings(&self, student: &Model) -> Settings {
        let defaults = student.pipeline.defaults();
        Settings {
            pictures: self.pictures,
            scales: self.scales.clone(),
            teacher_steps: self.teacher_steps,
            student_steps: self.student_steps,
            guidance_scale: self.guidance.unwrap_or(defaults.guidance_scale),
            cases: self.cases,
            other_cases: self.other_cases,
            size: defaults.width,
            seed: self.drawing.seed,
        }
    }
}

fn write_folder(report: &Report, out: &Path) -> Result<()> {
    let texts = [
        ("table.md", report.markdown()),
        ("guidance.csv", report.agreement_csv()),
        ("negative.csv", report.negative_csv()),
        ("guidance.json", serde_json::to_string_pretty(report)? + "\n"),
        ("guidance.svg", figure(&report.charts(), 2, "")),
    ];
    for (name, text) in texts {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    for negative in &report.negatives {
        if !negative.pictures.is_empty() {
            let wording = serde_json::to_value(negative.wording)?;
            let name = format!("negative-{}-{}.png", negative.model, wording.as_str().unwrap_or_default());
            let cells = negative.pictures.iter().zip(&negative.cases).map(|((before, after), case)| {
                let mut both = Picture::filled(2 * before.width + 2, before.height, [226, 226, 228]);
                both.paste(before, 0, 0);
                both.paste(after, before.width + 2, 0);
                (both, format!("{}\nnot: {}", case.ask.prompt, case.ask.negative_prompt))
            });
            sheet(&cells.collect::<Vec<_>>(), 8).write_png(&out.join(name))?;
        }
    }
    Ok(())
}
