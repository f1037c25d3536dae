//! The shipped student against Python: diffusers draws from weights that numpy widened (tests/reference/student_golden.py),
//! and this crate draws from the blocks, on the CPU and on wgpu, and from what `fourstep export` writes. The floats of that
//! folder are numpy's, to the bit.

#[allow(dead_code, unused_imports)]
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use burn::tensor::{Device, Tensor};
use common::relative_l2;
use fourstep::models::guidance_scale_embedding;
use fourstep::picture::Picture;
use fourstep::pipeline::{Pipeline, Request, StepEvent};
use fourstep::schedulers::SchedulerConfig;
use fourstep::weights::{Checkpoint, DirFiles};
use half::f16;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use sha2::{Digest, Sha256};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const SET: &str = "tests/golden/student";
const MAKE: &str = "make the set again with tests/reference/student_golden.py";
/// Everything that a case says; another key would be something that this suite does not know.
const KEYS: &str = "name kind prompt negative_prompt guidance_scale steps seed width height strength scheduler pipeline \
    pipeline_class unet_trace file tensors tolerance float64_rerun_rel_l2 float64_rerun_image_u8_max_abs";

fn golden(path: &str) -> PathBuf {
    Path::new(ROOT).join(SET).join(path)
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All cases of the set, which is whole and was made from the weights that ship.
fn cases() -> Vec<Value> {
    let set = json(&golden("set.json"));
    let model = Path::new(ROOT).join("models").join(set["model"].as_str().unwrap());
    for (path, expected) in set["weights"].as_object().unwrap() {
        let found = sha256(&std::fs::read(model.join(path)).unwrap());
        assert_eq!(found, expected.as_str().unwrap(), "{path} is not what the goldens were drawn from: {MAKE}");
    }
    let index = json(&golden("requests/runs/index.json"));
    let entries = index.as_array().unwrap();
    assert_eq!(entries.len() as u64, set["cases"].as_u64().unwrap(), "cases of the set: {MAKE}");
    assert!(entries.len() >= 8, "{} cases", entries.len());
    entries.iter().map(|entry| json(&golden("requests").join(entry["json"].as_str().unwrap()))).collect()
}

/// Draws every case with the model in `folder`; a line for each, and a panic that names all that are off.
fn compare(folder: &Path, device: &Device) {
    let pipeline = Pipeline::load(&DirFiles::new(folder), device).unwrap();
    let off: Vec<String> = cases().iter().filter_map(|case| compare_case(&pipeline, case, device).err()).collect();
    assert!(off.is_empty(), "{}", off.join("\n"));
}

fn compare_case(pipeline: &Pipeline, case: &Value, device: &Device) -> Result<(), String> {
    let name = case["name"].as_str().unwrap();
    let unknown = case.as_object().unwrap().keys().find(|key| !KEYS.split(' ').any(|known| known == *key));
    assert_eq!(unknown, None, "{name}: a key that is not compared");
    let bytes = std::fs::read(golden("requests").join(case["file"].as_str().unwrap())).unwrap();
    let golden = Golden(Checkpoint::parse(name, &bytes).unwrap());
    let request = request(pipeline, case, &golden);
    let mut comparison = Comparison { golden: &golden, read: BTreeSet::from(["init_image_u8"]), errors: Vec::new() };

    let prompt = pipeline.encode_prompt(&request).unwrap();
    comparison.ids("token_ids", &prompt.token_ids[0]);
    comparison.ids("negative_token_ids", &prompt.negative_token_ids[0]);
    comparison.tensor("unet_encoder_hidden_states", 0, prompt.encoder_hidden_states);
    let width = golden.0.shape("unet_timestep_cond").unwrap()[1];
    let scale = guidance_scale_embedding(&[request.guidance_scale], width, device);
    comparison.tensor("unet_timestep_cond", 0, scale);
    let timesteps = golden.values("unet_timesteps");
    comparison.read.insert("unet_timesteps");
    let mut on_step = async |event: StepEvent<'_>| {
        assert_eq!((event.steps, event.timestep), (timesteps.len(), timesteps[event.index]), "{name}");
        if event.index == 0 {
            comparison.tensor("unet_in", 0, event.prediction.model_input.clone());
            comparison.tensor("unet_out", 0, event.prediction.model_output.clone());
        }
        comparison.tensor("latents", event.index, event.latents.clone());
        ControlFlow::Continue(())
    };
    // The noise is drawn here from the seed.
    let (pictures, _) = pollster::block_on(pipeline.generate(&request, &mut on_step)).unwrap();
    let [picture] = pictures.as_slice() else { panic!("{name}: {} pictures", pictures.len()) };
    let levels = comparison.levels(picture);
    comparison.finish(case, levels)
}

fn request(pipeline: &Pipeline, case: &Value, golden: &Golden) -> Request {
    let number = |key: &str| case[key].as_u64().unwrap() as usize;
    let text = |key: &str| case[key].as_str().unwrap().to_string();
    let (width, height) = (number("width"), number("height"));
    let rgb = |name: &str| golden.0.u8(name).unwrap().to_vec();
    let image = (case["kind"] == "img2img").then(|| Picture::opaque(width, height, rgb("init_image_u8")));
    Request {
        negative_prompt: text("negative_prompt"),
        guidance_scale: case["guidance_scale"].as_f64().unwrap() as f32,
        num_inference_steps: number("steps"),
        seed: case["seed"].as_u64().unwrap(),
        width,
        height,
        strength: image.as_ref().map_or(1.0, |_| case["strength"].as_f64().unwrap()),
        image,
        scheduler: Some(SchedulerConfig::parse("scheduler", &case["scheduler"].to_string()).unwrap()),
        ..pipeline.request(text("prompt"))
    }
}

/// Tensors of a golden file.
struct Golden<'a>(Checkpoint<'a>);

impl Golden<'_> {
    fn values(&self, name: &str) -> Vec<f32> {
        self.0.f32(name).unwrap().iter::<f32>().collect()
    }

    fn ids(&self, name: &str) -> Vec<Vec<i64>> {
        let row = self.0.shape(name).unwrap()[1];
        self.0.i64(name).unwrap().chunks(row).map(<[i64]>::to_vec).collect()
    }
}

/// What is known of one case.
struct Comparison<'a> {
    golden: &'a Golden<'a>,
    read: BTreeSet<&'static str>,
    /// Relative L2 of each tensor that was compared.
    errors: Vec<(String, f64)>,
}

impl Comparison<'_> {
    /// Against part `index` of a golden that holds several.
    fn tensor<const D: usize>(&mut self, name: &'static str, index: usize, mine: Tensor<D>) {
        self.read.insert(name);
        let mine = mine.into_data().convert::<f32>().try_into_vec::<f32>().unwrap();
        let all = self.golden.values(name);
        let part = all.get(index * mine.len()..(index + 1) * mine.len()).unwrap_or_else(|| panic!("{name}[{index}]"));
        assert!(all.len().is_multiple_of(mine.len()), "{name}: {} numbers of {}", mine.len(), all.len());
        self.errors.push((format!("{name}[{index}]"), relative_l2(&mine, part)));
    }

    fn ids(&mut self, name: &'static str, mine: &[i64]) {
        self.read.insert(name);
        assert_eq!(self.golden.ids(name), [mine], "{name}");
    }

    /// By how many levels the worst number of the picture is off.
    fn levels(&mut self, picture: &Picture) -> u64 {
        self.read.insert("image_u8");
        let theirs = self.golden.0.u8("image_u8").unwrap();
        assert_eq!(picture.rgb.len(), theirs.len());
        u64::from(picture.rgb.iter().zip(theirs.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap())
    }

    /// Everything in the file was compared, and nothing is off.
    fn finish(self, case: &Value, levels: u64) -> Result<(), String> {
        let name = case["name"].as_str().unwrap();
        // Noise is compared as the network's first input, and as what leads to the latents.
        let unread = self.golden.0.keys().find(|key| !self.read.contains(key) && !key.starts_with("noise."));
        assert_eq!(unread, None, "{name}: a golden that is not compared");
        let (worst, error) = self.errors.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        println!("{name:<24} {error:.1e} ({worst}), picture {levels} levels");
        let most = case["tolerance"]["rel_l2"].as_f64().unwrap();
        let most_levels = case["tolerance"]["image_u8_max_abs"].as_u64().unwrap();
        match *error <= most && levels <= most_levels {
            true => Ok(()),
            false => Err(format!("{name}: {worst} {error:.1e} off (at most {most:.0e}), picture {levels} levels")),
        }
    }
}

fn stickers() -> PathBuf {
    Path::new(ROOT).join("models/stickers")
}

#[test]
fn blocks_draw_what_diffusers_draws_on_the_cpu() {
    compare(&stickers(), &Device::flex());
}

#[test]
fn blocks_draw_what_diffusers_draws_on_wgpu() {
    let device = pollster::block_on(Device::wgpu_options().init_async()).expect("a wgpu device");
    compare(&stickers(), &device);
}

// ---- fourstep export ----

fn export(model: &Path, out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fourstep"));
    command.arg("export").arg(model).arg("--out").arg(out).args(more).output().unwrap()
}

fn exported(model: &Path, more: &[&str]) -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    let output = export(model, out.path(), more);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    out
}

/// Every tensor of a component's weights: dtype, shape, bytes.
fn tensors(folder: &Path, part: &str) -> BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> {
    let file = if part == "text_encoder" { "model.safetensors" } else { "diffusion_pytorch_model.safetensors" };
    let bytes = std::fs::read(folder.join(part).join(file)).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let own = |(name, view): (String, safetensors::tensor::TensorView)| {
        (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
    };
    read.tensors().into_iter().map(own).collect()
}

#[test]
fn exported_floats_are_numpys_to_the_bit_and_draw_what_diffusers_draws() {
    cases(); // made from these weights
    let folder = exported(&stickers(), &[]);
    for (part, expected) in json(&golden("weights.json")).as_object().unwrap() {
        let (expected, found) = (expected.as_object().unwrap(), tensors(folder.path(), part));
        assert!(expected.keys().eq(found.keys()), "{part}: the names of the tensors");
        for (name, (dtype, shape, bytes)) in &found {
            assert_eq!((*dtype, &serde_json::json!(shape)), (Dtype::F32, &expected[name]["shape"]), "{part}: {name}");
            assert_eq!(sha256(bytes), expected[name]["sha256"].as_str().unwrap(), "{part}: {name}");
        }
        let config = json(&folder.path().join(part).join("config.json"));
        assert!(config["quantization_config"].is_null(), "{part}/config.json");
        assert!(["float32", ""].contains(&config["dtype"].as_str().unwrap_or_default()), "{part}/config.json");
    }
    compare(folder.path(), &Device::flex());
}

#[test]
fn half_precision_rounds_each_number() {
    let (single, half) = (exported(&stickers(), &[]), exported(&stickers(), &["--dtype", "f16"]));
    for part in ["text_encoder", "unet", "vae"] {
        let (single, half) = (tensors(single.path(), part), tensors(half.path(), part));
        for (name, (_, shape, bytes)) in &single {
            let number = |b: &[u8]| f16::from_f32(f32::from_le_bytes([b[0], b[1], b[2], b[3]])).to_le_bytes();
            let rounded: Vec<u8> = bytes.chunks_exact(4).flat_map(number).collect();
            assert_eq!(half[name], (Dtype::F16, shape.clone(), rounded), "{part}: {name}");
        }
    }
    // Floats may be exported too: here they only change their precision.
    let again = exported(half.path(), &["--dtype", "f16"]);
    assert_eq!(tensors(half.path(), "unet"), tensors(again.path(), "unet"));
}

#[test]
fn what_cannot_be_exported_is_named_and_nothing_is_left() {
    let refused = |model: &Path, out: &Path| {
        let output = export(model, out, &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        said
    };
    let (empty, broken) = (tempfile::tempdir().unwrap(), exported(&stickers(), &["--dtype", "f16"]));
    assert!(refused(empty.path(), &empty.path().join("x")).contains("model_index.json"));
    assert!(refused(&stickers(), broken.path()).contains("is not empty"));
    let unet = broken.path().join("unet/diffusion_pytorch_model.safetensors");
    let whole = std::fs::read(&unet).unwrap();
    std::fs::write(&unet, &whole[..whole.len() / 2]).unwrap();
    let out = empty.path().join("out");
    assert!(refused(broken.path(), &out).contains("unet/diffusion_pytorch_model.safetensors"));
    assert!(!out.exists());
}
