//! The variational autoencoder of Stable Diffusion: diffusers' `AutoencoderKL` (Rombach et al., 2022).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::config::{MAX_LEVELS, check_groups, check_rest, check_sizes, invalid};
use crate::Result;
use crate::nn::{Attention, AttentionConfig, Conv2d, Downsample2D, GroupNorm, ResnetBlock2D, ResnetConfig, Upsample2D};

/// Epsilon of every norm of this network.
const EPS: f64 = 1e-6;

/// `vae/config.json` with `_class_name` `AutoencoderKL`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AutoencoderKlConfig {
    /// Channels of the picture.
    pub in_channels: usize,
    /// Channels of the decoded picture.
    pub out_channels: usize,
    /// Channels of each level, from the highest resolution down.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks in each level (one more in the decoder).
    #[serde(default = "one")]
    pub layers_per_block: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Groups of all norms.
    #[serde(default = "thirty_two")]
    pub norm_num_groups: usize,
    /// Divides the latents before decoding, and multiplies them after encoding.
    #[serde(default = "scaling_factor")]
    pub scaling_factor: f64,
    /// All other keys.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

fn one() -> usize {
    1
}

fn thirty_two() -> usize {
    32
}

fn scaling_factor() -> f64 {
    0.18215
}

impl AutoencoderKlConfig {
    /// Checks that the configuration is supported.
    ///
    /// # Errors
    /// [`crate::Error::Config`] that names `file`, the key, its value and the supported values.
    pub fn check(&self, file: &str) -> Result<()> {
        let levels = self.block_out_channels.len();
        if levels == 0 {
            return Err(invalid(file, "block_out_channels is empty"));
        }
        let widths: [(&str, &[usize]); 4] = [
            ("in_channels", &[self.in_channels]),
            ("out_channels", &[self.out_channels]),
            ("block_out_channels", &self.block_out_channels),
            ("latent_channels", &[self.latent_channels]),
        ];
        check_sizes(file, &widths, &[("layers_per_block", &[self.layers_per_block])])?;
        if levels > MAX_LEVELS {
            return Err(invalid(file, format!("block_out_channels has {levels} entries: at most {MAX_LEVELS}")));
        }
        check_groups(file, self.norm_num_groups, &self.block_out_channels)?;
        let down = vec![json!("DownEncoderBlock2D"); levels];
        let up = vec![json!("UpDecoderBlock2D"); levels];
        let (down, up) = (Value::Array(down), Value::Array(up));
        let neutral: [(&str, &[Value]); 11] = [
            ("act_fn", &[json!("silu"), json!("swish")]),
            ("down_block_types", &[down]),
            ("up_block_types", &[up]),
            ("mid_block_add_attention", &[json!(true)]),
            ("use_quant_conv", &[json!(true)]),
            ("use_post_quant_conv", &[json!(true)]),
            ("shift_factor", &[Value::Null]),
            ("latents_mean", &[Value::Null]),
            ("latents_std", &[Value::Null]),
            ("force_upcast", &[json!(true), json!(false)]),
            ("sample_size", &[]),
        ];
        let rest = self.rest.clone().into_iter().filter(|(key, _)| key != "sample_size").collect();
        check_rest(file, &rest, &neutral, &[])
    }
}

/// Mean and logarithm of the variance of the latents of a picture, both `[batch, latent_channels, h/f, w/f]`.
pub struct DiagonalGaussian {
    /// The mean, not scaled.
    pub mean: Tensor<4>,
    /// Logarithm of the variance, clamped to [-30, 20].
    pub logvar: Tensor<4>,
}

impl DiagonalGaussian {
    /// mean + σ · `noise`.
    pub fn sample(self, noise: Tensor<4>) -> Tensor<4> {
        self.mean + (self.logvar * 0.5).exp() * noise
    }
}

/// Encodes pictures in [-1, 1] to a distribution of latents, and decodes latents to pictures.
#[derive(Module, Debug)]
pub struct AutoencoderKl {
    /// Picture to moments.
    pub encoder: Encoder,
    /// Latents to picture.
    pub decoder: Decoder,
    /// 1 x 1, on the moments.
    pub quant_conv: Conv2d,
    /// 1 x 1, on the latents.
    pub post_quant_conv: Conv2d,
}

impl AutoencoderKl {
    /// The network without values. `file` names the configuration in errors.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for settings that are not supported.
    pub fn new(config: &AutoencoderKlConfig, file: &str, device: &Device) -> Result<Self> {
        config.check(file)?;
        let latent = config.latent_channels;
        Ok(Self {
            encoder: Encoder::new(config, device),
            decoder: Decoder::new(config, device),
            quant_conv: Conv2d::new(2 * latent, 2 * latent, 1, device),
            post_quant_conv: Conv2d::new(latent, latent, 1, device),
        })
    }

    /// Encodes `[batch, 3, h, w]` in [-1, 1].
    pub fn encode(&self, x: Tensor<4>) -> DiagonalGaussian {
        let moments = self.quant_conv.forward(self.encoder.forward(x));
        let [mean, logvar] = moments.chunk(2, 1).try_into().expect("twice the latent channels");
        DiagonalGaussian { mean, logvar: logvar.clamp(-30.0, 20.0) }
    }

    /// Decodes latents that are already divided by the scaling factor, `[batch, latent_channels, h, w]` to `[batch, 3,
    /// h·f, w·f]`.
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        self.decoder.forward(self.post_quant_conv.forward(latents))
    }
}

/// The encoder: residual blocks and halvings.
#[derive(Module, Debug)]
pub struct Encoder {
    /// Picture to the first level.
    pub conv_in: Conv2d,
    /// Channels of each level, from the highest resolution down.
    pub down_blocks: Vec<DownEncoderBlock>,
    /// The block at the lowest resolution.
    pub mid_block: MidBlock,
    /// Before `conv_out`.
    pub conv_norm_out: GroupNorm,
    /// To twice the latent channels.
    pub conv_out: Conv2d,
}

impl Encoder {
    fn new(config: &AutoencoderKlConfig, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        Self {
            conv_in: Conv2d::new(config.in_channels, first, 3, device),
            down_blocks: (0..channels.len()).map(|i| DownEncoderBlock::new(config, i, device)).collect(),
            mid_block: MidBlock::new(config, device),
            conv_norm_out: GroupNorm::new(config.norm_num_groups, last, EPS, device),
            conv_out: Conv2d::new(last, 2 * config.latent_channels, 3, device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut x = self.conv_in.forward(x);
        for block in &self.down_blocks {
            x = block.resnets.iter().fold(x, |x, resnet| resnet.forward(x, None));
            x = block.downsamplers.iter().flatten().fold(x, |x, downsampler| downsampler.forward(x));
        }
        let x = self.mid_block.forward(x);
        self.conv_out.forward(self.conv_norm_out.forward_silu(x))
    }
}

/// `DownEncoderBlock2D`.
#[derive(Module, Debug)]
pub struct DownEncoderBlock {
    /// `layers_per_block` of them.
    pub resnets: Vec<ResnetBlock2D>,
    /// One, except on the lowest level.
    pub downsamplers: Option<Vec<Downsample2D>>,
}

impl DownEncoderBlock {
    fn new(config: &AutoencoderKlConfig, i: usize, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let (from, to) = (channels[i.saturating_sub(1)], channels[i]);
        let resnet = |layer| ResnetBlock2D::new(resnet(config, if layer == 0 { from } else { to }, to), device);
        Self {
            resnets: (0..config.layers_per_block).map(resnet).collect(),
            downsamplers: (i + 1 < channels.len()).then(|| vec![Downsample2D::new(to, 0, device)]),
        }
    }
}

/// Residual block, attention over all positions, residual block.
#[derive(Module, Debug)]
pub struct MidBlock {
    /// One, with one head.
    pub attentions: Vec<Attention>,
    /// Before and after it.
    pub resnets: Vec<ResnetBlock2D>,
}

impl MidBlock {
    fn new(config: &AutoencoderKlConfig, device: &Device) -> Self {
        let channels = config.block_out_channels[config.block_out_channels.len() - 1];
        let attention = AttentionConfig {
            query_dim: channels,
            context_dim: channels,
            heads: 1,
            bias: true,
            group_norm: Some((config.norm_num_groups, EPS)),
        };
        let resnet = |_| ResnetBlock2D::new(resnet(config, channels, channels), device);
        Self { attentions: vec![Attention::new(&attention, device)], resnets: (0..2).map(resnet).collect() }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.attentions[0].forward_spatial(self.resnets[0].forward(x, None));
        self.resnets[1].forward(x, None)
    }
}

/// The decoder: residual blocks and doublings.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Latents to the lowest level.
    pub conv_in: Conv2d,
    /// The block at the lowest resolution.
    pub mid_block: MidBlock,
    /// From the lowest resolution up.
    pub up_blocks: Vec<UpDecoderBlock>,
    /// Before `conv_out`.
    pub conv_norm_out: GroupNorm,
    /// To the picture.
    pub conv_out: Conv2d,
}

impl Decoder {
    fn new(config: &AutoencoderKlConfig, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        Self {
            conv_in: Conv2d::new(config.latent_channels, last, 3, device),
            mid_block: MidBlock::new(config, device),
            up_blocks: (0..channels.len()).map(|j| UpDecoderBlock::new(config, j, device)).collect(),
            conv_norm_out: GroupNorm::new(config.norm_num_groups, first, EPS, device),
            conv_out: Conv2d::new(first, config.out_channels, 3, device),
        }
    }

    fn forward(&self, latents: Tensor<4>) -> Tensor<4> {
        let mut x = self.mid_block.forward(self.conv_in.forward(latents));
        for block in &self.up_blocks {
            x = block.resnets.iter().fold(x, |x, resnet| resnet.forward(x, None));
            let [_, _, height, width] = x.dims();
            let doubled = |x, upsampler: &Upsample2D| upsampler.forward(x, [2 * height, 2 * width]);
            x = block.upsamplers.iter().flatten().fold(x, doubled);
        }
        self.conv_out.forward(self.conv_norm_out.forward_silu(x))
    }
}

/// `UpDecoderBlock2D`.
#[derive(Module, Debug)]
pub struct UpDecoderBlock {
    /// `layers_per_block + 1` of them.
    pub resnets: Vec<ResnetBlock2D>,
    /// One, except on the highest level.
    pub upsamplers: Option<Vec<Upsample2D>>,
}

impl UpDecoderBlock {
    fn new(config: &AutoencoderKlConfig, j: usize, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let i = channels.len() - 1 - j;
        let (from, to) = (channels[(i + 1).min(channels.len() - 1)], channels[i]);
        let resnet = |layer| ResnetBlock2D::new(resnet(config, if layer == 0 { from } else { to }, to), device);
        Self {
            resnets: (0..=config.layers_per_block).map(resnet).collect(),
            upsamplers: (i > 0).then(|| vec![Upsample2D::new(to, device)]),
        }
    }
}

fn resnet(config: &AutoencoderKlConfig, in_channels: usize, out_channels: usize) -> ResnetConfig {
    ResnetConfig { in_channels, out_channels, temb_channels: None, groups: config.norm_num_groups, eps: EPS }
}
