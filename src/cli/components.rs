//! The parts of a model's folder that hold weights, and how they are written again: what `quantize` and `pack` share.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use burn::module::Module;
use burn::tensor::Device;
use serde_json::{Map, Value};

use crate::kernels::BlockFormat;
use crate::models::{
    AutoencoderKl, AutoencoderTiny, ClipTextModel, UNet2DConditionConfig, UNet2DConditionModel, parse,
};
use crate::weights::{self, Checkpoint, DirFiles, Files, Quantization, QuantizedTensor, Rewrite, Written};

/// A part of a model that has weights.
#[derive(Clone)]
pub struct Component {
    /// Its name, and that of its folder.
    pub folder: String,
    class: String,
    /// The name of its weights' file.
    pub weights: &'static str,
}

/// Those that `model_index.json` names and that are read.
pub fn components(files: &DirFiles) -> Result<Vec<Component>> {
    let index: Map<String, Value> = parse("model_index.json", &files.read("model_index.json")?)?;
    let component = |(folder, value): (String, Value)| {
        let class = value.get(1)?.as_str()?.to_string();
        let weights = match class.as_str() {
            "CLIPTextModel" | "CLIPTextModelWithProjection" => "model.safetensors",
            "UNet2DConditionModel" | "AutoencoderKL" | "AutoencoderTiny" => "diffusion_pytorch_model.safetensors",
            _ => return None,
        };
        Some(Component { folder, class, weights })
    };
    Ok(index.into_iter().filter_map(component).collect())
}

/// The one of that name; `argument` is what names it.
pub fn named(all: &[Component], argument: &str, name: &str) -> Result<Component> {
    let names: Vec<&str> = all.iter().map(|component| component.folder.as_str()).collect();
    let found = all.iter().find(|component| component.folder == name).cloned();
    found.with_context(|| format!("{argument} {name}: this model has {}", names.join(", ")))
}

impl Component {
    /// The path of its configuration in the model.
    pub fn config(&self) -> String {
        format!("{}/config.json", self.folder)
    }

    /// Its weights, wherever they lie in the folder.
    pub fn open<'f>(&self, files: &'f DirFiles) -> crate::Result<Checkpoint<'f>> {
        let config = self.config();
        let quantization = Quantization::parse(&config, &files.read(&config)?)?;
        let path = format!("{}/{}", self.folder, self.weights);
        Ok(Checkpoint::open(files, &path)?.with_quantization(quantization))
    }

    /// Writes weights and configuration into the component's folder in `out`: in blocks, or as they are, in shards of at
    /// most `limit` bytes.
    pub fn write(&self, files: &DirFiles, out: &Path, format: Option<BlockFormat>, limit: u64) -> Result<Written> {
        let (config_path, checkpoint) = (self.config(), self.open(files)?);
        let config = files.read(&config_path)?;
        let rewrite = self.rewrite(&config, &checkpoint, format)?;
        let folder = out.join(&self.folder);
        let written = rewrite.write(&folder, self.weights, limit)?;
        if format.is_none() {
            weights::write(&out.join(&config_path), &config)?;
            return Ok(written);
        }
        let formats = written.tensors.iter().map(|tensor| tensor.format);
        let smallest = formats.min_by_key(|format| format.bits());
        let format = smallest.with_context(|| format!("{}: no layer to quantize", checkpoint.file()))?;
        let mut config: Map<String, Value> = parse(&config_path, &config)?;
        config.insert(Quantization::KEY.to_string(), serde_json::to_value(Quantization::new(format))?);
        let text = serde_json::to_string_pretty(&config)? + "\n";
        weights::write(&out.join(&config_path), text.as_bytes())?;
        Ok(written)
    }

    /// What blocks would do to its weights; nothing is written.
    pub fn measure(&self, files: &DirFiles, format: BlockFormat) -> Result<Vec<QuantizedTensor>> {
        let checkpoint = self.open(files)?;
        let rewrite = self.rewrite(&files.read(&self.config())?, &checkpoint, Some(format))?;
        Ok(rewrite.measure()?)
    }

    fn rewrite<'c, 'f>(
        &self,
        config: &[u8],
        checkpoint: &'c Checkpoint<'f>,
        format: Option<BlockFormat>,
    ) -> Result<Rewrite<'c, 'f>> {
        let (device, path) = (Device::flex(), self.config());
        Ok(match self.class.as_str() {
            "UNet2DConditionModel" => {
                let config: UNet2DConditionConfig = parse(&path, config)?;
                of(&UNet2DConditionModel::new(&config, &path, &device)?, checkpoint, format)?
            }
            "AutoencoderKL" => of(&AutoencoderKl::new(&parse(&path, config)?, &path, &device)?, checkpoint, format)?,
            "AutoencoderTiny" => {
                of(&AutoencoderTiny::new(&parse(&path, config)?, &path, &device)?, checkpoint, format)?
            }
            _ => of(&ClipTextModel::new(&parse(&path, config)?, &path, &device)?, checkpoint, format)?,
        })
    }
}

/// Only what the module asks for, whole, goes into a new folder.
fn of<'c, 'f, M: Module>(
    module: &M,
    checkpoint: &'c Checkpoint<'f>,
    format: Option<BlockFormat>,
) -> crate::Result<Rewrite<'c, 'f>> {
    let rewrite = match format {
        Some(format) => Rewrite::quantized(module, checkpoint, format)?,
        None => Rewrite::as_is(checkpoint),
    };
    weights::check(module, checkpoint)?;
    Ok(rewrite)
}

/// A folder that nothing is lost in and that is no part of what is copied into it.
pub fn make_room(dir: &Path, out: &Path) -> Result<()> {
    let shown = out.display();
    std::fs::create_dir_all(out).with_context(|| shown.to_string())?;
    let mut entries = std::fs::read_dir(out).with_context(|| shown.to_string())?;
    let absolute = |path: &Path| path.canonicalize().with_context(|| path.display().to_string());
    if absolute(out)?.starts_with(absolute(dir)?) {
        // Nothing is left behind in the model.
        let _ = std::fs::remove_dir(out);
        bail!("--out {shown}: lies in the model itself; name a folder elsewhere");
    }
    ensure!(entries.next().is_none(), "--out {shown}: is not empty; name a new folder");
    Ok(())
}
