//! Kernels of our own, each a plain function on the processor; `glue` makes operations of burn's tensors of them. And
//! block-quantized numbers.

mod blocks;
mod conv2d;
mod geglu;
mod glue;
mod group_norm;
mod lanes;
mod parallel;
mod product;
#[cfg(test)]
mod testing;

pub use blocks::{BLOCK, BlockError, BlockFormat, Blocks};
pub use glue::{convolve, geglu, normalise};
