//! Attention blocks of the UNet: self-attention, cross-attention to the text, feed-forward.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{Attention, AttentionConfig, Context, Conv2d, GroupNorm, LayerNorm, Linear, trace};
use crate::kernels::geglu;

/// Sizes of a [`Transformer2DModel`].
#[derive(Clone, Copy, Debug)]
pub struct Transformer2DConfig {
    /// Channels of the feature map, and features of each token.
    pub channels: usize,
    /// Heads of both attentions.
    pub heads: usize,
    /// Number of transformer blocks.
    pub layers: usize,
    /// Features of the text's tokens.
    pub cross_attention_dim: usize,
    /// Groups of the norm before the blocks.
    pub groups: usize,
    /// Linear instead of 1 x 1 convolutional projections (Stable Diffusion 2 and XL).
    pub use_linear_projection: bool,
}

/// A transformer over a feature map's positions, added to the input.
#[derive(Module, Debug)]
pub struct Transformer2DModel {
    /// Epsilon 1e-6, whatever the UNet's is.
    pub norm: GroupNorm,
    /// Into the blocks.
    pub proj_in: Projection,
    /// The blocks.
    pub transformer_blocks: Vec<BasicTransformerBlock>,
    /// Out of the blocks.
    pub proj_out: Projection,
}

impl Transformer2DModel {
    /// The model without values.
    pub fn new(config: Transformer2DConfig, device: &Device) -> Self {
        let projection = || Projection::new(config.channels, config.use_linear_projection, device);
        Self {
            norm: GroupNorm::new(config.groups, config.channels, 1e-6, device),
            proj_in: projection(),
            transformer_blocks: (0..config.layers).map(|_| BasicTransformerBlock::new(config, device)).collect(),
            proj_out: projection(),
        }
    }

    /// `x` `[batch, channels, h, w]` to the same shape; the text has `cross_attention_dim` features.
    pub fn forward(&self, x: Tensor<4>, context: &Context) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let normal = self.norm.forward(x.clone());
        let mut tokens = self.proj_in.forward(normal.reshape([batch, channels, height * width]).swap_dims(1, 2));
        for block in &self.transformer_blocks {
            tokens = block.forward(tokens, context, [height, width]);
        }
        let out = self.proj_out.forward(tokens);
        x + out.swap_dims(1, 2).reshape([batch, channels, height, width])
    }
}

/// A projection of each token, stored as a linear layer or as a 1 x 1 convolution.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Projection {
    /// `[out, in]`.
    Linear(Linear),
    /// `[out, in, 1, 1]`.
    Conv(Conv2d),
}

impl Projection {
    fn new(channels: usize, linear: bool, device: &Device) -> Self {
        match linear {
            true => Self::Linear(Linear::new(channels, channels, device)),
            false => Self::Conv(Conv2d::new(channels, channels, 1, device)),
        }
    }

    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Linear(linear) => linear.forward(tokens),
            Self::Conv(conv) => {
                let [batch, places, channels] = tokens.dims();
                let map = tokens.swap_dims(1, 2).reshape([batch, channels, places, 1]);
                conv.forward(map).reshape([batch, channels, places]).swap_dims(1, 2)
            }
        }
    }
}

/// Self-attention, cross-attention, feed-forward, each after a norm and added to its input.
#[derive(Module, Debug)]
pub struct BasicTransformerBlock {
    /// Before `attn1`.
    pub norm1: LayerNorm,
    /// Self-attention among the positions.
    pub attn1: Attention,
    /// Before `attn2`.
    pub norm2: LayerNorm,
    /// Cross-attention from the positions to the text.
    pub attn2: Attention,
    /// Before `ff`.
    pub norm3: LayerNorm,
    /// Applied to each position separately.
    pub ff: FeedForward,
}

impl BasicTransformerBlock {
    fn new(config: Transformer2DConfig, device: &Device) -> Self {
        let dim = config.channels;
        let attention = |context_dim| {
            let heads = config.heads;
            Attention::new(
                &AttentionConfig { query_dim: dim, context_dim, heads, bias: false, group_norm: None },
                device,
            )
        };
        let norm = || LayerNorm::new(dim, 1e-5, device);
        Self {
            norm1: norm(),
            attn1: attention(dim),
            norm2: norm(),
            attn2: attention(config.cross_attention_dim),
            norm3: norm(),
            ff: FeedForward::new(dim, device),
        }
    }

    /// `size` is the number of rows and columns of positions, for recording the attention.
    fn forward(&self, x: Tensor<3>, context: &Context, size: [usize; 2]) -> Tensor<3> {
        let normal = self.norm1.forward(x.clone());
        let x = x + self.attn1.forward(normal.clone(), normal);
        let normal = self.norm2.forward(x.clone());
        trace::offer(size, || self.attn2.weights(normal.clone(), context.text.clone()));
        let x = x + self.attn2.forward_context(normal, context);
        x.clone() + self.ff.forward(self.norm3.forward(x))
    }
}

/// GEGLU (Shazeer, 2020) to four times the width, then back. The tuple mirrors the checkpoint's `net.0` and `net.2`
/// (`net.1` is a dropout without weights).
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `net.0.proj`, nothing, `net.2`.
    pub net: (Geglu, NoWeights, Linear),
}

/// A layer without weights in a numbered list.
#[derive(Module, Debug)]
pub struct NoWeights {}

/// hidden · gelu(gate), both from one projection.
#[derive(Module, Debug)]
pub struct Geglu {
    /// To twice the hidden width.
    pub proj: Linear,
}

impl FeedForward {
    fn new(dim: usize, device: &Device) -> Self {
        let geglu = Geglu { proj: Linear::new(dim, 8 * dim, device) };
        Self { net: (geglu, NoWeights {}, Linear::new(4 * dim, dim, device)) }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_in_stretches(x, STRETCH)
    }

    /// Processes tokens in several parts, which is possible because tokens do not depend on each other here. Then eight
    /// times the width is needed for one part only.
    fn forward_in_stretches(&self, x: Tensor<3>, most: usize) -> Tensor<3> {
        let [batch, tokens, channels] = x.dims();
        let stretch = stretch(batch, tokens, channels, most);
        let one = |x: Tensor<3>| self.net.2.forward(geglu(self.net.0.proj.forward(x)));
        if stretch >= tokens {
            return one(x);
        }
        Tensor::cat(x.split(stretch, 1).into_iter().map(one).collect(), 1)
    }
}

/// The greatest number of values in a feed-forward layer at its widest, 32 MiB of them.
const STRETCH: usize = 8 << 20;

/// How many of each picture's `tokens`, with `channels` numbers each, pass a feed-forward layer together.
pub fn feed_forward_stretch(batch: usize, tokens: usize, channels: usize) -> usize {
    stretch(batch, tokens, channels, STRETCH)
}

fn stretch(batch: usize, tokens: usize, channels: usize, most: usize) -> usize {
    let parts = (batch * tokens * 8 * channels).div_ceil(most);
    tokens.div_ceil(parts.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::tensor::TensorData;

    use super::*;
    use crate::random::{Generator, stream};

    #[test]
    fn stretches_of_tokens_make_what_all_of_them_make_at_once() {
        let device = Device::flex();
        let numbers = |name: &str, shape: &[usize]| {
            TensorData::new(stream(3, name, 0).randn(shape.iter().product()), shape.to_vec())
        };
        let mut layer = FeedForward::new(8, &device);
        layer.net.0.proj.weight = Param::from_data(numbers("in", &[64, 8]), &device);
        layer.net.2.weight = Param::from_data(numbers("out", &[8, 32]), &device);
        let x = Tensor::<3>::from_data(numbers("x", &[2, 11, 8]), &device);
        let values = |x: Tensor<3>| x.into_data().iter::<f32>().collect::<Vec<_>>();
        let whole = values(layer.forward(x.clone()));
        for most in [1, 2 * 64, 5 * 64, 10 * 64, 21 * 64] {
            let parted = values(layer.forward_in_stretches(x.clone(), most));
            assert_eq!(parted.len(), whole.len());
            // With fewer rows, the product adds its sums in another order.
            let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
            assert!(parted.iter().zip(&whole).all(near), "{most} numbers");
        }
        assert_eq!([stretch(2, 11, 8, 22 * 64), stretch(2, 11, 8, 21 * 64), stretch(2, 11, 8, 1)], [11, 6, 1]);
    }
}
