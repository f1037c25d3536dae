//! Multi-head attention (Vaswani et al., 2017), as `diffusers.models.attention_processor.Attention`.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{Context, GroupNorm, Linear};
use crate::kernels::attend;

/// Sizes of an [`Attention`].
#[derive(Clone, Debug)]
pub struct AttentionConfig {
    /// Features of the queries and of the output.
    pub query_dim: usize,
    /// Features of the context; the query's for self-attention.
    pub context_dim: usize,
    /// Number of heads; divides `query_dim`.
    pub heads: usize,
    /// Whether the query, key and value projections have biases.
    pub bias: bool,
    /// Groups and epsilon of a norm before the projections (used by the autoencoder's attention).
    pub group_norm: Option<(usize, f64)>,
}

/// softmax(q kᵀ / √d) v over `heads` slices of the features.
#[derive(Module, Debug)]
pub struct Attention {
    /// Used by the autoencoder's attention.
    pub group_norm: Option<GroupNorm>,
    /// Projection to queries.
    pub to_q: Linear,
    /// Projection to keys.
    pub to_k: Linear,
    /// Projection to values.
    pub to_v: Linear,
    /// Output projection; a list with one layer, because the checkpoint calls it `to_out.0`.
    pub to_out: Vec<Linear>,
    heads: usize,
}

impl Attention {
    /// The layer without values.
    pub fn new(config: &AttentionConfig, device: &Device) -> Self {
        let dim = config.query_dim;
        let linear = |from, to| match config.bias {
            true => Linear::new(from, to, device),
            false => Linear::without_bias(from, to, device),
        };
        Self {
            group_norm: config.group_norm.map(|(groups, eps)| GroupNorm::new(groups, dim, eps, device)),
            to_q: linear(dim, dim),
            to_k: linear(config.context_dim, dim),
            to_v: linear(config.context_dim, dim),
            to_out: vec![Linear::new(dim, dim, device)],
            heads: config.heads,
        }
    }

    /// Attends from `x` `[batch, tokens, query_dim]` to `context` `[batch, tokens', context_dim]`, which is `x` itself
    /// for self-attention.
    pub fn forward(&self, x: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        let (k, v) = (self.to_k.forward(context.clone()), self.to_v.forward(context));
        self.to_out[0].forward(attend(self.to_q.forward(x), k, v, self.heads, false))
    }

    /// Attends from `x` `[batch, tokens, query_dim]` to a text, and away from the text to avoid, if there is one.
    pub fn forward_context(&self, x: Tensor<3>, context: &Context) -> Tensor<3> {
        let Some((nag, avoided)) = &context.avoided else { return self.forward(x, context.text.clone()) };
        let q = self.to_q.forward(x);
        let read = |q: Tensor<3>, text: &Tensor<3>| {
            attend(q, self.to_k.forward(text.clone()), self.to_v.forward(text.clone()), self.heads, false)
        };
        let (batch, n) = (q.dims()[0], avoided.dims()[0]);
        let negative = read(q.clone().narrow(0, batch - n, n), avoided);
        let all = read(q, &context.text);
        let guided = nag.guide(all.clone().narrow(0, batch - n, n), negative);
        let all = if batch == n { guided } else { Tensor::cat(vec![all.narrow(0, 0, batch - n), guided], 0) };
        self.to_out[0].forward(all)
    }

    /// The complete softmax(q kᵀ / √d) for the same arguments: `[batch, heads, tokens, tokens']`. For inspection;
    /// `forward` never stores it.
    pub fn weights(&self, x: Tensor<3>, context: Tensor<3>) -> Tensor<4> {
        let heads = |x: Tensor<3>| {
            let [batch, tokens, dim] = x.dims();
            x.reshape([batch, tokens, self.heads, dim / self.heads]).swap_dims(1, 2)
        };
        let (q, k) = (heads(self.to_q.forward(x)), heads(self.to_k.forward(context)));
        let scale = 1.0 / (q.dims()[3] as f32).sqrt();
        burn::tensor::activation::softmax(q.matmul(k.swap_dims(2, 3)) * scale, 3)
    }

    /// Self-attention over the positions of a picture `[batch, channels, h, w]`: normalised first, and added to the
    /// picture.
    pub fn forward_spatial(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let normal = match &self.group_norm {
            Some(norm) => norm.forward(x.clone()),
            None => x.clone(),
        };
        let tokens = normal.reshape([batch, channels, height * width]).swap_dims(1, 2);
        let attended = self.forward(tokens.clone(), tokens);
        x + attended.swap_dims(1, 2).reshape([batch, channels, height, width])
    }
}
