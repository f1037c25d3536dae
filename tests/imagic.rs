//! Fitting a model to a picture: the numbers of torch's Adam on diffusers' models (tests/reference/imagic_golden.py), how an
//! optimisation ends, and what is kept of Imagic's edits in files.

mod tiny;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor};
use fourstep::edit::fit::{Draw, Ended, StageOptions, StageStep};
use fourstep::edit::imagic::embedding::{optimize, optimize_with};
use fourstep::edit::imagic::{Drawn, Imagic, ImagicRequest, OptimizedEmbedding, SavedEdit, Stage};
use fourstep::kernels::BlockFormat;
use fourstep::picture::Picture;
use fourstep::pipeline::{LoadOptions, Pipeline, Request, Settings, StepEvent};
use fourstep::weights::{Lora, Matrix, serialize};
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

fn numbers(tensor: &Tensor<2>) -> Vec<f32> {
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
        let options = StageOptions { steps, learning_rate, batch, seed: 0 };
        let mut way = Vec::new();
        let mut on_step = async |step: StageStep<'_>| {
            assert_eq!((step.index, step.steps), (way.len(), steps));
            way.push(numbers(&step.values[0]));
            ControlFlow::Continue(())
        };
        let image = case.picture(&file);
        let found = optimize_with(&pipeline, &image, &case.prompt, &options, &mut draws, &mut on_step);
        let found = pollster::block_on(found).unwrap();
        assert_eq!((found.ended, way.last()), (Ended::Finished, Some(&numbers(&found.embedding))));
        let theirs = floats(&file, &format!("{}.embeddings", case.name));
        let theirs: Vec<&[f32]> = theirs.chunks_exact(theirs.len() / (steps + 1)).collect();
        let start = numbers(&found.start);
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

fn default_options() -> StageOptions {
    ImagicRequest::new(picture(), "", 0).embedding
}

fn picture() -> Picture {
    Picture::opaque(32, 24, (0..32 * 24 * 3).map(|i| (i * 7 % 251) as u8).collect())
}

/// Stopped after step `stop`, counted from 1.
fn optimized(pipeline: &Pipeline, options: &StageOptions, stop: Option<usize>) -> fourstep::Result<OptimizedEmbedding> {
    let mut on_step = async |step: StageStep<'_>| match Some(step.index + 1) == stop {
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
    let options = StageOptions { steps: 6, batch: 2, seed: 3, ..default_options() };
    let stopped = optimized(&pipeline, &options, Some(4)).unwrap();
    assert_eq!((stopped.ended, stopped.losses.len()), (Ended::Stopped, 4));
    assert_eq!(drawn(&pipeline), before);
    // The same seed goes the same way, another goes another.
    let short = optimized(&pipeline, &StageOptions { steps: 4, ..options.clone() }, None).unwrap();
    assert_eq!((short.ended, &short.losses), (Ended::Finished, &stopped.losses));
    assert_eq!(numbers(&short.embedding), numbers(&stopped.embedding));
    let other = optimized(&pipeline, &StageOptions { seed: 4, ..options }, None).unwrap();
    assert_ne!(other.losses[..4], stopped.losses[..]);
}

#[test]
fn more_steps_reconstruct_better() {
    let options = StageOptions { steps: 120, learning_rate: 5e-2, batch: 4, seed: 1 };
    let found = optimized(&tiny_model(&LoadOptions::default()), &options, None).unwrap();
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (first, last) = (mean(&found.losses[..30]), mean(&found.losses[90..]));
    println!("{first} to {last}");
    assert!(last < 0.95 * first, "{first} to {last}");
}

#[test]
fn a_loss_that_is_no_number_ends_with_the_last_sound_embedding() {
    let options = StageOptions { steps: 5, learning_rate: 1e38, ..default_options() };
    let found = optimized(&tiny_model(&LoadOptions::default()), &options, None).unwrap();
    assert_eq!((found.ended, found.losses.len() < 5), (Ended::Diverged, true), "{:?}", found.losses);
    let (last, start) = (numbers(&found.embedding), numbers(&found.start));
    assert!(last.iter().all(|x| x.is_finite()));
    assert!(found.losses.len() > 1 || last == start);
}

#[test]
fn what_cannot_be_optimised_is_refused_in_words() {
    let pipeline = tiny_model(&LoadOptions::default());
    let refused = |pipeline: &Pipeline, options: StageOptions, words: &str| {
        let Err(error) = optimized(pipeline, &options, None) else { panic!("{words}: not refused") };
        assert!(error.to_string().contains(words), "{error}");
    };
    let options = default_options;
    refused(&pipeline, StageOptions { steps: 0, ..options() }, "steps = 0");
    refused(&pipeline, StageOptions { batch: 65, ..options() }, "batch = 65: fitting takes 1 to 64");
    refused(&pipeline, StageOptions { learning_rate: f64::NAN, ..options() }, "= NaN: must be above 0");
    let blocks = LoadOptions { quantize: Some(BlockFormat::Q8_0), ..LoadOptions::default() };
    refused(&tiny_model(&blocks), options(), "weights in blocks");
    // On a device with gradients such weights are widened.
    let widened = Pipeline::load_with(&files("families/tiny-2", &Map::new()), &blocks, &Device::flex().autodiff());
    let options = StageOptions { steps: 2, ..options() };
    assert_eq!(optimized(&widened.unwrap(), &options, None).unwrap().ended, Ended::Finished);
}

fn fitted(pipeline: &Pipeline, stop: Option<(Stage, usize)>) -> Imagic {
    let stage = |steps, learning_rate| StageOptions { steps, learning_rate, batch: 4, seed: 2 };
    let (embedding, adapters) = (stage(40, 1e-2), stage(80, 2e-2));
    let request = ImagicRequest { embedding, adapters, rank: 2, ..ImagicRequest::new(picture(), "a blue fox", 2) };
    let mut on_step = async |of: Stage, step: StageStep<'_>| match stop == Some((of, step.index + 1)) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    pollster::block_on(Imagic::fit(pipeline, &request, &mut on_step)).unwrap()
}

fn edited(pipeline: &Pipeline, fitted: &Imagic, eta: f64) -> Picture {
    let settings = Settings { seed: 5, steps: Some(3), guidance_scale: Some(2.0), ..Settings::default() };
    let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
    pollster::block_on(fitted.draw(pipeline, eta, settings, &mut on_step)).unwrap()
}

#[test]
fn adapters_reconstruct_better_and_the_strip_leads_to_the_words() {
    let pipeline = tiny_model(&LoadOptions::default());
    let before = drawn(&pipeline);
    let whole = fitted(&pipeline, None);
    let adapters = whole.adapters.as_ref().unwrap();
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (first, last) = (mean(&adapters.losses[..20]), mean(&adapters.losses[60..]));
    println!("{} weights: {first} to {last}", adapters.keys.len());
    assert!(last < first && adapters.ended == Ended::Finished, "{first} to {last}");
    let strip = [0.0, 0.5, 1.0].map(|eta| edited(&pipeline, &whole, eta));
    assert!(strip[0] != strip[1] && strip[1] != strip[2]);
    // The same up to rounding on a device that keeps gradients.
    let device = Device::flex().autodiff();
    let other = Pipeline::load(&files("families/tiny-2", &Map::new()), &device).unwrap();
    let kept = edited(&other, &fitted(&other, None), 0.5);
    assert!(kept.rgb.iter().zip(&strip[1].rgb).all(|(a, b)| a.abs_diff(*b) <= 1));
    // Nothing leaks into the model.
    assert_eq!(drawn(&pipeline), before);
}

#[test]
fn without_adapters_and_at_eta_1_it_is_text_to_image() {
    let pipeline = tiny_model(&LoadOptions::default());
    let stopped = fitted(&pipeline, Some((Stage::Embedding, 3)));
    assert!(stopped.adapters.is_none() && stopped.embedding.losses.len() == 3);
    let settings = Settings {
        prompt: "a blue fox".into(),
        seed: 5,
        steps: Some(3),
        guidance_scale: Some(2.0),
        width: Some(32),
        height: Some(24),
        ..Settings::default()
    };
    let request = pipeline.request_of(settings).unwrap();
    let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
    let plain = pollster::block_on(pipeline.generate(&request, &mut on_step)).unwrap().0.swap_remove(0);
    assert_eq!(edited(&pipeline, &stopped, 1.0), plain);
}

const DRAWN: Drawn = Drawn { seed: 5, steps: Some(3), guidance_scale: Some(2.0) };

fn with_lora(lora: Option<Lora<'_>>) -> Pipeline {
    let loras = Vec::from_iter(lora);
    tiny_model(&LoadOptions { loras: &loras, ..LoadOptions::default() })
}

#[test]
fn with_a_source_prompt_the_edit_moves_by_the_difference_of_the_texts() {
    let pipeline = tiny_model(&LoadOptions::default());
    let stage = |steps| StageOptions { steps, learning_rate: 1e-2, batch: 4, seed: 2 };
    let fitted = |prompt: &str| {
        let request = ImagicRequest {
            source_prompt: Some("a red fox".into()),
            embedding: stage(10),
            adapters: stage(5),
            ..ImagicRequest::new(picture(), prompt, 2)
        };
        let mut on_step = async |_: Stage, _: StageStep<'_>| ControlFlow::Continue(());
        pollster::block_on(Imagic::fit(&pipeline, &request, &mut on_step)).unwrap()
    };
    // Where the texts agree, nothing moves; else the same picture is left by another way.
    let (same, other) = (fitted("a red fox"), fitted("a blue fox"));
    assert_eq!(edited(&pipeline, &same, 1.0), edited(&pipeline, &same, 0.0));
    assert_eq!(edited(&pipeline, &other, 0.0), edited(&pipeline, &same, 0.0));
    assert!(edited(&pipeline, &other, 1.0) != edited(&pipeline, &other, 0.0));
    let text = |edit: &Imagic| numbers(&edit.embedding.start);
    assert!(
        text(&other) == text(&same) && numbers(&other.target) != text(&other) && numbers(&same.target) == text(&same)
    );
    let bytes = pollster::block_on(other.to_bytes(&DRAWN));
    let SavedEdit { edit, lora, .. } = SavedEdit::parse("edit", &bytes, &Device::flex()).unwrap();
    let again = edited(&with_lora(lora), &edit, 1.0);
    assert!(again.rgb.iter().zip(&edited(&pipeline, &other, 1.0).rgb).all(|(a, b)| a.abs_diff(*b) <= 1));
}

#[test]
fn an_edit_from_its_file_draws_what_it_drew() {
    let whole = fitted(&tiny_model(&LoadOptions::default()), None);
    let stopped = fitted(&tiny_model(&LoadOptions::default()), Some((Stage::Embedding, 3)));
    for edit in [whole, stopped] {
        let strip = [0.0, 0.6].map(|eta| edited(&tiny_model(&LoadOptions::default()), &edit, eta));
        let bytes = pollster::block_on(edit.to_bytes(&DRAWN));
        let SavedEdit { edit: again, lora, drawn } = SavedEdit::parse("edit", &bytes, &Device::flex()).unwrap();
        assert_eq!((drawn, lora.is_some()), (DRAWN, edit.adapters.is_some()));
        assert_eq!((&again.prompt, again.width, again.height), (&edit.prompt, 32, 24));
        assert_eq!(again.embedding.losses, edit.embedding.losses);
        let pipeline = with_lora(lora);
        for (eta, picture) in [0.0, 0.6].into_iter().zip(strip) {
            let same = edited(&pipeline, &again, eta);
            assert!(same.rgb.iter().zip(&picture.rgb).all(|(a, b)| a.abs_diff(*b) <= 1), "eta {eta}");
        }
    }
}

#[test]
fn files_that_are_no_edits_of_this_model_are_refused_in_words() {
    let bytes = pollster::block_on(fitted(&tiny_model(&LoadOptions::default()), None).to_bytes(&DRAWN));
    let refused = |bytes: &[u8], words: &str| {
        let Err(error) = SavedEdit::parse("edit", bytes, &Device::flex()) else { panic!("{words}: not refused") };
        assert!(error.to_string().contains(words), "{error}");
    };
    for length in (0..bytes.len()).step_by(997) {
        assert!(SavedEdit::parse("edit", &bytes[..length], &Device::flex()).is_err(), "{length} bytes");
    }
    refused(b"<!DOCTYPE html>", "edit: ");
    refused(&serialize(&[Matrix::row("a", &[1.0])], Default::default()), "it is no saved edit");
    // The header's length stays the same.
    let changed = |from: &str, to: &str| {
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
    };
    refused(&changed("imagic.target", "imagic.tarred"), "tensor imagic.target is missing");
    refused(&changed("version\\\":1", "version\\\":7"), "an edit of version 7; this program reads 1");
    refused(&changed("lora_A.weight", "lora_X.weight"), "lora_X.weight is no tensor of a LoRA adapter");
    // As an adapter it is no adapter, and in another model it does not fit.
    assert!(
        Lora::parse("edit", &bytes, 1.0)
            .err()
            .unwrap()
            .to_string()
            .contains("imagic.adapter_losses is no tensor of a LoRA")
    );
    let SavedEdit { edit, lora, .. } = SavedEdit::parse("edit", &bytes, &Device::flex()).unwrap();
    let loras = Vec::from_iter(lora);
    let options = LoadOptions { loras: &loras, ..LoadOptions::default() };
    let other = Pipeline::load_with(&files("reference/sd15", &Map::new()), &options, &Device::flex())
        .err()
        .unwrap()
        .to_string();
    assert!(other.contains("edit: "), "{other}");
    let other = Pipeline::load(&files("reference/sd15", &Map::new()), &Device::flex()).unwrap();
    let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
    let settings = Settings { steps: Some(1), ..Settings::default() };
    let error = pollster::block_on(edit.draw(&other, 0.5, settings, &mut on_step)).unwrap_err().to_string();
    assert!(error.contains("the edit was made with another model"), "{error}");
}
