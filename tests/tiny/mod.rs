//! The tiny pipelines of tests/golden, and how far off tensors are.

use std::path::{Path, PathBuf};

use fourstep::weights::MemoryFiles;
use safetensors::SafeTensors;
use serde_json::Value;

pub fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

/// A tiny pipeline `SET/NAME` with its set's vocabulary, and other values in its scheduler's configuration.
pub fn files(name: &str, scheduler: &serde_json::Map<String, Value>) -> MemoryFiles {
    let (set, name) = name.split_once('/').expect("SET/NAME");
    let root = golden(set).join("pipelines").join(name);
    let mut files = MemoryFiles::default();
    let mut add = |part: &str, folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| path.is_file()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            files.insert(format!("{part}{name}"), std::fs::read(&path).unwrap());
        }
    };
    add("", &root);
    for part in ["unet", "vae", "vae_large", "text_encoder", "scheduler", "tokenizer"] {
        add(&format!("{part}/"), &root.join(part));
    }
    add("tokenizer/", &golden(set).join("tokenizer"));
    let path = "scheduler/scheduler_config.json";
    let mut config: Value = serde_json::from_slice(&std::fs::read(root.join(path)).unwrap()).unwrap();
    config.as_object_mut().unwrap().extend(scheduler.clone());
    files.insert(path, serde_json::to_vec(&config).unwrap());
    files
}

pub fn floats(file: &SafeTensors, name: &str) -> Vec<f32> {
    let bytes = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}")).data();
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

pub fn relative_l2(ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let apart = norm(&mut ours.iter().zip(theirs).map(|(a, b)| f64::from(a - b)));
    apart / norm(&mut theirs.iter().map(|x| f64::from(*x)))
}
