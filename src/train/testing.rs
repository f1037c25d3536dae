//! A run that stops and resumes ends with exactly the weights of one that does not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use serde_json::{Value, json};

use super::config::RunConfig;
use super::run::{Outcome, Settings};
use super::{autoencoder, classifier, diffusion};
use crate::dataset::testing;
use crate::picture::Picture;
use crate::pipeline::Pipeline;
use crate::weights::DirFiles;

/// A committed recipe with the tests' pack: 16 pixels, batches of 4.
pub(crate) fn config(folder: &Path, name: &str, change: impl Fn(&mut Value)) -> RunConfig {
    let pack = folder.join("test.pack");
    std::fs::write(&pack, testing::pack_bytes()).unwrap();
    let recipe = folder.join("recipe.json");
    std::fs::write(&recipe, testing::RECIPE).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes").join(name);
    let mut config: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    config["pictures"] = json!({ "pack": pack, "recipe": recipe, "size": 16 });
    config["training"]["batch"] = 4.into();
    change(&mut config);
    RunConfig::from_json(&config.to_string(), name).unwrap()
}

pub(crate) fn run(config: &RunConfig, folder: PathBuf, stop_at: Option<u64>, workers: usize) -> Outcome {
    let settings = settings(folder, stop_at, workers);
    match config {
        RunConfig::Autoencoder(config) => autoencoder::train(config, &settings).unwrap(),
        RunConfig::Diffusion(config) => diffusion::train(config, &settings).unwrap(),
        RunConfig::Classifier(config) => classifier::train(config, &settings).unwrap(),
    }
}

/// Settings for the CPU, in a new folder.
pub(crate) fn settings(folder: PathBuf, stop_at: Option<u64>, workers: usize) -> Settings<'static> {
    std::fs::create_dir_all(&folder).unwrap();
    Settings {
        folder,
        device: Device::flex(),
        workers,
        stop: Arc::new(AtomicBool::new(false)),
        deadline: None,
        stop_at,
        on_report: &|report| assert!(report.loss.is_finite()),
    }
}

/// Everything in the checkpoint after `step`.
pub(crate) fn checkpoint(folder: &Path, step: u64) -> Vec<Vec<u8>> {
    let folder = folder.join(format!("checkpoints/step-{step:08}"));
    let names = ["weights", "average", "moment_1", "moment_2"].map(|name| format!("{name}.safetensors"));
    names.iter().map(|name| std::fs::read(folder.join(name)).unwrap()).collect()
}

fn small_autoencoder(folder: &Path) -> RunConfig {
    config(folder, "train-autoencoder-tiny.json", |config| {
        config["training"]["steps"] = 4.into();
        config["decoder_steps"] = 3.into();
        config["statistics_pictures"] = 10.into();
    })
}

/// An untrained model and classifier of 16 pixels in `folder`, and the files of the pack and the recipe.
pub(crate) struct Small {
    pub model: PathBuf,
    pub classifier: PathBuf,
    pub pack: PathBuf,
    pub recipe: PathBuf,
}

pub(crate) fn small(folder: &Path) -> Small {
    run(&small_autoencoder(folder), folder.join("vae-run"), None, 1);
    let diffusion = config(folder, "train-diffusion-tiny.json", |config| {
        config["training"]["steps"] = 2.into();
        config["vae"] = json!(folder.join("vae-run/vae"));
        config["unet"]["sample_size"] = 4.into();
    });
    run(&diffusion, folder.join("diffusion"), None, 1);
    let classifier = config(folder, "train-classifier.json", |config| {
        config["training"]["steps"] = 2.into();
        config["widths"] = json!([8]);
        config["features"] = 4.into();
    });
    run(&classifier, folder.join("classifier"), None, 1);
    Small {
        model: folder.join("diffusion/model"),
        classifier: folder.join("classifier/classifier.safetensors"),
        pack: folder.join("test.pack"),
        recipe: folder.join("recipe.json"),
    }
}

#[test]
fn a_resumed_autoencoder_is_the_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = small_autoencoder(folder.path());
    let (straight, stopped) = (folder.path().join("straight"), folder.path().join("stopped"));
    assert_eq!(run(&config, straight.clone(), None, 1), Outcome::Finished);
    // Stops before the end of the first stage, at its end and within the second, and once with more threads.
    for (stop_at, workers) in [(2, 1), (4, 3), (6, 1)] {
        assert_eq!(run(&config, stopped.clone(), Some(stop_at), workers), Outcome::Stopped(stop_at));
    }
    assert_eq!(run(&config, stopped.clone(), None, 1), Outcome::Finished);
    assert!(checkpoint(&straight, 7) == checkpoint(&stopped, 7), "the same bytes");
    let RunConfig::Autoencoder(config) = config else { panic!("an autoencoder") };
    check_latents(&config, &straight);
}

/// The exported encoder's latents have mean 0 and deviation 1 over the training pictures (except for rounding by F16
/// and the average).
fn check_latents(config: &super::config::AutoencoderConfig, folder: &Path) {
    use crate::models::AutoencoderTiny;
    use crate::weights::{self, Checkpoint};

    let vae = serde_json::from_value(Value::Object(config.vae.clone())).unwrap();
    let bytes = std::fs::read(folder.join("vae/diffusion_pytorch_model.safetensors")).unwrap();
    let structure = AutoencoderTiny::new(&vae, "vae", &Device::flex()).unwrap();
    let model = weights::load(structure, &Checkpoint::parse("vae", &bytes).unwrap()).unwrap();
    let stickers = super::data::stickers(&config.pictures).unwrap();
    for (mean, deviation) in autoencoder::latent_statistics(&model, &stickers, config, &Device::flex()).unwrap() {
        assert!(mean.abs() < 0.01 && (deviation - 1.0).abs() < 0.01, "mean {mean}, deviation {deviation}");
    }
}

#[test]
fn a_resumed_diffusion_model_is_the_uninterrupted_one_and_draws() {
    let folder = tempfile::tempdir().unwrap();
    let vae = folder.path().join("vae-run");
    run(&small_autoencoder(folder.path()), vae.clone(), None, 1);
    for latents in [json!("on_the_fly"), json!({ "precomputed": 9 })] {
        let config = config(folder.path(), "train-diffusion-tiny.json", |config| {
            config["training"]["steps"] = 5.into();
            config["training"]["sheet_every"] = 5.into();
            config["vae"] = json!(vae.join("vae"));
            config["latents"] = latents.clone();
            config["unet"]["sample_size"] = 4.into();
            config["sheet"]["samples"] = 2.into();
            config["sheet"]["steps"] = 2.into();
        });
        let of = |name: &str| folder.path().join(format!("{name} {}", latents.is_string()));
        let (straight, stopped) = (of("straight"), of("stopped"));
        assert_eq!(run(&config, straight.clone(), None, 1), Outcome::Finished);
        assert_eq!(run(&config, stopped.clone(), Some(2), 2), Outcome::Stopped(2));
        assert_eq!(run(&config, stopped.clone(), None, 1), Outcome::Finished);
        assert!(checkpoint(&straight, 5) == checkpoint(&stopped, 5), "the same bytes");
        let sheet = |run: &Path| std::fs::read(run.join("sheets/step-00000005.png")).unwrap();
        assert_eq!(sheet(&straight), sheet(&stopped));
        Pipeline::load(&DirFiles::new(straight.join("model")), &Device::flex()).unwrap();
    }
}

#[test]
fn a_resumed_classifier_is_the_uninterrupted_one_and_describes_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "train-classifier.json", |config| {
        config["training"]["steps"] = 5.into();
        config["training"]["sheet_every"] = 5.into();
        config["widths"] = json!([8, 16]);
        config["sheet_pictures"] = 3.into();
    });
    let (straight, stopped) = (folder.path().join("straight"), folder.path().join("stopped"));
    assert_eq!(run(&config, straight.clone(), None, 1), Outcome::Finished);
    assert_eq!(run(&config, stopped.clone(), Some(2), 2), Outcome::Stopped(2));
    assert_eq!(run(&config, stopped.clone(), None, 1), Outcome::Finished);
    assert!(checkpoint(&straight, 5) == checkpoint(&stopped, 5), "the same bytes");
    let file = straight.join("classifier.safetensors");
    let read = classifier::Classifier::read(&file, &Device::flex()).unwrap();
    let RunConfig::Classifier(config) = config else { panic!("a classifier") };
    let fox = super::data::stickers(&config.pictures).unwrap().glyph("fox", 16).unwrap();
    assert_eq!(read.features(&[fox]).unwrap()[0].len(), 48);
}

/// Six squares of three colours as PNG files that must be cropped, and a photograph.
fn own_pictures(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let colours = [("red", [220, 30, 30]), ("green", [30, 180, 40]), ("blue", [30, 40, 220])];
    for (name, colour) in colours {
        for (shape, width) in [("wide", 40), ("high", 10)] {
            Picture::filled(width, 20, colour).write_png(&folder.join(format!("{name} {shape}.png"))).unwrap();
            std::fs::write(folder.join(format!("{name} {shape}.txt")), format!("a {name} square")).unwrap();
        }
    }
    std::fs::write(folder.join("photo.jpg"), include_bytes!("../picture/testing/turned.jpg")).unwrap();
    std::fs::write(folder.join("photo.txt"), "a flag").unwrap();
}

#[test]
fn a_model_learns_from_a_folder_of_captioned_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    own_pictures(&own);
    let vae = small_autoencoder(folder.path()).with_folder(&own).unwrap();
    let (straight, stopped) = (folder.path().join("vae"), folder.path().join("vae-stopped"));
    assert_eq!(run(&vae, straight.clone(), None, 1), Outcome::Finished);
    assert_eq!(run(&vae, stopped.clone(), Some(5), 2), Outcome::Stopped(5));
    assert_eq!(run(&vae, stopped.clone(), None, 1), Outcome::Finished);
    assert!(checkpoint(&straight, 7) == checkpoint(&stopped, 7), "the same bytes");
    for latents in [json!("on_the_fly"), json!({ "precomputed": 9 })] {
        let config = config(folder.path(), "train-diffusion-tiny.json", |config| {
            config["training"]["steps"] = 3.into();
            config["training"]["sheet_every"] = 3.into();
            config["vae"] = json!(straight.join("vae"));
            config["latents"] = latents.clone();
            config["unet"]["sample_size"] = 4.into();
            config["sheet"]["samples"] = 3.into();
            config["sheet"]["steps"] = 2.into();
        });
        let config = config.with_folder(&own).unwrap();
        let out = folder.path().join(format!("diffusion {}", latents.is_string()));
        assert_eq!(run(&config, out.clone(), None, 1), Outcome::Finished);
        assert!(out.join("sheets/step-00000003.png").exists());
        Pipeline::load(&DirFiles::new(out.join("model")), &Device::flex()).unwrap();
    }
}

#[test]
fn a_model_that_does_not_fit_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let vae = folder.path().join("vae-run");
    run(&small_autoencoder(folder.path()), vae.clone(), None, 1);
    let message = |change: &dyn Fn(&mut Value)| {
        let config = config(folder.path(), "train-diffusion-tiny.json", |config| {
            config["vae"] = json!(vae.join("vae"));
            config["unet"]["sample_size"] = 4.into();
            change(config);
        });
        let RunConfig::Diffusion(config) = config else { panic!("a diffusion model") };
        let settings = Settings {
            folder: folder.path().join("refused"),
            device: Device::flex(),
            workers: 1,
            stop: Arc::default(),
            deadline: None,
            stop_at: None,
            on_report: &|_| (),
        };
        diffusion::train(&config, &settings).unwrap_err().to_string()
    };
    assert!(message(&|c| c["unet"]["sample_size"] = 8.into()).contains("sample_size"));
    assert!(message(&|c| c["unet"]["in_channels"] = 3.into()).contains("in_channels"));
    assert!(message(&|c| c["unet"]["cross_attention_dim"] = 64.into()).contains("cross_attention_dim"));
    assert!(message(&|c| c["text_encoder"]["vocab_size"] = 9.into()).contains("comes from the tokenizer"));
    assert!(message(&|c| c["vae"] = json!("nowhere")).contains("nowhere is no model"));
}
