//! Group normalisation (Wu & He, 2018) and layer normalisation (Ba et al., 2016).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, module};

use crate::kernels::normalise;

/// Normalises each group of channels of each picture to mean 0 and variance 1, then scales and shifts each channel.
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// `[channels]`.
    pub bias: Param<Tensor<1>>,
    groups: usize,
    eps: f64,
}

impl GroupNorm {
    /// `groups` must divide `channels`; configuration readers check that.
    pub fn new(groups: usize, channels: usize, eps: f64, device: &Device) -> Self {
        Self { weight: super::parameter([channels], device), bias: super::parameter([channels], device), groups, eps }
    }

    /// `[batch, channels, h, w]` to the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        normalise(x, self.weight.val(), self.bias.val(), self.groups, self.eps, false)
    }

    /// The same, followed by SiLU.
    pub fn forward_silu(&self, x: Tensor<4>) -> Tensor<4> {
        normalise(x, self.weight.val(), self.bias.val(), self.groups, self.eps, true)
    }
}

/// Normalises the last dimension to mean 0 and variance 1, then scales and shifts it.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[features]`.
    pub weight: Param<Tensor<1>>,
    /// `[features]`.
    pub bias: Param<Tensor<1>>,
    eps: f64,
}

impl LayerNorm {
    /// Normalises vectors of `features` numbers.
    pub fn new(features: usize, eps: f64, device: &Device) -> Self {
        Self { weight: super::parameter([features], device), bias: super::parameter([features], device), eps }
    }

    /// `[..., features]` to the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        module::layer_norm(x, self.weight.val(), Some(self.bias.val()), self.eps)
    }
}
