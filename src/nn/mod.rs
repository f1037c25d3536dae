//! Layers, with fields named as in the checkpoints, so that weights load by name.
//!
//! A layer is created without values ([`parameter`]), and [`crate::weights`] fills them in. A parameter that is never
//! filled is zero; training relies on this for layers that start at zero.

mod activation;
mod attention;
mod conv;
mod embeddings;
mod linear;
mod nag;
mod norm;
mod packed;
mod resnet;
mod sampling;
pub mod trace;
mod transformer;

pub use activation::Activation;
pub use attention::{Attention, AttentionConfig};
pub use conv::Conv2d;
pub use embeddings::{TimestepEmbedding, timestep_embedding};
pub use linear::Linear;
pub use nag::{Context, Nag};
pub use norm::{GroupNorm, LayerNorm};
pub use packed::Packed;
pub use resnet::{ResnetBlock2D, ResnetConfig};
pub(crate) use sampling::nearest;
pub use sampling::{Downsample2D, Upsample2D};
pub use transformer::{Transformer2DConfig, Transformer2DModel, feed_forward_stretch};

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Shape, Tensor};

/// A parameter that gets its values later. It takes no memory until it is loaded, initialised or first used (then it is
/// zero).
pub fn parameter<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::uninitialized(
        ParamId::new(),
        move |device, require_grad| Tensor::zeros(shape, device).set_require_grad(require_grad),
        device.clone(),
        true,
        Shape::from(shape),
    )
}
