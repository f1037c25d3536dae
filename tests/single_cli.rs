//! Models in one file on the command line: what it draws, plans, exports and packs of them, and what it refuses.

#[allow(dead_code)]
mod ldm;

use std::path::PathBuf;
use std::process::{Command, Output};

use fourstep::weights::Files;
use ldm::folder::golden;
use ldm::{Layout, extra};

fn fourstep(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fourstep")).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The small pipeline as one file on disk, beside its folder without the weights.
fn on_disk() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = golden("reference", "sd15");
    let place = tempfile::tempdir().unwrap();
    let (file, config) = (place.path().join("fox.safetensors"), place.path().join("config"));
    std::fs::write(&file, ldm::safetensors(&ldm::original(&folder, Layout::One))).unwrap();
    // The vocabulary is the program's own.
    for path in [
        "model_index.json",
        "unet/config.json",
        "vae/config.json",
        "text_encoder/config.json",
        "scheduler/scheduler_config.json",
    ] {
        std::fs::create_dir_all(config.join(path).parent().unwrap()).unwrap();
        std::fs::write(config.join(path), folder.read(path).unwrap()).unwrap();
    }
    (place, file, config)
}

#[test]
fn the_command_line_draws_plans_exports_and_packs_a_file() {
    let (place, file, config) = on_disk();
    let (file, config) = (file.to_str().unwrap(), config.to_str().unwrap());
    let path = |name: &str| place.path().join(name).display().to_string();
    let draw = |model: &[&str], out: &str| {
        let settings = [
            "generate",
            "a fox",
            "--steps",
            "2",
            "--width",
            "64",
            "--height",
            "64",
            "--no-settings",
            "--out",
            out,
            "--model",
        ];
        let output = fourstep(&[&settings, model].concat());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        (std::fs::read(out).unwrap(), said(&output))
    };
    let (picture, told) = draw(&[file, "--config", config], &path("a.png"));
    assert!(told.contains("fox.safetensors: Stable Diffusion 1.x, predicts the noise"), "{told}");
    let output = fourstep(&["plan", file, "--config", config]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    for (command, more) in [("export", &[][..]), ("pack", &["--licence", "none"])] {
        let out = path(command);
        let output = fourstep(&[&[command, file, "--config", config, "--out", &out], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(draw(&[&out], &path("b.png")).0 == picture, "{command}");
    }
}

#[test]
fn what_is_no_checkpoint_is_refused_in_one_line() {
    let (place, file, config) = on_disk();
    let (file, config) = (file.to_str().unwrap(), config.to_str().unwrap());
    let whole = std::fs::read(file).unwrap();
    let keyed = |keys: &[&str]| ldm::safetensors(&keys.iter().map(|key| extra(key, &[2])).collect::<Vec<_>>());
    let without = |start: &str| {
        let tensors = ldm::original(&golden("reference", "sd15"), Layout::One);
        ldm::safetensors(&tensors.into_iter().filter(|tensor| !tensor.name.starts_with(start)).collect::<Vec<_>>())
    };
    let start = "model.diffusion_model.";
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("x.ckpt", b"PK\x03\x04rest".to_vec(), &["PyTorch", "torch.load(\"x.ckpt\"", "x.safetensors"]),
        ("x.pt", b"\x80\x02}q\x00".to_vec(), &["PyTorch", "weights_only=True"]),
        ("lora.safetensors", keyed(&["lora_unet_conv_in.lora_down.weight", "lora_te_x.alpha"]), &["LoRA", "--lora"]),
        ("flux.safetensors", keyed(&[&format!("{start}double_blocks.0.img_attn.qkv.weight")]), &["Flux"]),
        (
            "sd3.safetensors",
            keyed(&[&format!("{start}joint_blocks.0.x_block.attn.qkv.weight")]),
            &["Stable Diffusion 3"],
        ),
        ("unet.safetensors", keyed(&["conv_in.weight", "down_blocks.0.resnets.0.norm1.bias"]), &["model_index.json"]),
        ("cut.safetensors", whole[..whole.len() - 9].to_vec(), &["truncated"]),
        ("page.safetensors", b"<!DOCTYPE html><html><body>Log in</body></html>".to_vec(), &["a web page"]),
        ("page.gguf", b"<html><body>Log in</body></html>".to_vec(), &["a web page"]),
        ("none.safetensors", keyed(&["something.weight", "else.bias"]), &["else, something"]),
        ("blind.safetensors", without("first_stage_model."), &["no autoencoder", "first_stage_model.*", "--config"]),
        ("part.safetensors", without("first_stage_model.decoder.up.1."), &["vae/", "up_blocks.2", "is missing"]),
        ("mute.safetensors", without("cond_stage_model."), &["no text encoder", "--config"]),
        (
            "dumb.safetensors",
            without(&format!("{start}middle_block.1.norm")),
            &["mid_block.attentions.0.norm", "is missing"],
        ),
    ];
    for (name, bytes, words) in cases {
        let path = place.path().join(name).display().to_string();
        std::fs::write(&path, bytes).unwrap();
        let out = place.path().join("never.png");
        let output =
            fourstep(&["generate", "a fox", "--model", &path, "--config", config, "--out", out.to_str().unwrap()]);
        let told = said(&output);
        let last = told.lines().last().unwrap_or_default();
        assert_eq!((output.status.code(), out.exists()), (Some(2), false), "{name}: {told}");
        let (errors, notes): (Vec<_>, Vec<_>) = told.lines().partition(|line| line.starts_with("fourstep: "));
        assert!(errors.len() == 1 && notes.iter().all(|note| note.starts_with("note: ")), "{name}: {told}");
        assert!(last.contains(name) && words.iter().all(|word| last.contains(word)), "{name}: {last}");
    }
    let lora =
        fourstep(&["generate", "a fox", "--lora", file, "--out", &place.path().join("x.png").display().to_string()]);
    assert!(said(&lora).contains("--model") && said(&lora).lines().count() == 1, "{}", said(&lora));
    let narrow =
        fourstep(&["generate", "a fox", "--model", file, "--out", &place.path().join("x.png").display().to_string()]);
    assert!(said(&narrow).contains("give a folder with the model's configurations as --config"), "{}", said(&narrow));
    let folder = fourstep(&["generate", "a fox", "--config", config, "--out", "x.png"]);
    assert!(said(&folder).contains("--config: models/stickers is a folder"), "{}", said(&folder));
}
