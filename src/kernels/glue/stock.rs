//! Our operations, composed of burn's own, for any device.

use burn::backend::TensorMetadata;
use burn::tensor::ops::{AttentionModuleOptions, ConvOptions};

use super::*;

pub fn options(sizes: &Conv2dSizes) -> ConvOptions<2> {
    let [begin, end] = sizes.padding;
    ConvOptions::new_with_padding([sizes.stride; 2], [(begin, end); 2], [1, 1], 1)
}

#[cfg(feature = "fit")]
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

#[cfg(feature = "fit")]
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
            // The derivative of z · s(z) is s + z · s · (1 - s).
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

#[cfg(feature = "fit")]
fn channel_sums<B: Backend>(x: FloatTensor<B>, channels: usize) -> FloatTensor<B> {
    let sums = B::float_sum_dim(B::float_sum_dim(B::float_sum_dim(x, 3), 2), 0);
    B::float_reshape(sums, [channels].into())
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

#[cfg(feature = "fit")]
pub fn geglu_backward<B: Backend>(x: FloatTensor<B>, dy: FloatTensor<B>) -> FloatTensor<B> {
    let (value, gate) = halves::<B>(x);
    let d_value = B::float_mul(dy.clone(), B::gelu(gate.clone()));
    let d_gate = B::gelu_backward(gate, B::float_mul(dy, value));
    B::float_cat(vec![d_value, d_gate], 2)
}

/// # Panics
/// Always, because only devices that keep gradients call this.
pub fn no_gradients<T, R>(_: T) -> R {
    panic!("packed weights have no gradients: load the weights on a device without, or those that were quantized")
}

pub fn attend<B: Backend>(
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
    sizes: AttentionSizes,
) -> FloatTensor<B> {
    let AttentionSizes { batch, queries, keys, heads, features, causal, .. } = sizes;
    let split = |x, tokens| {
        let x = B::float_reshape(x, [batch, tokens, heads, features].into());
        B::float_swap_dims(x, 1, 2)
    };
    let options = AttentionModuleOptions { is_causal: causal, ..Default::default() };
    let (q, k, v) = (split(q, queries), split(k, keys), split(v, keys));
    let attended = B::float_swap_dims(B::attention(q, k, v, None, None, options), 1, 2);
    B::float_reshape(attended, [batch, queries, heads * features].into())
}
