//! `fourstep quantize`: a model's folder again, with the weights of its layers in blocks of 8 or 4 bits a number.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use serde_json::{Map, Value};

use super::manifest;
use crate::kernels::BlockFormat;
use crate::models::{
    AutoencoderKl, AutoencoderTiny, ClipTextModel, UNet2DConditionConfig, UNet2DConditionModel, parse,
};
use crate::pipeline::{MANIFEST, Manifest, Pipeline};
use crate::weights::{self, Checkpoint, DirFiles, Files, Quantization, QuantizedFile, QuantizedTensor};

/// The worst layers that are listed of each component.
const LISTED: usize = 3;

/// Writes a model again with the weights of its layers quantized to 8 or 4 bits
#[derive(clap::Args)]
pub struct QuantizeArgs {
    /// A model in the diffusers folder layout, with float weights
    dir: PathBuf,
    /// Bits a number: 8 or 4, and half a bit more for the scales
    #[arg(long, value_parser = format)]
    bits: BlockFormat,
    /// A new or empty folder for the quantized model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Parts of the model to quantize, by the names of their folders [default: all with 8 bits, all but the autoencoder with 4]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    components: Option<Vec<String>>,
}

/// Runs the command.
pub fn run(args: &QuantizeArgs) -> Result<()> {
    let all = components(&args.dir)?;
    let wanted: Vec<Component> = match &args.components {
        None => all.into_iter().filter(|component| component.bears(args.bits)).collect(),
        Some(names) => names.iter().map(|name| named(&all, name)).collect::<Result<_>>()?,
    };
    make_room(&args.dir, &args.out)?;
    let made = make(args, &wanted);
    if made.is_err() {
        // It was empty; half a model would look like a whole one.
        let _ = std::fs::remove_dir_all(&args.out);
    }
    made
}

fn make(args: &QuantizeArgs, components: &[Component]) -> Result<()> {
    copy(&args.dir, &args.out)?;
    let lines = components.iter().map(|component| component.quantize(&args.dir, &args.out, args.bits));
    let lines = lines.collect::<Result<Vec<_>>>()?;
    // A manifest only ever describes a whole model.
    Pipeline::load(&DirFiles::new(&args.out), &Device::flex())?;
    println!("{:<14} {:>8} {:>8} {:>9} {:>12}   worst layers", "component", "MB", "MB then", "of before", "rel. error");
    lines.iter().for_each(|line| println!("{line}"));
    let files = DirFiles::new(&args.dir);
    let Some(bytes) = files.get(MANIFEST)? else { return Ok(()) };
    let old: Manifest = parse(MANIFEST, &bytes)?;
    manifest::write(&args.out, &Manifest { files: manifest::files(&args.out)?, ..old })
}

fn format(bits: &str) -> Result<BlockFormat, String> {
    bits.parse().ok().and_then(BlockFormat::from_bits).ok_or_else(|| "8 or 4".to_string())
}

/// A part of a model that has layers to quantize.
#[derive(Clone)]
struct Component {
    folder: String,
    class: String,
    weights: &'static str,
}

/// Those that `model_index.json` names.
fn components(dir: &Path) -> Result<Vec<Component>> {
    let index: Map<String, Value> = parse("model_index.json", &DirFiles::new(dir).read("model_index.json")?)?;
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

fn named(all: &[Component], name: &str) -> Result<Component> {
    let names: Vec<&str> = all.iter().map(|component| component.folder.as_str()).collect();
    let found = all.iter().find(|component| component.folder == name).cloned();
    found.with_context(|| format!("--components {name}: this model has {}", names.join(", ")))
}

impl Component {
    /// Whether it is quantized unless told otherwise. Four bits in the autoencoder, the smallest part, cost the pictures more than
    /// in all the others together (`docs/quantization.md`).
    fn bears(&self, format: BlockFormat) -> bool {
        format == BlockFormat::Q8_0 || !self.class.starts_with("Autoencoder")
    }

    /// Replaces weights and configuration in `out`; the line of the table.
    fn quantize(&self, dir: &Path, out: &Path, format: BlockFormat) -> Result<String> {
        let files = DirFiles::new(dir);
        let (config_path, path) = (format!("{}/config.json", self.folder), format!("{}/{}", self.folder, self.weights));
        let (config, bytes) = (files.read(&config_path)?, files.read(&path)?);
        let checkpoint = Checkpoint::parse(&path, &bytes)?;
        let file = self.quantize_file(&config_path, &config, &checkpoint, format)?;
        ensure!(!file.tensors.is_empty(), "{path}: no layer to quantize");
        let mut config: Map<String, Value> = parse(&config_path, &config)?;
        config.insert(Quantization::KEY.to_string(), serde_json::to_value(Quantization::new(format))?);
        let text = serde_json::to_string_pretty(&config)? + "\n";
        weights::write(&out.join(&path), &file.bytes)?;
        weights::write(&out.join(&config_path), text.as_bytes())?;
        Ok(self.line(bytes.len(), &file))
    }

    fn quantize_file(
        &self,
        config_path: &str,
        config: &[u8],
        checkpoint: &Checkpoint,
        format: BlockFormat,
    ) -> crate::Result<QuantizedFile> {
        let device = Device::flex();
        match self.class.as_str() {
            "UNet2DConditionModel" => {
                let config: UNet2DConditionConfig = parse(config_path, config)?;
                weights::quantize(&UNet2DConditionModel::new(&config, config_path, &device)?, checkpoint, format)
            }
            "AutoencoderKL" => {
                let module = AutoencoderKl::new(&parse(config_path, config)?, config_path, &device)?;
                weights::quantize(&module, checkpoint, format)
            }
            "AutoencoderTiny" => {
                let module = AutoencoderTiny::new(&parse(config_path, config)?, config_path, &device)?;
                weights::quantize(&module, checkpoint, format)
            }
            _ => {
                let module = ClipTextModel::new(&parse(config_path, config)?, config_path, &device)?;
                weights::quantize(&module, checkpoint, format)
            }
        }
    }

    fn line(&self, before: usize, file: &QuantizedFile) -> String {
        let error = relative_error(&file.tensors);
        let mut worst: Vec<&QuantizedTensor> = file.tensors.iter().collect();
        worst.sort_by(|a, b| b.relative_error().total_cmp(&a.relative_error()));
        let listed = worst.iter().take(LISTED).map(|tensor| {
            let name = tensor.name.trim_end_matches(".weight");
            format!("{name} {:.2} %", 100.0 * tensor.relative_error())
        });
        let (before, after) = (before as f64 / 1e6, file.bytes.len() as f64 / 1e6);
        format!(
            "{:<14} {before:>8.2} {after:>8.2} {:>7.1} % {:>10.2} %   {}",
            self.folder,
            100.0 * after / before,
            100.0 * error,
            listed.collect::<Vec<_>>().join(", ")
        )
    }
}

/// Of all quantized weights together.
fn relative_error(tensors: &[QuantizedTensor]) -> f64 {
    let whole = QuantizedTensor {
        name: String::new(),
        square: tensors.iter().map(|tensor| tensor.square).sum(),
        square_error: tensors.iter().map(|tensor| tensor.square_error).sum(),
    };
    whole.relative_error()
}

/// A folder that nothing is lost in and that is no part of what is copied into it.
fn make_room(dir: &Path, out: &Path) -> Result<()> {
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

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry.with_context(|| from.display().to_string())?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        // Links are followed: downloaded models often consist of them.
        if source.is_dir() {
            std::fs::create_dir(&target).with_context(|| target.display().to_string())?;
            copy(&source, &target)?;
        } else {
            std::fs::copy(&source, &target).with_context(|| format!("{} to {}", source.display(), target.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::eval::psnr;
    use crate::picture::Picture;
    use crate::pipeline::{Request, StepEvent};

    const STICKERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/stickers-teacher");
    const PROMPTS: [&str; 6] = [
        "a green fox",
        "a purple butterfly",
        "an avocado on a black background",
        "a teal tractor",
        "a crown on a pink background",
        "a tiger",
    ];

    fn quantized(bits: u32, components: Option<&[&str]>) -> (tempfile::TempDir, Pipeline) {
        let out = tempfile::tempdir().unwrap();
        let args = QuantizeArgs {
            dir: STICKERS.into(),
            bits: BlockFormat::from_bits(bits).unwrap(),
            out: out.path().into(),
            components: components.map(|names| names.iter().map(|name| name.to_string()).collect()),
        };
        run(&args).unwrap();
        let pipeline = Pipeline::load(&DirFiles::new(out.path()), &Device::flex()).unwrap();
        (out, pipeline)
    }

    fn drawn(pipeline: &Pipeline) -> Vec<Picture> {
        let request = |(seed, prompt): (usize, &&str)| Request {
            seed: seed as u64,
            num_inference_steps: 4,
            ..pipeline.request(*prompt)
        };
        let requests: Vec<Request> = PROMPTS.iter().enumerate().map(request).collect();
        let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
        pollster::block_on(pipeline.generate_batch(&requests, &mut on_step)).unwrap().0
    }

    /// PSNR of the mean error of all pictures, and of the worst one, in decibels.
    fn compared(pictures: &[Picture], others: &[Picture]) -> (f64, f64) {
        let error = |(a, b): (&Picture, &Picture)| {
            let square = |(a, b): (&u8, &u8)| (f64::from(*a) - f64::from(*b)).powi(2);
            a.rgb.iter().zip(&b.rgb).map(square).sum::<f64>() / a.rgb.len() as f64
        };
        let errors: Vec<f64> = pictures.iter().zip(others).map(error).collect();
        (psnr(errors.iter().sum::<f64>() / errors.len() as f64), psnr(errors.iter().copied().fold(0.0, f64::max)))
    }

    /// `docs/quantization.md` has this test's table; what is quantized by default must stay close to the float model.
    #[test]
    fn quantized_stickers_draw_almost_the_same_pictures() {
        let before = drawn(&Pipeline::load(&DirFiles::new(STICKERS), &Device::flex()).unwrap());
        let parts: [Option<&[&str]>; 5] =
            [None, Some(&["text_encoder", "unet", "vae"]), Some(&["unet"]), Some(&["text_encoder"]), Some(&["vae"])];
        for (bits, least) in [(8, 35.0), (4, 25.0)] {
            for components in parts {
                let (_, pipeline) = quantized(bits, components);
                let (mean, worst) = compared(&before, &drawn(&pipeline));
                let name = components.map_or("default".to_string(), |names| names.join(","));
                println!("{bits} bits, {name}: PSNR {mean:.1} dB, worst picture {worst:.1} dB");
                assert!(components.is_some() || mean >= least, "{bits} bits: {mean:.1} dB");
            }
        }
    }

    #[test]
    fn files_shrink_as_their_bits_say_and_the_manifest_tells_their_sizes() {
        for (bits, most) in [(8, 0.56), (4, 0.31)] {
            let (out, _) = quantized(bits, None);
            let size = |dir: &Path| {
                let path = dir.join("unet/diffusion_pytorch_model.safetensors");
                std::fs::metadata(path).unwrap().len()
            };
            let share = size(out.path()) as f64 / size(Path::new(STICKERS)) as f64;
            assert!(share < most, "{bits} bits: {share}");
            let manifest: Manifest = parse(MANIFEST, &std::fs::read(out.path().join(MANIFEST)).unwrap()).unwrap();
            let old: Manifest = parse(MANIFEST, &std::fs::read(Path::new(STICKERS).join(MANIFEST)).unwrap()).unwrap();
            assert_eq!((manifest.defaults, &manifest.examples), (old.defaults, &old.examples));
            let paths = |files: &[crate::pipeline::FileEntry]| files.iter().map(|f| f.path.clone()).collect::<Vec<_>>();
            assert_eq!(paths(&manifest.files), paths(&old.files));
            let unet = manifest.files.iter().find(|file| file.path.starts_with("unet/diff")).unwrap();
            assert_eq!(unet.size, size(out.path()));
            assert!(out.path().join("training").is_dir());
        }
    }
}
