//! Fills a module's parameters from a checkpoint, by the path of each.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::quantization::SCALE;
use super::{Checkpoint, KeyPath, Updates, Wanted, wanted};
use crate::kernels::{self, Blocks};
use crate::{Error, Result};

/// Every parameter of `module` gets the tensor of its name on the module's device: floats widened to f32, blocks as they are
/// (but widened where the device keeps gradients, and where an adapter changes them).
///
/// # Errors
/// [`Error::MissingTensor`], [`Error::MisshapenTensor`], [`Error::SurplusTensors`], [`Error::BadFile`] for values
/// that are not finite and for blocks that are broken or stand where the configuration announces none; each names
/// the tensor and the file.
pub fn load<M: Module>(module: M, checkpoint: &Checkpoint) -> Result<M> {
    load_with(module, checkpoint, &Updates::default())
}

/// As [`load`], with the updates of adapters added to the weights.
///
/// # Errors
/// Those of [`load`], and the same for the adapters' tensors.
pub fn load_with<M: Module>(module: M, checkpoint: &Checkpoint, updates: &Updates) -> Result<M> {
    let mut loader =
        Loader { checkpoint, updates, path: KeyPath::default(), used: BTreeSet::new(), blocks: None, error: None };
    let module = module.map(&mut loader);
    if let Some(error) = loader.error {
        return Err(error);
    }
    let surplus = checkpoint.keys().filter(|key| !loader.used.contains(*key));
    let names: Vec<String> = surplus.map(str::to_string).collect();
    if !names.is_empty() {
        return Err(Error::SurplusTensors { file: checkpoint.file().to_string(), names });
    }
    if checkpoint.quantization.is_some() && !checkpoint.keys().any(|key| checkpoint.is_quantized(key)) {
        let reason = "holds no quantized weights, but the component's config.json says so".to_string();
        return Err(Error::BadFile { file: checkpoint.file().to_string(), reason });
    }
    Ok(module)
}

/// Whether [`load`] would find everything that `module` asks for, and nothing else: by names and shapes, from the headers
/// alone.
///
/// # Errors
/// Those of [`load`], but for the values.
pub fn check<M: Module>(module: &M, checkpoint: &Checkpoint) -> Result<()> {
    let mut used = BTreeSet::new();
    for Wanted { name, shape, layer } in wanted(module) {
        if layer && checkpoint.is_quantized(&name) {
            checkpoint.check_blocks(&name, &shape)?;
            used.insert(format!("{name}{SCALE}"));
        } else {
            checkpoint.stored(&name)?;
            checkpoint.check_shape(&name, &shape)?;
        }
        used.insert(name);
    }
    let names: Vec<String> = checkpoint.keys().filter(|key| !used.contains(*key)).map(str::to_string).collect();
    match names.is_empty() {
        true => Ok(()),
        false => Err(Error::SurplusTensors { file: checkpoint.file().to_string(), names }),
    }
}

struct Loader<'a> {
    checkpoint: &'a Checkpoint<'a>,
    updates: &'a Updates<'a>,
    path: KeyPath,
    used: BTreeSet<String>,
    /// Of the layer whose weight came last; they go to its packed weight, which follows.
    blocks: Option<Blocks>,
    error: Option<Error>,
}

impl Loader<'_> {
    /// `None` for a weight that stays in blocks.
    fn tensor<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Result<Option<Tensor<D>>> {
        let (name, file) = (self.path.key(), self.checkpoint.file().to_string());
        let expected = param.lazy_shape().to_vec();
        if self.path.is_layer_weight() && self.checkpoint.comes_in_blocks(&name) {
            let (device, quantized) = (param.lazy_device(), self.checkpoint.is_quantized(&name));
            let updated = self.updates.touch(&name);
            let blocks = match updated && !quantized {
                true => self.updated_blocks::<D>(&name, &expected)?,
                false => self.checkpoint.blocks(&name, &expected)?,
            };
            self.used.insert(format!("{name}{SCALE}"));
            // Gradients need floats; so does an update of blocks, which would lose its smallest changes.
            let tensor = if device.is_autodiff() || (updated && quantized) {
                let tensor = Tensor::from_data(TensorData::new(blocks.dequantize(), expected), &device);
                Some(if quantized { self.updates.apply(&name, tensor)? } else { tensor })
            } else {
                self.blocks = Some(blocks);
                None
            };
            self.used.insert(name);
            return Ok(tensor);
        }
        self.checkpoint.check_shape(&name, &expected)?;
        let data = self.checkpoint.f32(&name)?;
        if !data.as_slice::<f32>().expect("widened to f32").iter().all(|value| value.is_finite()) {
            return Err(Error::BadFile { file, reason: format!("tensor {name} holds values that are not finite") });
        }
        let device = param.lazy_device();
        let tensor = self.updates.apply(&name, kept(&device, data, |data| Tensor::from_data(data, &device)))?;
        self.used.insert(name);
        Ok(Some(tensor))
    }

    /// A weight that is put into blocks here: adapters come first, so that the blocks hold what is drawn with. (On the
    /// processor, whose numbers can be read back at once.)
    fn updated_blocks<const D: usize>(&self, name: &str, shape: &[usize]) -> Result<Blocks> {
        self.checkpoint.check_shape(name, shape)?;
        let weight = Tensor::<D>::from_data(self.checkpoint.f32(name)?, &Device::flex());
        let values: Vec<f32> = self.updates.apply(name, weight)?.into_data().iter::<f32>().collect();
        self.checkpoint.to_blocks(name, shape, &values)
    }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        match self.tensor(&param) {
            Ok(Some(tensor)) => {
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Ok(None) => param,
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }

    /// Codes, then scales, of the blocks that were read for the layer's weight.
    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        let Some(blocks) = &self.blocks else { return param };
        let words = if self.path.is_codes() {
            kernels::code_words(blocks)
        } else {
            let words = kernels::scale_words(blocks);
            self.blocks = None;
            words
        };
        let (id, device, count) = (param.id, param.lazy_device(), words.len());
        let data = TensorData::new(words, [count; D]);
        let tensor = kept(&device, data, |data| Tensor::from_data(data, (&device, DType::I32)));
        param.transform_for_load(tensor, id)
    }
}

/// Bytes from which a weight has memory of its own: what burn's pool of small buffers no longer serves.
const OWN_MEMORY: usize = 64 << 10;

/// What stays on the device has just as much memory as it takes; the device's pools, whose pages are larger, are for what
/// comes and goes. (Small tensors share a page well.)
fn kept<T: Send>(device: &Device, data: TensorData, make: impl Fn(TensorData) -> T + Send) -> T {
    match data.as_bytes().len() < OWN_MEMORY {
        true => make(data),
        false => device.memory_persistent_allocations(data, make),
    }
}
