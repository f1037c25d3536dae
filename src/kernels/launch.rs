//! Converts burn's tensors to arguments of our GPU kernels.

use burn::backend::TensorMetadata;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// A weight in the form that the kernels take: rows of f32 numbers or of codes.
pub struct Rows {
    /// The numbers' bits, or the codes.
    pub words: CubeTensor,
    /// Two f16 a word; with f32 numbers a buffer that is not read.
    pub scales: CubeTensor,
    /// Bits for each number: 32, 8 or 4.
    pub bits: u32,
}

impl Rows {
    /// A weight of f32 numbers.
    pub fn floats(weight: CubeTensor) -> Self {
        let words = contiguous(weight);
        Self { scales: words.clone(), words, bits: 32 }
    }
}

/// The same numbers, contiguous.
pub fn contiguous(tensor: CubeTensor) -> CubeTensor {
    into_contiguous(tensor)
}

/// The buffer of a contiguous tensor.
pub fn buffer(tensor: &CubeTensor) -> BufferArg {
    // SAFETY: the length is the tensor's.
    #[allow(unsafe_code)]
    unsafe {
        BufferArg::from_raw_parts(tensor.handle.clone(), tensor.shape().num_elements())
    }
}

/// A number of workgroups in three dimensions.
///
/// # Panics
/// Beyond what WebGPU guarantees: 65535 in each dimension.
pub fn count(workgroups: [usize; 3]) -> CubeCount {
    let [x, y, z] = workgroups.map(|count| {
        assert!(count <= 65535, "{count} workgroups in one dimension: WebGPU has 65535");
        count as u32
    });
    CubeCount::Static(x, y, z)
}
