//! The only place that uses burn's internals. It makes our kernels operations on burn's tensors, on every device, with
//! gradients.

mod cpu;
mod gpu;
#[cfg(feature = "fit")]
mod gradients;
mod stock;

use burn::backend::ops::ModuleOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Shape, Tensor};
use burn_cubecl::CubeBackend;

use super::attention::AttentionSizes;
use super::conv2d::Conv2dSizes;
use super::group_norm::GroupNormSizes;
use super::packed::Packing;

/// A weight in blocks on a device, packed by [`super::code_words`] and [`super::scale_words`].
#[derive(Clone, Debug)]
pub struct PackedWeight {
    /// 32-bit words of codes.
    pub codes: Tensor<1, Int>,
    /// 32-bit words, each with two f16.
    pub scales: Tensor<1, Int>,
    /// The packing of both.
    pub packing: Packing,
}

impl PackedWeight {
    /// # Panics
    /// If the number of words does not match the packing.
    fn check(&self) {
        let (words, packing) = ([self.codes.dims()[0], self.scales.dims()[0]], &self.packing);
        assert_eq!(words, [packing.code_words(), packing.scale_words()], "words of a weight of {packing:?}");
    }
}

/// x · weightᵀ + bias, with `x` `[..., inner]`, `weight` `[columns, inner]`, `bias` `[columns]`, to `[..., columns]`.
pub fn multiply<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    let biased = bias.is_some();
    let bias = bias.map_or_else(|| weight.clone(), Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::multiply(x, weight, bias, biased))
}

/// As [`multiply`], with a packed weight.
///
/// # Panics
/// On a device with gradients, and if the inner dimension differs from the weight's.
pub fn multiply_packed<const D: usize>(x: Tensor<D>, weight: PackedWeight, bias: Option<Tensor<1>>) -> Tensor<D> {
    weight.check();
    let PackedWeight { codes, scales, packing } = weight;
    assert_eq!(x.dims()[D - 1], packing.columns, "numbers a row of a product with a packed weight");
    let x = x.into_dispatch();
    let biased = bias.is_some();
    let bias = bias.map_or_else(|| x.clone(), Tensor::into_dispatch);
    let (codes, scales) = (codes.into_dispatch(), scales.into_dispatch());
    Tensor::from_dispatch(Dispatch::multiply_packed(x, codes, scales, bias, packing, biased))
}

/// A convolution without groups: `x` `[batch, in, h, w]`, `weight` `[out, in, kh, kw]`, `bias` `[out]`; `padding` is above
/// and to the left, below and to the right.
pub fn convolve(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, stride: usize, padding: [usize; 2]) -> Tensor<4> {
    let ([batch, channels_in, height, width], [channels_out, _, kernel_h, kernel_w]) = (x.dims(), weight.dims());
    let (size, kernel) = ([height, width], [kernel_h, kernel_w]);
    let sizes = Conv2dSizes { batch, channels_in, channels_out, size, kernel, stride, padding };
    Tensor::from_dispatch(Dispatch::convolve(x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch(), sizes))
}

/// As [`convolve`], with a packed weight; `kernel` is the window's height and width.
///
/// # Panics
/// On a device with gradients, and if the channels differ from the weight's.
pub fn convolve_packed(
    x: Tensor<4>,
    weight: PackedWeight,
    kernel: [usize; 2],
    bias: Tensor<1>,
    stride: usize,
    padding: [usize; 2],
) -> Tensor<4> {
    weight.check();
    let PackedWeight { codes, scales, packing } = weight;
    let [batch, channels_in, height, width] = x.dims();
    assert_eq!(channels_in * kernel[0] * kernel[1], packing.columns, "numbers a window of a packed convolution");
    let (size, channels_out) = ([height, width], packing.rows);
    let sizes = Conv2dSizes { batch, channels_in, channels_out, size, kernel, stride, padding };
    let (x, bias) = (x.into_dispatch(), bias.into_dispatch());
    let (codes, scales) = (codes.into_dispatch(), scales.into_dispatch());
    Tensor::from_dispatch(Dispatch::convolve_packed(x, codes, scales, bias, sizes, packing))
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

/// softmax(q kᵀ / √d) v in `heads` slices of the features: `q` `[batch, tokens, heads · d]`, `k` and `v`
/// `[batch, tokens', heads · d]`, to the shape of `q`. `causal`: no token attends to a later one.
pub fn attend(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, heads: usize, causal: bool) -> Tensor<3> {
    let sizes = attention_sizes(&q, &k, heads, causal);
    let tiles = sizes.batch * heads * sizes.queries * sizes.keys > FEW_SCORES;
    attend_with(q, k, v, AttentionSizes { tiles, ..sizes })
}

/// As [`attend`], but never with more than a tile of the scores, however small the tensors are. For tests of the tiled
/// kernel.
pub fn attend_in_tiles(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, heads: usize, causal: bool) -> Tensor<3> {
    let sizes = attention_sizes(&q, &k, heads, causal);
    attend_with(q, k, v, sizes)
}

/// Number of scores up to which a GPU holds all of them (4 MiB). Up to there burn's own kernels are faster.
const FEW_SCORES: usize = 1 << 20;

fn attention_sizes(q: &Tensor<3>, k: &Tensor<3>, heads: usize, causal: bool) -> AttentionSizes {
    let ([batch, queries, features], [_, keys, _]) = (q.dims(), k.dims());
    AttentionSizes { batch, queries, keys, heads, features: features / heads, causal, tiles: true }
}

fn attend_with(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, sizes: AttentionSizes) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::attend(q.into_dispatch(), k.into_dispatch(), v.into_dispatch(), sizes))
}

/// Largest size in bytes of a buffer of the tensor's device. WebGPU guarantees 128 MiB.
pub fn largest_buffer<const D: usize>(on: &Tensor<D>) -> u64 {
    Dispatch::largest_buffer(on.clone().into_dispatch())
}

/// Our operations. The default bodies use burn's own operations, for devices without a kernel.
#[backend_extension(Cube, Flex, Autodiff: cfg(feature = "fit"), Fusion: cfg(feature = "vulkan"))]
pub trait Kernels: Backend {
    /// See [`multiply`]; `bias` is not read unless `biased`.
    #[fusion(default)]
    fn multiply(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        biased: bool,
    ) -> FloatTensor<Self> {
        Self::linear(x, Self::float_transpose(weight), biased.then_some(bias))
    }

    /// See [`multiply_packed`]; `bias` is not read unless `biased`.
    #[fusion(dtype = x, shape = product_shape(x, packing))]
    fn multiply_packed(
        x: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        bias: FloatTensor<Self>,
        packing: Packing,
        biased: bool,
    ) -> FloatTensor<Self> {
        stock::no_gradients((x, codes, scales, bias, packing, biased))
    }

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

    #[cfg(feature = "fit")]
    /// The gradients of its `x`, `weight` and `bias`.
    #[fusion(default)]
    fn convolve_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        sizes: Conv2dSizes,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        stock::convolve_backward::<Self>(x, weight, dy, sizes)
    }

    /// See [`convolve_packed`].
    #[fusion(dtype = x, shape = picture_shape(sizes))]
    fn convolve_packed(
        x: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        bias: FloatTensor<Self>,
        sizes: Conv2dSizes,
        packing: Packing,
    ) -> FloatTensor<Self> {
        stock::no_gradients((x, codes, scales, bias, sizes, packing))
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

    #[cfg(feature = "fit")]
    /// The gradients of its `x`, `weight` and `bias`.
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

    #[cfg(feature = "fit")]
    /// The gradient of its `x`.
    #[fusion(default)]
    fn geglu_backward(x: FloatTensor<Self>, dy: FloatTensor<Self>) -> FloatTensor<Self> {
        stock::geglu_backward::<Self>(x, dy)
    }

    /// See [`largest_buffer`].
    #[fusion(default)]
    fn largest_buffer(_x: FloatTensor<Self>) -> u64 {
        u64::MAX
    }

    /// See [`attend`].
    #[fusion(default)]
    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        sizes: AttentionSizes,
    ) -> FloatTensor<Self> {
        stock::attend::<Self>(q, k, v, sizes)
    }
}

/// Shape of the result of a product.
fn product_shape(x: &Shape, packing: &Packing) -> Shape {
    let mut shape = x.clone();
    let last = shape.num_dims() - 1;
    shape[last] = packing.rows;
    shape
}

/// Shape of the result of a convolution.
#[cfg(feature = "vulkan")]
fn picture_shape(sizes: &Conv2dSizes) -> Shape {
    let [height, width] = sizes.output();
    [sizes.batch, sizes.channels_out, height, width].into()
}
