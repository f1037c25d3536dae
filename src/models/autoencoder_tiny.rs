//! The tiny autoencoder of plain residual convolutions: diffusers' `AutoencoderTiny` (TAESD, Bohan, 2023).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::config::{MAX_LEVELS, check_rest, check_sizes, invalid};
use crate::Result;
use crate::nn::{Activation, Conv2d, nearest};

/// `vae/config.json` with `_class_name` `AutoencoderTiny`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AutoencoderTinyConfig {
    /// Channels of the picture.
    pub in_channels: usize,
    /// Channels of the decoded picture.
    pub out_channels: usize,
    /// Width of each level; diffusers builds only equal ones.
    pub encoder_block_out_channels: Vec<usize>,
    /// Width of each level; diffusers builds only equal ones.
    pub decoder_block_out_channels: Vec<usize>,
    /// Residual blocks of each level, from the highest resolution down.
    pub num_encoder_blocks: Vec<usize>,
    /// Residual blocks of each level, from the lowest resolution up.
    pub num_decoder_blocks: Vec<usize>,
    /// Activation in the blocks and after the decoder's first convolution.
    pub act_fn: Activation,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Enlargement from each level to the next.
    #[serde(default = "two")]
    pub upsampling_scaling_factor: usize,
    /// Divides the latents before decoding.
    #[serde(default = "one")]
    pub scaling_factor: f64,
    /// All other keys.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

fn two() -> usize {
    2
}

fn one() -> f64 {
    1.0
}

impl AutoencoderTinyConfig {
    /// Checks that the configuration is supported.
    ///
    /// # Errors
    /// [`crate::Error::Config`] that names `file`, the key, its value and the supported values.
    pub fn check(&self, file: &str) -> Result<()> {
        let widths: [(&str, &[usize]); 4] = [
            ("in_channels", &[self.in_channels]),
            ("out_channels", &[self.out_channels]),
            ("latent_channels", &[self.latent_channels]),
            ("upsampling_scaling_factor", &[self.upsampling_scaling_factor]),
        ];
        check_sizes(file, &widths, &[])?;
        let sides = [
            ("encoder", &self.encoder_block_out_channels, &self.num_encoder_blocks),
            ("decoder", &self.decoder_block_out_channels, &self.num_decoder_blocks),
        ];
        for (side, widths, blocks) in sides {
            let layers = [(side, blocks.as_slice())];
            check_sizes(file, &[(side, widths.as_slice())], &layers)?;
            if widths.len() > MAX_LEVELS {
                return Err(invalid(file, format!("{side} has {} levels: at most {MAX_LEVELS}", widths.len())));
            }
            if widths.is_empty() || widths.len() != blocks.len() {
                return Err(invalid(file, format!("{side}_block_out_channels and num_{side}_blocks differ in length")));
            }
            if widths.iter().any(|width| *width != widths[0]) {
                return Err(invalid(
                    file,
                    format!("{side}_block_out_channels must be equal (diffusers builds no others)"),
                ));
            }
        }
        let neutral: [(&str, &[Value]); 3] = [
            ("upsample_fn", &[json!("nearest")]),
            ("shift_factor", &[json!(0.0), json!(0), Value::Null]),
            ("force_upcast", &[json!(false), json!(true)]),
        ];
        check_rest(file, &self.rest, &neutral, &["block_out_channels", "latent_magnitude", "latent_shift"])
    }
}

/// Encodes pictures in [-1, 1] to latents as the UNet sees them, and decodes them. If there are four channels, the last
/// is alpha and the colours are multiplied by it; diffusers scales all of them alike.
#[derive(Module, Debug)]
pub struct AutoencoderTiny {
    /// Picture to latents.
    pub encoder: EncoderTiny,
    /// Latents to picture.
    pub decoder: DecoderTiny,
}

impl AutoencoderTiny {
    /// The network without values. `file` names the configuration in errors.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for settings that are not supported.
    pub fn new(config: &AutoencoderTinyConfig, file: &str, device: &Device) -> Result<Self> {
        config.check(file)?;
        Ok(Self { encoder: EncoderTiny::new(config, device), decoder: DecoderTiny::new(config, device) })
    }

    /// `[batch, in_channels, h, w]` in [-1, 1] to `[batch, latent_channels, h/f, w/f]`.
    pub fn encode(&self, x: Tensor<4>) -> Tensor<4> {
        run(&self.encoder.layers, (x + 1.0) / 2.0)
    }

    /// `[batch, latent_channels, h, w]` to `[batch, out_channels, h·f, w·f]`, about in [-1, 1], not clamped.
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        run(&self.decoder.layers, (latents / 3.0).tanh() * 3.0) * 2.0 - 1.0
    }
}

/// The encoder: a numbered list of layers, as in the checkpoint.
#[derive(Module, Debug)]
pub struct EncoderTiny {
    /// Convolution and blocks of each level, then the last convolution.
    pub layers: Vec<Layer>,
}

impl EncoderTiny {
    fn new(config: &AutoencoderTinyConfig, device: &Device) -> Self {
        let width = config.encoder_block_out_channels[0];
        let mut layers = Vec::new();
        for (level, blocks) in config.num_encoder_blocks.iter().enumerate() {
            layers.push(Layer::Conv(match level {
                0 => Conv2d::new(config.in_channels, width, 3, device),
                _ => Conv2d::new(width, width, 3, device).with_stride(2).without_bias(),
            }));
            layers.extend((0..*blocks).map(|_| Layer::Block(AutoencoderTinyBlock::new(width, config.act_fn, device))));
        }
        layers.push(Layer::Conv(Conv2d::new(width, config.latent_channels, 3, device)));
        Self { layers }
    }
}

/// The decoder: a numbered list of layers, as in the checkpoint.
#[derive(Module, Debug)]
pub struct DecoderTiny {
    /// First convolution, activation, then blocks, enlargement and a convolution of each level.
    pub layers: Vec<Layer>,
}

impl DecoderTiny {
    fn new(config: &AutoencoderTinyConfig, device: &Device) -> Self {
        let width = config.decoder_block_out_channels[0];
        let mut layers = vec![
            Layer::Conv(Conv2d::new(config.latent_channels, width, 3, device)),
            Layer::Plain(Plain { kind: PlainKind::Activation(config.act_fn) }),
        ];
        let last = config.num_decoder_blocks.len() - 1;
        for (level, blocks) in config.num_decoder_blocks.iter().enumerate() {
            layers.extend((0..*blocks).map(|_| Layer::Block(AutoencoderTinyBlock::new(width, config.act_fn, device))));
            if level < last {
                layers.push(Layer::Plain(Plain { kind: PlainKind::Upsample(config.upsampling_scaling_factor) }));
                layers.push(Layer::Conv(Conv2d::new(width, width, 3, device).without_bias()));
            } else {
                layers.push(Layer::Conv(Conv2d::new(width, config.out_channels, 3, device)));
            }
        }
        Self { layers }
    }
}

/// One entry of the numbered lists.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Layer {
    /// A convolution with kernel 3.
    Conv(Conv2d),
    /// A block of three convolutions.
    Block(AutoencoderTinyBlock),
    /// A layer without weights, which only takes a number in the list.
    Plain(Plain),
}

/// An activation or an enlargement.
#[derive(Module, Debug)]
pub struct Plain {
    #[module(skip)]
    kind: PlainKind,
}

#[derive(Clone, Copy, Debug)]
enum PlainKind {
    Activation(Activation),
    Upsample(usize),
}

fn run(layers: &[Layer], x: Tensor<4>) -> Tensor<4> {
    layers.iter().fold(x, |x, layer| match layer {
        Layer::Conv(conv) => conv.forward(x),
        Layer::Block(block) => block.forward(x),
        Layer::Plain(Plain { kind: PlainKind::Activation(activation) }) => activation.forward(x),
        Layer::Plain(Plain { kind: PlainKind::Upsample(factor) }) => {
            let [_, _, height, width] = x.dims();
            nearest(x, [height * factor, width * factor])
        }
    })
}

/// Three convolutions with activations between, added to the input, then a ReLU.
#[derive(Module, Debug)]
pub struct AutoencoderTinyBlock {
    /// `conv.0`, `conv.2`, `conv.4`; the odd numbers are activations.
    pub conv: Vec<Layer>,
}

impl AutoencoderTinyBlock {
    fn new(width: usize, activation: Activation, device: &Device) -> Self {
        let conv = |i: usize| match i % 2 {
            0 => Layer::Conv(Conv2d::new(width, width, 3, device)),
            _ => Layer::Plain(Plain { kind: PlainKind::Activation(activation) }),
        };
        Self { conv: (0..5).map(conv).collect() }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        Activation::Relu.forward(run(&self.conv, x.clone()) + x)
    }
}
