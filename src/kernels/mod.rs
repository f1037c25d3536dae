//! Block-quantized numbers, the format that kernels of our own will read.

mod blocks;

pub use blocks::{BLOCK, BlockError, BlockFormat, Blocks};
