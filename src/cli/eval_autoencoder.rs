//! `fourstep eval-autoencoder`: measures what a model's autoencoder loses of the pictures in a folder.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::device::DeviceName;
use super::model::ModelArgs;
use super::progress::Progress;
use crate::eval::{compared, decoded, mean_square_error, psnr, seen};
use crate::picture::Picture;
use crate::train::sheet::sheet;

/// Measures what an autoencoder loses of the pictures in a folder: PSNR on mid-grey, and the IoU of the opaque parts
#[derive(clap::Args)]
pub struct EvalAutoencoder {
    /// Folder of PNG files of one size
    pictures: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Uses the large decoder and compares with pictures of its size, which are scaled down for the encoder
    #[arg(long)]
    large: bool,
    /// Pictures processed together
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Where to compute: the CPU, or a graphics card through wgpu
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// Prints JSON
    #[arg(long)]
    json: bool,
    /// A sheet of the pictures with their reconstructions on the right, the worst first
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,
}

/// Number of pictures on a sheet.
const SHEET: usize = 64;

pub fn run(args: &EvalAutoencoder) -> Result<()> {
    let pipeline = args.model.open()?.load(&args.device.open()?)?;
    let paths = png_files(&args.pictures)?;
    let read = |path: &PathBuf| Ok(seen(&pipeline, &Picture::read_png(path)?));
    let originals = paths.iter().map(read).collect::<crate::Result<Vec<Picture>>>()?;
    let mut progress = Progress::new();
    let drawn =
        decoded(&pipeline, &originals, args.large, args.batch, |done| progress.say("pictures", done, paths.len()))?;
    progress.end();
    let names: Vec<String> =
        paths.iter().map(|path| path.file_stem().unwrap_or_default().display().to_string()).collect();
    let report = compared(names.iter().map(String::as_str).zip(originals.iter().zip(&drawn)));
    let text = match args.json {
        true => serde_json::to_string_pretty(&report)?,
        false => report.sentence(&format!("{} pictures", report.pictures)),
    };
    writeln!(std::io::stdout(), "{text}")?;
    let Some(path) = &args.sheet else { return Ok(()) };
    let mut all: Vec<(f64, usize)> =
        originals.iter().zip(&drawn).enumerate().map(|(i, (a, b))| (psnr(mean_square_error(a, b)), i)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let cells = all
        .iter()
        .take(SHEET)
        .flat_map(|&(db, i)| [(originals[i].clone(), names[i].clone()), (drawn[i].clone(), format!("{db:.1} dB"))]);
    Ok(sheet(&cells.collect::<Vec<_>>(), 8).write_png(path)?)
}

/// The PNG files of a folder, in the order of their names.
fn png_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let shown = || folder.display().to_string();
    let entries = std::fs::read_dir(folder).with_context(shown)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().with_context(shown)?;
    paths.retain(|path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("png")));
    paths.sort();
    ensure!(!paths.is_empty(), "{}: holds no PNG files", folder.display());
    Ok(paths)
}
