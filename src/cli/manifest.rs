//! `fourstep manifest`: writes `fourstep.json` beside a model, so that a page can fetch and check its files.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor};
use sha2::{Digest, Sha256};

use super::components::components;
use crate::models::parse;
use crate::pipeline::{
    Defaults, Family, FileEntry, LatentToRgb, MANIFEST, Manifest, Offers, Pipeline, Plan, PlanOptions, Request,
    StepEvent, small_files,
};
use crate::weights::{DirFiles, Files};

/// The list of words, if `fourstep dataset words` has put one beside the model.
pub const WORDS: &str = "words.json";
/// Pictures of each example that the preview is fitted to.
const SEEDS: u64 = 4;

/// Writes fourstep.json beside a model: its files with sizes and SHA-256, its licence and its settings
#[derive(clap::Args)]
pub struct ManifestArgs {
    /// A model in the diffusers folder layout
    dir: PathBuf,
    /// The model's name for people
    #[arg(long)]
    name: String,
    /// Licence of the weights and of what they were made from
    #[arg(long)]
    licence: String,
    /// Denoising steps that suit the model
    #[arg(long)]
    steps: usize,
    /// Guidance scale that suits the model
    #[arg(long)]
    guidance: f32,
    /// Width and height that suit the model, in pixels
    #[arg(long)]
    size: usize,
    /// A size that the model draws well, in pixels, for the page to offer; may be repeated. Without this option the
    /// page offers the model's own size and multiples of it
    #[arg(long = "offer-size", value_name = "PIXELS")]
    offer_sizes: Vec<usize>,
    /// A prompt that shows what the model can do; may be repeated
    #[arg(long = "example", value_name = "PROMPT")]
    examples: Vec<String>,
}

/// Runs the command. It loads the model once, so a manifest always describes a complete one, and draws the examples to
/// fit the previews.
pub fn run(args: &ManifestArgs) -> Result<()> {
    let defaults = Defaults {
        steps: args.steps,
        guidance_scale: args.guidance,
        guidance_scale_range: None,
        width: args.size,
        height: args.size,
    };
    let pipeline = Pipeline::load(&DirFiles::new(&args.dir), &Device::flex())?.with_defaults(defaults.clone());
    let preview = fit_preview(&pipeline, &args.examples, &defaults)?;
    let manifest = Manifest {
        name: args.name.clone(),
        licence: args.licence.clone(),
        files: Vec::new(),
        defaults,
        examples: args.examples.clone(),
        words: args.dir.join(WORDS).exists().then(|| WORDS.to_owned()),
        offers: (!args.offer_sizes.is_empty()).then(|| Offers {
            sizes: Some(args.offer_sizes.iter().map(|size| [*size, *size]).collect()),
            ..Offers::default()
        }),
        needs: None,
        large: None,
        preview,
    };
    write(&args.dir, &described(&args.dir, manifest)?)
}

/// Adds to the manifest the files of `dir`, what they need, and the guidance scales that the model learned.
pub fn described(dir: &Path, manifest: Manifest) -> Result<Manifest> {
    let Defaults { width, height, .. } = manifest.defaults;
    let plan = Plan::read(&DirFiles::new(dir), &PlanOptions { size: Some((width, height)), ..PlanOptions::default() })?;
    let defaults = Defaults { guidance_scale_range: plan.defaults.guidance_scale_range, ..manifest.defaults.clone() };
    let large = plan.large.as_ref().map(|large| large.times);
    Ok(Manifest { files: files(dir)?, needs: Some(plan.needs()), large, defaults, ..manifest })
}

/// Writes the manifest of a changed copy in `out`, if the model in `dir` has one: sizes, hashes and needs change, the
/// rest stays.
pub fn rewrite(dir: &Path, out: &Path) -> Result<()> {
    let files = DirFiles::new(dir);
    let Some(bytes) = files.get(MANIFEST)? else { return Ok(()) };
    write(out, &described(out, parse(MANIFEST, &bytes)?)?)
}

/// Writes a model's manifest and prints a line about it.
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
    let files = DirFiles::new(dir);
    let mut paths: Vec<String> = small_files(Family::read(&files)?);
    paths.retain(|path| dir.join(path).exists());
    for component in components(&files)? {
        let checkpoint = component.open(&files)?;
        if checkpoint.parts() != [checkpoint.file()] {
            paths.push(checkpoint.file().to_string()); // the index of the shards
        }
        paths.extend(checkpoint.parts().iter().cloned());
    }
    paths.sort();
    paths.into_iter().map(|path| entry(dir, path)).collect()
}

/// Fits the preview to the latents of every step of the examples and the decoder's pictures of them; none without
/// examples.
fn fit_preview(pipeline: &Pipeline, examples: &[String], defaults: &Defaults) -> Result<Option<LatentToRgb>> {
    let seen = RefCell::new(Vec::new());
    for (prompt, seed) in examples.iter().flat_map(|prompt| (0..SEEDS).map(move |seed| (prompt, seed))) {
        let Defaults { steps, guidance_scale, width, height, .. } = *defaults;
        let own = pipeline.request(prompt);
        let request = Request { seed, num_inference_steps: steps, guidance_scale, width, height, ..own };
        let mut on_step = async |event: StepEvent<'_>| {
            seen.borrow_mut().push(event.pred_original_sample.clone());
            ControlFlow::Continue(())
        };
        pollster::block_on(pipeline.generate(&request, &mut on_step))?;
    }
    let seen = seen.into_inner();
    if seen.is_empty() {
        return Ok(None);
    }
    let pictures = seen.iter().map(|latents| pipeline.decode(latents.clone())).collect();
    let fitted = LatentToRgb::fit(Tensor::cat(seen, 0), Tensor::cat(pictures, 0));
    Ok(Some(pollster::block_on(fitted)?))
}

/// Hashes a file piece by piece, because shards are large.
fn entry(dir: &Path, path: String) -> Result<FileEntry> {
    let open = || path.clone();
    let mut file = std::fs::File::open(dir.join(&path)).with_context(open)?;
    let mut hash = Sha256::new();
    let size = std::io::copy(&mut file, &mut hash).with_context(open)?;
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(FileEntry { path, size, sha256 })
}
