//! A checkpoint written again, as it is or with its layers' weights in blocks, and how much that changes them. One tensor
//! is in memory at a time.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use safetensors::Dtype;

use super::quantization::{SCALE, format_of, is_edge};
use super::write::{Planned, write_sharded, write_to};
use super::{Checkpoint, Wanted, wanted};
use crate::Result;
use crate::kernels::{BLOCK, BlockFormat, Blocks};

/// A safetensors file with quantized weights, in memory: for tests.
pub struct QuantizedFile {
    /// The file.
    pub bytes: Vec<u8>,
    /// What was quantized, in the order of the file.
    pub tensors: Vec<QuantizedTensor>,
}

/// What quantization did to a weight.
#[derive(Clone, Debug)]
pub struct QuantizedTensor {
    /// The checkpoint key.
    pub name: String,
    /// Its blocks.
    pub format: BlockFormat,
    /// Sum of the squares of its numbers.
    pub square: f64,
    /// Sum of the squares of their changes.
    pub square_error: f64,
}

impl QuantizedTensor {
    /// ‖change‖ / ‖weight‖; 0 for a weight of zeros.
    pub fn relative_error(&self) -> f64 {
        (self.square_error / self.square.max(f64::MIN_POSITIVE)).sqrt()
    }
}

/// The file of `module`'s weights with those of its linear and convolutional layers in blocks. The first and the last
/// convolution, norms, biases and embeddings stay as they are in the file. For tests: commands write a [`Rewrite`] to disk.
///
/// # Errors
/// [`crate::Error::MissingTensor`], [`crate::Error::MisshapenTensor`]; [`crate::Error::BadFile`] for weights that are quantized already, or
/// whose values are not finite.
pub fn quantize<M: Module>(module: &M, checkpoint: &Checkpoint, format: BlockFormat) -> Result<QuantizedFile> {
    let rewrite = Rewrite::quantized(module, checkpoint, format)?;
    let (mut bytes, name) = (Vec::new(), checkpoint.file().to_string());
    write_to(&mut bytes, &name, &rewrite.tensors(), &mut |tensor| rewrite.bytes(tensor))?;
    Ok(QuantizedFile { bytes, tensors: rewrite.changes.into_inner() })
}

/// What the files of a component will hold.
pub struct Rewrite<'c, 'a> {
    checkpoint: &'c Checkpoint<'a>,
    /// The weights that are put into blocks, with their shapes.
    layers: BTreeMap<String, Vec<usize>>,
    /// What is asked for; [`format_of`] a weight may be another.
    format: BlockFormat,
    changes: RefCell<Vec<QuantizedTensor>>,
    /// Of the weight whose codes were asked for last.
    scales: RefCell<Option<(String, Vec<u8>)>>,
}

/// Files that were written.
pub struct Written {
    /// Their names, the index of shards included.
    pub files: Vec<String>,
    /// What was quantized, in the order of the files.
    pub tensors: Vec<QuantizedTensor>,
}

impl<'c, 'a> Rewrite<'c, 'a> {
    /// Everything as it is, under its present names.
    pub fn as_is(checkpoint: &'c Checkpoint<'a>) -> Self {
        let (changes, scales) = (RefCell::default(), RefCell::default());
        Self { checkpoint, layers: BTreeMap::new(), format: BlockFormat::Q8_0, changes, scales }
    }

    /// With the layers of `module` in blocks.
    ///
    /// # Errors
    /// Those of [`quantize`], but for the values.
    pub fn quantized<M: Module>(module: &M, checkpoint: &'c Checkpoint<'a>, format: BlockFormat) -> Result<Self> {
        let layers: Vec<Wanted> = wanted(module).into_iter().filter(|wanted| wanted.layer).collect();
        let is_inner = |layer: &&Wanted| !is_edge(&layer.name, layers.iter().map(|layer| layer.name.as_str()));
        let inner = layers.iter().filter(is_inner).map(|layer| (layer.name.clone(), layer.shape.clone()));
        let layers: BTreeMap<_, _> = inner.collect();
        for (name, expected) in &layers {
            if checkpoint.is_quantized(name) {
                return Err(checkpoint.bad(name, "quantized already; quantize the float weights that it was made from"));
            }
            checkpoint.check_shape(name, expected)?;
        }
        Ok(Self { layers, format, ..Self::as_is(checkpoint) })
    }

    /// What is written, in order: numbers of four bytes first and codes before their scales, so that each begins at a
    /// multiple of its size.
    pub fn tensors(&self) -> Vec<Planned> {
        let mut tensors = Vec::new();
        for (name, (_, stored)) in &self.checkpoint.tensors {
            let name = name.clone();
            let Some(shape) = self.layers.get(&name) else {
                tensors.push(Planned { name, dtype: stored.dtype, shape: stored.shape.clone() });
                continue;
            };
            let blocks = vec![shape[0], shape[1..].iter().product::<usize>().div_ceil(BLOCK)];
            let format = format_of(&name, self.format);
            let dtype = if format == BlockFormat::Q8_0 { Dtype::I8 } else { Dtype::U8 };
            let codes = [blocks.as_slice(), &[format.code_bytes()]].concat();
            let scale = format!("{name}{SCALE}");
            tensors.push(Planned { name, dtype, shape: codes });
            tensors.push(Planned { name: scale, dtype: Dtype::F16, shape: blocks });
        }
        let is_wide = |tensor: &Planned| tensor.dtype.bitsize() > 16;
        tensors.sort_by(|a, b| is_wide(b).cmp(&is_wide(a)).then_with(|| a.name.cmp(&b.name)));
        tensors
    }

    /// The bytes of one of [`Self::tensors`], which are to be asked for in their order.
    ///
    /// # Errors
    /// Those of reading; [`crate::Error::BadFile`] for values that cannot be quantized.
    pub fn bytes(&self, tensor: &Planned) -> Result<Cow<'a, [u8]>> {
        let name = &tensor.name;
        let held = self.scales.borrow_mut().take_if(|(of, _)| of == name);
        if let Some((_, scales)) = held {
            return Ok(Cow::Owned(scales));
        }
        let Some(shape) = self.layers.get(name) else { return self.checkpoint.bytes(name) };
        let (blocks, change) = self.quantize_one(name, shape)?;
        self.changes.borrow_mut().push(change);
        let scales = blocks.scales().iter().flat_map(|scale| scale.to_le_bytes()).collect();
        *self.scales.borrow_mut() = Some((format!("{name}{SCALE}"), scales));
        Ok(Cow::Owned(blocks.codes().to_vec()))
    }

    /// Writes the component's files; see [`write_sharded`].
    ///
    /// # Errors
    /// Those of [`write_sharded`] and [`Self::bytes`].
    pub fn write(self, dir: &Path, file: &str, limit: u64) -> Result<Written> {
        let files = write_sharded(dir, file, &self.tensors(), limit, &mut |tensor| self.bytes(tensor))?;
        Ok(Written { files, tensors: self.changes.into_inner() })
    }

    /// What is quantized, without writing it.
    ///
    /// # Errors
    /// Those of [`Self::bytes`].
    pub fn measure(&self) -> Result<Vec<QuantizedTensor>> {
        self.layers.iter().map(|(name, shape)| Ok(self.quantize_one(name, shape)?.1)).collect()
    }

    fn quantize_one(&self, name: &str, shape: &[usize]) -> Result<(Blocks, QuantizedTensor)> {
        let values: Vec<f32> = self.checkpoint.f32(name)?.iter::<f32>().collect();
        let bad = |error: crate::kernels::BlockError| self.checkpoint.bad(name, &error.to_string());
        let blocks = Blocks::quantize(format_of(name, self.format), shape, &values).map_err(bad)?;
        let square = |x: f64| x * x;
        let changes = values.iter().zip(blocks.dequantize()).map(|(a, b)| square(f64::from(*a) - f64::from(b)));
        let change = QuantizedTensor {
            name: name.to_string(),
            format: blocks.format(),
            square: values.iter().map(|x| square(f64::from(*x))).sum(),
            square_error: changes.sum(),
        };
        Ok((blocks, change))
    }
}
