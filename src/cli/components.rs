//! The parts of a model's folder that contain weights, and how `quantize`, `export` and `pack` write them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use burn::module::Module;
use burn::tensor::Device;
use serde_json::{Map, Value};

use crate::kernels::BlockFormat;
use crate::models::{
    AutoencoderKl, AutoencoderTiny, ClipTextModel, UNet2DConditionConfig, UNet2DConditionModel, parse,
};
use crate::weights::{self, Checkpoint, DirFiles, Files, Precision, Quantization, QuantizedTensor, Rewrite, Written};

/// A part of a model that has weights, for example the UNet.
#[derive(Clone)]
pub struct Component {
    /// Its name, which is also its folder's.
    pub folder: String,
    class: String,
    /// The file name of its weights.
    pub weights: &'static str,
}

/// The parts that `model_index.json` names and this program reads.
pub fn components(files: &dyn Files) -> Result<Vec<Component>> {
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

/// The part with that name; `argument` is the option that named it.
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

    /// Opens its weights, which may be one file or shards.
    pub fn open<'f>(&self, files: &'f dyn Files) -> crate::Result<Checkpoint<'f>> {
        let config = self.config();
        let quantization = Quantization::parse(&config, &files.read(&config)?)?;
        let path = format!("{}/{}", self.folder, self.weights);
        Ok(Checkpoint::open(files, &path)?.with_quantization(quantization))
    }

    /// Writes weights and configuration into the component's folder in `out`: in blocks, or as they are, in shards of at
    /// most `limit` bytes.
    pub fn write(&self, files: &dyn Files, out: &Path, format: Option<BlockFormat>, limit: u64) -> Result<Written> {
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

    /// What blocks would change in its weights. Writes nothing.
    pub fn measure(&self, files: &dyn Files, format: BlockFormat) -> Result<Vec<QuantizedTensor>> {
        let checkpoint = self.open(files)?;
        let rewrite = self.rewrite(&files.read(&self.config())?, &checkpoint, Some(format))?;
        Ok(rewrite.measure()?)
    }

    /// Writes weights and configuration into the component's folder in `out` as floats, in one file, as diffusers and
    /// transformers read them. Returns the number of tensors.
    pub fn write_floats(&self, files: &dyn Files, out: &Path, precision: Precision) -> Result<usize> {
        let (config_path, checkpoint) = (self.config(), self.open(files)?);
        let config = files.read(&config_path)?;
        let folder = out.join(&self.folder);
        let floats = Floats { checkpoint: &checkpoint, precision, folder: &folder, file: self.weights };
        let tensors = self.with_structure(&config, floats)?;
        let mut config: Map<String, Value> = parse(&config_path, &config)?;
        config.remove(Quantization::KEY);
        for key in ["dtype", "torch_dtype"] {
            // transformers opens a model in the precision that its configuration names.
            if let Some(name) = config.get_mut(key) {
                *name = dtype_name(precision).into();
            }
        }
        let text = serde_json::to_string_pretty(&config)? + "\n";
        weights::write(&out.join(&config_path), text.as_bytes())?;
        Ok(tensors)
    }

    fn rewrite<'c, 'f>(
        &self,
        config: &[u8],
        checkpoint: &'c Checkpoint<'f>,
        format: Option<BlockFormat>,
    ) -> Result<Rewrite<'c, 'f>> {
        self.with_structure(config, Blocks { checkpoint, format })
    }

    /// Creates the component's structure, without weights, and passes it to `what`.
    fn with_structure<W: WithStructure>(&self, config: &[u8], what: W) -> Result<W::Output> {
        let (device, path) = (Device::flex(), self.config());
        Ok(match self.class.as_str() {
            "UNet2DConditionModel" => {
                let config: UNet2DConditionConfig = parse(&path, config)?;
                what.run(&UNet2DConditionModel::new(&config, &path, &device)?)?
            }
            "AutoencoderKL" => what.run(&AutoencoderKl::new(&parse(&path, config)?, &path, &device)?)?,
            "AutoencoderTiny" => what.run(&AutoencoderTiny::new(&parse(&path, config)?, &path, &device)?)?,
            _ => what.run(&ClipTextModel::new(&parse(&path, config)?, &path, &device)?)?,
        })
    }
}

/// An operation on a component's structure, whose type depends on the class.
trait WithStructure {
    type Output;

    fn run<M: Module>(self, module: &M) -> crate::Result<Self::Output>;
}

/// Writes the weights as they are or in blocks; only what the module uses, and all of it.
struct Blocks<'c, 'f> {
    checkpoint: &'c Checkpoint<'f>,
    format: Option<BlockFormat>,
}

impl<'c, 'f> WithStructure for Blocks<'c, 'f> {
    type Output = Rewrite<'c, 'f>;

    fn run<M: Module>(self, module: &M) -> crate::Result<Self::Output> {
        let rewrite = match self.format {
            Some(format) => Rewrite::quantized(module, self.checkpoint, format)?,
            None => Rewrite::as_is(self.checkpoint),
        };
        weights::check(module, self.checkpoint)?;
        Ok(rewrite)
    }
}

/// Writes the weights as floats into one file.
struct Floats<'c, 'f> {
    checkpoint: &'c Checkpoint<'f>,
    precision: Precision,
    folder: &'c Path,
    file: &'c str,
}

impl WithStructure for Floats<'_, '_> {
    type Output = usize;

    fn run<M: Module>(self, module: &M) -> crate::Result<usize> {
        weights::write_floats(module, self.checkpoint, self.precision, self.folder, self.file)
    }
}

/// torch's name of the precision.
fn dtype_name(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "float32",
        Precision::F16 => "float16",
    }
}

/// Writes a model's configurations and vocabularies, wherever they come from, into the folder `out`.
pub fn copy_small(files: &dyn Files, paths: &[String], out: &Path) -> Result<()> {
    for path in paths {
        let Some(bytes) = files.get_small(path)? else { continue };
        let to = out.join(path);
        std::fs::create_dir_all(to.parent().expect("a file in a folder")).with_context(|| to.display().to_string())?;
        weights::write(&to, &bytes)?;
    }
    Ok(())
}

/// Copies a model's folder without the weights of these components.
pub fn copy_without_weights(dir: &Path, out: &Path, components: &[Component]) -> Result<()> {
    let files = DirFiles::new(dir);
    let mut weights = BTreeSet::new();
    for component in components {
        let checkpoint = component.open(&files)?;
        weights.extend(checkpoint.parts().iter().map(|path| dir.join(path)));
        weights.insert(dir.join(checkpoint.file()));
    }
    copy(dir, out, &weights)
}

fn copy(from: &Path, to: &Path, without: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry.with_context(|| from.display().to_string())?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        // Links are followed, because downloaded models often consist of them.
        if source.is_dir() {
            std::fs::create_dir(&target).with_context(|| target.display().to_string())?;
            copy(&source, &target, without)?;
        } else if !without.contains(&source) {
            std::fs::copy(&source, &target).with_context(|| format!("{} to {}", source.display(), target.display()))?;
        }
    }
    Ok(())
}

/// Creates a folder. It must be empty, and must not be inside the folder that is copied into it.
pub fn make_room(dir: &Path, out: &Path) -> Result<()> {
    let shown = out.display();
    std::fs::create_dir_all(out).with_context(|| shown.to_string())?;
    let mut entries = std::fs::read_dir(out).with_context(|| shown.to_string())?;
    let absolute = |path: &Path| path.canonicalize().with_context(|| path.display().to_string());
    if absolute(out)?.starts_with(absolute(dir)?) {
        // Leave nothing behind in the model's folder.
        let _ = std::fs::remove_dir(out);
        bail!("--out {shown}: lies in the model itself; name a folder elsewhere");
    }
    ensure!(entries.next().is_none(), "--out {shown}: is not empty; name a new folder");
    Ok(())
}
