//! Imagic: the numbers of torch's Adam on diffusers' models (tests/reference/imagic_golden.py), and how an optimisation ends.

mod tiny;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor};
use fourstep::edit::imagic::embedding::{
    Draw, EmbeddingOptions, EmbeddingStep, Ended, OptimizedEmbedding, optimize, optimize_with,
};
use fourstep::kernels::BlockFormat;
use fourstep::picture::Picture;
use fourstep::pipeline::{LoadOptions, Pipeline, Request, StepEvent};
use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::Map;
use tiny::{files, floats, golden, relative_l2};

const CASES: [&str; 4] = ["v", "eps", "embedded_guidance", "alpha"];

/// A case of imagic.json.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // how far Python's own float32 is off, and of what its noise was drawn
struct Case {
    name: String,
    pipeline: String,
    seed: u64,
    prompt: String,
    steps: usize,
    learning_rate: f64,
    batch: usize,
    width: usize,
    height: usize,
    losses: Vec<f32>,
    tolerance: f64,
    float32_rel_l2: f64,
}

impl Case {
    fn picture(&self, file: &SafeTensors) -> Picture {
        let bytes = file.tensor(&format!("{}.image_u8", self.name)).unwrap().data();
        match bytes.len() == 3 * self.width * self.height {
            true => Picture::opaque(self.width, self.height, bytes.to_vec()),
            false => Picture::from_rgba(self.width, self.height, bytes).unwrap(),
        }
    }

    fn timesteps(&self, file: &SafeTensors) -> Vec<usize> {
        let bytes = file.tensor(&format!("{}.timesteps", self.name)).unwrap().data();
        bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as usize).collect()
    }
}

fn numbers(tensor: &Tensor<3>) -> Vec<f32> {
    tensor.to_data().iter::<f32>().collect()
}

fn apart(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// The way that the embedding comes is held against PyTorch's, not the embedding: it hardly changes in five steps.
#[test]
fn the_embedding_goes_the_way_that_pytorch_goes() {
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(golden("imagic/imagic.json")).unwrap()).unwrap();
    let listed: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(listed, BTreeSet::from(CASES), "the cases of imagic.json");
    let bytes = std::fs::read(golden("imagic/imagic.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), 4 * CASES.len(), "{:?}", file.names());
    for case in &cases {
        let pipeline = Pipeline::load(&files(&case.pipeline, &Map::new()), &Device::flex()).unwrap();
        let (timesteps, noise) = (case.timesteps(&file), floats(&file, &format!("{}.noise", case.name)));
        let mut draws = |step: usize, numbers: usize| Draw {
            timesteps: timesteps[step * case.batch..][..case.batch].to_vec(),
            noise: noise[step * numbers..][..numbers].to_vec(),
        };
        let (steps, learning_rate, batch) = (case.steps, case.learning_rate, case.batch);
        let options = EmbeddingOptions { steps, learning_rate, batch, seed: 0 };
        let mut way = Vec::new();
        let mut on_step = async |step: EmbeddingStep<'_>| {
            assert_eq!((step.index, step.steps), (way.len(), steps));
            way.push(numbers(step.embedding));
            ControlFlow::Continue(())
        };
        let image = case.picture(&file);
        let found = optimize_with(&pipeline, &image, &case.prompt, &options, &mut draws, &mut on_step);
        let found = pollster::block_on(found).unwrap();
        assert_eq!((found.ended, way.last()), (Ended::Finished, Some(&numbers(&found.embedding))));
        let theirs = floats(&file, &format!("{}.embeddings", case.name));
        let theirs: Vec<&[f32]> = theirs.chunks_exact(theirs.len() / (steps + 1)).collect();
        let start = numbers(&found.target);
        let ways = way.iter().zip(&theirs[1..]);
        let errors = ways.map(|(mine, after)| relative_l2(&apart(mine, &start), &apart(after, theirs[0])));
        let worst = errors.fold(relative_l2(&start, theirs[0]), f64::max);
        let losses = relative_l2(&found.losses, &case.losses);
        println!("{}: way {worst:.1e}, losses {losses:.1e}", case.name);
        assert!(worst <= case.tolerance && losses <= case.tolerance, "{}: {worst:.1e}, {losses:.1e}", case.name);
    }
}

fn tiny_model(options: &LoadOptions) -> Pipeline {
    Pipeline::load_with(&files("families/tiny-2", &Map::new()), options, &Device::flex()).unwrap()
}

fn picture() -> Picture {
    Picture::opaque(32, 24, (0..32 * 24 * 3).map(|i| (i * 7 % 251) as u8).collect())
}

/// Stopped after step `stop`, counted from 1.
fn optimized(
    pipeline: &Pipeline,
    options: &EmbeddingOptions,
    stop: Option<usize>,
) -> fourstep::Result<OptimizedEmbedding> {
    let mut on_step = async |step: EmbeddingStep<'_>| match Some(step.index + 1) == stop {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    pollster::block_on(optimize(pipeline, &picture(), "a blue fox", options, &mut on_step))
}

fn drawn(pipeline: &Pipeline) -> Picture {
    let request = Request { width: 32, height: 32, num_inference_steps: 2, seed: 5, ..pipeline.request("a red fox") };
    let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
    pollster::block_on(pipeline.generate(&request, &mut on_step)).unwrap().0.swap_remove(0)
}

#[test]
fn it_can_be_stopped_and_leaves_the_model_as_it_was() {
    let pipeline = tiny_model(&LoadOptions::default());
    let before = drawn(&pipeline);
    let options = EmbeddingOptions { steps: 6, batch: 2, seed: 3, ..EmbeddingOptions::default() };
    let stopped = optimized(&pipeline, &options, Some(4)).unwrap();
    assert_eq!((stopped.ended, stopped.losses.len()), (Ended::Stopped, 4));
    assert_eq!(drawn(&pipeline), before);
    // The same seed goes the same way, another goes another.
    let short = optimized(&pipeline, &EmbeddingOptions { steps: 4, ..options.clone() }, None).unwrap();
    assert_eq!((short.ended, &short.losses), (Ended::Finished, &stopped.losses));
    assert_eq!(numbers(&short.embedding), numbers(&stopped.embedding));
    let other = optimized(&pipeline, &EmbeddingOptions { seed: 4, ..options }, None).unwrap();
    assert_ne!(other.losses[..4], stopped.losses[..]);
}

#[test]
fn more_steps_reconstruct_better() {
    let options = EmbeddingOptions { steps: 120, learning_rate: 5e-2, batch: 4, seed: 1 };
    let found = optimized(&tiny_model(&LoadOptions::default()), &options, None).unwrap();
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (first, last) = (mean(&found.losses[..30]), mean(&found.losses[90..]));
    println!("{first} to {last}");
    assert!(last < 0.95 * first, "{first} to {last}");
}

#[test]
fn a_loss_that_is_no_number_ends_with_the_last_sound_embedding() {
    let options = EmbeddingOptions { steps: 5, learning_rate: 1e38, ..EmbeddingOptions::default() };
    let found = optimized(&tiny_model(&LoadOptions::default()), &options, None).unwrap();
    assert_eq!((found.ended, found.losses.len() < 5), (Ended::Diverged, true), "{:?}", found.losses);
    let (last, start) = (numbers(&found.embedding), numbers(&found.target));
    assert!(last.iter().all(|x| x.is_finite()));
    assert!(found.losses.len() > 1 || last == start);
}

#[test]
fn what_cannot_be_optimised_is_refused_in_words() {
    let pipeline = tiny_model(&LoadOptions::default());
    let refused = |pipeline: &Pipeline, options: EmbeddingOptions, words: &str| {
        let Err(error) = optimized(pipeline, &options, None) else { panic!("{words}: not refused") };
        assert!(error.to_string().contains(words), "{error}");
    };
    let options = EmbeddingOptions::default;
    refused(&pipeline, EmbeddingOptions { steps: 0, ..options() }, "steps of the embedding = 0");
    refused(&pipeline, EmbeddingOptions { batch: 65, ..options() }, "= 65: use 1 to 64");
    refused(&pipeline, EmbeddingOptions { learning_rate: f64::NAN, ..options() }, "= NaN: must be above 0");
    let blocks = LoadOptions { quantize: Some(BlockFormat::Q8_0), ..LoadOptions::default() };
    refused(&tiny_model(&blocks), options(), "weights in blocks");
    // On a device with gradients such weights are widened.
    let widened = Pipeline::load_with(&files("families/tiny-2", &Map::new()), &blocks, &Device::flex().autodiff());
    let options = EmbeddingOptions { steps: 2, ..options() };
    assert_eq!(optimized(&widened.unwrap(), &options, None).unwrap().ended, Ended::Finished);
}
