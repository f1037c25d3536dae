//! A model that draws with alpha, and its large decoder, through the pipeline and the command line: the tiny one of
//! tests/golden/transparent, whose numbers `tests/reference.rs` compares with diffusers'.

mod copied;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use burn::tensor::{Device, Tensor};
use fourstep::picture::Picture;
use fourstep::pipeline::{Pipeline, Plan, PlanOptions, Request, StepEvent};
use fourstep::weights::DirFiles;
use serde_json::{Value, json};

use copied::copy;

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/transparent/pipelines/rgba")
}

fn load(folder: &Path) -> fourstep::Result<Pipeline> {
    Pipeline::load(&DirFiles::new(folder), &Device::flex())
}

fn request(pipeline: &Pipeline) -> Request {
    Request { num_inference_steps: 2, guidance_scale: 1.0, width: 32, height: 32, ..pipeline.request("a fox") }
}

fn drawn(pipeline: &Pipeline, request: &Request) -> fourstep::Result<Picture> {
    let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
    Ok(pollster::block_on(pipeline.generate(request, &mut on_step))?.0.swap_remove(0))
}

/// A copy of the model, to be changed.
fn copied() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&model(), folder.path());
    folder
}

fn edit(path: PathBuf, change: impl FnOnce(&mut Value)) {
    let mut value = json_of(&path);
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn fourstep(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fourstep")).args(args).output().unwrap()
}

fn succeeds(args: &[&str]) -> (String, String) {
    let output = fourstep(args);
    let [out, said] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
    (out, said)
}

/// `fourstep generate` with that model and more arguments.
fn generated(model: &Path, more: &[&str]) -> (Picture, String, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x.png");
    let own = ["generate", "a fox", "--steps", "2", "--guidance", "1", "--width", "32", "--height", "32"];
    let files = ["--model", model.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let (_, said) = succeeds(&[&own[..], &files, more].concat());
    (Picture::read_png(&out).unwrap(), said, std::fs::read(&out).unwrap())
}

#[test]
fn the_large_decoder_draws_twice_as_large_of_the_same_latents() {
    let pipeline = load(&model()).unwrap();
    assert_eq!((pipeline.large().unwrap(), pipeline.channels()), (2, 4));
    let small = drawn(&pipeline, &request(&pipeline)).unwrap();
    let large = drawn(&pipeline, &Request { large: true, ..request(&pipeline) }).unwrap();
    assert_eq!((small.width, small.height, large.width, large.height), (32, 32, 64, 64));
    assert!(small.alpha.is_some() && large.alpha.is_some());
    let too_large = Request { large: true, width: 1032, ..request(&pipeline) };
    let error = drawn(&pipeline, &too_large).unwrap_err().to_string();
    assert!(error.contains("width = 1032") && error.contains("2 times"), "{error}");
}

#[test]
fn a_model_without_a_large_decoder_says_so_before_it_draws() {
    let folder = copied();
    for none in [Value::Null, json!([null, null])] {
        edit(folder.path().join("model_index.json"), |index| index["vae_large"] = none);
        let pipeline = load(folder.path()).unwrap();
        let mut steps = 0;
        let mut on_step = async |_: StepEvent<'_>| {
            steps += 1;
            ControlFlow::Continue(())
        };
        let asked = Request { large: true, ..request(&pipeline) };
        let error = pollster::block_on(pipeline.generate(&asked, &mut on_step)).err().unwrap().to_string();
        assert!(error.contains("no large decoder"), "{error}");
        assert_eq!(steps, 0);
    }
    let output =
        fourstep(&["generate", "a", "--large", "--model", folder.path().to_str().unwrap(), "--out", "/dev/null"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no large decoder"));
}

#[test]
fn autoencoders_that_do_not_fit_are_named() {
    let refused = |change: &dyn Fn(&Path), words: [&str; 2]| {
        let folder = copied();
        change(folder.path());
        let plan = Plan::read(&DirFiles::new(folder.path()), &PlanOptions::default()).err().unwrap().to_string();
        let load = load(folder.path()).err().unwrap().to_string();
        for error in [plan, load] {
            assert!(words.iter().all(|word| error.contains(word)), "{words:?} are not in {error}");
        }
    };
    let as_large = |folder: &Path| {
        std::fs::remove_dir_all(folder.join("vae_large")).unwrap();
        copy(&folder.join("vae"), &folder.join("vae_large"));
    };
    refused(&as_large, ["vae_large/config.json", "draws 8 pixels a latent"]);
    let as_small = |folder: &Path| {
        std::fs::remove_dir_all(folder.join("vae")).unwrap();
        copy(&folder.join("vae_large"), &folder.join("vae"));
    };
    refused(&as_small, ["vae/config.json", "encoded from 8 pixels, but decoded to 16"]);
    let number = |folder: &Path| edit(folder.join("model_index.json"), |index| index["vae_large"] = 2.into());
    refused(&number, ["model_index.json", "vae_large = 2"]);
    let gone = |folder: &Path| std::fs::remove_dir_all(folder.join("vae_large")).unwrap();
    refused(&gone, ["vae_large/", "missing"]);
}

#[test]
fn what_a_mask_keeps_keeps_its_alpha_to_the_pixel() {
    let pipeline = load(&model()).unwrap();
    let rgba: Vec<u8> = (0..32 * 32 * 4u32).map(|i| (i * 7 % 251) as u8).collect();
    let image = Picture::from_rgba(32, 32, &rgba).unwrap();
    let mut mask = Picture::filled(32, 32, [0; 3]);
    mask.paste(&Picture::filled(16, 32, [255; 3]), 16, 0);
    let masked = Request { image: Some(image.clone()), mask: Some(mask), strength: 1.0, ..request(&pipeline) };
    let picture = drawn(&pipeline, &masked).unwrap();
    let half = |picture: &Picture, right: bool| -> Vec<[u8; 4]> {
        picture.pixels().enumerate().filter(|(i, _)| (i % 32 >= 16) == right).map(|(_, pixel)| pixel).collect()
    };
    assert_eq!(half(&picture, false), half(&image, false));
    assert_ne!(half(&picture, true), half(&image, true));
    let large = drawn(&pipeline, &Request { large: true, ..masked }).unwrap();
    assert_eq!((large.width, large.height), (64, 64));
}

/// A convolution sees no further than its layers reach: far from all seams tiles are the whole picture.
#[test]
fn tiles_have_four_channels_too() {
    let mut pipeline = load(&model()).unwrap();
    let values: Vec<f32> = (0..12 * 16 * 16u32).map(|i| (i * 37 % 101) as f32 / 25.0 - 2.0).collect();
    let latents = Tensor::<4>::from_data(burn::tensor::TensorData::new(values, [1, 12, 16, 16]), pipeline.device());
    let (whole, large) = (pipeline.decode(latents.clone()), pipeline.decode_large(latents.clone()).unwrap());
    pipeline.enable_vae_tiling(Some(96));
    let tiled = pipeline.decode(latents.clone());
    assert_eq!((whole.dims(), tiled.dims()), ([1, 4, 128, 128], [1, 4, 128, 128]));
    let apart = |a: Tensor<4>, b: Tensor<4>| (a - b).abs().max().into_scalar::<f32>();
    let corner = |x: Tensor<4>| x.slice([0..1, 0..4, 0..32, 0..32]);
    assert!(apart(corner(tiled.clone()), corner(whole.clone())) < 1e-4);
    assert!(apart(tiled, whole) > 1e-4, "there are seams");
    assert_eq!(pipeline.decode_large(latents.clone()).unwrap().dims(), [1, 4, 256, 256]);
    pipeline.enable_vae_tiling(Some(256));
    assert!(apart(pipeline.decode_large(latents).unwrap(), large) < 1e-4);
}

#[test]
fn files_have_alpha_an_outline_and_their_settings() {
    let pipeline = load(&model()).unwrap();
    let wanted = drawn(&pipeline, &request(&pipeline)).unwrap();
    let (picture, _, bytes) = generated(&model(), &[]);
    assert_eq!(picture, wanted);
    let settings = fourstep::pngfile::parameters(&bytes).unwrap().unwrap();
    assert!(settings.starts_with("a fox") && settings.contains("Size: 32x32"), "{settings}");
    let (outlined, said, _) = generated(&model(), &["--outline"]);
    assert_eq!((outlined, said.contains("note")), (wanted.outlined(), false));
    let (large, _, bytes) = generated(&model(), &["--large"]);
    assert_eq!((large.width, large.height), (64, 64));
    // The settings that draw it again.
    assert!(fourstep::pngfile::parameters(&bytes).unwrap().unwrap().contains("Size: 32x32"));
}

#[test]
fn a_picture_with_alpha_is_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let start = folder.path().join("start.png");
    let rgba: Vec<u8> = (0..32 * 32 * 4u32).map(|i| (i * 5 % 253) as u8).collect();
    let image = Picture::from_rgba(32, 32, &rgba).unwrap();
    image.write_png(&start).unwrap();
    let (with, ..) = generated(&model(), &["--image", start.to_str().unwrap(), "--strength", "0.5"]);
    let on_white = image.over([255; 3]).into_owned();
    on_white.write_png(&start).unwrap();
    let (without, ..) = generated(&model(), &["--image", start.to_str().unwrap(), "--strength", "0.5"]);
    assert_ne!(with, without, "alpha makes a difference");
}

#[test]
fn manifest_plan_and_pack_know_the_large_decoder_and_alpha() {
    let (folder, host) = (copied(), tempfile::tempdir().unwrap());
    let path = folder.path().to_str().unwrap();
    let own = ["--name", "x", "--licence", "none", "--steps", "2", "--guidance", "1", "--size", "32"];
    succeeds(&[&["manifest", path][..], &own, &["--example", "a fox", "--example", "a cat"]].concat());
    let manifest = json_of(&folder.path().join("fourstep.json"));
    assert_eq!((&manifest["large"], manifest["preview"]["bias"].as_array().map(Vec::len)), (&json!(2), Some(4)));
    assert_eq!(manifest["preview"]["weights"][11].as_array().map(Vec::len), Some(4));
    let needs = &manifest["needs"];
    assert!(needs["large_activations"].as_u64() > needs["activations"].as_u64(), "{needs}");
    let paths: Vec<&str> =
        manifest["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    for file in ["vae_large/config.json", "vae_large/diffusion_pytorch_model.safetensors"] {
        assert!(paths.contains(&file), "{paths:?}");
    }
    let (table, _) = succeeds(&["plan", path]);
    assert!(table.contains("vae_large") && table.contains("the large decoder"), "{table}");
    let packed = host.path().join("rgba");
    succeeds(&["pack", path, "--out", packed.to_str().unwrap(), "--bits", "8"]);
    let (picture, ..) = generated(&packed, &["--large"]);
    assert_eq!((picture.width, picture.alpha.is_some()), (64, true));
    assert_eq!(json_of(&packed.join("fourstep.json"))["large"], 2);
}

#[test]
fn what_an_autoencoder_loses_is_told_for_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    for side in [32usize, 64] {
        let pictures = folder.path().join(side.to_string());
        std::fs::create_dir(&pictures).unwrap();
        for name in ["a", "b", "c"] {
            let rgba: Vec<u8> = (0..side * side * 4).map(|i| (i * name.as_bytes()[0] as usize % 251) as u8).collect();
            Picture::from_rgba(side, side, &rgba).unwrap().write_png(&pictures.join(format!("{name}.png"))).unwrap();
        }
    }
    let (model, sheet) = (model(), folder.path().join("sheet.png"));
    let measured = |side: &str, more: &[&str]| {
        let pictures = folder.path().join(side);
        let own = ["eval-autoencoder", pictures.to_str().unwrap(), "--model", model.to_str().unwrap()];
        fourstep(&[&own[..], more].concat())
    };
    let small = measured("32", &["--json", "--sheet", sheet.to_str().unwrap()]);
    let report: Value = serde_json::from_slice(&small.stdout).unwrap();
    assert_eq!(report["pictures"], 3);
    let iou = report["mean_alpha_iou"].as_f64().unwrap();
    assert!((0.0..1.0).contains(&iou), "{report}");
    assert!(report["psnr_of_mean_db"].as_f64() <= report["mean_psnr_db"].as_f64());
    assert!(Picture::read_png(&sheet).is_ok_and(|sheet| sheet.alpha.is_none()));
    let large = String::from_utf8(measured("64", &["--large"]).stdout).unwrap();
    assert!(large.contains("3 pictures") && large.contains("mean IoU of alpha"), "{large}");
    std::fs::copy(folder.path().join("64/a.png"), folder.path().join("32/z.png")).unwrap();
    let refused = String::from_utf8(measured("32", &[]).stderr).unwrap();
    assert!(refused.contains("64 x 64") && refused.contains("one size"), "{refused}");
}
