//! Options that all evaluations share: the pack, the recipe, the seed, the device.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::device::DeviceName;
use crate::dataset::{Pack, Recipe, Stickers};

/// Options that the evaluations share.
#[derive(clap::Args)]
pub struct Drawing {
    /// File that `fourstep dataset pack` wrote
    #[arg(long, default_value = "stickers.pack")]
    pub pack: PathBuf,
    /// The recipe that the models were trained with
    #[arg(long, default_value = "recipes/stickers-v0.json")]
    pub recipe: PathBuf,
    /// Seed of prompts and noise
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Where to draw: the CPU, or a graphics card through wgpu
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    pub device: DeviceName,
    /// Pictures drawn together
    #[arg(long, default_value_t = 16)]
    pub batch: usize,
}

impl Drawing {
    /// Reads pack and recipe.
    ///
    /// # Errors
    /// For a batch out of range, and those of reading.
    pub fn stickers(&self) -> Result<Stickers> {
        ensure!((1..=256).contains(&self.batch), "--batch {}: must be 1 to 256", self.batch);
        let recipe = Recipe::read(&self.recipe)?;
        Ok(Stickers::new(Pack::read(&self.pack, recipe.raster_side(recipe.size))?, recipe)?)
    }
}
