//! `fourstep export`: writes a model with float weights, for Python's diffusers and other readers that do not know
//! blocks.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::components::{Component, components, copy_small, copy_without_weights, make_room};
use super::manifest;
use crate::pipeline::{Family, small_files};
use crate::weights::{DirFiles, Precision};

/// Writes a model with float weights, so that diffusers, transformers and other programs can open it
#[derive(clap::Args)]
pub struct ExportArgs {
    /// A model in the diffusers folder layout, or one .safetensors or .gguf file; its weights may be in blocks of 8 or 4 bits
    dir: PathBuf,
    /// For one file: a diffusers folder whose configurations, vocabulary and missing parts are used
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// A new or empty folder for the float model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Precision of every number: f32 keeps the blocks' values exactly, f16 rounds them and takes half the space
    #[arg(long, value_parser = precision, default_value = "f32")]
    dtype: Precision,
}

pub fn run(args: &ExportArgs) -> Result<()> {
    match args.dir.is_file() {
        true => export_file(args),
        false => export(&args.dir, &args.out, args.dtype),
    }
}

/// As [`export`], from one file.
fn export_file(args: &ExportArgs) -> Result<()> {
    let model = super::model::open(&args.dir, args.config.as_deref())?;
    let files = &model.files;
    let components = components(files)?;
    make_room(&args.dir, &args.out)?;
    let make = || -> Result<()> {
        copy_small(files, &small_files(Family::read(files)?), &args.out)?;
        for component in &components {
            let tensors = component.write_floats(files, &args.out, args.dtype)?;
            println!("{:<14} {tensors} tensors", component.folder);
        }
        Ok(())
    };
    let made = model.within(make());
    if made.is_err() {
        // The folder was empty; half a model would look like a complete one.
        let _ = std::fs::remove_dir_all(&args.out);
    }
    made
}

/// Writes the model in `dir` as floats of this precision into `out`, a new or empty folder.
pub fn export(dir: &Path, out: &Path, precision: Precision) -> Result<()> {
    let components = components(&DirFiles::new(dir))?;
    make_room(dir, out)?;
    let made = make(dir, out, &components, precision);
    if made.is_err() {
        // The folder was empty; half a model would look like a complete one.
        let _ = std::fs::remove_dir_all(out);
    }
    made
}

fn make(dir: &Path, out: &Path, components: &[Component], precision: Precision) -> Result<()> {
    copy_without_weights(dir, out, components)?;
    for component in components {
        let tensors = component.write_floats(&DirFiles::new(dir), out, precision)?;
        println!("{:<14} {tensors} tensors", component.folder);
    }
    manifest::rewrite(dir, out)
}

fn precision(name: &str) -> Result<Precision, String> {
    match name {
        "f32" => Ok(Precision::F32),
        "f16" => Ok(Precision::F16),
        _ => Err("f32 or f16".to_string()),
    }
}
