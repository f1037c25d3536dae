//! `fourstep export` against Python: the floats that it writes from the shipped student's blocks are those that numpy computes
//! (tests/reference/student_golden.py), to the bit, and draw what diffusers draws from them. What the blocks themselves draw,
//! tests/reference.rs compares with the same goldens.

#[allow(dead_code)]
mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use burn::tensor::Device;
use common::{Report, Suite};
use half::f16;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use sha2::{Digest, Sha256};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const SET: &str = "tests/golden/student";

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

/// The goldens, which were drawn from the weights that ship.
fn suite() -> Suite {
    let suite = Suite::at(Path::new(ROOT).join(SET), None, &Device::flex()).unwrap();
    assert_eq!(suite.problems(&suite.cases().unwrap()), [""; 0]);
    suite
}

fn stickers() -> PathBuf {
    Path::new(ROOT).join("models/stickers")
}

fn export(model: &Path, out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fourstep"));
    command.arg("export").arg(model).arg("--out").arg(out).args(more).output().unwrap()
}

/// What is exported lies in the folder `stickers` of another.
struct Exported(tempfile::TempDir);

impl Exported {
    fn path(&self) -> PathBuf {
        self.0.path().join("stickers")
    }
}

fn exported(model: &Path, more: &[&str]) -> Exported {
    let exported = Exported(tempfile::tempdir().unwrap());
    let output = export(model, &exported.path(), more);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    exported
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
    let suite = suite();
    let folder = exported(&stickers(), &[]);
    for (part, expected) in json(&golden("weights.json")).as_object().unwrap() {
        let (expected, found) = (expected.as_object().unwrap(), tensors(&folder.path(), part));
        assert!(expected.keys().eq(found.keys()), "{part}: the names of the tensors");
        for (name, (dtype, shape, bytes)) in &found {
            assert_eq!((*dtype, &serde_json::json!(shape)), (Dtype::F32, &expected[name]["shape"]), "{part}: {name}");
            assert_eq!(sha256(bytes), expected[name]["sha256"].as_str().unwrap(), "{part}: {name}");
        }
        let config = json(&folder.path().join(part).join("config.json"));
        assert!(config["quantization_config"].is_null(), "{part}/config.json");
        assert!(["float32", ""].contains(&config["dtype"].as_str().unwrap_or_default()), "{part}/config.json");
    }
    let mut report = Report::default();
    report.run(&suite.of_models(folder.0.path().to_owned()), |_| true);
    assert!(report.is_ok(), "{}", report.failed.join("\n"));
}

#[test]
fn half_precision_rounds_each_number() {
    let (single, half) = (exported(&stickers(), &[]), exported(&stickers(), &["--dtype", "f16"]));
    for part in ["text_encoder", "unet", "vae"] {
        let (single, half) = (tensors(&single.path(), part), tensors(&half.path(), part));
        for (name, (_, shape, bytes)) in &single {
            let number = |b: &[u8]| f16::from_f32(f32::from_le_bytes([b[0], b[1], b[2], b[3]])).to_le_bytes();
            let rounded: Vec<u8> = bytes.chunks_exact(4).flat_map(number).collect();
            assert_eq!(half[name], (Dtype::F16, shape.clone(), rounded), "{part}: {name}");
        }
    }
    // Floats may be exported too: here they only change their precision.
    let again = exported(&half.path(), &["--dtype", "f16"]);
    assert_eq!(tensors(&half.path(), "unet"), tensors(&again.path(), "unet"));
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
    assert!(refused(&stickers(), &broken.path()).contains("is not empty"));
    let unet = broken.path().join("unet/diffusion_pytorch_model.safetensors");
    let whole = std::fs::read(&unet).unwrap();
    std::fs::write(&unet, &whole[..whole.len() / 2]).unwrap();
    let out = empty.path().join("out");
    assert!(refused(&broken.path(), &out).contains("unet/diffusion_pytorch_model.safetensors"));
    assert!(!out.exists());
}
