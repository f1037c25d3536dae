//! `fourstep quantize`: writes a model with the weights of its layers in blocks of 8 or 4 bits a number.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::components::{self, Component, copy_without_weights, make_room};
use super::{manifest, quantize_report};
use crate::kernels::BlockFormat;
use crate::weights::{DirFiles, Files, QuantizedTensor, Written};

/// How many of each component's worst layers are listed.
const LISTED: usize = 3;

/// Writes a model with the weights of its layers quantized to 8 or 4 bits
#[derive(clap::Args)]
pub struct QuantizeArgs {
    /// A model in the diffusers folder layout, with float weights
    dir: PathBuf,
    /// Bits for each number: 8 or 4, plus half a bit for the scales. With 4, only the layers inside the UNet's
    /// transformers have 4 bits; all others have 8
    #[arg(long, value_parser = format)]
    bits: BlockFormat,
    /// A new or empty folder for the quantized model
    #[arg(long, value_name = "DIR", required_unless_present = "report")]
    out: Option<PathBuf>,
    /// Parts of the model to quantize, by the names of their folders [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    components: Option<Vec<String>>,
    /// Writes no files; prints the error of each group of layers, and how far pictures are from the float model's
    #[arg(long, conflicts_with_all = ["out", "components"])]
    report: bool,
    /// Denoising steps of these pictures [default: the model's]
    #[arg(long, requires = "report")]
    steps: Option<usize>,
}

pub fn run(args: &QuantizeArgs) -> Result<()> {
    let Some(out) = &args.out else {
        let report = quantize_report::report(&args.dir, args.bits, args.steps)?;
        println!("| model | bits | layers | relative error |\n|---|---:|---|---:|");
        quantize_report::print(&args.dir.display().to_string(), args.bits.bits(), &report);
        return Ok(());
    };
    let all = components::components(&DirFiles::new(&args.dir))?;
    let wanted: Vec<Component> = match &args.components {
        None => all,
        Some(names) => names.iter().map(|name| components::named(&all, "--components", name)).collect::<Result<_>>()?,
    };
    make_room(&args.dir, out)?;
    let made = make(args, out, &wanted);
    if made.is_err() {
        // The folder was empty; half a model would look like a complete one.
        let _ = std::fs::remove_dir_all(out);
    }
    made
}

fn make(args: &QuantizeArgs, out: &Path, components: &[Component]) -> Result<()> {
    let files = DirFiles::new(&args.dir);
    copy_without_weights(&args.dir, out, components)?;
    let lines = components.iter().map(|component| quantize(component, &files, out, args.bits));
    let lines = lines.collect::<Result<Vec<_>>>()?;
    println!("{:<14} {:>8} {:>8} {:>9} {:>12}   worst layers", "component", "MB", "MB then", "of before", "rel. error");
    lines.iter().for_each(|line| println!("{line}"));
    manifest::rewrite(&args.dir, out)
}

/// Parses an option's bits, eight or four.
pub fn format(bits: &str) -> Result<BlockFormat, String> {
    bits.parse().ok().and_then(BlockFormat::from_bits).ok_or_else(|| "8 or 4".to_string())
}

/// Quantizes a component and returns its line of the table.
fn quantize(component: &Component, files: &DirFiles, out: &Path, format: BlockFormat) -> Result<String> {
    let size = |files: &DirFiles| -> Result<u64> {
        let checkpoint = component.open(files)?;
        let sizes = checkpoint.parts().iter().map(|path| files.size(path));
        Ok(sizes.collect::<crate::Result<Vec<_>>>()?.into_iter().flatten().sum())
    };
    let written = component.write(files, out, Some(format), u64::MAX)?;
    Ok(line(&component.folder, size(files)?, size(&DirFiles::new(out))?, &written))
}

fn line(name: &str, before: u64, after: u64, written: &Written) -> String {
    let error = relative_error(&written.tensors);
    let mut worst: Vec<&QuantizedTensor> = written.tensors.iter().collect();
    worst.sort_by(|a, b| b.relative_error().total_cmp(&a.relative_error()));
    let listed = worst.iter().take(LISTED).map(|tensor| {
        let name = tensor.name.trim_end_matches(".weight");
        format!("{name} {:.2} %", 100.0 * tensor.relative_error())
    });
    let (before, after) = (before as f64 / 1e6, after as f64 / 1e6);
    format!(
        "{name:<14} {before:>8.2} {after:>8.2} {:>7.1} % {:>10.2} %   {}",
        100.0 * after / before,
        100.0 * error,
        listed.collect::<Vec<_>>().join(", ")
    )
}

/// The relative error of all quantized weights together.
fn relative_error(tensors: &[QuantizedTensor]) -> f64 {
    let square: f64 = tensors.iter().map(|tensor| tensor.square).sum();
    let square_error: f64 = tensors.iter().map(|tensor| tensor.square_error).sum();
    (square_error / square.max(f64::MIN_POSITIVE)).sqrt()
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use burn::tensor::Device;

    use super::super::export;
    use super::*;
    use crate::eval::{mean_square_error, psnr};
    use crate::models::parse;
    use crate::picture::Picture;
    use crate::pipeline::{MANIFEST, Manifest, Pipeline, Request, StepEvent};
    use crate::weights::Precision;

    const TEACHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/stickers-teacher");
    const STUDENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/stickers");
    const PROMPTS: [&str; 12] = [
        "a green fox",
        "a purple butterfly",
        "an avocado on a black background",
        "a teal tractor",
        "a crown on a pink background",
        "a tiger",
        "four apples",
        "a colourful teapot",
        "a fox on a coloured background",
        "two cats",
        "an orange whale on a teal background",
        "a rocket",
    ];

    /// Quantizes some parts of a float model.
    fn quantized(model: &Path, bits: u32, components: Option<&[&str]>) -> (tempfile::TempDir, Pipeline) {
        let out = tempfile::tempdir().unwrap();
        let args = QuantizeArgs {
            dir: model.into(),
            bits: BlockFormat::from_bits(bits).unwrap(),
            out: Some(out.path().into()),
            report: false,
            steps: None,
            components: components.map(|names| names.iter().map(|name| name.to_string()).collect()),
        };
        run(&args).unwrap();
        let pipeline = loaded(out.path());
        (out, pipeline)
    }

    fn loaded(model: &Path) -> Pipeline {
        Pipeline::load(&DirFiles::new(model), &Device::flex()).unwrap()
    }

    /// The student as floats; it ships only in blocks.
    fn float_student() -> tempfile::TempDir {
        let out = tempfile::tempdir().unwrap();
        export::export(Path::new(STUDENT), out.path(), Precision::F32).unwrap();
        out
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
        let errors: Vec<f64> = pictures.iter().zip(others).map(|(a, b)| mean_square_error(a, b)).collect();
        (psnr(errors.iter().sum::<f64>() / errors.len() as f64), psnr(errors.iter().copied().fold(0.0, f64::max)))
    }

    /// `docs/quantization.md` has this test's table. Every picture must stay close to the float model's, whichever part
    /// is quantized.
    #[test]
    fn quantized_stickers_draw_almost_the_same_pictures() {
        let student = float_student();
        let parts: [Option<&[&str]>; 4] = [None, Some(&["unet"]), Some(&["text_encoder"]), Some(&["vae"])];
        for (name, model) in [("teacher", Path::new(TEACHER)), ("student", student.path())] {
            let before = drawn(&loaded(model));
            for (bits, least_mean, least_worst) in [(8, 40.0, 38.0), (4, 30.0, 28.0)] {
                for components in parts {
                    let (_, pipeline) = quantized(model, bits, components);
                    let (mean, worst) = compared(&before, &drawn(&pipeline));
                    let part = components.map_or("all parts", |names| names[0]);
                    println!("{name}, {bits} bits, {part}: PSNR {mean:.1} dB, worst picture {worst:.1} dB");
                    assert!(mean >= least_mean && worst >= least_worst, "{name}, {bits} bits, {part}: {mean} {worst}");
                }
            }
        }
    }

    #[test]
    fn what_ships_draws_what_its_floats_draw_and_is_made_of_them_again() {
        let floats = float_student();
        let (shipped, widened) = (drawn(&loaded(Path::new(STUDENT))), drawn(&loaded(floats.path())));
        let apart = |(a, b): (&Picture, &Picture)| a.rgb.iter().zip(&b.rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        let levels: Vec<u8> = shipped.iter().zip(&widened).map(apart).collect();
        assert!(levels.iter().all(|levels| *levels <= 1), "{levels:?}");

        let (again, _) = quantized(floats.path(), 8, None);
        for component in components::components(&DirFiles::new(STUDENT)).unwrap() {
            let folders = [Path::new(STUDENT), again.path()].map(DirFiles::new);
            let [shipped, again] = [&folders[0], &folders[1]].map(|files| component.open(files).unwrap());
            assert!(shipped.keys().eq(again.keys()), "{}", component.folder);
            let in_blocks = |key: &str| {
                let weight = key.strip_suffix(".scale").unwrap_or(key);
                shipped.dtype(weight) == Some(safetensors::Dtype::I8)
            };
            let mut compared = shipped.keys().filter(|key| in_blocks(key)).peekable();
            assert!(compared.peek().is_some(), "{}: no blocks", component.folder);
            for key in compared {
                assert_eq!(shipped.bytes(key).unwrap(), again.bytes(key).unwrap(), "{}: {key}", component.folder);
            }
        }
    }

    #[test]
    fn files_shrink_as_their_bits_say_and_the_manifest_tells_their_sizes() {
        for (bits, most) in [(8, 0.56), (4, 0.45)] {
            let (out, _) = quantized(Path::new(TEACHER), bits, None);
            let size = |dir: &Path| {
                let path = dir.join("unet/diffusion_pytorch_model.safetensors");
                std::fs::metadata(path).unwrap().len()
            };
            let share = size(out.path()) as f64 / size(Path::new(TEACHER)) as f64;
            assert!(share < most, "{bits} bits: {share}");
            let manifest: Manifest = parse(MANIFEST, &std::fs::read(out.path().join(MANIFEST)).unwrap()).unwrap();
            let old: Manifest = parse(MANIFEST, &std::fs::read(Path::new(TEACHER).join(MANIFEST)).unwrap()).unwrap();
            assert_eq!((manifest.defaults, &manifest.examples), (old.defaults, &old.examples));
            let paths = |files: &[crate::pipeline::FileEntry]| files.iter().map(|f| f.path.clone()).collect::<Vec<_>>();
            assert_eq!(paths(&manifest.files), paths(&old.files));
            let unet = manifest.files.iter().find(|file| file.path.starts_with("unet/diff")).unwrap();
            assert_eq!(unet.size, size(out.path()));
            assert!(out.path().join("training").is_dir());
        }
    }
}
