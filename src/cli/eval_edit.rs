//! `fourstep eval-edit`: edits whose true result is known, by every method over its strength.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::drawing::Drawing;
use super::model::ModelArgs;
use super::progress::Progress;
use crate::edit::imagic::ImagicRequest;
use crate::eval::edits::{Case, ImagicSettings, Report, Settings, Way, evaluate};
use crate::picture::Picture;
use crate::pipeline::parse_steps;
use crate::train::sheet::sheet;

/// Counts how often an edit shows what was asked, and how far it is from the true result
#[derive(clap::Args)]
pub struct EvalEdit {
    #[command(flatten)]
    model: ModelArgs,
    /// Edits to make, as many of each change as of the others
    #[arg(long, default_value_t = 100)]
    edits: usize,
    /// The half that is set aside, to be looked at once, when all settings are chosen
    #[arg(long)]
    set_aside: bool,
    /// Strengths to try
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_value = "0.25,0.5,0.75,1")]
    strength: Vec<f64>,
    /// Steps at strength 1 [default: the model's]
    #[arg(long, value_parser = parse_steps)]
    steps: Option<usize>,
    /// Guidance by the target prompt [default: the model's]
    #[arg(long)]
    guidance: Option<f32>,
    /// Guidance by the source prompt [default: the model's]
    #[arg(long)]
    source_guidance: Option<f32>,
    /// Draws of noise over which each step takes the mean [default: 1]
    #[arg(long, value_name = "DRAWS")]
    n_avg: Option<usize>,
    /// Imagic takes part, with these values of eta: it fits the model to each picture, which takes long
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    imagic: Option<Vec<f64>>,
    /// With --imagic: it is not told what the picture shows, as in the paper
    #[arg(long, requires = "imagic")]
    without_source: bool,
    /// With --imagic: steps of its first stage
    #[arg(long, value_name = "STEPS", requires = "imagic")]
    embedding_steps: Option<usize>,
    /// With --imagic: the learning rate of its first stage
    #[arg(long, value_name = "RATE", requires = "imagic")]
    embedding_rate: Option<f64>,
    /// With --imagic: steps of its second stage
    #[arg(long, value_name = "STEPS", requires = "imagic")]
    adapter_steps: Option<usize>,
    /// With --imagic: the learning rate of its second stage
    #[arg(long, value_name = "RATE", requires = "imagic")]
    adapter_rate: Option<f64>,
    /// With --imagic: the rank of its adapters
    #[arg(long, value_name = "NUMBER", requires = "imagic")]
    rank: Option<usize>,
    #[command(flatten)]
    drawing: Drawing,
    /// Folder for eval-edit.json, table.md, chart.svg and sheet.png, made if it is not there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the command: the table on standard output, everything else in the folder.
pub fn run(args: &EvalEdit) -> Result<()> {
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    }
    let stickers = args.drawing.stickers()?;
    let (model, device) = (args.model.open()?, args.drawing.device.open()?);
    let pipeline = model.load(&device)?;
    let tracked = args.imagic.is_some().then(|| model.load(&device.clone().autodiff())).transpose()?;
    let settings = Settings {
        model: args.model.model.display().to_string(),
        edits: args.edits,
        set_aside: args.set_aside,
        seed: args.drawing.seed,
        strengths: args.strength.clone(),
        steps: args.steps,
        guidance: args.guidance,
        source_guidance: args.source_guidance,
        n_avg: args.n_avg,
        imagic: args.imagic_settings(),
    };
    let mut progress = Progress::new();
    let (report, pictures) = evaluate((&pipeline, tracked.as_ref()), &stickers, settings, &mut |what, done, total| {
        progress.say(what, done, total)
    })?;
    progress.end();
    write!(std::io::stdout(), "{}", report.markdown())?;
    let Some(out) = &args.out else { return Ok(()) };
    write_folder(&report, &pictures, out)
}

impl EvalEdit {
    fn imagic_settings(&self) -> Option<ImagicSettings> {
        let etas = self.imagic.clone()?;
        let mut own = ImagicRequest::new(Picture::filled(1, 1, [0; 3]), "", 0);
        for (stage, steps, rate) in [
            (&mut own.embedding, self.embedding_steps, self.embedding_rate),
            (&mut own.adapters, self.adapter_steps, self.adapter_rate),
        ] {
            stage.steps = steps.unwrap_or(stage.steps);
            stage.learning_rate = rate.unwrap_or(stage.learning_rate);
        }
        Some(ImagicSettings {
            etas,
            source: !self.without_source,
            embedding: own.embedding,
            adapters: own.adapters,
            rank: self.rank.unwrap_or(own.rank),
        })
    }
}

fn write_folder(report: &Report, pictures: &[(Case, Vec<Picture>)], out: &Path) -> Result<()> {
    let cases: Vec<&Case> = pictures.iter().map(|(case, _)| case).collect();
    let json = serde_json::json!({ "report": report, "cases": cases });
    let json = serde_json::to_string_pretty(&json)? + "\n";
    for (name, text) in [("eval-edit.json", json), ("table.md", report.markdown()), ("chart.svg", report.chart())] {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    // The input and the true result, then the methods with the strength of each.
    let mut labels = vec!["input".to_owned(), "true result".to_owned()];
    labels.extend(report.rows.iter().filter(|row| row.group.is_none()).map(|row| match (row.way, row.strength) {
        (way, Some(strength)) => format!("{} {strength}", way.label()),
        (Way::Autoencoder, None) => "autoencoder".to_owned(),
        (way, None) => way.label().to_owned(),
    }));
    let rows = SHEET_ROWS.min(pictures.len());
    let shown = (0..rows).map(|k| &pictures[k * pictures.len() / rows]);
    let cells = shown.flat_map(|(_, row)| row.iter().cloned().zip(labels.iter().cloned())).collect::<Vec<_>>();
    Ok(sheet(&cells, labels.len()).write_png(&out.join("sheet.png"))?)
}

const SHEET_ROWS: usize = 16;
