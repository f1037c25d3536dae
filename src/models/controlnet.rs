//! A ControlNet: a trainable copy of the UNet's first half that reads a picture (Zhang et al., 2023; diffusers'
//! `ControlNetModel`).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::config::{MAX_LEVELS, check_rest, check_sizes, invalid};
use super::parse;
use super::unet::{AddedConditions, DownBlock, MidBlock, Residuals, Sinusoids, UNet2DConditionConfig, add_embedding};
use crate::Result;
use crate::nn::{Activation, Context, Conv2d, TimestepEmbedding};

/// `config.json` of a ControlNet.
#[derive(Clone, Debug)]
pub struct ControlNetConfig {
    /// The settings that it shares with a UNet.
    pub unet: UNet2DConditionConfig,
    /// Channels of the picture that it reads.
    pub conditioning_channels: usize,
    /// Channels of the layers that bring the picture to the latents' size, which is a factor of two for each after the
    /// first.
    pub conditioning_embedding_out_channels: Vec<usize>,
}

/// The keys that a UNet does not have.
#[derive(Deserialize)]
struct Own {
    #[serde(default = "three")]
    conditioning_channels: usize,
    #[serde(default = "embedding_channels")]
    conditioning_embedding_out_channels: Vec<usize>,
}

impl ControlNetConfig {
    /// Parses and checks `config.json`; `file` names it in errors.
    ///
    /// # Errors
    /// [`crate::Error::Config`] that names the key, its value and the supported values.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self> {
        let mut all: Map<String, Value> = parse(file, bytes)?;
        let names = [
            "conditioning_channels",
            "conditioning_embedding_out_channels",
            "controlnet_conditioning_channel_order",
            "global_pool_conditions",
        ];
        let own: Map<String, Value> = names.iter().filter_map(|name| all.remove_entry(*name)).collect();
        let neutral =
            [("controlnet_conditioning_channel_order", [json!("rgb")]), ("global_pool_conditions", [json!(false)])];
        check_rest(file, &own, &neutral, &names[..2])?;
        let Own { conditioning_channels, conditioning_embedding_out_channels } =
            serde_json::from_value(Value::Object(own)).map_err(|error| invalid(file, error.to_string()))?;
        // The half that a ControlNet lacks; only its levels are checked.
        for (key, like) in [("out_channels", "in_channels"), ("up_block_types", "down_block_types")] {
            if let Some(value) = all.get(like).cloned() {
                all.insert(key.into(), if key == "up_block_types" { upwards(value) } else { value });
            }
        }
        let unet: UNet2DConditionConfig =
            serde_json::from_value(Value::Object(all)).map_err(|error| invalid(file, error.to_string()))?;
        unet.check(file)?;
        let layers = &conditioning_embedding_out_channels;
        let widths: [(&str, &[usize]); 2] =
            [("conditioning_channels", &[conditioning_channels]), ("conditioning_embedding_out_channels", layers)];
        check_sizes(file, &widths, &[])?;
        if layers.is_empty() || layers.len() > MAX_LEVELS {
            let reason =
                format!("conditioning_embedding_out_channels has {} entries: use 1 to {MAX_LEVELS}", layers.len());
            return Err(invalid(file, reason));
        }
        Ok(Self { unet, conditioning_channels, conditioning_embedding_out_channels })
    }

    /// Pixels of the picture for each latent along one side.
    pub fn scale(&self) -> usize {
        1 << (self.conditioning_embedding_out_channels.len() - 1)
    }
}

fn upwards(types: Value) -> Value {
    let Value::Array(types) = types else { return types };
    let up = |name: Value| match name.as_str() {
        Some(name) => json!(name.replace("Down", "Up")),
        None => name,
    };
    Value::Array(types.into_iter().rev().map(up).collect())
}

/// Predicts residuals for a UNet's skip connections from a picture.
#[derive(Module, Debug)]
pub struct ControlNetModel {
    /// As the UNet's.
    pub conv_in: Conv2d,
    /// As the UNet's.
    pub time_embedding: TimestepEmbedding,
    /// As the UNet's.
    pub add_embedding: Option<TimestepEmbedding>,
    /// From the picture to the first level's features.
    pub controlnet_cond_embedding: ConditioningEmbedding,
    /// As the UNet's.
    pub down_blocks: Vec<DownBlock>,
    /// 1 x 1, zero before training: one for each skip connection.
    pub controlnet_down_blocks: Vec<Conv2d>,
    /// As the UNet's.
    pub mid_block: Option<MidBlock>,
    /// 1 x 1, zero before training.
    pub controlnet_mid_block: Conv2d,
    #[module(skip)]
    sinusoids: Sinusoids,
}

/// Convolutions with an activation after each but the last; every second one of `blocks` halves the size.
#[derive(Module, Debug)]
pub struct ConditioningEmbedding {
    /// From the picture.
    pub conv_in: Conv2d,
    /// Two for each halving.
    pub blocks: Vec<Conv2d>,
    /// To the UNet's first level; zero before training.
    pub conv_out: Conv2d,
}

impl ControlNetModel {
    /// The network without values. `file` names the configuration in errors.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for sizes of the picture without the width of their embedding.
    pub fn new(config: &ControlNetConfig, file: &str, device: &Device) -> Result<Self> {
        let unet = &config.unet;
        let channels = &unet.block_out_channels;
        let flat = |channels: usize| Conv2d::new(channels, channels, 1, device);
        // The first convolution, then each level's blocks and what halves its size, except on the last.
        let last = channels.len() - 1;
        let levels = channels.iter().enumerate();
        let skips = levels.flat_map(|(i, width)| vec![*width; unet.layers_per_block + usize::from(i < last)]);
        Ok(Self {
            conv_in: Conv2d::new(unet.in_channels, channels[0], 3, device),
            time_embedding: TimestepEmbedding::new(channels[0], 4 * channels[0], None, device),
            add_embedding: add_embedding(unet, file, device)?,
            controlnet_cond_embedding: ConditioningEmbedding::new(config, device),
            down_blocks: (0..channels.len()).map(|i| DownBlock::new(unet, i, device)).collect(),
            controlnet_down_blocks: std::iter::once(channels[0]).chain(skips).map(flat).collect(),
            mid_block: MidBlock::new(unet, device),
            controlnet_mid_block: flat(channels[last]),
            sinusoids: Sinusoids::new(unet),
        })
    }

    /// The residuals, times `scale`, for `sample` `[batch, in_channels, h, w]` at timestep `t` with the text's features
    /// `[batch, tokens, cross_attention_dim]`. `hint` is [`ConditioningEmbedding::forward`]'s, `[1, channels, h, w]`.
    pub fn forward(
        &self,
        sample: Tensor<4>,
        t: f32,
        text: Tensor<3>,
        hint: Tensor<4>,
        conditions: &AddedConditions,
        scale: f32,
    ) -> Residuals {
        let (batch, device) = (sample.dims()[0], sample.device());
        let embeddings = (&self.time_embedding, &self.add_embedding);
        let temb = self.sinusoids.embed(embeddings, batch, &[t], conditions, &device);
        let context = Context { text, avoided: None };
        let mut x = self.conv_in.forward(sample) + hint;
        let mut skips = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(x, &temb, &context, &mut skips);
        }
        if let Some(block) = &self.mid_block {
            x = block.forward(x, &temb, &context);
        }
        let layers = self.controlnet_down_blocks.iter().zip(skips);
        Residuals {
            down: layers.map(|(layer, skip)| layer.forward(skip) * scale).collect(),
            mid: self.controlnet_mid_block.forward(x) * scale,
        }
    }
}

impl ConditioningEmbedding {
    fn new(config: &ControlNetConfig, device: &Device) -> Self {
        let layers = &config.conditioning_embedding_out_channels;
        let pairs = layers.windows(2).flat_map(|pair| {
            [Conv2d::new(pair[0], pair[0], 3, device), Conv2d::new(pair[0], pair[1], 3, device).with_stride(2)]
        });
        let (first, last) = (layers[0], layers[layers.len() - 1]);
        Self {
            conv_in: Conv2d::new(config.conditioning_channels, first, 3, device),
            blocks: pairs.collect(),
            conv_out: Conv2d::new(last, config.unet.block_out_channels[0], 3, device),
        }
    }

    /// From a picture `[1, conditioning_channels, height, width]` in [0, 1] to features at the latents' size.
    pub fn forward(&self, picture: Tensor<4>) -> Tensor<4> {
        let mut x = Activation::Silu.forward(self.conv_in.forward(picture));
        for block in &self.blocks {
            x = Activation::Silu.forward(block.forward(x));
        }
        self.conv_out.forward(x)
    }
}

impl Residuals {
    /// The sum of the residuals of several ControlNets.
    pub fn plus(self, other: Self) -> Self {
        let down = self.down.into_iter().zip(other.down).map(|(a, b)| a + b).collect();
        Self { down, mid: self.mid + other.mid }
    }
}

fn three() -> usize {
    3
}

fn embedding_channels() -> Vec<usize> {
    vec![16, 32, 96, 256]
}
