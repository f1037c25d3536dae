//! The levels of the UNet: down, middle, up.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::UNet2DConditionConfig;
use super::config::MID_CROSS;
use crate::nn::{
    Context, Downsample2D, ResnetBlock2D, ResnetConfig, Transformer2DConfig, Transformer2DModel, Upsample2D,
};

/// `DownBlock2D` or, with attentions, `CrossAttnDownBlock2D`.
#[derive(Module, Debug)]
pub struct DownBlock {
    /// `layers_per_block` of them.
    pub resnets: Vec<ResnetBlock2D>,
    /// One after each residual block, or none.
    pub attentions: Option<Vec<Transformer2DModel>>,
    /// One, except on the lowest level.
    pub downsamplers: Option<Vec<Downsample2D>>,
}

impl DownBlock {
    /// Level `i`, counted from the highest resolution down.
    pub fn new(config: &UNet2DConditionConfig, i: usize, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let (from, to) = (channels[i.saturating_sub(1)], channels[i]);
        let resnet = |layer: usize| ResnetBlock2D::new(resnet(config, if layer == 0 { from } else { to }, to), device);
        let cross = config.down_block_types[i] == "CrossAttnDownBlock2D";
        let layers = config.layers_per_block;
        Self {
            resnets: (0..layers).map(resnet).collect(),
            attentions: cross.then(|| {
                let depth = |layer| config.down_depth(i, layer);
                (0..layers).map(|layer| transformer(config, i, depth(layer), device)).collect()
            }),
            downsamplers: (i + 1 < channels.len()).then(|| vec![Downsample2D::new(to, 1, device)]),
        }
    }

    /// Returns the level's output, and pushes every intermediate result on `skips`.
    pub fn forward(
        &self,
        mut x: Tensor<4>,
        temb: &Tensor<2>,
        context: &Context,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for (layer, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(x, Some(temb.clone()));
            if let Some(attentions) = &self.attentions {
                x = attentions[layer].forward(x, context);
            }
            skips.push(x.clone());
        }
        for downsampler in self.downsamplers.iter().flatten() {
            x = downsampler.forward(x);
            skips.push(x.clone());
        }
        x
    }
}

/// `UNetMidBlock2DCrossAttn`, or `UNetMidBlock2D` as diffusers' UNet has it: one residual block.
#[derive(Module, Debug)]
pub struct MidBlock {
    /// One, or none.
    pub attentions: Vec<Transformer2DModel>,
    /// One, and another after the attention.
    pub resnets: Vec<ResnetBlock2D>,
}

impl MidBlock {
    /// At the lowest resolution, where the network has one.
    pub fn new(config: &UNet2DConditionConfig, device: &Device) -> Option<Self> {
        let last = config.block_out_channels.len() - 1;
        let channels = config.block_out_channels[last];
        let attentions = match config.mid_block_type.as_deref()? {
            MID_CROSS => vec![transformer(config, last, config.mid_depth(), device)],
            _ => Vec::new(),
        };
        let resnet = |_| ResnetBlock2D::new(resnet(config, channels, channels), device);
        Some(Self { resnets: (0..=attentions.len()).map(resnet).collect(), attentions })
    }

    /// `[batch, channels, h, w]` to the same shape.
    pub fn forward(&self, x: Tensor<4>, temb: &Tensor<2>, context: &Context) -> Tensor<4> {
        let mut x = self.resnets[0].forward(x, Some(temb.clone()));
        for (attention, resnet) in self.attentions.iter().zip(&self.resnets[1..]) {
            x = resnet.forward(attention.forward(x, context), Some(temb.clone()));
        }
        x
    }
}

/// `UpBlock2D` or, with attentions, `CrossAttnUpBlock2D`.
#[derive(Module, Debug)]
pub struct UpBlock {
    /// `layers_per_block + 1` of them; each also takes a skip connection.
    pub resnets: Vec<ResnetBlock2D>,
    /// One after each residual block, or none.
    pub attentions: Option<Vec<Transformer2DModel>>,
    /// One, except on the highest level.
    pub upsamplers: Option<Vec<Upsample2D>>,
}

impl UpBlock {
    /// Level `j` on the way up, counted from the lowest resolution.
    pub fn new(config: &UNet2DConditionConfig, j: usize, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let i = channels.len() - 1 - j;
        let (below, here, above) =
            (channels[(i + 1).min(channels.len() - 1)], channels[i], channels[i.saturating_sub(1)]);
        let layers = config.layers_per_block + 1;
        let resnet = |layer: usize| {
            let skip = if layer + 1 == layers { above } else { here };
            let input = if layer == 0 { below } else { here };
            ResnetBlock2D::new(resnet(config, input + skip, here), device)
        };
        let cross = config.up_block_types[j] == "CrossAttnUpBlock2D";
        Self {
            resnets: (0..layers).map(resnet).collect(),
            attentions: cross.then(|| {
                let depth = |layer| config.up_depth(j, layer);
                (0..layers).map(|layer| transformer(config, i, depth(layer), device)).collect()
            }),
            upsamplers: (i > 0).then(|| vec![Upsample2D::new(here, device)]),
        }
    }

    /// Takes its skip connections from the end of `skips`, and enlarges to the size of the next one that remains.
    pub fn forward(
        &self,
        mut x: Tensor<4>,
        temb: &Tensor<2>,
        context: &Context,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for (layer, resnet) in self.resnets.iter().enumerate() {
            let skip = skips.pop().expect("as many skips as residual blocks on the way up");
            x = resnet.forward(Tensor::cat(vec![x, skip], 1), Some(temb.clone()));
            if let Some(attentions) = &self.attentions {
                x = attentions[layer].forward(x, context);
            }
        }
        for upsampler in self.upsamplers.iter().flatten() {
            let [_, _, height, width] = skips.last().expect("a level above").dims();
            x = upsampler.forward(x, [height, width]);
        }
        x
    }
}

fn resnet(config: &UNet2DConditionConfig, in_channels: usize, out_channels: usize) -> ResnetConfig {
    let temb_channels = Some(4 * config.block_out_channels[0]);
    ResnetConfig { in_channels, out_channels, temb_channels, groups: config.norm_num_groups, eps: config.norm_eps }
}

fn transformer(config: &UNet2DConditionConfig, level: usize, depth: usize, device: &Device) -> Transformer2DModel {
    let config = Transformer2DConfig {
        channels: config.block_out_channels[level],
        heads: config.heads(level),
        layers: depth,
        cross_attention_dim: config.cross_attention_dim,
        groups: config.norm_num_groups,
        use_linear_projection: config.use_linear_projection,
    };
    Transformer2DModel::new(config, device)
}
