//! `fourstep edit --method imagic`: the model is fitted to the picture, and a strip leads from the picture to the words. Beside the
//! strip go the losses as a chart, and the edit as a file that `fourstep generate --edit` draws.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::progress::Progress;
use super::strip::{check_writable, print_notes, write_strip};
use crate::chart::{Chart, Line, figure};
use crate::edit::fit::{Ended, StageOptions, StageStep};
use crate::edit::imagic::{Drawn, Imagic, ImagicRequest, Stage};
use crate::picture::Picture;
use crate::pipeline::{Pipeline, Settings, StepEvent};
use crate::weights;

/// Where the strip begins and ends, unless --eta says otherwise.
const ETA: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
/// Steps over which the chart takes the mean: a loss alone says more about its timesteps than about the fit.
const SMOOTHED: usize = 10;

/// Options of `--method imagic`.
#[derive(clap::Args)]
pub struct ImagicArgs {
    /// With --method imagic: how far from the picture to the words, 0 to 1, for each picture of the strip
    /// [default: 0,0.25,0.5,0.75,1]
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    eta: Option<Vec<f64>>,
    /// With --method imagic: steps in which the embedding of the words is fitted to the picture [default: 20]
    #[arg(long, value_name = "STEPS")]
    embedding_steps: Option<usize>,
    /// With --method imagic: the learning rate of those steps [default: 0.02]
    #[arg(long, value_name = "RATE")]
    embedding_rate: Option<f64>,
    /// With --method imagic: steps in which adapters of the model are fitted around that embedding [default: 30]
    #[arg(long, value_name = "STEPS")]
    adapter_steps: Option<usize>,
    /// With --method imagic: the learning rate of those steps [default: 0.004]
    #[arg(long, value_name = "RATE")]
    adapter_rate: Option<f64>,
    /// With --method imagic: the rank of the adapters [default: 4]
    #[arg(long, value_name = "NUMBER")]
    rank: Option<usize>,
    /// With --method imagic: noise levels in each of all these steps [default: 4]
    #[arg(long, value_name = "NUMBER")]
    fit_batch: Option<usize>,
}

impl ImagicArgs {
    /// The first of these options that is given.
    pub fn given(&self) -> Option<&'static str> {
        let options = [
            (self.eta.is_some(), "--eta"),
            (self.embedding_steps.is_some(), "--embedding-steps"),
            (self.embedding_rate.is_some(), "--embedding-rate"),
            (self.adapter_steps.is_some(), "--adapter-steps"),
            (self.adapter_rate.is_some(), "--adapter-rate"),
            (self.rank.is_some(), "--rank"),
            (self.fit_batch.is_some(), "--fit-batch"),
        ];
        options.into_iter().find_map(|(given, name)| given.then_some(name))
    }

    /// With the defaults for what is not given.
    pub fn request(&self, image: Picture, prompt: &str, seed: u64) -> ImagicRequest {
        let own = ImagicRequest::new(image, prompt, seed);
        let stage = |own: StageOptions, steps: Option<usize>, rate: Option<f64>| StageOptions {
            steps: steps.unwrap_or(own.steps),
            learning_rate: rate.unwrap_or(own.learning_rate),
            batch: self.fit_batch.unwrap_or(own.batch),
            ..own
        };
        ImagicRequest {
            embedding: stage(own.embedding, self.embedding_steps, self.embedding_rate),
            adapters: stage(own.adapters, self.adapter_steps, self.adapter_rate),
            rank: self.rank.unwrap_or(own.rank),
            ..own
        }
    }
}

/// Fits `pipeline`, which keeps gradients, to the picture; draws and writes the strip, the chart and the edit.
pub fn run(args: &ImagicArgs, pipeline: &Pipeline, request: &ImagicRequest, drawn: Drawn, out: &Path) -> Result<()> {
    let eta = args.eta.as_deref().unwrap_or(&ETA);
    ensure!(eta.iter().all(|eta| (0.0..=1.0).contains(eta)), "--eta: use numbers from 0 to 1");
    let beside = Beside::of(out)?;
    let fitted = fit(pipeline, request)?;
    weights::write(&beside.edit, &pollster::block_on(fitted.to_bytes(&drawn)))?;
    std::fs::write(&beside.chart, chart(&fitted)).with_context(|| beside.chart.display().to_string())?;
    let settings =
        Settings { seed: drawn.seed, steps: drawn.steps, guidance_scale: drawn.guidance_scale, ..Settings::default() };
    let mut cells = vec![(request.image.clone(), "input".to_owned())];
    for &eta in eta {
        let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
        let picture = pollster::block_on(fitted.draw(pipeline, eta, settings.clone(), &mut on_step))?;
        cells.push((picture, eta.to_string()));
    }
    print_notes(fitted.warnings);
    write_strip(&cells, out)?;
    println!("{}\n{}", beside.chart.display(), beside.edit.display());
    Ok(())
}

/// Files with the strip's name and other endings.
struct Beside {
    chart: PathBuf,
    edit: PathBuf,
}

impl Beside {
    /// Finds out before the long fitting whether they can be written.
    fn of(out: &Path) -> Result<Self> {
        let beside = Self { chart: out.with_extension("svg"), edit: out.with_extension("safetensors") };
        for path in [out, &beside.chart, &beside.edit] {
            check_writable(path).with_context(|| path.display().to_string())?;
        }
        Ok(beside)
    }
}

fn fit(pipeline: &Pipeline, request: &ImagicRequest) -> Result<Imagic> {
    let mut progress = Progress::new();
    let mut on_step = async |stage: Stage, step: StageStep<'_>| {
        let what = match stage {
            Stage::Embedding => "embedding, steps",
            Stage::Adapters => "adapters, steps",
        };
        progress.say(what, step.index + 1, step.steps);
        ControlFlow::Continue(())
    };
    let fitted = pollster::block_on(Imagic::fit(pipeline, request, &mut on_step))?;
    progress.end();
    for (name, losses, ended) in stages(&fitted) {
        print_losses(name, losses, ended);
    }
    Ok(fitted)
}

/// Name, losses and end of each stage that there was.
fn stages(fitted: &Imagic) -> impl Iterator<Item = (&'static str, &[f32], Ended)> {
    let embedding = ("embedding", fitted.embedding.losses.as_slice(), fitted.embedding.ended);
    let adapters = fitted.adapters.iter().map(|of| ("adapters", of.losses.as_slice(), of.ended));
    std::iter::once(embedding).chain(adapters)
}

/// The mean losses of the first and of the last quarter.
pub(super) fn print_losses(name: &str, losses: &[f32], ended: Ended) {
    let part = losses.len().div_ceil(4);
    let mean = |of: &[f32]| of.iter().sum::<f32>() / of.len().max(1) as f32;
    let (first, last) = (mean(&losses[..part]), mean(&losses[losses.len() - part..]));
    let diverged = if ended == Ended::Diverged { "; it diverged, and the last sound state is kept" } else { "" };
    eprintln!("note: {name}: loss {first:.4} at first, {last:.4} at last{diverged}");
}

/// The losses of both stages as SVG.
fn chart(fitted: &Imagic) -> String {
    let charts: Vec<Chart> = stages(fitted)
        .map(|(name, losses, _)| Chart {
            title: format!("{name}: squared error, mean of {SMOOTHED} steps (less is better)"),
            x_label: "step".into(),
            lines: vec![Line { name: "loss".into(), dashed: false, points: smoothed(losses) }],
            ..Chart::default()
        })
        .collect();
    figure(&charts, charts.len(), "")
}

/// The mean of the last steps at each step.
fn smoothed(losses: &[f32]) -> Vec<(f64, f64)> {
    let mean = |of: &[f32]| of.iter().map(|loss| f64::from(*loss)).sum::<f64>() / of.len() as f64;
    let until = |i: usize| &losses[(i + 1).saturating_sub(SMOOTHED)..=i];
    (0..losses.len()).map(|i| ((i + 1) as f64, mean(until(i)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, Command};

    #[test]
    fn help_states_the_defaults() {
        let own = ImagicRequest::new(Picture::opaque(1, 1, vec![0; 3]), "", 0);
        let help = ImagicArgs::augment_args(Command::new("edit")).render_long_help().to_string();
        for default in [
            format!("to the picture [default: {}]", own.embedding.steps),
            format!("around that embedding [default: {}]", own.adapters.steps),
            format!("those steps [default: {}]", own.embedding.learning_rate),
            format!("those steps [default: {}]", own.adapters.learning_rate),
            format!("the rank of the adapters [default: {}]", own.rank),
            format!("of all these steps [default: {}]", own.embedding.batch),
            format!("[default: {}]", ETA.map(|eta| eta.to_string()).join(",")),
        ] {
            let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains(&default), "{default:?} is not in {words}");
        }
        assert_eq!(own.embedding.batch, own.adapters.batch);
    }
}
