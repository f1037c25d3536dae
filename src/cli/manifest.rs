//! `fourstep manifest`: writes `fourstep.json` beside a model, so that a page can fetch and check its files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::pipeline::{Defaults, FileEntry, MANIFEST, Manifest, Pipeline};
use crate::weights::DirFiles;

/// Writes fourstep.json beside a model: its files with sizes and SHA-256, its licence and its settings
#[derive(clap::Args)]
pub struct ManifestArgs {
    /// A model in the diffusers folder layout
    dir: PathBuf,
    /// For people
    #[arg(long)]
    name: String,
    /// Of the weights and of what they were made from
    #[arg(long)]
    licence: String,
    /// Denoising steps that suit it
    #[arg(long)]
    steps: usize,
    /// Guidance scale that suits it
    #[arg(long)]
    guidance: f32,
    /// Width and height that suit it, in pixels
    #[arg(long)]
    size: usize,
    /// A prompt that shows what it can do; may be given several times
    #[arg(long = "example", value_name = "PROMPT")]
    examples: Vec<String>,
}

/// Runs the command. The model is loaded once, so that a manifest only ever describes a whole one.
pub fn run(args: &ManifestArgs) -> Result<()> {
    Pipeline::load(&DirFiles::new(&args.dir), &burn::tensor::Device::flex())?;
    let defaults = Defaults { steps: args.steps, guidance_scale: args.guidance, width: args.size, height: args.size };
    let manifest = Manifest {
        name: args.name.clone(),
        licence: args.licence.clone(),
        files: files(&args.dir)?,
        defaults,
        examples: args.examples.clone(),
    };
    write(&args.dir, &manifest)
}

/// Writes a model's manifest and says so.
pub fn write(dir: &Path, manifest: &Manifest) -> Result<()> {
    let path = dir.join(MANIFEST);
    let text = serde_json::to_string_pretty(manifest)? + "\n";
    std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    let bytes: u64 = manifest.files.iter().map(|file| file.size).sum();
    println!("{}: {} files, {:.1} MB", path.display(), manifest.files.len(), bytes as f64 / 1e6);
    Ok(())
}

/// Every file that a reader of the model needs, with size and hash, in the order of their paths.
pub fn files(dir: &Path) -> Result<Vec<FileEntry>> {
    let mut files = vec![entry(dir, "model_index.json".to_string())?];
    for folder in components(dir)? {
        collect(dir, &folder, &mut files)?;
    }
    files.sort_by(|a: &FileEntry, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The folders that `model_index.json` names; a component that is `[null, null]` has none.
fn components(dir: &Path) -> Result<Vec<String>> {
    let path = dir.join("model_index.json");
    let index: Map<String, Value> = serde_json::from_slice(&std::fs::read(&path)?)?;
    let there = index.into_iter().filter(|(_, value)| value.get(0).is_some_and(Value::is_string));
    Ok(there.map(|(name, _)| name).collect())
}

/// Every file of a folder that a reader of the model needs: configurations, vocabularies, weights.
fn collect(dir: &Path, folder: &str, files: &mut Vec<FileEntry>) -> Result<()> {
    for found in std::fs::read_dir(dir.join(folder)).with_context(|| folder.to_string())? {
        let name = found?.file_name().into_string().ok().context("a file name that is not UTF-8")?;
        if [".json", ".txt", ".safetensors"].iter().any(|end| name.ends_with(end)) {
            files.push(entry(dir, format!("{folder}/{name}"))?);
        }
    }
    Ok(())
}

fn entry(dir: &Path, path: String) -> Result<FileEntry> {
    let bytes = std::fs::read(dir.join(&path)).with_context(|| path.clone())?;
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(FileEntry { path, size: bytes.len() as u64, sha256 })
}
