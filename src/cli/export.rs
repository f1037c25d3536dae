//! `fourstep export`: writes a model with float weights, for Python's diffusers and other readers that do not know
//! blocks.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::components::{Component, components, copy_without_weights, make_room};
use super::manifest;
use crate::weights::{DirFiles, Precision};

/// Writes a model with float weights, so that diffusers, transformers and other programs can open it
#[derive(clap::Args)]
pub struct ExportArgs {
    /// A model in the diffusers folder layout; its weights may be in blocks of 8 or 4 bits
    dir: PathBuf,
    /// A new or empty folder for the float model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Precision of every number: f32 keeps the blocks' values exactly, f16 rounds them and takes half the space
    #[arg(long, value_parser = precision, default_value = "f32")]
    dtype: Precision,
}

pub fn run(args: &ExportArgs) -> Result<()> {
    export(&args.dir, &args.out, args.dtype)
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
