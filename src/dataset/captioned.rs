//! The trait through which training reads a dataset: captioned pictures by index.

use super::sample::{Split, Stickers};
use crate::Result;
use crate::picture::Picture;

/// Captioned pictures by index. Picture `i` depends only on the dataset, `seed`, `split` and `i`.
pub trait Captioned: Send + Sync {
    /// The caption of picture `i`.
    ///
    /// # Errors
    /// [`crate::Error::Request`] for a split that the dataset does not have, or an index beyond its end.
    fn caption_at(&self, seed: u64, split: Split, i: u64) -> Result<String>;

    /// Picture `i`, a square with sides of `size` pixels.
    ///
    /// # Errors
    /// As [`Self::caption_at`].
    fn picture_at(&self, seed: u64, split: Split, i: u64, size: usize) -> Result<Picture>;

    /// Whether [`Split::HeldOut`] has pictures.
    fn holds_out(&self) -> bool;
}

impl Captioned for Stickers {
    fn caption_at(&self, seed: u64, split: Split, i: u64) -> Result<String> {
        self.caption(&self.sample(seed, split, i)?)
    }

    fn picture_at(&self, seed: u64, split: Split, i: u64, size: usize) -> Result<Picture> {
        self.render(&self.sample(seed, split, i)?, size)
    }

    fn holds_out(&self) -> bool {
        self.recipe.held_out > 0.0
    }
}
