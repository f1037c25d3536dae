//! Our own kernels, each for the GPU and as a plain function for the processor, and block-quantized numbers, which the
//! kernels widen as they go. `glue` makes the kernels operations on burn's tensors.

mod attention;
mod blocks;
mod conv2d;
mod geglu;
mod glue;
mod group_norm;
mod lanes;
mod launch;
mod matmul;
mod packed;
mod parallel;
mod product;
#[cfg(test)]
mod testing;
mod tile;

pub use blocks::{BLOCK, BlockError, BlockFormat, Blocks};
pub use glue::{
    PackedWeight, attend, attend_in_tiles, convolve, convolve_packed, geglu, largest_buffer, multiply, multiply_packed,
    normalise,
};
pub use packed::{Packing, code_words, scale_words};
