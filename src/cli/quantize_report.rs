//! `fourstep quantize --report`: measures how blocks change a model's weights, by groups of layers, and its pictures.
//! It writes no files.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Result;
use burn::tensor::Device;

use super::components::components;
use crate::eval::psnr;
use crate::kernels::BlockFormat;
use crate::picture::Picture;
use crate::pipeline::{LoadOptions, Pipeline, Request, StepEvent};
use crate::weights::DirFiles;

/// Prompts of the pictures that are compared, with seeds 0, 1, ...
const PROMPTS: [&str; 3] =
    ["a green fox", "a crown on a pink background", "a photograph of an astronaut riding a horse"];

/// What quantization does to a model.
pub struct Report {
    /// ‖change‖ / ‖weight‖ by group of layers; for each component, the whole comes first.
    pub groups: Vec<(String, f64)>,
    /// PSNR of the mean error of all pictures against the float model's, in decibels.
    pub mean: f64,
    /// PSNR of the worst picture, in decibels.
    pub worst: f64,
}

/// Draws with and without blocks, on the CPU; `steps` overrides the model's own.
pub fn report(dir: &Path, format: BlockFormat, steps: Option<usize>) -> Result<Report> {
    let files = DirFiles::new(dir);
    let mut groups = Vec::new();
    for component in components(&files)? {
        let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for tensor in component.measure(&files, format)? {
            for group in ["all", group(&tensor.name)] {
                let sum = sums.entry(format!("{}: {group}", component.folder)).or_default();
                *sum = (sum.0 + tensor.square, sum.1 + tensor.square_error);
            }
        }
        groups.extend(sums.into_iter().map(|(group, (square, error))| (group, (error / square.max(1e-300)).sqrt())));
    }
    let draw = |quantize| -> Result<Vec<Picture>> {
        let pipeline =
            Pipeline::load_with(&files, &LoadOptions { quantize, ..LoadOptions::default() }, &Device::flex())?;
        let steps = steps.unwrap_or(pipeline.defaults().steps);
        PROMPTS.iter().enumerate().map(|(seed, prompt)| drawn(&pipeline, seed as u64, prompt, steps)).collect()
    };
    let errors: Vec<f64> = draw(None)?.iter().zip(draw(Some(format))?).map(|(a, b)| square_error(a, &b)).collect();
    let mean = psnr(errors.iter().sum::<f64>() / errors.len() as f64);
    Ok(Report { groups, mean, worst: psnr(errors.iter().copied().fold(0.0, f64::max)) })
}

/// Prints it as rows of a table.
pub fn print(name: &str, bits: u32, report: &Report) {
    for (group, error) in &report.groups {
        println!("| {name} | {bits} | {group} | {:.2} % |", 100.0 * error);
    }
    println!("| {name} | {bits} | **pictures: PSNR** | {:.1} dB (worst {:.1}) |", report.mean, report.worst);
}

/// The kind of layer that a key belongs to.
fn group(name: &str) -> &'static str {
    let kinds: [(&[&str], &str); 7] = [
        (&[".attn1.", ".self_attn.", "mid_block.attentions.0.to_"], "self-attention"),
        (&[".attn2."], "cross-attention"),
        (&[".ff.", ".mlp."], "feed-forward"),
        (&["time_emb", "add_embedding", "cond_proj"], "time"),
        (&["proj_in", "proj_out", "text_projection"], "projections"),
        (&["conv_shortcut"], "shortcuts"),
        (&["conv", ".layers."], "convolutions"),
    ];
    kinds.iter().find(|(parts, _)| parts.iter().any(|part| name.contains(part))).map_or("others", |(_, kind)| kind)
}

fn drawn(pipeline: &Pipeline, seed: u64, prompt: &str, steps: usize) -> Result<Picture> {
    let request = Request { seed, num_inference_steps: steps, ..pipeline.request(prompt) };
    let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
    Ok(pollster::block_on(pipeline.generate(&request, &mut on_step))?.0.swap_remove(0))
}

/// The mean square error of two pictures.
fn square_error(a: &Picture, b: &Picture) -> f64 {
    crate::eval::mean_square_error(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every golden family with weights; `FOURSTEP_REFERENCE` names another set. `docs/quantization.md` has the table.
    #[test]
    fn quantized_families_draw_almost_the_same_pictures() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let reference = std::env::var_os("FOURSTEP_REFERENCE").map_or(golden.join("reference"), Into::into);
        let families = golden.join("families");
        for set in [reference, families] {
            let mut names: Vec<_> = std::fs::read_dir(set.join("pipelines")).unwrap().flatten().collect();
            names.sort_by_key(|entry| entry.file_name());
            for entry in names {
                let there = |file: &str| entry.path().join(file).exists();
                // Inpainting networks can only draw from a picture.
                let name = entry.file_name().into_string().unwrap();
                if !there("unet/diffusion_pytorch_model.safetensors") || name.contains("inpaint") {
                    continue;
                }
                let folder = tempfile::tempdir().unwrap();
                assemble(&entry.path(), &set.join("tokenizer"), folder.path());
                for (bits, least_mean, least_worst) in [(8, 35.0, 35.0), (4, 25.0, 23.0)] {
                    let report = report(folder.path(), BlockFormat::from_bits(bits).unwrap(), Some(4)).unwrap();
                    print(&name, bits, &report);
                    let Report { mean, worst, .. } = report;
                    assert!(
                        mean >= least_mean && worst >= least_worst,
                        "{name}, {bits} bits: {mean} dB, worst {worst}"
                    );
                }
            }
        }
    }

    /// A golden pipeline with the vocabulary that all of them share.
    fn assemble(from: &Path, tokenizer: &Path, to: &Path) {
        for entry in std::fs::read_dir(from).unwrap().flatten() {
            let target = to.join(entry.file_name());
            if !entry.path().is_dir() {
                std::fs::copy(entry.path(), target).unwrap();
                continue;
            }
            std::fs::create_dir(&target).unwrap();
            assemble(&entry.path(), Path::new(""), &target);
            if entry.file_name().to_string_lossy().starts_with("tokenizer") {
                for name in ["vocab.json", "merges.txt"] {
                    let whole = to.join(entry.file_name()).join(name);
                    if !whole.exists() {
                        std::fs::copy(tokenizer.join(name), whole).unwrap();
                    }
                }
            }
        }
    }
}
