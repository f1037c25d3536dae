//! The one file that touches burn's internals: our kernels as operations of its tensors, on every device, with gradients.

use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Bytes, DType, Tensor};
use burn_cubecl::CubeBackend;
use burn_flex::{FlexTensor, Layout};

use super::conv2d::{self, Conv2dSizes};
use super::geglu as gate;
use super::group_norm::{self, GroupNormSizes};

/// A convolution without groups: `x` `[batch, in, h, w]`, `weight` `[out, in, kh, kw]`, `bias` `[out]`; `padding` is above
/// and to the left, below and to the right.
pub fn convolve(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, stride: usize, padding: [usize; 2]) -> Tensor<4> {
    let ([batch, channels_in, height, width], [channels_out, _, kernel_h, kernel_w]) = (x.dims(), weight.dims());
    let (size, kernel) = ([height, width], [kernel_h, kernel_w]);
    let sizes = Conv2dSizes { batch, channels_in, channels_out, size, kernel, stride, padding };
    Tensor::from_dispatch(Dispatch::convolve(x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch(), sizes))
}

/// Group normalisation of `x` `[batch, channels, h, w]`, followed by SiLU if `silu`; `weight` and `bias` `[channels]`.
pub fn normalise(x: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>, groups: usize, eps: f64, silu: bool) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let sizes = GroupNormSizes { batch, channels, places: height * width, groups, eps: eps as f32, silu };
    Tensor::from_dispatch(Dispatch::normalise(x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch(), sizes))
}

/// value · gelu(gate) of `x` `[batch, tokens, 2 · hidden]`, values first: `[batch, tokens, hidden]`.
pub fn geglu(x: Tensor<3>) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::geglu(x.into_dispatch()))
}

/// Our operations. The bodies here are burn's own operations, for devices that have nothing better.
#[backend_extension(Cube, Flex, Autodiff: cfg(feature = "native"), Fusion: cfg(feature = "vulkan"))]
pub trait Kernels: Backend {
    /// See [`convolve`].
    #[fusion(default)]
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        sizes: Conv2dSizes,
    ) -> FloatTensor<Self> {
        Self::conv2d(x, weight, Some(bias), stock::options(&sizes))
    }

    /// Gradients of its `x`, `weight` and `bias`.
    #[fusion(default)]
    fn convolve_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        sizes: Conv2dSizes,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        stock::convolve_backward::<Self>(x, weight, dy, sizes)
    }

    /// See [`normalise`].
    #[fusion(default)]
    fn normalise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        sizes: GroupNormSizes,
    ) -> FloatTensor<Self> {
        stock::normalise::<Self>(x, weight, bias, sizes)
    }

    /// Gradients of its `x`, `weight` and `bias`.
    #[fusion(default)]
    fn normalise_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        sizes: GroupNormSizes,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        stock::normalise_backward::<Self>(x, weight, bias, dy, sizes)
    }

    /// See [`geglu`].
    #[fusion(default)]
    fn geglu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        stock::geglu::<Self>(x)
    }

    /// The gradient of its `x`.
    #[fusion(default)]
    fn geglu_backward(x: FloatTensor<Self>, dy: FloatTensor<Self>) -> FloatTensor<Self> {
        stock::geglu_backward::<Self>(x, dy)
    }
}

impl Kernels for CubeBackend {}

impl Kernels for Flex {
    fn convolve(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, sizes: Conv2dSizes) -> FlexTensor {
        if !all_f32(&[&x, &weight, &bias]) {
            return Self::conv2d(x, weight, Some(bias), stock::options(&sizes));
        }
        let (x, weight, bias) = (x.to_contiguous(), weight.to_contiguous(), bias.to_contiguous());
        let [height, width] = sizes.output();
        let shape = [sizes.batch, sizes.channels_out, height, width];
        tensor(conv2d::conv2d(numbers(&x), numbers(&weight), Some(numbers(&bias)), &sizes), &shape)
    }

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
        let (dx, dw, db) = conv2d::conv2d_backward(numbers(&x), numbers(&weight), numbers(&dy), &sizes);
        (tensor(dx, shapes[0].as_slice()), tensor(dw, shapes[1].as_slice()), tensor(db, &[sizes.channels_out]))
    }

    fn normalise(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, sizes: GroupNormSizes) -> FlexTensor {
        if !all_f32(&[&x, &weight, &bias]) {
            return stock::normalise::<Self>(x, weight, bias, sizes);
        }
        let (x, weight, bias) = (x.to_contiguous(), weight.to_contiguous(), bias.to_contiguous());
        let y = group_norm::group_norm(numbers(&x), numbers(&weight), numbers(&bias), &sizes);
        tensor(y, x.shape().as_slice())
    }

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
        let (x, weight, bias, dy) = (x.to_contiguous(), weight.to_contiguous(), bias.to_contiguous(), dy.to_contiguous());
        let [dx, dw, db] =
            group_norm::group_norm_backward(numbers(&x), numbers(&weight), numbers(&bias), numbers(&dy), &sizes);
        (tensor(dx, x.shape().as_slice()), tensor(dw, &[sizes.channels]), tensor(db, &[sizes.channels]))
    }

    fn geglu(x: FlexTensor) -> FlexTensor {
        if !all_f32(&[&x]) {
            return stock::geglu::<Self>(x);
        }
        let x = x.to_contiguous();
        let (mut shape, hidden) = (x.shape().to_vec(), last(&x) / 2);
        *shape.last_mut().expect("three dimensions") = hidden;
        tensor(gate::geglu(numbers(&x), hidden), &shape)
    }

    fn geglu_backward(x: FlexTensor, dy: FlexTensor) -> FlexTensor {
        if !all_f32(&[&x, &dy]) {
            return stock::geglu_backward::<Self>(x, dy);
        }
        let (x, dy) = (x.to_contiguous(), dy.to_contiguous());
        tensor(gate::geglu_backward(numbers(&x), numbers(&dy), last(&dy)), x.shape().as_slice())
    }
}

fn last(tensor: &FlexTensor) -> usize {
    *tensor.shape().as_slice().last().expect("at least one dimension")
}

fn all_f32(tensors: &[&FlexTensor]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

/// Of a contiguous tensor.
fn numbers(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("contiguous f32")
}

fn tensor(numbers: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(numbers), Layout::contiguous(shape.into()), DType::F32)
}

/// burn's own operations, which any device has.
mod stock {
    use super::*;

    pub fn options(sizes: &Conv2dSizes) -> ConvOptions<2> {
        let [begin, end] = sizes.padding;
        ConvOptions::new_with_padding([sizes.stride; 2], [(begin, end); 2], [1, 1], 1)
    }

    pub fn convolve_backward<B: Backend>(
        x: FloatTensor<B>,
        weight: FloatTensor<B>,
        dy: FloatTensor<B>,
        sizes: Conv2dSizes,
    ) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
        let dx = B::conv2d_x_backward(x.clone(), weight.clone(), dy.clone(), options(&sizes));
        let dw = B::conv2d_weight_backward(x, weight, dy.clone(), options(&sizes));
        (dx, dw, channel_sums::<B>(dy, sizes.channels_out))
    }

    pub fn normalise<B: Backend>(
        x: FloatTensor<B>,
        weight: FloatTensor<B>,
        bias: FloatTensor<B>,
        sizes: GroupNormSizes,
    ) -> FloatTensor<B> {
        let (normal, _) = normal::<B>(x, &sizes);
        let z = affine::<B>(normal, weight, bias, &sizes);
        match sizes.silu {
            true => B::float_mul(z.clone(), B::sigmoid(z)),
            false => z,
        }
    }

    pub fn normalise_backward<B: Backend>(
        x: FloatTensor<B>,
        weight: FloatTensor<B>,
        bias: FloatTensor<B>,
        dy: FloatTensor<B>,
        sizes: GroupNormSizes,
    ) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
        let shape = x.shape();
        let (normal, rate) = normal::<B>(x, &sizes);
        let dz = match sizes.silu {
            true => {
                // The slope of z · s(z) is s + z · s · (1 - s).
                let z = affine::<B>(normal.clone(), weight.clone(), bias, &sizes);
                let s = B::sigmoid(z.clone());
                let rest = B::float_add_scalar(B::float_neg(s.clone()), 1f32.into());
                let slope = B::float_add(s.clone(), B::float_mul(z, B::float_mul(s, rest)));
                B::float_mul(dy, slope)
            }
            false => dy,
        };
        let db = channel_sums::<B>(dz.clone(), sizes.channels);
        let dw = channel_sums::<B>(B::float_mul(dz.clone(), normal.clone()), sizes.channels);
        let channels = [1, sizes.channels, 1, 1].into();
        let g = grouped::<B>(B::float_mul(dz, B::float_reshape(weight, channels)), &sizes);
        let n = grouped::<B>(normal, &sizes);
        let mean_g = B::float_mean_dim(g.clone(), 2);
        let mean_gn = B::float_mean_dim(B::float_mul(g.clone(), n.clone()), 2);
        let dx = B::float_sub(B::float_sub(g, mean_g), B::float_mul(n, mean_gn));
        (B::float_reshape(B::float_mul(dx, rate), shape), dw, db)
    }

    /// The first and the second half of each row of `[batch, tokens, 2 · hidden]`.
    fn halves<B: Backend>(x: FloatTensor<B>) -> (FloatTensor<B>, FloatTensor<B>) {
        let shape = x.shape();
        let (batch, tokens, half) = (shape[0], shape[1], shape[2] / 2);
        let part = |from: usize| [(0..batch).into(), (0..tokens).into(), (from..from + half).into()];
        (B::float_slice(x.clone(), &part(0)), B::float_slice(x, &part(half)))
    }

    pub fn geglu<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
        let (value, gate) = halves::<B>(x);
        B::float_mul(value, B::gelu(gate))
    }

    pub fn geglu_backward<B: Backend>(x: FloatTensor<B>, dy: FloatTensor<B>) -> FloatTensor<B> {
        let (value, gate) = halves::<B>(x);
        let d_value = B::float_mul(dy.clone(), B::gelu(gate.clone()));
        let d_gate = B::gelu_backward(gate, B::float_mul(dy, value));
        B::float_cat(vec![d_value, d_gate], 2)
    }

    /// The normalised numbers in the shape of `x`, and 1 / standard deviation of each group.
    fn normal<B: Backend>(x: FloatTensor<B>, sizes: &GroupNormSizes) -> (FloatTensor<B>, FloatTensor<B>) {
        let shape = x.shape();
        let x = grouped::<B>(x, sizes);
        let centred = B::float_sub(x.clone(), B::float_mean_dim(x, 2));
        let variance = B::float_mean_dim(B::float_mul(centred.clone(), centred.clone()), 2);
        let rate = B::float_recip(B::float_sqrt(B::float_add_scalar(variance, sizes.eps.into())));
        (B::float_reshape(B::float_mul(centred, rate.clone()), shape), rate)
    }

    fn grouped<B: Backend>(x: FloatTensor<B>, sizes: &GroupNormSizes) -> FloatTensor<B> {
        let each = sizes.channels / sizes.groups * sizes.places;
        B::float_reshape(x, [sizes.batch, sizes.groups, each].into())
    }

    fn affine<B: Backend>(
        normal: FloatTensor<B>,
        weight: FloatTensor<B>,
        bias: FloatTensor<B>,
        sizes: &GroupNormSizes,
    ) -> FloatTensor<B> {
        let each = |of| B::float_reshape(of, [1, sizes.channels, 1, 1].into());
        B::float_add(B::float_mul(normal, each(weight)), each(bias))
    }

    fn channel_sums<B: Backend>(x: FloatTensor<B>, channels: usize) -> FloatTensor<B> {
        let sums = B::float_sum_dim(B::float_sum_dim(B::float_sum_dim(x, 3), 2), 0);
        B::float_reshape(sums, [channels].into())
    }
}

/// The derivatives.
#[cfg(feature = "native")]
mod differentiated {
    use burn::backend::autodiff::Autodiff;
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};

    use super::*;

    #[derive(Debug)]
    struct Convolve;
    #[derive(Debug)]
    struct Normalise;
    #[derive(Debug)]
    struct Geglu;

    impl<B: Kernels> Backward<B, 1> for Geglu {
        type State = FloatTensor<B>;

        fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
            let dy = gradients.consume::<B>(&ops.node);
            if let [Some(node)] = ops.parents {
                gradients.register::<B>(node.id, B::geglu_backward(ops.state, dy));
            }
        }
    }

    impl<B: Kernels> Backward<B, 3> for Convolve {
        type State = (FloatTensor<B>, FloatTensor<B>, Conv2dSizes);

        fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
            let dy = gradients.consume::<B>(&ops.node);
            let (x, weight, sizes) = ops.state;
            let (dx, dw, db) = B::convolve_backward(x, weight, dy, sizes);
            for (node, gradient) in ops.parents.into_iter().zip([dx, dw, db]) {
                if let Some(node) = node {
                    gradients.register::<B>(node.id, gradient);
                }
            }
        }
    }

    impl<B: Kernels> Backward<B, 3> for Normalise {
        type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, GroupNormSizes);

        fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
            let dy = gradients.consume::<B>(&ops.node);
            let (x, weight, bias, sizes) = ops.state;
            let (dx, dw, db) = B::normalise_backward(x, weight, bias, dy, sizes);
            for (node, gradient) in ops.parents.into_iter().zip([dx, dw, db]) {
                if let Some(node) = node {
                    gradients.register::<B>(node.id, gradient);
                }
            }
        }
    }

    impl<B: Kernels, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
        fn convolve(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            sizes: Conv2dSizes,
        ) -> FloatTensor<Self> {
            let ((x, x_node), (weight, weight_node), (bias, bias_node)) =
                (x.into_parts(), weight.into_parts(), bias.into_parts());
            match Convolve.prepare::<C>([x_node, weight_node, bias_node]).compute_bound().stateful() {
                OpsKind::Tracked(prep) => {
                    prep.finish((x.clone(), weight.clone(), sizes), B::convolve(x, weight, bias, sizes))
                }
                OpsKind::UnTracked(prep) => prep.finish(B::convolve(x, weight, bias, sizes)),
            }
        }

        fn normalise(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            sizes: GroupNormSizes,
        ) -> FloatTensor<Self> {
            let ((x, x_node), (weight, weight_node), (bias, bias_node)) =
                (x.into_parts(), weight.into_parts(), bias.into_parts());
            match Normalise.prepare::<C>([x_node, weight_node, bias_node]).compute_bound().stateful() {
                OpsKind::Tracked(prep) => {
                    let state = (x.clone(), weight.clone(), bias.clone(), sizes);
                    prep.finish(state, B::normalise(x, weight, bias, sizes))
                }
                OpsKind::UnTracked(prep) => prep.finish(B::normalise(x, weight, bias, sizes)),
            }
        }

        fn geglu(x: FloatTensor<Self>) -> FloatTensor<Self> {
            let (x, node) = x.into_parts();
            match Geglu.prepare::<C>([node]).compute_bound().stateful() {
                OpsKind::Tracked(prep) => prep.finish(x.clone(), B::geglu(x)),
                OpsKind::UnTracked(prep) => prep.finish(B::geglu(x)),
            }
        }
    }
}
