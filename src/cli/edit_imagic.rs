//! `fourstep edit --method imagic`: the model is fitted to the picture, and a strip leads from the picture to the words.

use std::ops::ControlFlow;

use anyhow::Result;
use burn::tensor::Device;

use super::model::Model;
use super::progress::Progress;
use crate::edit::imagic::{Ended, Imagic, ImagicRequest, Stage, StageOptions, StageStep, adapters, embedding};
use crate::picture::Picture;
use crate::pipeline::{Settings, StepEvent};

/// Options of `--method imagic`.
#[derive(clap::Args)]
pub struct ImagicArgs {
    /// How far from the picture to the words, 0 to 1, for each picture of the strip, with --method imagic
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_value = "0,0.25,0.5,0.75,1")]
    eta: Vec<f64>,
    /// Steps in which the embedding of the words is fitted to the picture, with --method imagic
    #[arg(long, value_name = "STEPS", default_value_t = embedding::default_options().steps)]
    embedding_steps: usize,
    /// The learning rate of those steps
    #[arg(long, value_name = "RATE", default_value_t = embedding::default_options().learning_rate)]
    embedding_rate: f64,
    /// Steps in which adapters of the model are fitted around that embedding, with --method imagic
    #[arg(long, value_name = "STEPS", default_value_t = adapters::default_options().steps)]
    adapter_steps: usize,
    /// The learning rate of those steps
    #[arg(long, value_name = "RATE", default_value_t = adapters::default_options().learning_rate)]
    adapter_rate: f64,
    /// The rank of the adapters
    #[arg(long, value_name = "NUMBER", default_value_t = 4)]
    rank: usize,
    /// Noise levels in each of all these steps
    #[arg(long, value_name = "NUMBER", default_value_t = 4)]
    fit_batch: usize,
}

/// The pictures of the strip with their names, the one that was given first.
///
/// # Errors
/// Those of loading, fitting and drawing.
pub fn cells(
    args: &ImagicArgs,
    (model, device): (&Model, &Device),
    (image, prompt): (&Picture, &str),
    settings: &Settings,
) -> Result<Vec<(Picture, String)>> {
    anyhow::ensure!(args.eta.iter().all(|eta| (0.0..=1.0).contains(eta)), "--eta: use numbers from 0 to 1");
    // Gradients need floats, to which blocks are widened there.
    let pipeline = model.load(&device.clone().autodiff())?;
    let stage =
        |steps, learning_rate| StageOptions { steps, learning_rate, batch: args.fit_batch, seed: settings.seed };
    let request = ImagicRequest {
        image: image.clone(),
        prompt: prompt.into(),
        embedding: stage(args.embedding_steps, args.embedding_rate),
        adapters: stage(args.adapter_steps, args.adapter_rate),
        rank: args.rank,
    };
    let mut progress = Progress::new();
    let mut on_step = async |stage: Stage, step: StageStep<'_>| {
        let what = match stage {
            Stage::Embedding => "embedding, steps",
            Stage::Adapters => "adapters, steps",
        };
        progress.say(what, step.index + 1, step.steps);
        ControlFlow::Continue(())
    };
    let fitted = pollster::block_on(Imagic::fit(&pipeline, &request, &mut on_step))?;
    progress.end();
    let adapters = fitted.adapters.iter().map(|of| ("adapters", &of.losses, of.ended));
    let embedding = ("embedding", &fitted.embedding.losses, fitted.embedding.ended);
    for (name, losses, ended) in std::iter::once(embedding).chain(adapters) {
        let part = losses.len().div_ceil(4).max(1);
        let mean = |of: &[f32]| of.iter().sum::<f32>() / of.len().max(1) as f32;
        let (first, last) =
            (mean(&losses[..part.min(losses.len())]), mean(&losses[losses.len().saturating_sub(part)..]));
        let diverged = if ended == Ended::Diverged { "; it diverged, and the last sound state is kept" } else { "" };
        eprintln!("note: {name}: loss {first:.4} at first, {last:.4} at last{diverged}");
    }
    let mut cells = vec![(image.clone(), "input".to_owned())];
    for &eta in &args.eta {
        let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
        let picture = pollster::block_on(fitted.draw(&pipeline, eta, settings.clone(), &mut on_step))?;
        cells.push((picture, eta.to_string()));
    }
    Ok(cells)
}
