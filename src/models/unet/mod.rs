//! The denoising network: diffusers' `UNet2DConditionModel` (Rombach et al., 2022).

mod blocks;
mod config;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

pub use blocks::{DownBlock, MidBlock, UpBlock};
pub use config::{Depths, MID_CROSS, MID_PLAIN, UNet2DConditionConfig};

use crate::Result;
use crate::nn::{Context, Conv2d, GroupNorm, Nag, TimestepEmbedding, timestep_embedding};

/// Conditioning beyond timestep and text.
#[derive(Clone, Default)]
pub struct AddedConditions {
    /// Embedding of the guidance scale `[batch, time_cond_proj_dim]` (Meng et al., 2022).
    pub timestep_cond: Option<Tensor<2>>,
    /// Pooled text `[batch, p]` and six numbers for each picture (Podell et al., 2023).
    pub text_time: Option<(Tensor<2>, Vec<[f32; 6]>)>,
    /// What ControlNets add to the skip connections and in the middle (Zhang et al., 2023).
    pub control: Option<Residuals>,
    /// Features of a text to avoid `[n, tokens, cross_attention_dim]`, for the last n samples (Chen et al., 2025).
    pub nag: Option<(Nag, Tensor<3>)>,
}

/// Embeddings of guidance scales for a distilled model, `[scales, dim]`: w = scale - 1 (Meng et al., 2022), times 1000,
/// as sinusoids with sines first (diffusers' `get_guidance_scale_embedding`).
pub fn guidance_scale_embedding(guidance_scales: &[f32], dim: usize, device: &Device) -> Tensor<2> {
    let w: Vec<f32> = guidance_scales.iter().map(|scale| (scale - 1.0) * 1000.0).collect();
    timestep_embedding(&w, dim, false, 1.0, device)
}

/// Predicts the noise, the velocity or the sample from noisy latents, timestep and text.
#[derive(Module, Debug)]
pub struct UNet2DConditionModel {
    /// `in_channels` to the first level.
    pub conv_in: Conv2d,
    /// From sinusoids to `temb`.
    pub time_embedding: TimestepEmbedding,
    /// From `text_time` conditions to the same width.
    pub add_embedding: Option<TimestepEmbedding>,
    /// From the highest resolution down.
    pub down_blocks: Vec<DownBlock>,
    /// Lowest resolution; reduced networks may lack it.
    pub mid_block: Option<MidBlock>,
    /// From the lowest resolution up.
    pub up_blocks: Vec<UpBlock>,
    /// Before `conv_out`.
    pub conv_norm_out: GroupNorm,
    /// To `out_channels`.
    pub conv_out: Conv2d,
    #[module(skip)]
    sinusoids: Sinusoids,
}

/// The residuals of a ControlNet, or the sum of several.
#[derive(Clone)]
pub struct Residuals {
    /// For each skip connection, in the order in which the network makes them.
    pub down: Vec<Tensor<4>>,
    /// For the middle.
    pub mid: Tensor<4>,
}

/// How timesteps and sizes are embedded, in the UNet and in its ControlNets.
#[derive(Clone, Copy, Debug)]
pub struct Sinusoids {
    dim: usize,
    flip_sin_to_cos: bool,
    freq_shift: f64,
    addition_dim: usize,
}

impl Sinusoids {
    /// As the configuration says.
    pub fn new(config: &UNet2DConditionConfig) -> Self {
        Self {
            dim: config.block_out_channels[0],
            flip_sin_to_cos: config.flip_sin_to_cos,
            freq_shift: config.freq_shift,
            addition_dim: config.addition_time_embed_dim.unwrap_or_default(),
        }
    }

    /// `temb` `[batch, features]` from `timesteps` (one, or one for each sample) and the conditions, with a network's two
    /// embeddings.
    pub fn embed(
        &self,
        (time_embedding, add_embedding): (&TimestepEmbedding, &Option<TimestepEmbedding>),
        batch: usize,
        timesteps: &[f32],
        conditions: &AddedConditions,
        device: &Device,
    ) -> Tensor<2> {
        let Self { dim, flip_sin_to_cos, freq_shift, addition_dim } = *self;
        let values = match timesteps {
            [one] => vec![*one; batch],
            each => each.to_vec(),
        };
        let sinusoids = timestep_embedding(&values, dim, flip_sin_to_cos, freq_shift, device);
        let mut temb = time_embedding.forward(sinusoids, conditions.timestep_cond.clone());
        if let (Some(embedding), Some((text, ids))) = (add_embedding, &conditions.text_time) {
            let numbers = timestep_embedding(ids.as_flattened(), addition_dim, flip_sin_to_cos, freq_shift, device);
            let numbers = numbers.reshape([ids.len(), 6 * addition_dim]);
            temb = temb + embedding.forward(Tensor::cat(vec![text.clone(), numbers], 1), None);
        }
        temb
    }
}

/// The embedding of the sizes, if the configuration has one.
///
/// # Errors
/// [`crate::Error::Config`] if its width is missing.
pub fn add_embedding(config: &UNet2DConditionConfig, file: &str, device: &Device) -> Result<Option<TimestepEmbedding>> {
    let temb = 4 * config.block_out_channels[0];
    match (&config.addition_embed_type, config.projection_class_embeddings_input_dim) {
        (Some(_), Some(dim)) => Ok(Some(TimestepEmbedding::new(dim, temb, None, device))),
        (Some(_), None) => {
            let reason = "addition_embed_type = \"text_time\" needs projection_class_embeddings_input_dim";
            Err(crate::models::config::invalid(file, reason))
        }
        (None, _) => Ok(None),
    }
}

impl UNet2DConditionModel {
    /// The network without values. `file` names the configuration in errors.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for settings that are not supported.
    pub fn new(config: &UNet2DConditionConfig, file: &str, device: &Device) -> Result<Self> {
        config.check(file)?;
        let channels = &config.block_out_channels;
        let temb = 4 * channels[0];
        Ok(Self {
            conv_in: Conv2d::new(config.in_channels, channels[0], 3, device),
            time_embedding: TimestepEmbedding::new(channels[0], temb, config.time_cond_proj_dim, device),
            add_embedding: add_embedding(config, file, device)?,
            down_blocks: (0..channels.len()).map(|i| DownBlock::new(config, i, device)).collect(),
            mid_block: MidBlock::new(config, device),
            up_blocks: (0..channels.len()).map(|j| UpBlock::new(config, j, device)).collect(),
            conv_norm_out: GroupNorm::new(config.norm_num_groups, channels[0], config.norm_eps, device),
            conv_out: Conv2d::new(channels[0], config.out_channels, 3, device),
            sinusoids: Sinusoids::new(config),
        })
    }

    /// From `sample` `[batch, in_channels, h, w]`, `timesteps` (one, or one for each sample) and
    /// `encoder_hidden_states` `[batch, tokens, cross_attention_dim]` to `[batch, out_channels, h, w]`.
    pub fn forward(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        encoder_hidden_states: Tensor<3>,
        conditions: &AddedConditions,
    ) -> Tensor<4> {
        let batch = sample.dims()[0];
        let embeddings = (&self.time_embedding, &self.add_embedding);
        let temb = self.sinusoids.embed(embeddings, batch, timesteps, conditions, &sample.device());
        let context = Context { text: encoder_hidden_states, avoided: conditions.nag.clone() };
        let mut x = self.conv_in.forward(sample);
        let mut skips = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(x, &temb, &context, &mut skips);
        }
        if let Some(block) = &self.mid_block {
            x = block.forward(x, &temb, &context);
        }
        if let Some(Residuals { down, mid }) = &conditions.control {
            x = x + mid.clone();
            skips = skips.into_iter().zip(down).map(|(skip, residual)| skip + residual.clone()).collect();
        }
        for block in &self.up_blocks {
            x = block.forward(x, &temb, &context, &mut skips);
        }
        self.conv_out.forward(self.conv_norm_out.forward_silu(x))
    }
}
