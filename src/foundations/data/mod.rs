//! Digits in the format of MNIST: read lazily, split into batches, written.

mod digits;
mod idx;
pub mod lists;

pub use digits::{Digits, PIXELS, SIDE};
pub use idx::{Idx, write_idx};
