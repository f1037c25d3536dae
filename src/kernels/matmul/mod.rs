//! Products of activations with the weights of a linear layer, floats or blocks, for the GPU and the CPU.

pub mod cpu;
pub mod gpu;

/// Sizes of y = x · weightᵀ + bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatmulSizes {
    /// Rows of `x` and `y`.
    pub rows: usize,
    /// Numbers in each row of `x` and of the weight.
    pub inner: usize,
    /// Numbers in each row of `y`; rows of the weight.
    pub columns: usize,
}
