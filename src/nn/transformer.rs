//! Attention blocks of the UNet: self-attention, cross-attention to the text, feed-forward.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{Attention, AttentionConfig, Conv2d, GroupNorm, LayerNorm, Linear};
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

/// A feature map as a sequence of places, through transformer blocks, added to the input.
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
    /// Without values.
    pub fn new(config: Transformer2DConfig, device: &Device) -> Self {
        let projection = || Projection::new(config.channels, config.use_linear_projection, device);
        Self {
            norm: GroupNorm::new(config.groups, config.channels, 1e-6, device),
            proj_in: projection(),
            transformer_blocks: (0..config.layers).map(|_| BasicTransformerBlock::new(config, device)).collect(),
            proj_out: projection(),
        }
    }

    /// `x` `[batch, channels, h, w]`, `context` `[batch, tokens, cross_attention_dim]` to the shape of `x`.
    pub fn forward(&self, x: Tensor<4>, context: Tensor<3>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let normal = self.norm.forward(x.clone());
        let mut tokens = self.proj_in.forward(normal.reshape([batch, channels, height * width]).swap_dims(1, 2));
        for block in &self.transformer_blocks {
            tokens = block.forward(tokens, context.clone());
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
    /// Among the places.
    pub attn1: Attention,
    /// Before `attn2`.
    pub norm2: LayerNorm,
    /// From the places to the text.
    pub attn2: Attention,
    /// Before `ff`.
    pub norm3: LayerNorm,
    /// Each place by itself.
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

    fn forward(&self, x: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        let normal = self.norm1.forward(x.clone());
        let x = x + self.attn1.forward(normal.clone(), normal);
        let x = x.clone() + self.attn2.forward(self.norm2.forward(x), context);
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

/// The place of a layer without weights in a numbered list.
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
        self.net.2.forward(geglu(self.net.0.proj.forward(x)))
    }
}
