//! A checkpoint written again with floats alone: blocks widened, every number in one precision. One tensor is in memory at
//! a time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;

use super::write::{Planned, write_sharded};
use super::{Checkpoint, Precision, Wanted, check, wanted};
use crate::Result;

/// Writes `module`'s weights to `dir/file` as any reader of safetensors reads them. Returns the number of tensors.
///
/// # Errors
/// Those of [`check`] and of reading; [`crate::Error::BadFile`] for numbers that are not finite, or too large for 16-bit
/// floats; [`crate::Error::Io`].
pub fn write_floats<M: Module>(
    module: &M,
    checkpoint: &Checkpoint,
    precision: Precision,
    dir: &Path,
    file: &str,
) -> Result<usize> {
    check(module, checkpoint)?;
    let wanted: BTreeMap<String, Wanted> =
        wanted(module).into_iter().map(|wanted| (wanted.name.clone(), wanted)).collect();
    let plan =
        |wanted: &Wanted| Planned { name: wanted.name.clone(), dtype: precision.dtype(), shape: wanted.shape.clone() };
    let tensors: Vec<Planned> = wanted.values().map(plan).collect();
    let mut bytes_of = |tensor: &Planned| -> Result<Cow<'static, [u8]>> {
        let values = checkpoint.floats(&wanted[&tensor.name])?;
        let fits = |x: &f32| x.is_finite() && (precision == Precision::F32 || half::f16::from_f32(*x).is_finite());
        match values.iter().find(|x| !fits(x)) {
            None => Ok(Cow::Owned(precision.bytes(&values))),
            Some(x) if x.is_finite() => {
                Err(checkpoint.bad(&tensor.name, &format!("{x} is too large for 16-bit floats; use 32-bit ones")))
            }
            Some(_) => Err(checkpoint.bad(&tensor.name, "holds values that are not finite")),
        }
    };
    write_sharded(dir, file, &tensors, u64::MAX, &mut bytes_of)?;
    Ok(tensors.len())
}

impl Checkpoint<'_> {
    /// The numbers of a tensor in the order of its shape, blocks widened.
    fn floats(&self, wanted: &Wanted) -> Result<Vec<f32>> {
        match wanted.layer && self.is_quantized(&wanted.name) {
            true => Ok(self.blocks(&wanted.name, &wanted.shape)?.dequantize()),
            false => Ok(self.f32(&wanted.name)?.iter::<f32>().collect()),
        }
    }
}
