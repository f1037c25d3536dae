//! Converts burn's tensors to arguments of our GPU kernels.

use burn::backend::TensorMetadata;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// A weight as the kernels take it: rows of f32 numbers or of codes.
pub struct Rows {
    /// The numbers' bits, or codes.
    pub words: CubeTensor,
    /// Two f16 a word; with f32 numbers a buffer that nobody reads.
    pub scales: CubeTensor,
    /// 32, 8 or 4.
    pub bits: u32,
}

impl Rows {
    /// Of f32 numbers.
    pub fn floats(weight: CubeTensor) -> Self {
        let words = contiguous(weight);
        Self { scales: words.clone(), words, bits: 32 }
    }
}

/// The same numbers without gaps, in order.
pub fn contiguous(tensor: CubeTensor) -> CubeTensor {
    into_contiguous(tensor)
}

/// A whole contiguous tensor.
pub fn buffer(tensor: &CubeTensor) -> BufferArg {
    // SAFETY: as long as the tensor.
    #[allow(unsafe_code)]
    unsafe {
        BufferArg::from_raw_parts(tensor.handle.clone(), tensor.shape().num_elements())
    }
}

/// Workgroups in three dimensions.
///
/// # Panics
/// Beyond what WebGPU promises: 65535 in each.
pub fn count(workgroups: [usize; 3]) -> CubeCount {
    let [x, y, z] = workgroups.map(|count| {
        assert!(count <= 65535, "{count} workgroups in one dimension: WebGPU has 65535");
        count as u32
    });
    CubeCount::Static(x, y, z)
}
