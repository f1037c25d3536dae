//! `fourstep distill guidance|progressive|consistency`: distils a guided teacher of many steps into a student of four.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use super::train::{How, report_outcome};
use crate::distill::{DistillConfig, consistency, guidance, progressive};

/// Distils a model into fewer evaluations. Repeat the command to resume a run that stopped
#[derive(Args)]
pub struct Distill {
    /// The run; the second and third start from the model that the first made
    what: What,
    /// What to distil and how, for example recipes/distill.json
    #[arg(long, value_name = "FILE.json")]
    config: PathBuf,
    /// Folder of all runs; each run has its own folder in it
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Makes guidance scale and negative prompt inputs: one evaluation of the network for each step instead of two
    Guidance,
    /// Halves the number of steps repeatedly
    Progressive,
    /// Multistep consistency
    Consistency,
}

pub fn run(args: &Distill) -> Result<()> {
    let started = Instant::now();
    let config = DistillConfig::read(&args.config)?;
    let name = args.what.to_possible_value().expect("none is hidden").get_name().to_owned();
    let folder = args.out.join(&name);
    keep_config(&args.config, &folder)?;
    let first = args.out.join("guidance/model");
    if args.what != What::Guidance {
        let there = first.join("model_index.json").exists();
        ensure!(there, "{} is not there: run `fourstep distill guidance` first", first.display());
    }
    let settings = args.how.settings(&folder, started)?;
    let outcome = match args.what {
        What::Guidance => guidance::distill(&config, &settings),
        What::Progressive => progressive::distill(&config, &first, &settings),
        What::Consistency => consistency::distill(&config, &first, &settings),
    };
    report_outcome(outcome?, &folder, "the same command");
    Ok(())
}

/// Saves a copy of the configuration beside the run; an existing run must have begun with the same one.
fn keep_config(config: &Path, folder: &Path) -> Result<()> {
    let copy = folder.join("config.json");
    let text = std::fs::read(config).with_context(|| config.display().to_string())?;
    if copy.exists() {
        let same = std::fs::read(&copy).with_context(|| copy.display().to_string())? == text;
        let (config, copy) = (config.display(), copy.display());
        ensure!(same, "{copy} is not {config}: this run began with another configuration; take another --out");
        return Ok(());
    }
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    std::fs::write(&copy, text).with_context(|| copy.display().to_string())
}
