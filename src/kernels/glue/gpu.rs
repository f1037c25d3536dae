//! The kernels as operations on a GPU's tensors. They compute in f32; floats of other widths, which nothing here
//! produces, use burn's own operations.

use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::*;
use crate::kernels::launch::Rows;
use crate::kernels::matmul::{self, MatmulSizes};
use crate::kernels::{attention, conv2d, group_norm};

impl Kernels for CubeBackend {
    fn multiply_packed(
        x: CubeTensor,
        codes: CubeTensor,
        scales: CubeTensor,
        bias: CubeTensor,
        packing: Packing,
        biased: bool,
    ) -> CubeTensor {
        assert!(all_f32(&[&x, &bias]), "packed weights multiply f32, not {:?}", x.dtype());
        let rows = x.shape().num_elements() / packing.columns;
        let sizes = MatmulSizes { rows, inner: packing.columns, columns: packing.rows };
        matmul::gpu::matmul(x, packed(codes, scales, &packing), biased.then_some(bias), &sizes)
    }

    fn convolve(x: CubeTensor, weight: CubeTensor, bias: CubeTensor, sizes: Conv2dSizes) -> CubeTensor {
        if !all_f32(&[&x, &weight, &bias]) {
            return Self::conv2d(x, weight, Some(bias), stock::options(&sizes));
        }
        conv2d::gpu::conv2d(x, Rows::floats(weight), bias, &sizes)
    }

    fn convolve_packed(
        x: CubeTensor,
        codes: CubeTensor,
        scales: CubeTensor,
        bias: CubeTensor,
        sizes: Conv2dSizes,
        packing: Packing,
    ) -> CubeTensor {
        assert!(all_f32(&[&x, &bias]), "packed weights multiply f32, not {:?}", x.dtype());
        conv2d::gpu::conv2d(x, packed(codes, scales, &packing), bias, &sizes)
    }

    fn normalise(x: CubeTensor, weight: CubeTensor, bias: CubeTensor, sizes: GroupNormSizes) -> CubeTensor {
        if !all_f32(&[&x, &weight, &bias]) {
            return stock::normalise::<Self>(x, weight, bias, sizes);
        }
        group_norm::gpu::group_norm(x, weight, bias, &sizes)
    }

    fn largest_buffer(x: CubeTensor) -> u64 {
        x.client.properties().memory.max_page_size
    }

    fn attend(q: CubeTensor, k: CubeTensor, v: CubeTensor, sizes: AttentionSizes) -> CubeTensor {
        if !sizes.tiles || !all_f32(&[&q, &k, &v]) {
            return stock::attend::<Self>(q, k, v, sizes);
        }
        attention::gpu::attention(q, k, v, &sizes)
    }
}

fn packed(codes: CubeTensor, scales: CubeTensor, packing: &Packing) -> Rows {
    Rows { words: codes, scales, bits: packing.format.bits() }
}

fn all_f32(tensors: &[&CubeTensor]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}
