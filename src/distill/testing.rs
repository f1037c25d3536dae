//! A complete distillation at toy size: pictures of 8 x 8 pixels of a world with two colours, in which half of the
//! captions leave the colour open. So the path from noise to picture has to decide, and a few steps of the teacher
//! decide badly.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde_json::{Value, json};

use super::progressive::student_folder;
use super::{DistillConfig, consistency, guidance, progressive};
use crate::pipeline::{Pipeline, Request, StepEvent};
use crate::train::run::Outcome;
use crate::train::testing::{checkpoint, config, run, settings};
use crate::weights::DirFiles;

/// Two colours; half of the captions say "colourful".
const RECIPE: &str = r#"{
    "size": 8,
    "concepts": {
        "groups": { "Animals & Nature": ["animal-mammal"] },
        "also": [], "exclude": ["sheep", "bat"], "names": {}
    },
    "mixture": { "recolour": 1 },
    "extra_background": 0.0, "held_out": 0.0, "open_captions": 0.5, "colour_captions": 0.1,
    "palette": [
        { "name": "red", "glyph": [220, 40, 40], "background": [235, 80, 80] },
        { "name": "blue", "glyph": [50, 100, 230], "background": [90, 155, 245] }
    ]
}"#;

/// A trained teacher in `folder/teacher/model`; its autoencoder and UNet are those of the tiny recipes.
fn teacher(folder: &Path, steps: u64) -> PathBuf {
    let recipe = folder.join("two-colours.json");
    std::fs::write(&recipe, RECIPE).unwrap();
    let toy = |config: &mut Value| {
        config["pictures"]["recipe"] = json!(recipe);
        config["pictures"]["size"] = 8.into();
        config["training"]["batch"] = 16.into();
        config["training"]["sheet_every"] = 1_000_000.into();
        config["training"]["checkpoint_every"] = 1_000_000.into();
    };
    let autoencoder = config(folder, "train-autoencoder-tiny.json", |config| {
        toy(config);
        config["training"]["steps"] = 200.into();
        config["decoder_steps"] = 20.into();
        config["vae"]["encoder_block_out_channels"] = json!([16, 16]);
        config["vae"]["decoder_block_out_channels"] = json!([16, 16]);
        config["vae"]["num_encoder_blocks"] = json!([0, 1]);
        config["vae"]["num_decoder_blocks"] = json!([1, 0]);
    });
    run(&autoencoder, folder.join("autoencoder"), None, 1);
    let diffusion = config(folder, "train-diffusion-tiny.json", |config| {
        toy(config);
        config["training"]["steps"] = steps.into();
        config["training"]["ema_decay"] = 0.98.into();
        config["training"]["optimizer"]["learning_rate"] = 0.003.into();
        config["training"]["optimizer"]["schedule"] = "linear".into();
        config["latents"] = json!({ "precomputed": 256 });
        config["vae"] = json!(folder.join("autoencoder/vae"));
        config["unet"]["sample_size"] = 4.into();
    });
    run(&diffusion, folder.join("teacher"), None, 1);
    folder.join("teacher/model")
}

/// The committed ladder from 16 steps on, for the toy teacher.
fn ladder(folder: &Path, updates: u64) -> DistillConfig {
    let mut config: Value = serde_json::from_str(include_str!("../../recipes/distill.json")).unwrap();
    config["teacher"] = json!(folder.join("teacher/model"));
    config["pictures"] =
        json!({ "pack": folder.join("test.pack"), "recipe": folder.join("two-colours.json"), "size": 8 });
    config["latents"] = json!({ "precomputed": 256 });
    config["inputs"]["guidance_scale"] = json!([1.0, 3.0]);
    // With few updates, many of them must show what a negative prompt does.
    config["inputs"]["negative_colours"] = 0.6.into();
    for section in ["guidance", "progressive", "consistency"] {
        let training = &mut config[section]["training"];
        training["batch"] = 16.into();
        training["steps"] = updates.into();
        training["optimizer"]["learning_rate"] = 0.002.into();
        training["checkpoint_every"] = 1_000_000.into();
        training["sheet_every"] = 1_000_000.into();
    }
    let stages = [8, 4].map(|steps| json!({ "steps": steps, "updates": updates }));
    config["progressive"]["stages"] = json!(stages);
    // Every target is the student's own a step further on, so this takes longer.
    config["consistency"]["training"]["steps"] = (4 * updates).into();
    config["consistency"]["teacher_steps"] = json!([8, 16]);
    // It is compared with 64 steps of the guidance-distilled model, so that is its teacher too.
    config["consistency"]["teacher"] = "distilled".into();
    DistillConfig::from_json(&config.to_string(), "toy").unwrap()
}

const PROMPTS: [&str; 4] = ["a colourful fox", "a red fox", "a blue fox", "colorful fox"];

/// 48 pictures, each with its own seed, as numbers in 0..=255.
fn drawn(model: &Path, steps: usize, prompts: &[&str], negative_prompt: &str) -> Vec<Vec<f64>> {
    let pipeline = Pipeline::load(&DirFiles::new(model), &Device::flex()).unwrap();
    let requests: Vec<Request> = (0..48)
        .map(|seed| {
            let prompt = prompts[seed as usize % prompts.len()];
            let size = Request { width: 8, height: 8, ..pipeline.request(prompt) };
            let negative_prompt = negative_prompt.to_owned();
            Request { seed, negative_prompt, num_inference_steps: steps, guidance_scale: 2.5, ..size }
        })
        .collect();
    let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
    let (pictures, _) = pollster::block_on(pipeline.generate_batch(&requests, &mut on_step)).unwrap();
    pictures.iter().map(|picture| picture.rgb.iter().map(|byte| f64::from(*byte)).collect()).collect()
}

/// Whether the picture is red rather than blue.
fn is_red(picture: &[f64]) -> bool {
    picture.chunks(3).map(|pixel| pixel[0] - pixel[2]).sum::<f64>() > 0.0
}

/// The mean square difference of each pair of pictures.
fn mean_squares(a: &[Vec<f64>], b: &[Vec<f64>]) -> Vec<f64> {
    let of = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.len() as f64;
    a.iter().zip(b).map(|(a, b)| of(a, b)).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How a model's pictures of [`PROMPTS`] at 4 steps compare with the goal's.
struct Compared {
    /// Mean squared distance among the pictures that end in the goal's colour.
    mean_of_same: f64,
    /// Share of the pictures that end in the goal's colour, if the prompt leaves it open.
    same: f64,
    /// Share of the pictures in the right colour, if the prompt names it.
    right: f64,
}

fn compare(model: &Path, goal: &[Vec<f64>]) -> Compared {
    let pictures = drawn(model, 4, &PROMPTS, "");
    let squares = mean_squares(&pictures, goal);
    let share = |chosen: Vec<bool>| mean(&chosen.into_iter().map(|yes| f64::from(u8::from(yes))).collect::<Vec<_>>());
    let named = |at: usize| [None, Some(true), Some(false), None][at % 4];
    let same: Vec<bool> = pictures.iter().zip(goal).map(|(a, b)| is_red(a) == is_red(b)).collect();
    let all = || 0..pictures.len();
    let compared = Compared {
        mean_of_same: mean(&all().filter(|at| same[*at]).map(|at| squares[at]).collect::<Vec<_>>()),
        same: share(all().filter(|at| named(*at).is_none()).map(|at| same[at]).collect()),
        right: share(all().filter_map(|at| named(at).map(|red| red == is_red(&pictures[at]))).collect()),
    };
    let Compared { mean_of_same, same, right } = compared;
    println!(
        "{}: mean {:.1}, of the same colour {mean_of_same:.1}; colour: same {same:.2}, right {right:.2}",
        model.display(),
        mean(&squares)
    );
    compared
}

/// The students' mean squared distance to 64 steps of the model that they were distilled from, over the pictures of the
/// same colour at 4 steps, may be at most this share of that model's own at 4 steps.
const MARGIN: f64 = 0.6;

#[test]
fn students_of_four_steps_beat_the_undistilled_model_at_four_steps() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher(folder.path(), 800);
    let config = ladder(folder.path(), 300);
    let of = |name: &str| folder.path().join(name);
    let finished = Outcome::Finished;
    assert_eq!(guidance::distill(&config, &settings(of("guidance"), None, 1)).unwrap(), finished);
    let first = of("guidance").join("model");
    assert_eq!(progressive::distill(&config, &first, &settings(of("progressive"), None, 1)).unwrap(), finished);
    assert_eq!(consistency::distill(&config, &first, &settings(of("consistency"), None, 1)).unwrap(), finished);

    // One evaluation a step must draw the same pictures as two, not just any pictures.
    let guided = drawn(&teacher, 64, &PROMPTS, "");
    let goal = drawn(&first, 64, &PROMPTS, "");
    let guidance = median(mean_squares(&goal, &guided));
    let others = median(mean_squares(&goal, &[&guided[1..], &guided[..1]].concat()));
    println!("64 steps against the guided teacher: distilled {guidance:.1}, the next prompt's picture {others:.1}");
    assert!(guidance < 0.05 * others, "{guidance:.1} of {others:.1}");

    let student = student_folder(&of("progressive"), 4);
    let red = |negative: &str| drawn(&student, 4, &PROMPTS[..1], negative).iter().filter(|p| is_red(p)).count();
    let (plain, without, only) = (red(""), red("red"), red("blue"));
    println!("red of 48 colourful foxes: {plain}, not red {without}, not blue {only}");
    assert!(without + 6 <= plain && plain < only, "{plain} {without} {only}");

    // From the same noise a student may decide differently than its teacher if the prompt leaves the colour open. One
    // such picture is as far away as all others together, so these are counted, not averaged.
    let undistilled = compare(&first, &goal);
    for model in [student, of("consistency").join("model")] {
        let student = compare(&model, &goal);
        assert!(student.mean_of_same < MARGIN * undistilled.mean_of_same, "{}", model.display());
        assert!(student.right == 1.0 && student.same >= 0.9, "{}", model.display());
    }
}

#[test]
fn a_resumed_ladder_is_the_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    teacher(folder.path(), 3);
    let config = ladder(folder.path(), 3);
    let of = |name: &str| folder.path().join(name);
    guidance::distill(&config, &settings(of("straight-guidance"), None, 1)).unwrap();
    assert_eq!(guidance::distill(&config, &settings(of("guidance"), Some(2), 2)).unwrap(), Outcome::Stopped(2));
    guidance::distill(&config, &settings(of("guidance"), None, 1)).unwrap();
    assert!(checkpoint(&of("straight-guidance"), 3) == checkpoint(&of("guidance"), 3), "the same bytes");

    let first = of("guidance").join("model");
    progressive::distill(&config, &first, &settings(of("straight"), None, 1)).unwrap();
    // Stops within the first student, at its end, and within the second.
    for stop in [1, 3, 5] {
        let outcome = progressive::distill(&config, &first, &settings(of("stopped"), Some(stop), 1)).unwrap();
        assert_eq!(outcome, Outcome::Stopped(stop));
    }
    progressive::distill(&config, &first, &settings(of("stopped"), None, 1)).unwrap();
    assert!(checkpoint(&of("straight"), 6) == checkpoint(&of("stopped"), 6), "the same bytes");
}

#[test]
fn a_model_without_these_inputs_is_no_teacher_of_few_steps() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher(folder.path(), 1);
    let config = ladder(folder.path(), 1);
    let refused = progressive::distill(&config, &teacher, &settings(folder.path().join("p"), None, 1)).unwrap_err();
    assert!(refused.to_string().contains("fourstep distill guidance"), "{refused}");
}
