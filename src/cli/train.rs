//! `fourstep train autoencoder|diffusion|classifier` and `fourstep train --resume DIR`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};

use super::device::DeviceName;
use super::progress::Progress;
use crate::train::config::RunConfig;
use crate::train::run::{Outcome, Report, Settings};
use crate::train::{autoencoder, checkpoint, classifier, diffusion};

/// Trains a model from scratch, or resumes a run that stopped
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Train {
    #[command(subcommand)]
    what: Option<What>,
    /// Folder of a run to resume
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

#[derive(Subcommand)]
enum What {
    /// Trains an autoencoder: pictures to latents and back
    Autoencoder {
        #[command(flatten)]
        run: NewRun,
        #[command(flatten)]
        how: How,
    },
    /// Trains a UNet and its text encoder: captions and noise to latents
    Diffusion {
        #[command(flatten)]
        run: NewRun,
        #[command(flatten)]
        how: How,
    },
    /// Trains a classifier of pictures, for `fourstep eval-steps`
    Classifier {
        #[command(flatten)]
        run: NewRun,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Args)]
struct NewRun {
    /// Configuration, for example recipes/train-diffusion.json
    #[arg(long, value_name = "FILE.json")]
    config: PathBuf,
    /// Folder for checkpoints, curves, sheets and the model, created if missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Your own pictures instead of the recipe's: PNG or JPEG files with fox.txt beside fox.png, or a metadata.jsonl
    /// with lines {"file_name": "fox.png", "text": "a fox"}
    #[arg(long, value_name = "FOLDER")]
    pictures: Option<PathBuf>,
}

/// Where and for how long a run computes.
#[derive(Args)]
pub struct How {
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// Saves and stops after this many minutes
    #[arg(long, value_name = "MINUTES")]
    time_limit: Option<f64>,
    /// Saves and stops after this step
    #[arg(long, value_name = "STEP")]
    stop_at: Option<u64>,
    /// Threads that compose pictures; the result does not depend on them
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

pub fn run(args: &Train) -> Result<()> {
    let started = Instant::now();
    match (&args.what, &args.resume) {
        (Some(What::Autoencoder { run, how }), _) => start(run, how, started, "autoencoder"),
        (Some(What::Diffusion { run, how }), _) => start(run, how, started, "diffusion"),
        (Some(What::Classifier { run, how }), _) => start(run, how, started, "classifier"),
        (None, Some(folder)) => {
            let config = RunConfig::read(&folder.join("config.json"))?;
            train(&config, folder, &args.how, started)
        }
        (None, None) => {
            bail!("train what? `autoencoder`, `diffusion` or `classifier` with --config and --out, or --resume DIR")
        }
    }
}

fn start(run: &NewRun, how: &How, started: Instant, kind: &str) -> Result<()> {
    let mut config = RunConfig::read(&run.config)?;
    ensure!(config.kind() == kind, "{}: not of kind {kind:?}", run.config.display());
    if let Some(folder) = &run.pictures {
        config = config.with_folder(folder)?;
    }
    let resume = || format!("{} holds a run: `fourstep train --resume {0}` goes on with it", run.out.display());
    ensure!(checkpoint::position(&run.out)?.is_none(), resume());
    std::fs::create_dir_all(&run.out).with_context(|| run.out.display().to_string())?;
    let path = run.out.join("config.json");
    let text = match &run.pictures {
        None => std::fs::read(&run.config).with_context(|| run.config.display().to_string())?,
        Some(_) => serde_json::to_vec_pretty(&config)?,
    };
    std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    train(&config, &run.out, how, started)
}

fn train(config: &RunConfig, folder: &Path, how: &How, started: Instant) -> Result<()> {
    let settings = how.settings(folder, started)?;
    let outcome = match config {
        RunConfig::Autoencoder(config) => autoencoder::train(config, &settings),
        RunConfig::Diffusion(config) => diffusion::train(config, &settings),
        RunConfig::Classifier(config) => classifier::train(config, &settings),
    };
    report_outcome(outcome?, folder, &format!("`fourstep train --resume {}`", folder.display()));
    Ok(())
}

impl How {
    /// The settings of a run in `folder`, for a command that began at `started`.
    ///
    /// # Errors
    /// For an invalid time limit, and those of opening the device.
    pub fn settings(&self, folder: &Path, started: Instant) -> Result<Settings<'static>> {
        let limit = self.time_limit.map(|minutes| {
            let sound = minutes.is_finite() && (0.0..=1e6).contains(&minutes);
            ensure!(sound, "--time-limit {minutes}: must be minutes from 0");
            Ok(started + Duration::from_secs_f64(minutes * 60.0))
        });
        Ok(Settings {
            folder: folder.to_owned(),
            device: self.device.open()?,
            workers: self.workers,
            stop: stop_on_interrupt()?,
            deadline: limit.transpose()?,
            stop_at: self.stop_at,
            on_report: &print,
        })
    }
}

/// Prints how a run ended, and the command that resumes it.
pub fn report_outcome(outcome: Outcome, folder: &Path, goes_on: &str) {
    progress().end();
    match outcome {
        Outcome::Finished => println!("finished: {}", folder.display()),
        Outcome::Stopped(step) => println!("stopped and saved after step {step}: {goes_on} goes on"),
    }
}

/// Set by the first Ctrl-C; the second ends the program immediately.
fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("\nfinishing the step and saving; once more to end at once");
    })?;
    Ok(stop)
}

/// The progress line of the one run in this process.
fn progress() -> MutexGuard<'static, Progress> {
    static PROGRESS: LazyLock<Mutex<Progress>> = LazyLock::new(|| Mutex::new(Progress::new()));
    PROGRESS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn print(report: &Report) {
    let seconds = report.left.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds % 3600 / 60);
    progress().line(&format!(
        "step {} of {}, loss {:.5}, {:.1} samples/s, {hours}:{minutes:02}:{:02} left",
        report.step,
        report.steps,
        report.loss,
        report.samples_per_second,
        seconds % 60
    ));
}
