//! The kernels as operations on the processor's tensors (burn-flex).

use burn::backend::TensorMetadata;
use burn::tensor::{Bytes, DType};
use burn_flex::{FlexTensor, Layout};

use super::*;
use crate::kernels::matmul::{self, MatmulSizes};
use crate::kernels::packed::PackedRows;
use crate::kernels::{conv2d, geglu, group_norm};

impl Kernels for Flex {
    fn multiply_packed(
        x: FlexTensor,
        codes: FlexTensor,
        scales: FlexTensor,
        bias: FlexTensor,
        packing: Packing,
        biased: bool,
    ) -> FlexTensor {
        assert!(all_f32(&[&x, &bias]), "packed weights multiply f32, not {:?}", x.dtype());
        let shape = product_shape(&x.shape(), &packing);
        let (x, bias) = (x.to_contiguous(), bias.to_contiguous());
        let rows = x.shape().num_elements() / packing.columns;
        let sizes = MatmulSizes { rows, inner: packing.columns, columns: packing.rows };
        let weight = PackedRows { codes: words(&codes), scales: words(&scales), packing };
        let bias = biased.then(|| numbers(&bias));
        tensor(matmul::cpu::matmul(numbers(&x), weight, bias, &sizes), shape.as_slice())
    }

    fn convolve(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, sizes: Conv2dSizes) -> FlexTensor {
        if !all_f32(&[&x, &weight, &bias]) {
            return Self::conv2d(x, weight, Some(bias), stock::options(&sizes));
        }
        let weight = weight.to_contiguous();
        convolve(x, conv2d::cpu::Weight::Floats(numbers(&weight)), bias, &sizes)
    }

    #[cfg(feature = "fit")]
    fn convolve_backward(
        x: FlexTensor,
        weight: FlexTensor,
        dy: FlexTensor,
        sizes: Conv2dSizes,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        if !all_f32(&[&x, &weight, &dy]) {
            return stock::convolve_backward::<Self>(x, weight, dy, sizes);
        }
        let shapes = [x.shape(), weight.shape()];
        let (x, weight, dy) = (x.to_contiguous(), weight.to_contiguous(), dy.to_contiguous());
        let (dx, dw, db) = conv2d::cpu::conv2d_backward(numbers(&x), numbers(&weight), numbers(&dy), &sizes);
        (tensor(dx, shapes[0].as_slice()), tensor(dw, shapes[1].as_slice()), tensor(db, &[sizes.channels_out]))
    }

    fn convolve_packed(
        x: FlexTensor,
        codes: FlexTensor,
        scales: FlexTensor,
        bias: FlexTensor,
        sizes: Conv2dSizes,
        packing: Packing,
    ) -> FlexTensor {
        assert!(all_f32(&[&x, &bias]), "packed weights multiply f32, not {:?}", x.dtype());
        let weight = PackedRows { codes: words(&codes), scales: words(&scales), packing };
        convolve(x, conv2d::cpu::Weight::Packed(weight), bias, &sizes)
    }

    fn normalise(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, sizes: GroupNormSizes) -> FlexTensor {
        if !all_f32(&[&x, &weight, &bias]) {
            return stock::normalise::<Self>(x, weight, bias, sizes);
        }
        let (x, weight, bias) = (x.to_contiguous(), weight.to_contiguous(), bias.to_contiguous());
        let y = group_norm::cpu::group_norm(numbers(&x), numbers(&weight), numbers(&bias), &sizes);
        tensor(y, x.shape().as_slice())
    }

    #[cfg(feature = "fit")]
    fn normalise_backward(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        dy: FlexTensor,
        sizes: GroupNormSizes,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        if !all_f32(&[&x, &weight, &bias, &dy]) {
            return stock::normalise_backward::<Self>(x, weight, bias, dy, sizes);
        }
        let (x, weight, bias, dy) =
            (x.to_contiguous(), weight.to_contiguous(), bias.to_contiguous(), dy.to_contiguous());
        let [dx, dw, db] =
            group_norm::cpu::group_norm_backward(numbers(&x), numbers(&weight), numbers(&bias), numbers(&dy), &sizes);
        (tensor(dx, x.shape().as_slice()), tensor(dw, &[sizes.channels]), tensor(db, &[sizes.channels]))
    }

    fn geglu(x: FlexTensor) -> FlexTensor {
        if !all_f32(&[&x]) {
            return stock::geglu::<Self>(x);
        }
        let x = x.to_contiguous();
        let (mut shape, hidden) = (x.shape().to_vec(), last(&x) / 2);
        *shape.last_mut().expect("three dimensions") = hidden;
        tensor(geglu::geglu(numbers(&x), hidden), &shape)
    }

    #[cfg(feature = "fit")]
    fn geglu_backward(x: FlexTensor, dy: FlexTensor) -> FlexTensor {
        if !all_f32(&[&x, &dy]) {
            return stock::geglu_backward::<Self>(x, dy);
        }
        let (x, dy) = (x.to_contiguous(), dy.to_contiguous());
        tensor(geglu::geglu_backward(numbers(&x), numbers(&dy), last(&dy)), x.shape().as_slice())
    }
}

fn last(tensor: &FlexTensor) -> usize {
    *tensor.shape().as_slice().last().expect("at least one dimension")
}

fn convolve(x: FlexTensor, weight: conv2d::cpu::Weight, bias: FlexTensor, sizes: &Conv2dSizes) -> FlexTensor {
    let (x, bias) = (x.to_contiguous(), bias.to_contiguous());
    let [height, width] = sizes.output();
    let shape = [sizes.batch, sizes.channels_out, height, width];
    tensor(conv2d::cpu::conv2d(numbers(&x), weight, Some(numbers(&bias)), sizes), &shape)
}

fn all_f32(tensors: &[&FlexTensor]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

/// The numbers of a contiguous tensor.
fn numbers(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("contiguous f32")
}

/// The words of a packed weight, which is contiguous as loaded.
fn words(tensor: &FlexTensor) -> &[i32] {
    tensor.as_slice().expect("contiguous i32")
}

fn tensor(numbers: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(numbers), Layout::contiguous(shape.into()), DType::F32)
}
