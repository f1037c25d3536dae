//! A model as a host serves it: packed in shards it draws the same picture, is listed for the page, and its manifest tells
//! the truth; and what `fourstep plan` says of it.

mod copied;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use copied::copy;

/// The golden pipeline with its vocabulary, in a folder of its own.
fn model() -> tempfile::TempDir {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reference");
    let folder = tempfile::tempdir().unwrap();
    copy(&reference.join("pipelines/sd15"), folder.path());
    copy(&reference.join("tokenizer"), &folder.path().join("tokenizer"));
    folder
}

fn fourstep(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fourstep")).args(args).output().unwrap()
}

fn succeeds(args: &[&str]) -> String {
    let output = fourstep(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(args: &[&str]) -> String {
    let output = fourstep(args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{args:?}: {said}");
    said
}

fn picture(model: &Path, more: &[&str]) -> Vec<u8> {
    let out = tempfile::tempdir().unwrap();
    let (out, model) = (out.path().join("x.png"), model.to_str().unwrap());
    let own =
        ["generate", "a fox", "--steps", "2", "--width", "64", "--height", "64", "--no-settings", "--model", model];
    succeeds(&[&own[..], &["--out", out.to_str().unwrap()], more].concat());
    std::fs::read(out).unwrap()
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn pack(from: &Path, to: &Path, more: &[&str]) -> String {
    let own = ["pack", from.to_str().unwrap(), "--out", to.to_str().unwrap(), "--licence", "none"];
    succeeds(&[&own[..], more].concat())
}

#[test]
fn a_packed_model_draws_the_same_picture_from_shards() {
    let (model, host) = (model(), tempfile::tempdir().unwrap());
    let out = host.path().join("small");
    pack(model.path(), &out, &["--shard", "0.25", "--name", "Small", "--steps", "3"]);
    assert!(out.join("unet/diffusion_pytorch_model.safetensors.index.json").exists());
    assert!(!out.join("unet/diffusion_pytorch_model.safetensors").exists());
    assert_eq!(picture(&out, &[]), picture(model.path(), &[]));

    let manifest = json(out.join("fourstep.json"));
    assert_eq!(
        (&manifest["name"], &manifest["licence"], &manifest["defaults"]["steps"]),
        (&"Small".into(), &"none".into(), &3.into())
    );
    for key in ["weights", "largest_buffer", "activations"] {
        assert!(manifest["needs"][key].as_u64() > Some(0), "{key}");
    }
    let mut listed = Vec::new();
    for file in manifest["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        assert_eq!(file["size"].as_u64(), std::fs::metadata(out.join(path)).ok().map(|data| data.len()), "{path}");
        listed.push(path.to_string());
    }
    // All that is there but the manifest itself is listed.
    let mut there = walk(&out, "");
    there.retain(|path| path != "fourstep.json");
    there.sort();
    assert_eq!(listed, there);
}

fn walk(dir: &Path, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        match entry.path().is_dir() {
            true => found.extend(walk(&entry.path(), &format!("{path}/"))),
            false => found.push(path),
        }
    }
    found
}

#[test]
fn blocks_made_while_packing_and_while_loading_are_the_same() {
    let (model, host) = (model(), tempfile::tempdir().unwrap());
    for bits in ["8", "4"] {
        let out = host.path().join(bits);
        pack(model.path(), &out, &["--bits", bits]);
        let drawn = picture(&out, &[]);
        assert_eq!(drawn, picture(model.path(), &["--quantize", bits]), "{bits} bits");
        assert_ne!(drawn, picture(model.path(), &[]), "{bits} bits");
        assert_eq!(drawn, picture(&out, &["--quantize", bits]), "{bits} bits again");
    }
    let other = fourstep(&[
        "generate",
        "a",
        "--model",
        host.path().join("8").to_str().unwrap(),
        "--quantize",
        "4",
        "--out",
        "/dev/null",
    ]);
    assert!(String::from_utf8_lossy(&other.stderr).contains("in 8 bits already"));
}

#[test]
fn the_list_of_models_gains_each_model_once() {
    let (model, host) = (model(), tempfile::tempdir().unwrap());
    std::fs::write(host.path().join("index.json"), r#"{ "models": [{ "id": "stickers", "path": "stickers/" }] }"#)
        .unwrap();
    for name in ["a", "b"] {
        pack(model.path(), &host.path().join(name), &[]);
    }
    std::fs::remove_dir_all(host.path().join("a")).unwrap();
    pack(model.path(), &host.path().join("a"), &[]);
    let models = json(host.path().join("index.json"))["models"].clone();
    let ids: Vec<&str> = models.as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["stickers", "a", "b"]);
    assert_eq!(models[1]["path"], "a/");
}

#[test]
fn what_cannot_be_packed_is_named_and_nothing_is_left() {
    let (model, host) = (model(), tempfile::tempdir().unwrap());
    let (from, out) = (model.path().to_str().unwrap(), host.path().join("x"));
    let to = out.to_str().unwrap();
    assert!(refused(&["pack", from, "--out", to]).contains("--licence"));
    assert!(refused(&["pack", from, "--out", to, "--licence", "x", "--shard", "0"]).contains("--shard 0"));
    assert!(refused(&["pack", from, "--out", from, "--licence", "x"]).contains("lies in the model"));
    let unet = model.path().join("unet/diffusion_pytorch_model.safetensors");
    let bytes = std::fs::read(&unet).unwrap();
    std::fs::write(&unet, &bytes[..bytes.len() / 2]).unwrap();
    let said = refused(&["pack", from, "--out", to, "--licence", "x"]);
    assert!(said.contains("unet/diffusion_pytorch_model.safetensors") && said.contains("truncated"), "{said}");
    assert!(!out.exists());
}

#[test]
fn a_plan_adds_up_in_both_forms() {
    let model = model();
    let from = model.path().to_str().unwrap();
    let plan: Value = serde_json::from_str(&succeeds(&["plan", from, "--size", "64", "--json"])).unwrap();
    let sum = |list: &Value, key: &str| {
        list.as_array().unwrap().iter().map(|one| one[key].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let weights: u64 = sum(&plan["components"], "device").iter().sum();
    let most = sum(&plan["activations"], "bytes").into_iter().max().unwrap();
    assert_eq!(plan["device"].as_u64(), Some(weights + most));
    assert_eq!(plan["batch"], 2);
    let table = succeeds(&["plan", from, "--size", "64", "--bits", "8"]);
    for words in ["text_encoder", "unet", "vae", "64 x 64", "a step of the UNet", "largest buffer", "download"] {
        assert!(table.contains(words), "{words} is not in\n{table}");
    }
    assert!(refused(&["plan", from, "--size", "65"]).contains("65 x 65"));
}
