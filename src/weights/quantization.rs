//! What a component's `config.json` says about blocks, and which weights are put into which blocks.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kernels::{BLOCK, BlockFormat};
use crate::{Error, Result};

/// What follows a weight's key in the key of its scales.
pub(super) const SCALE: &str = ".scale";

/// `quantization_config` of a component's `config.json`, diffusers' place for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    /// [`Self::METHOD`].
    quant_method: String,
    /// 8 or 4.
    pub(super) bits: u32,
    /// Numbers that share a scale: 32.
    group_size: usize,
}

impl Quantization {
    /// The key in `config.json`.
    pub const KEY: &str = "quantization_config";
    /// The name of this way of storing weights; other readers know that they do not know it.
    pub const METHOD: &str = "fourstep";

    /// With blocks of this format.
    pub fn new(format: BlockFormat) -> Self {
        Self { quant_method: Self::METHOD.to_string(), bits: format.bits(), group_size: BLOCK }
    }

    /// From a component's `config.json`; `None` where the weights are floats. `file` is the name to use in messages.
    ///
    /// # Errors
    /// [`Error::Config`] for another method or other values than are known.
    pub fn parse(file: &str, config: &[u8]) -> Result<Option<Self>> {
        let problem = |reason: String| Error::Config { file: file.to_string(), reason };
        let value: Value = serde_json::from_slice(config).map_err(|error| problem(error.to_string()))?;
        let Some(value) = value.get(Self::KEY).filter(|value| !value.is_null()) else { return Ok(None) };
        let key = Self::KEY;
        let method = &value["quant_method"];
        if method != Self::METHOD {
            let known = Self::METHOD;
            return Err(problem(format!("{key}.quant_method = {method} is not supported, only {known:?}")));
        }
        let this: Self = serde_json::from_value(value.clone()).map_err(|error| problem(format!("{key}: {error}")))?;
        if BlockFormat::from_bits(this.bits).is_none() {
            return Err(problem(format!("{key}.bits = {} is not supported, only 8 or 4", this.bits)));
        }
        if this.group_size != BLOCK {
            return Err(problem(format!("{key}.group_size = {} is not supported, only {BLOCK}", this.group_size)));
        }
        Ok(Some(this))
    }

    /// How the blocks are stored.
    pub fn format(&self) -> BlockFormat {
        BlockFormat::from_bits(self.bits).expect("checked when it was read")
    }
}

/// Whether a key belongs to the first or the last convolution of a network: few numbers, and every one of the picture's or
/// latents' passes through them. `all` are the keys of the network's layers, at least.
pub(super) fn is_edge<'k>(name: &str, all: impl Iterator<Item = &'k str>) -> bool {
    let layer = name.trim_end_matches(".weight");
    let last = layer.rsplit('.').next().unwrap_or(layer);
    match last {
        "conv_in" | "conv_out" | "quant_conv" | "post_quant_conv" => true,
        // AutoencoderTiny numbers its layers: `encoder.layers.0`.
        _ => tiny_place(name).is_some_and(|(side, place)| {
            let places = all.filter_map(tiny_place).filter(|(other, _)| *other == side);
            place == 0 || places.map(|(_, place)| place).max() == Some(place)
        }),
    }
}

/// The blocks of a weight in a model whose weights are asked for in `asked`. Four bits are for the attention and feed-forward
/// layers inside the UNet's transformers, where larger models have most of their numbers. What everything passes through
/// keeps 8: convolutions, the transformers' projections, time embeddings, text encoders and autoencoders, which cost the
/// pictures most of the error with 4 (`docs/quantization.md`).
pub(super) fn format_of(name: &str, asked: BlockFormat) -> BlockFormat {
    if name.contains(".transformer_blocks.") { asked } else { BlockFormat::Q8_0 }
}

/// Side and number of a convolution that is itself an entry of AutoencoderTiny's list.
fn tiny_place(name: &str) -> Option<(&str, usize)> {
    let (side, place) = name.strip_suffix(".weight")?.split_once(".layers.")?;
    let place = place.parse().ok()?;
    matches!(side, "encoder" | "decoder").then_some((side, place))
}
