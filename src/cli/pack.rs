//! `fourstep pack`: writes a model in the form in which a web host serves it, and adds it to the page's list of models.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::components::{components, copy_small, make_room};
use super::manifest;
use crate::kernels::BlockFormat;
use crate::models::parse;
use crate::pipeline::{Defaults, Family, MANIFEST, Manifest, Pipeline, small_files};
use crate::weights::{self, Files};

/// The page's list of models, beside their folders.
const LIST: &str = "index.json";
const INDEX: &str = "model_index.json";

/// Writes a model in the form in which a web host serves it: shards, fourstep.json, and an entry in the list of models
#[derive(clap::Args)]
pub struct PackArgs {
    /// A model in the diffusers folder layout, or one .safetensors or .gguf file
    dir: PathBuf,
    /// For one file: a diffusers folder whose configurations, vocabulary and missing parts are used
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// A new or empty folder for the model; the list of models, index.json, is beside it (for example dist/models/NAME)
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The model's name for people [default: that of the model's fourstep.json, or the folder's]
    #[arg(long)]
    name: Option<String>,
    /// Licence of the weights and of what they were made from [default: that of the model's fourstep.json]
    #[arg(long)]
    licence: Option<String>,
    /// Denoising steps that suit the model [default: fourstep.json's, or diffusers']
    #[arg(long)]
    steps: Option<usize>,
    /// Guidance scale that suits the model [default: fourstep.json's, or diffusers']
    #[arg(long)]
    guidance: Option<f32>,
    /// Width and height that suit the model, in pixels [default: fourstep.json's, or those it was trained at]
    #[arg(long)]
    size: Option<usize>,
    /// A prompt that shows what the model can do; may be repeated
    #[arg(long = "example", value_name = "PROMPT")]
    examples: Vec<String>,
    /// Puts float weights into blocks of 8 or 4 bits
    #[arg(long, value_parser = super::quantize::format)]
    bits: Option<BlockFormat>,
    /// Greatest size of a file in MiB; a tensor is never split
    #[arg(long, value_name = "MIB", default_value_t = 256.0)]
    shard: f64,
}

pub fn run(args: &PackArgs) -> Result<()> {
    ensure!(args.shard > 0.0, "--shard {}: use a number above 0", args.shard);
    let model = super::model::open(&args.dir, args.config.as_deref())?;
    let described = model.within(args.described(&model.files))?;
    make_room(&args.dir, &args.out)?;
    let made = model.within(make(args, &model.files, described));
    if made.is_err() {
        // The folder was empty; half a model would look like a complete one.
        let _ = std::fs::remove_dir_all(&args.out);
    }
    made
}

fn make(args: &PackArgs, files: &impl Files, described: Manifest) -> Result<()> {
    let limit = (args.shard * f64::from(1 << 20)) as u64;
    copy_others(args, files)?;
    for component in components(files)? {
        let written = component.write(files, &args.out, args.bits, limit)?;
        println!("{:<14} {} file(s)", component.folder, written.files.len());
    }
    manifest::write(&args.out, &manifest::described(&args.out, described)?)?;
    list(&args.out)
}

impl PackArgs {
    /// The manifest without its files.
    fn described(&self, files: &impl Files) -> Result<Manifest> {
        let old: Option<Manifest> = files.get_small(MANIFEST)?.map(|bytes| parse(MANIFEST, &bytes)).transpose()?;
        let Defaults { steps, guidance_scale, width, height, .. } = Pipeline::defaults_of(files)?;
        let folder = self.out.file_name().map(|name| name.to_string_lossy().into_owned());
        let licence = self.licence.clone().or_else(|| old.as_ref().map(|old| old.licence.clone()));
        let named = self.name.clone().or_else(|| old.as_ref().map(|old| old.name.clone())).or(folder);
        Ok(Manifest {
            name: named.context("--out: name a folder")?,
            licence: licence.context("--licence: the model has no fourstep.json that names one")?,
            files: Vec::new(),
            defaults: Defaults {
                steps: self.steps.unwrap_or(steps),
                guidance_scale: self.guidance.unwrap_or(guidance_scale),
                guidance_scale_range: None,
                width: self.size.unwrap_or(width),
                height: self.size.unwrap_or(height),
            },
            examples: match &old {
                Some(old) if self.examples.is_empty() => old.examples.clone(),
                _ => self.examples.clone(),
            },
            words: old.as_ref().and_then(|old| old.words.clone()),
            offers: old.as_ref().and_then(|old| old.offers.clone()),
            needs: None,
            large: None,
            preview: old.and_then(|old| old.preview),
        })
    }
}

/// Copies configurations, vocabularies, the list of words and licences; `model_index.json` without the parts that are
/// not copied.
fn copy_others(args: &PackArgs, files: &impl Files) -> Result<()> {
    let mut index: Map<String, Value> = parse(INDEX, &files.read(INDEX)?)?;
    for part in ["safety_checker", "feature_extractor", "image_encoder"] {
        if index.get(part).is_some_and(Value::is_array) {
            index.insert(part.to_string(), json!([null, null]));
        }
    }
    let mut paths = small_files(Family::read(files)?);
    if args.dir.is_dir() {
        for entry in std::fs::read_dir(&args.dir).with_context(|| args.dir.display().to_string())? {
            let entry = entry.with_context(|| args.dir.display().to_string())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_file() && (name.to_uppercase().starts_with("LICEN") || name == manifest::WORDS) {
                paths.push(name);
            }
        }
    }
    copy_small(files, &paths, &args.out)?;
    let text = serde_json::to_string_pretty(&index)? + "\n";
    Ok(weights::write(&args.out.join(INDEX), text.as_bytes())?)
}

/// Adds the folder to the list beside it, if it is missing there.
fn list(out: &Path) -> Result<()> {
    let out = out.canonicalize().with_context(|| out.display().to_string())?;
    let (Some(parent), Some(name)) = (out.parent(), out.file_name().and_then(|name| name.to_str())) else {
        anyhow::bail!("--out {}: name a folder in another one", out.display());
    };
    let path = parent.join(LIST);
    let shown = path.display().to_string();
    let mut whole: Map<String, Value> = match path.exists() {
        true => parse(&shown, &std::fs::read(&path).with_context(|| shown.clone())?)?,
        false => Map::new(),
    };
    let models = whole.entry("models").or_insert_with(|| json!([]));
    let models = models.as_array_mut().with_context(|| format!("{shown}: \"models\" is no list"))?;
    if !models.iter().any(|model| model["id"] == name) {
        models.push(json!({ "id": name, "path": format!("{name}/") }));
    }
    weights::write(&path, (serde_json::to_string_pretty(&whole)? + "\n").as_bytes())?;
    println!("{shown}: {} model(s)", whole["models"].as_array().map_or(0, Vec::len));
    Ok(())
}
