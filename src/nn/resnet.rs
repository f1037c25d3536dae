//! The residual block of the UNet and of the KL autoencoder.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{Activation, Conv2d, GroupNorm, Linear};

/// Sizes of a [`ResnetBlock2D`].
#[derive(Clone, Copy, Debug)]
pub struct ResnetConfig {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Width of the time embedding; none in the autoencoder.
    pub temb_channels: Option<usize>,
    /// Groups of both norms.
    pub groups: usize,
    /// Epsilon of both norms.
    pub eps: f64,
}

/// norm, SiLU, convolution, + time, norm, SiLU, convolution, + input.
#[derive(Module, Debug)]
pub struct ResnetBlock2D {
    /// Before the first convolution.
    pub norm1: GroupNorm,
    /// `in_channels` to `out_channels`.
    pub conv1: Conv2d,
    /// Time embedding to `out_channels`.
    pub time_emb_proj: Option<Linear>,
    /// Before the second convolution.
    pub norm2: GroupNorm,
    /// `out_channels` to `out_channels`.
    pub conv2: Conv2d,
    /// 1 x 1, if the number of channels changes.
    pub conv_shortcut: Option<Conv2d>,
}

impl ResnetBlock2D {
    /// The block without values.
    pub fn new(config: ResnetConfig, device: &Device) -> Self {
        let ResnetConfig { in_channels, out_channels, temb_channels, groups, eps } = config;
        Self {
            norm1: GroupNorm::new(groups, in_channels, eps, device),
            conv1: Conv2d::new(in_channels, out_channels, 3, device),
            time_emb_proj: temb_channels.map(|temb| Linear::new(temb, out_channels, device)),
            norm2: GroupNorm::new(groups, out_channels, eps, device),
            conv2: Conv2d::new(out_channels, out_channels, 3, device),
            conv_shortcut: (in_channels != out_channels).then(|| Conv2d::new(in_channels, out_channels, 1, device)),
        }
    }

    /// `x` `[batch, in_channels, h, w]`, `temb` `[batch, temb_channels]` to `[batch, out_channels, h, w]`.
    pub fn forward(&self, x: Tensor<4>, temb: Option<Tensor<2>>) -> Tensor<4> {
        let mut h = self.conv1.forward(self.norm1.forward_silu(x.clone()));
        if let (Some(proj), Some(temb)) = (&self.time_emb_proj, temb) {
            let [batch, _] = temb.dims();
            let shift = proj.forward(Activation::Silu.forward(temb));
            let channels = shift.dims()[1];
            h = h + shift.reshape([batch, channels, 1, 1]);
        }
        let h = self.conv2.forward(self.norm2.forward_silu(h));
        let shortcut = match &self.conv_shortcut {
            Some(conv) => conv.forward(x),
            None => x,
        };
        shortcut + h
    }
}
