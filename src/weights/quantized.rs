//! Quantized weights in a checkpoint: `X.weight` holds codes and `X.weight.scale` scales, and the component's
//! `config.json` says so.
//!
//! | | 8 bits (GGUF's `Q8_0`) | 4 bits (`Q4_0`) |
//! |---|---|---|
//! | `X.weight` | I8 `[out, blocks, 32]` | U8 `[out, blocks, 16]` |
//! | `X.weight.scale` | F16 `[out, blocks]` | F16 `[out, blocks]` |
//!
//! A model in 4 bits has its more delicate weights in 8, each as its dtype says.
//!
//! The third dimension is there so that a reader of floats finds a shape that it did not ask for, and stops.

use half::f16;
use safetensors::Dtype;

use super::quantization::{SCALE, format_of, is_edge};
use super::{Checkpoint, Quantization};
use crate::kernels::{BLOCK, BlockFormat, Blocks};
use crate::{Error, Result};

impl Checkpoint<'_> {
    /// The same weights, read as their component's `config.json` says.
    pub fn with_quantization(mut self, quantization: Option<Quantization>) -> Self {
        self.quantization = quantization;
        self
    }

    /// The same weights, with those of layers that are floats put into blocks as they are read: all that
    /// `fourstep quantize` would put there. Weights that are in blocks already must be in these.
    pub fn quantizing(mut self, quantize: Option<BlockFormat>) -> Self {
        self.quantize = quantize;
        self
    }

    /// Whether a tensor holds codes instead of floats.
    pub(super) fn is_quantized(&self, name: &str) -> bool {
        self.dtype(name).is_some_and(|dtype| matches!(dtype, Dtype::I8 | Dtype::U8))
    }

    /// Whether a layer's weight is to be had by [`Self::blocks`].
    pub(super) fn comes_in_blocks(&self, name: &str) -> bool {
        self.is_quantized(name) || self.quantize.is_some() && !is_edge(name, self.keys())
    }

    /// The blocks of a layer's weight of this shape, checked; made here where the file has floats.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] for the weight or its scales; [`Error::MisshapenTensor`]; [`Error::BadFile`] for blocks
    /// that the configuration does not announce, for scales that are not finite, and for floats that cannot be put into blocks.
    pub(super) fn blocks(&self, name: &str, shape: &[usize]) -> Result<Blocks> {
        if self.quantize.is_some() && !self.is_quantized(name) {
            self.check_shape(name, shape)?;
            return self.to_blocks(name, shape, &self.f32(name)?.iter::<f32>().collect::<Vec<_>>());
        }
        let (format, scale) = self.check_blocks(name, shape)?;
        let numbers = self.bytes(&scale)?.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]])).collect();
        let blocks = Blocks::from_parts(format, shape, self.bytes(name)?.into_owned(), numbers);
        blocks.map_err(|error| self.bad(name, &error.to_string()))
    }

    /// Whether the headers promise the blocks of a weight of this shape; their format, and the key of their scales.
    pub(super) fn check_blocks(&self, name: &str, shape: &[usize]) -> Result<(BlockFormat, String)> {
        let (_, stored) = self.stored(name)?;
        let format = if stored.dtype == Dtype::I8 { BlockFormat::Q8_0 } else { BlockFormat::Q4_0 };
        self.check_announced(name, format)?;
        let scale = format!("{name}{SCALE}");
        let (_, scales) = self.stored(&scale)?;
        if scales.dtype != Dtype::F16 {
            return Err(self.bad(&scale, &format!("dtype {:?}, expected F16", scales.dtype)));
        }
        let columns: usize = shape.iter().skip(1).product();
        let blocks = vec![shape[0], columns.div_ceil(BLOCK)];
        let with_codes = [blocks.as_slice(), &[format.code_bytes()]].concat();
        self.check_shape(name, &with_codes)?;
        self.check_shape(&scale, &blocks)?;
        Ok((format, scale))
    }

    /// Floats in the order of `shape` as the blocks of the weight of that name, where weights are quantized as they are read.
    pub(super) fn to_blocks(&self, name: &str, shape: &[usize], values: &[f32]) -> Result<Blocks> {
        let format = format_of(name, self.quantize.expect("asked for where floats are quantized"));
        Blocks::quantize(format, shape, values).map_err(|error| self.bad(name, &error.to_string()))
    }

    /// Refuses a tensor of another shape; one that is missing is for others to name.
    pub(super) fn check_shape(&self, name: &str, expected: &[usize]) -> Result<()> {
        match self.shape(name).filter(|found| *found != expected) {
            None => Ok(()),
            Some(found) => Err(Error::MisshapenTensor {
                file: self.file().to_string(),
                name: name.to_string(),
                expected: expected.to_vec(),
                found: found.to_vec(),
            }),
        }
    }

    fn check_announced(&self, name: &str, format: BlockFormat) -> Result<()> {
        let bits = format.bits();
        if let Some(other) = self.quantize.filter(|other| format != *other && format != format_of(name, *other)) {
            let reason =
                format!("in {bits} bits already; for {} bits, take the float weights it was made from", other.bits());
            return Err(self.bad(name, &reason));
        }
        match &self.quantization {
            Some(quantization) if [quantization.format(), format_of(name, quantization.format())].contains(&format) => {
                Ok(())
            }
            Some(quantization) => {
                let announced = quantization.bits;
                let reason = format!("stored in {bits} bits, but the component's config.json says {announced}");
                Err(self.bad(name, &reason))
            }
            None => {
                let reason = format!(
                    "stored in {bits} bits a number, where floats are expected; quantized weights need a {} in the \
                     component's config.json, and cannot be trained",
                    Quantization::KEY
                );
                Err(self.bad(name, &reason))
            }
        }
    }
}

#[cfg(test)]
mod tests;
