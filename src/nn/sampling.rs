//! Layers that halve and double the size of feature maps.

use burn::module::Module;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, module};

use super::Conv2d;

/// A convolution with stride 2.
#[derive(Module, Debug)]
pub struct Downsample2D {
    /// Kernel 3, stride 2.
    pub conv: Conv2d,
}

impl Downsample2D {
    /// `padding` 1 pads all sides by one (the UNet); 0 pads only below and to the right (the KL autoencoder).
    pub fn new(channels: usize, padding: usize, device: &Device) -> Self {
        let conv = Conv2d::new(channels, channels, 3, device).with_stride(2);
        Self { conv: if padding == 0 { conv.with_padding(0, 1) } else { conv.with_padding(padding, padding) } }
    }

    /// `[batch, channels, h, w]` to `[batch, channels, ⌈h/2⌉, ⌈w/2⌉]` (floor without padding above).
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.conv.forward(x)
    }
}

/// Nearest-neighbour enlargement followed by a convolution.
#[derive(Module, Debug)]
pub struct Upsample2D {
    /// Kernel 3.
    pub conv: Conv2d,
}

impl Upsample2D {
    /// From `channels` to `channels`.
    pub fn new(channels: usize, device: &Device) -> Self {
        Self { conv: Conv2d::new(channels, channels, 3, device) }
    }

    /// `[batch, channels, h, w]` to `[batch, channels, size...]`; the size of a skip connection may be odd.
    pub fn forward(&self, x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        self.conv.forward(nearest(x, size))
    }
}

/// Source index = floor(index · size_in / size_out), as in PyTorch's `nearest`.
pub(crate) fn nearest(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    module::interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size(size))
}
