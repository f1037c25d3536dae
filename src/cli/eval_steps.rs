//! `fourstep eval-steps`: compares a teacher, its faster samplers and its students over numbers of steps.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;

use super::drawing::Drawing;
use super::progress::Progress;
use crate::chart::figure;
use crate::eval::steps::{Comparison, Entry, Report, Settings, compare};
use crate::eval::store::{Model, Store};
use crate::picture::Picture;
use crate::train::classifier::Classifier;
use crate::train::sheet::sheet;

/// Compares models over numbers of steps, with the same prompts from the same noise; programs count the results
#[derive(clap::Args)]
pub struct EvalSteps {
    /// The model that all others are compared with, in the diffusers folder layout
    #[arg(long, value_name = "DIR", default_value = "models/stickers-teacher")]
    teacher: PathBuf,
    /// Another sampler for the teacher, for example dpmpp_2m; may be repeated
    #[arg(long = "teacher-sampler", value_name = "NAME")]
    teacher_samplers: Vec<String>,
    /// Another model: NAME=DIR, then optionally :steps=1,2,4 and :sampler=lcm; may be repeated. Models with the same
    /// NAME share a line of the charts
    #[arg(long = "model", value_name = "NAME=DIR[:steps=N,...][:sampler=NAME]")]
    models: Vec<Named>,
    /// Denoising steps, for every model without its own
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32,64")]
    steps: Vec<usize>,
    /// Steps of the teacher whose pictures all others are compared with
    #[arg(long, value_name = "STEPS", default_value_t = 64)]
    reference_steps: usize,
    /// Guidance scale of all models [default: the teacher's]
    #[arg(long)]
    guidance: Option<f32>,
    /// Pictures for each model and number of steps
    #[arg(long, default_value_t = 400)]
    pictures: usize,
    /// Weights that `fourstep train classifier` wrote, for the Frechet distance, which is omitted without them
    #[arg(long, value_name = "FILE")]
    classifier: Option<PathBuf>,
    /// Training pictures among which the nearest is searched; 0 skips this
    #[arg(long, value_name = "COUNT", default_value_t = 10000)]
    training_pictures: usize,
    /// Seed of the training run, which determines its pictures
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    training_seed: u64,
    /// How often each model and number of steps is timed; 0 skips this
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    timing_rounds: usize,
    #[command(flatten)]
    drawing: Drawing,
    /// Folder for drawn pictures, tables and charts, created if missing; pictures that are there are not drawn again
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// `NAME=DIR[:steps=N,...][:sampler=NAME]`.
#[derive(Clone, Debug, PartialEq)]
struct Named {
    name: String,
    folder: PathBuf,
    steps: Option<Vec<usize>>,
    sampler: Option<String>,
}

/// Runs the command: prints the table, writes everything into the folder.
pub fn run(args: &EvalSteps) -> Result<()> {
    ensure!(args.pictures > 0, "--pictures 0: nothing to draw");
    ensure!(args.classifier.is_none() || args.pictures > 1, "--pictures 1: the Frechet distance needs two or more");
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let stickers = args.drawing.stickers()?;
    let device = args.drawing.device.open()?;
    let (models, entries) = args.contestants(&device)?;
    let settings = args.settings(&models[0])?;
    let classifier = args.classifier.as_ref().map(|path| Classifier::read(path, &device)).transpose()?;
    let store = Store::open(&args.out, &args.drawing.device.to_string(), args.drawing.batch)?;
    let mut progress = Progress::new();
    let comparison =
        compare((&models, &entries), (&stickers, classifier.as_ref()), &settings, &store, &mut |what, done, total| {
            progress.say(what, done, total);
        })?;
    progress.end();
    write!(std::io::stdout(), "{}", comparison.report.markdown())?;
    write_folder(&comparison, &args.out)
}

impl EvalSteps {
    /// The models, with the teacher first; each folder is loaded once.
    fn contestants(&self, device: &Device) -> Result<(Vec<Model>, Vec<Entry>)> {
        let mut folders = vec![(self.teacher.clone(), "teacher".to_owned())];
        let teacher =
            |line: String, sampler: Option<String>| Entry { line, model: 0, sampler, steps: self.steps.clone() };
        let mut entries = vec![teacher("teacher".into(), None)];
        for sampler in &self.teacher_samplers {
            entries.push(teacher(format!("teacher, {sampler}"), Some(sampler.clone())));
        }
        for Named { name, folder, steps, sampler } in &self.models {
            let model = folders.iter().position(|(known, _)| known == folder).unwrap_or_else(|| {
                folders.push((folder.clone(), name.clone()));
                folders.len() - 1
            });
            let steps = steps.clone().unwrap_or_else(|| self.steps.clone());
            entries.push(Entry { line: name.clone(), model, sampler: sampler.clone(), steps });
        }
        let load = |(folder, name): &(PathBuf, String)| {
            Model::load(name, folder, device).with_context(|| folder.display().to_string())
        };
        let models: Vec<Model> = folders.iter().map(load).collect::<Result<_>>()?;
        // Report misspelt options before anything is drawn.
        for entry in &entries {
            models[entry.model].scheduler(entry.sampler.as_deref())?;
        }
        Ok((models, entries))
    }

    fn settings(&self, teacher: &Model) -> Result<Settings> {
        let defaults = teacher.pipeline.defaults();
        let (width, height) = (defaults.width, defaults.height);
        ensure!(width == height, "the teacher draws {width} x {height}: stickers are square");
        Ok(Settings {
            pictures: self.pictures,
            guidance_scale: self.guidance.unwrap_or(defaults.guidance_scale),
            reference_steps: self.reference_steps,
            size: width,
            seed: self.drawing.seed,
            training_pictures: self.training_pictures,
            training_seed: self.training_seed,
            timing_rounds: self.timing_rounds,
            batch: self.drawing.batch,
        })
    }
}

impl FromStr for Named {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, rest) = text.split_once('=').context("expected NAME=DIR")?;
        let mut parts = rest.split(':');
        let folder = PathBuf::from(parts.next().unwrap_or_default());
        ensure!(!name.is_empty() && folder != Path::new(""), "expected NAME=DIR");
        let mut named = Self { name: name.to_owned(), folder, steps: None, sampler: None };
        for part in parts {
            match part.split_once('=') {
                Some(("steps", steps)) => {
                    let count = |s: &str| {
                        s.parse::<usize>().ok().filter(|n| *n > 0).context(format!("steps={steps}: use 1,2,4"))
                    };
                    named.steps = Some(steps.split(',').map(count).collect::<Result<_>>()?);
                }
                Some(("sampler", sampler)) => named.sampler = Some(sampler.to_owned()),
                _ => bail!("{part:?} is neither steps=N,... nor sampler=NAME"),
            }
        }
        Ok(named)
    }
}

fn write_folder(comparison: &Comparison, out: &Path) -> Result<()> {
    let report = &comparison.report;
    let charts = report.charts();
    let mut texts = vec![
        ("table.md".to_owned(), report.markdown()),
        ("table.csv".to_owned(), report.csv()),
        ("steps.json".to_owned(), serde_json::to_string_pretty(report)? + "\n"),
    ];
    for (name, chart) in &charts {
        texts.push((format!("{name}.svg"), figure(std::slice::from_ref(chart), 1, Report::DASHED)));
    }
    let all: Vec<_> = charts.into_iter().map(|(_, chart)| chart).collect();
    texts.push(("steps.svg".to_owned(), figure(&all, 3, Report::DASHED)));
    for (name, text) in texts {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    // If a prompt has few pictures, several prompts share a row.
    let each = 1 + comparison.drawn.len();
    Ok(sheet(&cells(comparison), each * (SHOWN / each).max(1)).write_png(&out.join("sheet.png"))?)
}

/// Number of prompts on the sheet.
const SHOWN: usize = 12;

/// For each of a few prompts: the dataset's picture, then the pictures of each line for each number of steps.
fn cells(comparison: &Comparison) -> Vec<(Picture, String)> {
    let Comparison { report, questions, truth, drawn } = comparison;
    let count = SHOWN.min(questions.len());
    let mut cells = Vec::new();
    for i in (0..count).map(|k| k * questions.len() / count) {
        cells.push((truth[i].clone(), questions[i].ask.prompt.clone()));
        for (point, pictures) in report.points.iter().zip(drawn) {
            cells.push((pictures[i].clone(), format!("{}, {}", point.line, point.steps)));
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_read_with_their_steps_and_samplers() {
        let read = |text: &str| text.parse::<Named>();
        let plain = Named { name: "a".into(), folder: "runs/a/model".into(), steps: None, sampler: None };
        assert_eq!(read("a=runs/a/model").unwrap(), plain);
        let full = read("a=runs/a/model:steps=1,2,4:sampler=lcm").unwrap();
        assert_eq!(full, Named { steps: Some(vec![1, 2, 4]), sampler: Some("lcm".into()), ..plain });
        for wrong in ["runs/a", "=runs", "a=", "a=b:steps=0", "a=b:steps=x", "a=b:step=4", "a=b:4"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
