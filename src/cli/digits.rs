//! `fourstep digits`: draws a set of digits in MNIST's format from free fonts.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use rayon::prelude::*;

use crate::dataset::digits::{DigitFonts, FONTS};
use crate::dataset::sources;
use crate::foundations::data::{PIXELS, SIDE, write_idx};

/// Draws digits like MNIST's from free fonts, as gzipped IDX files. The same fonts and seed always give the same files.
#[derive(clap::Args)]
pub struct DigitsArgs {
    /// Folder for train-images-idx3-ubyte.gz and the three other files, created if missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number of training pictures
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    train: u32,
    /// Number of test pictures
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    test: u32,
    /// Seed; another one draws other digits
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A TrueType or OpenType font with digits, instead of Debian's twelve; give it once for each font
    #[arg(long = "font", value_name = "FILE")]
    fonts: Vec<PathBuf>,
}

/// Runs the command and prints the result on standard output.
pub fn run(args: &DigitsArgs) -> Result<()> {
    let fonts = DigitFonts::read(&read_fonts(&args.fonts)?)?;
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    for (set, file, count) in [("train", "train", args.train), ("test", "t10k", args.test)] {
        let drawn: Vec<([u8; PIXELS], u8)> =
            (0..u64::from(count)).into_par_iter().map(|i| fonts.draw(args.seed, set, i)).collect();
        let images = drawn.iter().map(|(pixels, _)| &pixels[..]);
        write(&args.out.join(format!("{file}-images-idx3-ubyte.gz")), drawn.len(), &[SIDE, SIDE], images)?;
        let labels = drawn.iter().map(|(_, label)| std::slice::from_ref(label));
        write(&args.out.join(format!("{file}-labels-idx1-ubyte.gz")), drawn.len(), &[], labels)?;
    }
    println!("{} digits to learn from and {} to test with, in {}", args.train, args.test, args.out.display());
    Ok(())
}

fn read_fonts(given: &[PathBuf]) -> Result<Vec<(String, Vec<u8>)>> {
    let named = |path: &Path, bytes: Vec<u8>| (path.display().to_string(), bytes);
    if given.is_empty() {
        let debian = |(package, path): &(&str, &str)| Ok(named(path.as_ref(), sources::read(path.as_ref(), package)?));
        return FONTS.iter().map(debian).collect();
    }
    let own = |path: &PathBuf| Ok(named(path, std::fs::read(path).with_context(|| path.display().to_string())?));
    given.iter().map(own).collect()
}

/// Writes an IDX file in gzip, without a time in its header, so that the same digits give the same bytes.
fn write<'a>(path: &Path, count: usize, shape: &[usize], items: impl Iterator<Item = &'a [u8]>) -> Result<()> {
    let words = || path.display().to_string();
    let file = File::create(path).with_context(words)?;
    let mut out = GzBuilder::new().mtime(0).write(file, Compression::best());
    write_idx(&mut out, count, shape, items).with_context(words)?;
    out.finish().and_then(|mut file| file.flush()).with_context(words)
}
