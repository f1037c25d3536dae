//! The linear layer.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::Packed;
use crate::kernels::{multiply, multiply_packed};

/// y = x · weightᵀ + bias, with the weight as PyTorch stores it.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[d_output, d_input]`.
    pub weight: Param<Tensor<2>>,
    /// `[d_output]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// The weight, if it is in blocks.
    pub packed: Packed,
}

impl Linear {
    /// A layer from `d_input` to `d_output` features with a bias.
    pub fn new(d_input: usize, d_output: usize, device: &Device) -> Self {
        let bias = Some(super::parameter([d_output], device));
        Self { bias, ..Self::without_bias(d_input, d_output, device) }
    }

    /// A layer from `d_input` to `d_output` features without a bias.
    pub fn without_bias(d_input: usize, d_output: usize, device: &Device) -> Self {
        Self { weight: super::parameter([d_output, d_input], device), bias: None, packed: Packed::none(device) }
    }

    /// `[..., d_input]` to `[..., d_output]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let bias = self.bias.as_ref().map(Param::val);
        match self.packed.weight(&self.weight.lazy_shape()) {
            Some(weight) => multiply_packed(x, weight, bias),
            None => multiply(x, self.weight.val(), bias),
        }
    }
}
