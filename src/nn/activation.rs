//! Activation functions by the names that configuration files use.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

/// `act_fn` of diffusers and `hidden_act` of transformers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x · sigmoid(x).
    #[serde(alias = "swish")]
    Silu,
    /// max(x, 0).
    Relu,
    /// x · Φ(x), the exact form.
    Gelu,
    /// x · sigmoid(1.702 x), CLIP's approximation of GELU.
    QuickGelu,
}

impl Activation {
    /// Applies the function to every element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Silu => activation::silu(x),
            Self::Relu => activation::relu(x),
            Self::Gelu => activation::gelu(x),
            Self::QuickGelu => x.clone() * activation::sigmoid(x * 1.702),
        }
    }
}
