//! `fourstep dataset judge`: the judges' verdicts on the dataset's own pictures, for each kind of caption.

use std::path::PathBuf;

use clap::Args;

use crate::dataset::{Pack, Recipe, Split, Stickers, scores};

/// Selects the pictures to judge.
#[derive(Args)]
pub struct JudgeArgs {
    /// File that `fourstep dataset pack` wrote
    #[arg(long, default_value = "stickers.pack")]
    pack: PathBuf,
    /// Recipe with alpha
    #[arg(long, default_value = "recipes/stickers.json")]
    recipe: PathBuf,
    /// Number of samples
    #[arg(long, default_value_t = 1000)]
    count: usize,
    /// Seed of every draw
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Side of the pictures in pixels, instead of the recipe's
    #[arg(long)]
    size: Option<usize>,
    /// Held-out combinations instead of those of training
    #[arg(long)]
    held_out: bool,
    /// Lists this many captions of each kind whose own pictures were not recognised
    #[arg(long, default_value_t = 0)]
    missed: usize,
}

/// Prints one line for each kind.
pub fn run(args: &JudgeArgs) -> anyhow::Result<()> {
    anyhow::ensure!(args.count > 0, "--count 0: nothing to judge");
    let recipe = Recipe::read(&args.recipe)?;
    let size = args.size.unwrap_or(recipe.size);
    anyhow::ensure!((16..=1024).contains(&size), "--size {size}: must be 16 to 1024");
    let stickers = Stickers::new(Pack::read(&args.pack, recipe.raster_side(size))?, recipe)?;
    let split = if args.held_out { Split::HeldOut } else { Split::Train };
    let (all, missed) = scores(&stickers, (args.seed, split), (args.count, size))?;
    println!("{:<20} {:>6} {:>6} {:>7}  checks (own / chance)", "kind", "scenes", "own", "chance");
    for (kind, scores) in &all {
        let percent = |share: f64| format!("{:.1}", 100.0 * share);
        let checks = scores
            .checks
            .iter()
            .map(|(check, (own, chance))| format!("{check:?} {} / {}", percent(*own), percent(*chance)).to_lowercase());
        let checks = checks.collect::<Vec<_>>().join(", ");
        let (own, chance) = (percent(scores.own), percent(scores.chance));
        println!("{:<20} {:>6} {own:>6} {chance:>7}  {checks}", format!("{kind:?}"), scores.scenes);
    }
    for kind in all.keys() {
        for missed in missed.iter().filter(|missed| missed.scene.kind == *kind).take(args.missed) {
            let looks = missed.nearest.as_ref().map(|(name, share)| format!(", nearest: {name} ({share:.2})"));
            println!("missed: {} {:?}{}", stickers.caption(&missed.scene)?, missed.checks, looks.unwrap_or_default());
        }
    }
    Ok(())
}
