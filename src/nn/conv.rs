//! Two-dimensional convolution.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::Packed;
use crate::kernels::{convolve, convolve_packed};

/// Convolution over `[batch, channels, height, width]`.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[channels_out, channels_in, kernel, kernel]`.
    pub weight: Param<Tensor<4>>,
    /// `[channels_out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// The weight, if it is in blocks.
    pub packed: Packed,
    stride: usize,
    padding_begin: usize,
    padding_end: usize,
}

impl Conv2d {
    /// A convolution with an odd `kernel`, a bias, stride 1, and the padding that keeps the size.
    pub fn new(channels_in: usize, channels_out: usize, kernel: usize, device: &Device) -> Self {
        Self {
            weight: super::parameter([channels_out, channels_in, kernel, kernel], device),
            bias: Some(super::parameter([channels_out], device)),
            packed: Packed::none(device),
            stride: 1,
            padding_begin: kernel / 2,
            padding_end: kernel / 2,
        }
    }

    /// The same convolution with a stride.
    pub fn with_stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// The same convolution with `begin` zeros above and to the left, `end` below and to the right.
    pub fn with_padding(self, begin: usize, end: usize) -> Self {
        Self { padding_begin: begin, padding_end: end, ..self }
    }

    /// The same convolution without a bias.
    pub fn without_bias(self) -> Self {
        Self { bias: None, ..self }
    }

    /// From `[batch, channels_in, h, w]` to `[batch, channels_out, h', w']`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shape = self.weight.lazy_shape();
        let bias = match &self.bias {
            Some(bias) => bias.val(),
            None => Tensor::zeros([shape[0]], &x.device()),
        };
        let padding = [self.padding_begin, self.padding_end];
        match self.packed.weight(&shape) {
            Some(weight) => convolve_packed(x, weight, [shape[2], shape[3]], bias, self.stride, padding),
            None => convolve(x, self.weight.val(), bias, self.stride, padding),
        }
    }
}
