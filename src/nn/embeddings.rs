//! Embeddings of timesteps and guidance scales.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::{Activation, Linear};

/// Sinusoidal embedding of each value (Ho et al., 2020, section 4 and appendix B; Vaswani et al., 2017).
///
/// The result is `[values, dim]`. The frequencies are 10000^(-i / (dim/2 - freq_shift)); cosines come first with
/// `flip_sin_to_cos`, as in Stable Diffusion. Computed in f64 on the host, so that every device gets the same numbers.
/// If `dim` is odd, the last number is zero.
pub fn timestep_embedding(
    values: &[f32],
    dim: usize,
    flip_sin_to_cos: bool,
    freq_shift: f64,
    device: &Device,
) -> Tensor<2> {
    let half = dim / 2;
    let mut table = vec![0f32; values.len() * dim];
    for (row, &value) in table.chunks_exact_mut(dim).zip(values) {
        for i in 0..half {
            let frequency = (-(10_000f64.ln()) * i as f64 / (half as f64 - freq_shift)).exp();
            let (sin, cos) = (f64::from(value) * frequency).sin_cos();
            let (first, second) = if flip_sin_to_cos { (cos, sin) } else { (sin, cos) };
            row[i] = first as f32;
            row[half + i] = second as f32;
        }
    }
    Tensor::from_data(TensorData::new(table, [values.len(), dim]), device)
}

/// Two linear layers with an activation between; an optional condition is added before them.
#[derive(Module, Debug)]
pub struct TimestepEmbedding {
    /// `in_channels` to `time_embed_dim`.
    pub linear_1: Linear,
    /// The guidance scale's embedding (Meng et al., 2022), added to the sinusoids.
    pub cond_proj: Option<Linear>,
    /// `time_embed_dim` to `time_embed_dim`.
    pub linear_2: Linear,
}

impl TimestepEmbedding {
    /// `cond_proj_dim` is the width of the condition, if there is one (`time_cond_proj_dim` of the configuration).
    pub fn new(in_channels: usize, time_embed_dim: usize, cond_proj_dim: Option<usize>, device: &Device) -> Self {
        Self {
            linear_1: Linear::new(in_channels, time_embed_dim, device),
            cond_proj: cond_proj_dim.map(|dim| Linear::without_bias(dim, in_channels, device)),
            linear_2: Linear::new(time_embed_dim, time_embed_dim, device),
        }
    }

    /// `[batch, in_channels]` (and `[batch, cond_proj_dim]`) to `[batch, time_embed_dim]`.
    pub fn forward(&self, sample: Tensor<2>, condition: Option<Tensor<2>>) -> Tensor<2> {
        let sample = match (&self.cond_proj, condition) {
            (Some(proj), Some(condition)) => sample + proj.forward(condition),
            _ => sample,
        };
        self.linear_2.forward(Activation::Silu.forward(self.linear_1.forward(sample)))
    }
}
