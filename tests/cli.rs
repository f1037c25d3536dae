//! The command line under bad input: one clear line on standard error that names the thing, exit code 2, nothing
//! written; and odd prompts draw.

mod copied;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use tempfile::TempDir;

use copied::copy;

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
const VAE: &str = "vae/diffusion_pytorch_model.safetensors";
const TEXT: &str = "text_encoder/model.safetensors";

/// What is done to a model.
type Break = fn(&Model);

/// A small model in a folder of its own, to be broken.
struct Model(TempDir);

impl Model {
    fn new() -> Self {
        let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reference");
        let folder = tempfile::tempdir().unwrap();
        copy(&reference.join("pipelines/sd15"), folder.path());
        copy(&reference.join("tokenizer"), &folder.path().join("tokenizer"));
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn picture(&self) -> PathBuf {
        self.path("picture.png")
    }

    /// `fourstep generate` with two steps at 64 pixels; later arguments win.
    fn generate(&self, prompt: &str, more: &[&str]) -> Output {
        let mut command = fourstep();
        command.args(["generate", prompt, "--model"]).arg(self.0.path()).arg("--out").arg(self.picture());
        let given = |name: &str| more.contains(&name);
        for (name, value) in [("--steps", "2"), ("--width", "64"), ("--height", "64")] {
            if !given(name) {
                command.args([name, value]);
            }
        }
        command.args(more).output().unwrap()
    }

    fn draws(&self, prompt: &str, more: &[&str]) -> String {
        let output = self.generate(prompt, more);
        assert_eq!(output.status.code(), Some(0), "{prompt:?}: {}", stderr(&output));
        let file = std::fs::File::open(self.picture()).expect("a picture");
        let decoder = png::Decoder::new(std::io::BufReader::new(file));
        decoder.read_info().expect("a PNG file");
        std::fs::remove_file(self.picture()).unwrap();
        stderr(&output)
    }

    fn refuses(&self, more: &[&str], words: &[&str]) {
        refused(&self.generate("a fox", more), words);
        assert!(!self.picture().exists(), "{words:?}: wrote a picture all the same");
    }

    fn edit_bytes(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(self.path(name)).unwrap();
        edit(&mut bytes);
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn edit_json(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        self.edit_bytes(name, |bytes| {
            let mut value = serde_json::from_slice(bytes).unwrap();
            edit(&mut value);
            *bytes = serde_json::to_vec(&value).unwrap();
        });
    }

    fn edit_weights(&self, name: &str, edit: impl FnOnce(&mut Weights)) {
        self.edit_bytes(name, |bytes| {
            let file = SafeTensors::deserialize(bytes).unwrap();
            let own = |view: &TensorView| (view.dtype(), view.shape().to_vec(), view.data().to_vec());
            let mut weights: Weights = file.tensors().iter().map(|(key, view)| (key.clone(), own(view))).collect();
            edit(&mut weights);
            let views = weights
                .iter()
                .map(|(key, (dtype, shape, data))| (key, TensorView::new(*dtype, shape.clone(), data).unwrap()));
            *bytes = safetensors::serialize(views, None).unwrap();
        });
    }
}

/// Key to dtype, shape and bytes.
type Weights = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// Every value of a tensor becomes this one.
fn fill(weights: &mut Weights, key: &str, value: f32) {
    let (dtype, shape, data) = weights.get_mut(key).expect("a key of the file");
    *dtype = Dtype::F32;
    *data = value.to_le_bytes().repeat(shape.iter().product());
}

fn fourstep() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fourstep"));
    command.env("RUST_BACKTRACE", "1");
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn refused(output: &Output, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
    assert!(output.stdout.is_empty(), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(said.lines().count(), 1, "{words:?}: not one line: {said}");
    assert!(said.starts_with("fourstep: ") && said.ends_with('\n') && !said.contains('\r'), "{said:?}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
}

#[test]
fn the_picture_carries_its_settings_unless_told_not_to() {
    let model = Model::new();
    let settings = || {
        let bytes = std::fs::read(model.picture()).unwrap();
        fourstep::pngfile::parameters(&bytes).unwrap()
    };
    let more = ["--negative", "a dog", "--seed", "7", "--guidance", "2.5", "--sampler", "euler_karras"];
    assert_eq!(model.generate("a fox, red:\n🦊", &more).status.code(), Some(0));
    let text = settings().expect("settings");
    let info = fourstep::infotext::Infotext::parse(&text);
    assert_eq!((info.prompt.as_str(), info.negative_prompt.as_str()), ("a fox, red:\n🦊", "a dog"));
    let wanted =
        [("Steps", "2"), ("Sampler", "Euler"), ("Schedule type", "Karras"), ("CFG scale", "2.5"), ("Seed", "7")];
    for (key, value) in wanted.into_iter().chain([("Size", "64x64"), ("RNG", "CPU")]) {
        assert_eq!(info.get(key), Some(value), "{text}");
    }
    assert_eq!(model.generate("a fox", &["--no-settings"]).status.code(), Some(0));
    assert_eq!(settings(), None);
}

#[test]
fn odd_prompts_draw_and_long_ones_say_what_is_left_out() {
    let model = Model::new();
    for prompt in [
        "",
        " \n\t",
        "🦊",
        "🦊👩‍👩‍👧‍👦🏳️‍🌈",
        "лиса на синем фоне",
        "青い背景の狐",
        "ثعلب",
        "\u{7f}\u{202e}",
        "a\u{301}\u{308}",
        "<|endoftext|>",
    ] {
        let said = model.draws(prompt, &[]);
        assert_eq!(said, "", "{prompt:?}");
    }
    for word in ["fox ", "🦊", "狐\n"] {
        let said = model.draws(&word.repeat(500), &[]);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("note: the prompt is longer") && said.contains("75 tokens"), "{said}");
        assert!(said.len() < 600, "{} bytes of note", said.len());
    }
    let said = model.draws("a fox", &["--negative", &"green ".repeat(100)]);
    assert!(said.starts_with("note: the negative prompt is longer"), "{said}");
}

#[test]
fn settings_out_of_range_are_named_and_the_next_run_works() {
    let model = Model::new();
    let nowhere = model.path("no/such/folder/x.png").display().to_string();
    let folder = model.path("unet").display().to_string();
    model.refuses(&["--steps", "0"], &["steps = 0"]);
    model.refuses(&["--steps", "1001"], &["1001"]);
    model.refuses(&["--sampler", "eulr"], &["eulr", "euler_a"]);
    model.refuses(&["--width", "60"], &["width = 60", "multiple of 8"]);
    model.refuses(&["--height", "0"], &["height = 0"]);
    model.refuses(&["--width", "1000000"], &["width = 1000000"]);
    model.refuses(&["--guidance", "NaN"], &["guidance = NaN"]);
    model.refuses(&["--guidance=-1"], &["guidance = -1"]);
    for (out, why) in [(&nowhere, "No such file"), (&folder, "directory")] {
        let mut command = fourstep();
        command.args(["generate", "a fox", "--steps", "2", "--out", out, "--model"]).arg(model.0.path());
        refused(&command.output().unwrap(), &[out, why]);
    }
    assert_eq!(model.draws("a fox", &[]), "");
    assert_eq!(model.draws("the smallest, and not square", &["--width", "8", "--height", "72"]), "");
}

#[test]
fn a_failed_run_leaves_an_older_picture_alone() {
    let model = Model::new();
    std::fs::write(model.picture(), "older").unwrap();
    refused(&model.generate("a fox", &["--steps", "0"]), &["steps = 0"]);
    assert_eq!(std::fs::read(model.picture()).unwrap(), b"older");
}

#[test]
fn what_is_no_model_is_named() {
    let model = Model::new();
    let at = |path: &Path| {
        let mut command = fourstep();
        command.args(["generate", "a fox", "--out"]).arg(model.picture()).arg("--model").arg(path).output().unwrap()
    };
    let empty = tempfile::tempdir().unwrap();
    refused(&at(empty.path()), &[&empty.path().display().to_string(), "no model", "model_index.json"]);
    refused(&at(&empty.path().join("gone")), &["gone", "no model"]);
    refused(&at(&model.path("model_index.json")), &["model_index.json"]);
    model.edit_json("model_index.json", |index| index["_class_name"] = "FluxPipeline".into());
    model.refuses(&[], &["FluxPipeline"]);
}

#[test]
fn broken_weights_are_named() {
    let breaks: [(&str, Break, &[&str]); 11] = [
        ("cut off", |m| m.edit_bytes(UNET, |b| b.truncate(b.len() * 2 / 3)), &[UNET, "truncated"]),
        ("empty", |m| m.edit_bytes(VAE, Vec::clear), &[VAE, "truncated"]),
        ("no header", |m| m.edit_bytes(TEXT, |b| b[8..60].fill(b'x')), &[TEXT, "no safetensors file"]),
        ("a huge header", |m| m.edit_bytes(TEXT, |b| b[..8].fill(0xff)), &[TEXT, "no safetensors file"]),
        ("missing", |m| m.edit_weights(UNET, |w| drop(w.remove("conv_in.bias"))), &[UNET, "conv_in.bias", "missing"]),
        (
            "surplus",
            |m| m.edit_weights(VAE, |w| drop(w.insert("a.lora".into(), (Dtype::F32, vec![1], vec![0; 4])))),
            &[VAE, "surplus", "a.lora"],
        ),
        (
            "misshapen",
            |m| m.edit_weights(UNET, |w| w.get_mut("conv_in.bias").unwrap().1.insert(0, 1)),
            &[UNET, "conv_in.bias", "[1, 16]", "[16]"],
        ),
        (
            "NaN",
            |m| m.edit_weights(TEXT, |w| fill(w, "text_model.final_layer_norm.weight", f32::NAN)),
            &[TEXT, "final_layer_norm.weight", "not finite"],
        ),
        (
            "integers",
            |m| m.edit_weights(UNET, |w| *w.get_mut("conv_in.bias").unwrap() = (Dtype::U8, vec![16], vec![1; 16])),
            &[UNET, "conv_in.bias", "U8"],
        ),
        (
            "overflowing",
            |m| m.edit_weights(UNET, |w| fill(w, "conv_in.weight", 3e38)),
            &["latents", "not finite", "step 0"],
        ),
        ("no weights", |m| std::fs::remove_file(m.path(UNET)).unwrap(), &["no model", UNET]),
    ];
    for (what, breaks, words) in breaks {
        let model = Model::new();
        breaks(&model);
        println!("{what}");
        model.refuses(&[], words);
    }
}

#[test]
fn unknown_configuration_values_are_named() {
    let unet = "unet/config.json";
    let breaks: [(&str, &str, Value, &[&str]); 11] = [
        (unet, "act_fn", "tanh".into(), &[unet, "act_fn", "tanh"]),
        (unet, "resnet_time_scale_shift", "scale_shift".into(), &[unet, "resnet_time_scale_shift", "scale_shift"]),
        (unet, "a_new_key", 3.into(), &[unet, "a_new_key"]),
        (unet, "block_out_channels", "wide".into(), &[unet, "wide"]),
        (unet, "cross_attention_dim", 25.into(), &[unet, "cross_attention_dim = 25"]),
        (unet, "norm_num_groups", 0.into(), &[unet, "norm_num_groups = 0"]),
        (
            "vae/config.json",
            "_class_name",
            "AutoencoderMagic".into(),
            &["vae/config.json", "AutoencoderMagic", "AutoencoderKL"],
        ),
        ("text_encoder/config.json", "hidden_act", "tanh".into(), &["text_encoder/config.json", "tanh"]),
        ("text_encoder/config.json", "vocab_size", 1000.into(), &["text_encoder/config.json", "vocab_size"]),
        (
            "scheduler/scheduler_config.json",
            "beta_schedule",
            "wavy".into(),
            &["scheduler_config.json", "beta_schedule", "wavy"],
        ),
        ("tokenizer/special_tokens_map.json", "pad_token", "<|nothing|>".into(), &["vocab.json", "<|nothing|>"]),
    ];
    for (file, key, value, words) in breaks {
        let model = Model::new();
        model.edit_json(file, |config| config[key] = value);
        model.refuses(&[], words);
    }
    for file in
        [unet, "vae/config.json", "tokenizer/vocab.json", "tokenizer/merges.txt", "scheduler/scheduler_config.json"]
    {
        let model = Model::new();
        model.edit_bytes(file, |bytes| bytes.truncate(bytes.len() / 2));
        let name = Path::new(file).file_name().unwrap().to_str().unwrap();
        model.refuses(&[], &[name]);
    }
}

#[test]
fn eval_names_what_it_cannot_use() {
    let model = Model::new();
    let (junk, root) = (model.path("junk"), Path::new(env!("CARGO_MANIFEST_DIR")));
    std::fs::write(&junk, "junk").unwrap();
    let eval = |pack: &Path, recipe: &Path, more: &[&str]| {
        let mut command = fourstep();
        command.arg("eval").arg("--model").arg(model.0.path()).arg("--pack").arg(pack).arg("--recipe").arg(recipe);
        command.args(more).output().unwrap()
    };
    let recipe = root.join("recipes/stickers-v0.json");
    refused(&eval(&model.path("gone.pack"), &recipe, &[]), &["gone.pack"]);
    refused(&eval(&junk, &recipe, &[]), &["junk", "safetensors"]);
    refused(&eval(&model.path(UNET), &recipe, &[]), &["no pack of stickers"]);
    refused(&eval(&junk, &recipe, &["--batch", "0"]), &["--batch 0"]);
    let under_a_file = junk.join("out").display().to_string();
    refused(&eval(&junk, &recipe, &["--out", &under_a_file]), &[&under_a_file]);
}

#[test]
fn pictures_masks_and_adapters_are_read_or_named() {
    let model = Model::new();
    let path = |name: &str| model.path(name).display().to_string();
    for (name, side) in [("square.png", 64), ("small.png", 60), ("mask.png", 64)] {
        fourstep::picture::Picture::filled(side, side, [200; 3]).write_png(&model.path(name)).unwrap();
    }
    std::fs::write(model.path("junk"), "junk").unwrap();
    let (square, small, mask, junk) = (path("square.png"), path("small.png"), path("mask.png"), path("junk"));
    let gone = path("gone.png");
    model.refuses(&["--image", &gone], &["--image", &gone, "No such file"]);
    model.refuses(&["--image", &junk], &["--image", &junk, "no PNG file"]);
    model.refuses(&["--image", &small], &["image", "60 x 60", "64 x 64"]);
    model.refuses(&["--image", &square, "--mask", &small], &["mask", "60 x 60", "64 x 64"]);
    model.refuses(&["--image", &square, "--strength", "1.5"], &["strength = 1.5"]);
    model.refuses(&["--image", &square, "--strength", "0.1"], &["strength = 0.1", "none of 2 steps"]);
    model.refuses(&["--guidance-rescale", "2"], &["guidance rescale = 2"]);
    model.refuses(&["--clip-skip", "9"], &["clip skip"]);
    model.refuses(&["--lora", &gone], &["--lora", &gone]);
    model.refuses(&["--lora", &junk], &["--lora", &junk, "safetensors"]);
    model.refuses(&["--lora", &path(UNET)], &["--lora", UNET, "no tensor of a LoRA adapter"]);
    assert_eq!(model.draws("a fox", &["--image", &square, "--strength", "0.5"]), "");
    assert_eq!(stderr(&model.generate("a fox", &["--image", &square, "--mask", &mask])), "");
    let settings = fourstep::pngfile::parameters(&std::fs::read(model.picture()).unwrap()).unwrap().unwrap();
    assert!(settings.contains("Denoising strength: 1, RNG: CPU, Mask blur: 0, "), "{settings}");

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reference/loras");
    let adapter = root.join("lcm-lora-kohya/pytorch_lora_weights.safetensors").display().to_string();
    assert_eq!(model.draws("a fox", &["--lora", &format!("{adapter}:0.5"), "--lora", &adapter]), "");
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/families");
    copy(&other.join("pipelines/tiny"), &model.path("tiny"));
    copy(&other.join("tokenizer"), &model.path("tiny/tokenizer"));
    let mut command = fourstep();
    command.args(["generate", "a fox", "--lora", &adapter, "--model", &path("tiny"), "--out"]).arg(model.picture());
    refused(&command.output().unwrap(), &["lora_te_", "has shape [4, 24]", "asks for [4, 12]"]);
}

#[test]
fn sizes_are_told_to_stable_diffusion_xl() {
    let model = Model::new();
    model.refuses(&["--original-size", "64,64"], &["only Stable Diffusion XL"]);
    let malformed = model.generate("a fox", &["--negative-target-size", "64x64"]);
    let said = stderr(&malformed);
    assert!(malformed.status.code() == Some(2) && said.contains("'64x64' for '--negative-target-size"), "{said}");

    let families = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/families");
    let xl = Model(tempfile::tempdir().unwrap());
    copy(&families.join("pipelines/tiny-xl"), xl.0.path());
    for tokenizer in ["tokenizer", "tokenizer_2"] {
        copy(&families.join("tokenizer"), &xl.path(tokenizer));
    }
    let picture = |more: &[&str]| {
        let said = stderr(&xl.generate("a fox", more));
        let drawn = std::fs::read(xl.picture()).unwrap();
        std::fs::remove_file(xl.picture()).unwrap();
        (said, drawn)
    };
    let (_, plain) = picture(&[]);
    let away = ["--negative-original-size", "16,16", "--negative-target-size", "64,64"];
    let (said, other) = picture(&away);
    assert!(said.is_empty() && other != plain, "{said}");
    let (said, same) = picture(&away[..2]);
    assert!(said.starts_with("note: negative sizes are read") && same == plain, "{said}");
}

#[test]
fn a_manifest_says_what_the_model_needs() {
    let model = Model::new();
    let mut command = fourstep();
    command.arg("manifest").arg(model.0.path()).args(["--name", "Tiny", "--licence", "MIT", "--steps", "2"]);
    let output = command.args(["--guidance", "2", "--size", "64"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let manifest: Value = serde_json::from_slice(&std::fs::read(model.path("fourstep.json")).unwrap()).unwrap();
    let bytes = |key: &str| manifest["needs"][key].as_u64().unwrap();
    assert!(bytes("weights") > bytes("largest_buffer") && bytes("activations") > 0, "{}", manifest["needs"]);
}

#[test]
fn long_prompts_are_read_whole_on_request() {
    let model = Model::new();
    let long = "(a fox:1.2), ".repeat(60);
    assert!(model.draws(&long, &[]).starts_with("note: the prompt is longer"));
    assert_eq!(model.draws(&long, &["--weighting"]), "");
}

#[test]
fn quantize_writes_a_model_that_draws_and_names_what_it_cannot_use() {
    let (model, elsewhere) = (Model::new(), tempfile::tempdir().unwrap());
    let quantize = |from: &Path, to: &Path, more: &[&str]| {
        let mut command = fourstep();
        command.arg("quantize").arg(from).arg("--out").arg(to).args(["--bits", "8"]).args(more).output().unwrap()
    };
    let folder = model.0.path();
    refused(&quantize(folder, &folder.join("q8"), &[]), &["--out", "q8", "lies in the model"]);
    assert!(!folder.join("q8").exists());
    refused(&quantize(folder, &folder.join("unet"), &[]), &["--out", "lies in the model"]);
    refused(
        &quantize(&elsewhere.path().join("gone"), &elsewhere.path().join("q8"), &[]),
        &["gone", "model_index.json"],
    );
    let parts = &quantize(folder, &elsewhere.path().join("q8"), &["--components", "unet,clip"]);
    refused(parts, &["--components clip", "unet", "vae", "text_encoder"]);

    let small = Model(tempfile::tempdir().unwrap());
    let output = quantize(folder, small.0.path(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    small.draws("a fox", &[]);
    refused(&quantize(folder, small.0.path(), &[]), &["is not empty"]);
    refused(&quantize(small.0.path(), &elsewhere.path().join("again"), &[]), &["quantized already"]);

    let key = "mid_block.resnets.0.conv1.weight";
    small.edit_weights(UNET, |w| w.get_mut(&format!("{key}.scale")).unwrap().2[..2].copy_from_slice(&[0xff, 0x7f]));
    small.refuses(&[], &[UNET, key, "NaN"]);
    small.edit_weights(UNET, |w| drop(w.remove(&format!("{key}.scale"))));
    small.refuses(&[], &[UNET, key, "scale is missing"]);
    small.edit_json("unet/config.json", |config| config["quantization_config"]["quant_method"] = "gguf".into());
    small.refuses(&[], &["unet/config.json", "quant_method", "gguf"]);
}
