//! From float weights to quantized ones: which are put into blocks, and how much that changes them.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use safetensors::{Dtype, tensor::TensorView};

use super::quantized::SCALE;
use super::{Checkpoint, KeyPath};
use crate::kernels::{BlockFormat, Blocks};
use crate::{Error, Result};

/// A safetensors file with quantized weights.
pub struct QuantizedFile {
    /// The file.
    pub bytes: Vec<u8>,
    /// What was quantized, in the module's order.
    pub tensors: Vec<QuantizedTensor>,
}

/// What quantization did to a weight.
#[derive(Clone, Debug)]
pub struct QuantizedTensor {
    /// The checkpoint key.
    pub name: String,
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
/// convolution, norms, biases and embeddings stay as they are in the file.
///
/// # Errors
/// [`Error::MissingTensor`], [`Error::MisshapenTensor`]; [`Error::BadFile`] for weights that are quantized already, or
/// whose values are not finite.
pub fn quantize<M: Module>(module: &M, checkpoint: &Checkpoint, format: BlockFormat) -> Result<QuantizedFile> {
    let mut layers = Layers::default();
    module.visit(&mut layers);
    let names: Vec<&str> = layers.found.iter().map(|(name, _)| name.as_str()).collect();
    let mut blocks = BTreeMap::new();
    let mut tensors = Vec::new();
    for (name, expected) in layers.found.iter().filter(|(name, _)| !is_edge(name, &names)) {
        let (one, change) = quantize_one(checkpoint, name, expected, format)?;
        blocks.insert(name.as_str(), one);
        tensors.push(change);
    }
    Ok(QuantizedFile { bytes: serialize(checkpoint, &blocks)?, tensors })
}

fn quantize_one(
    checkpoint: &Checkpoint,
    name: &str,
    expected: &[usize],
    format: BlockFormat,
) -> Result<(Blocks, QuantizedTensor)> {
    if checkpoint.is_quantized(name) {
        return Err(checkpoint.bad(name, "quantized already; quantize the float weights that it was made from"));
    }
    if let Some(found) = checkpoint.shape(name).filter(|found| *found != expected) {
        let (file, name) = (checkpoint.file().to_string(), name.to_string());
        return Err(Error::MisshapenTensor { file, name, expected: expected.to_vec(), found: found.to_vec() });
    }
    let values: Vec<f32> = checkpoint.f32(name)?.iter::<f32>().collect();
    let blocks =
        Blocks::quantize(format, expected, &values).map_err(|error| checkpoint.bad(name, &error.to_string()))?;
    let square = |x: f64| x * x;
    let changes = values.iter().zip(blocks.dequantize()).map(|(a, b)| square(f64::from(*a) - f64::from(b)));
    let change = QuantizedTensor {
        name: name.to_string(),
        square: values.iter().map(|x| square(f64::from(*x))).sum(),
        square_error: changes.sum(),
    };
    Ok((blocks, change))
}

/// The checkpoint's tensors as they are, but for those in `blocks`.
fn serialize(checkpoint: &Checkpoint, blocks: &BTreeMap<&str, Blocks>) -> Result<Vec<u8>> {
    let bytes_of = |blocks: &Blocks| blocks.scales().iter().flat_map(|scale| scale.to_le_bytes()).collect();
    let scales: BTreeMap<&str, Vec<u8>> = blocks.iter().map(|(name, blocks)| (*name, bytes_of(blocks))).collect();
    let view = |dtype, shape, data| TensorView::new(dtype, shape, data).expect("as many bytes as the shape asks for");
    let mut views = Vec::new();
    for (name, whole) in &checkpoint.views {
        let Some(blocks) = blocks.get(name.as_str()) else {
            views.push((name.clone(), view(whole.dtype(), whole.shape().to_vec(), whole.data())));
            continue;
        };
        let (format, shape) = (blocks.format(), vec![blocks.shape()[0], blocks.blocks_per_row()]);
        let dtype = if format == BlockFormat::Q8_0 { Dtype::I8 } else { Dtype::U8 };
        let codes = [shape.as_slice(), &[format.code_bytes()]].concat();
        views.push((name.clone(), view(dtype, codes, blocks.codes())));
        views.push((format!("{name}{SCALE}"), view(Dtype::F16, shape, &scales[name.as_str()])));
    }
    // transformers opens only files that name a framework.
    let metadata = [("format".to_string(), "pt".to_string())].into();
    safetensors::serialize(views, Some(metadata))
        .map_err(|error| Error::BadFile { file: checkpoint.file().to_string(), reason: error.to_string() })
}

/// Weights that may be quantized: key and shape.
#[derive(Default)]
struct Layers {
    path: KeyPath,
    found: Vec<(String, Vec<usize>)>,
}

impl ModuleVisitor for Layers {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.path.is_layer_weight() {
            self.found.push((self.path.key(), param.lazy_shape().to_vec()));
        }
    }
}

/// Whether a key belongs to the first or the last convolution of a network: few numbers, and every one of the picture's or
/// latents' passes through them.
fn is_edge(name: &str, all: &[&str]) -> bool {
    let layer = name.trim_end_matches(".weight");
    let last = layer.rsplit('.').next().unwrap_or(layer);
    match last {
        "conv_in" | "conv_out" | "quant_conv" | "post_quant_conv" => true,
        // AutoencoderTiny numbers its layers: `encoder.layers.0`.
        _ => tiny_place(name).is_some_and(|(side, place)| {
            let places = all.iter().filter_map(|name| tiny_place(name)).filter(|(other, _)| *other == side);
            place == 0 || places.map(|(_, place)| place).max() == Some(place)
        }),
    }
}

/// Side and number of a convolution that is itself an entry of AutoencoderTiny's list.
fn tiny_place(name: &str) -> Option<(&str, usize)> {
    let (side, place) = name.strip_suffix(".weight")?.split_once(".layers.")?;
    let place = place.parse().ok()?;
    matches!(side, "encoder" | "decoder").then_some((side, place))
}
