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
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Checkpoint;
use crate::kernels::{BLOCK, BlockFormat, Blocks};
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
    bits: u32,
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
/// pictures three quarters of the error with 4 (`docs/quantization.md`).
pub(super) fn format_of(name: &str, asked: BlockFormat) -> BlockFormat {
    if name.contains(".transformer_blocks.") { asked } else { BlockFormat::Q8_0 }
}

/// Side and number of a convolution that is itself an entry of AutoencoderTiny's list.
fn tiny_place(name: &str) -> Option<(&str, usize)> {
    let (side, place) = name.strip_suffix(".weight")?.split_once(".layers.")?;
    let place = place.parse().ok()?;
    matches!(side, "encoder" | "decoder").then_some((side, place))
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::tensor::{Device, Int, Tensor, TensorData};
    use safetensors::tensor::TensorView;
    use std::collections::BTreeMap;

    use super::*;
    use crate::kernels::{self, Packing};
    use crate::nn::{Conv2d, LayerNorm, Linear};
    use crate::random::{Generator, stream};
    use crate::weights::{load, quantize};

    const FORMATS: [BlockFormat; 2] = [BlockFormat::Q8_0, BlockFormat::Q4_0];

    /// Codes, scales and widened values of `tests/reference/blocks_golden.py`, which has GGUF's arithmetic in numpy.
    #[test]
    fn codes_scales_and_values_are_those_of_numpy() {
        let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/blocks.safetensors")).unwrap();
        let golden = Checkpoint::parse("blocks.safetensors", &bytes).unwrap();
        let floats = |name: &str| golden.f32(name).unwrap().iter::<f32>().collect::<Vec<_>>();
        let names: Vec<&str> = golden.keys().filter_map(|key| key.strip_suffix(".values")).collect();
        assert!(names.len() >= 6, "{names:?}");
        for name in names {
            let key = format!("{name}.values");
            let (shape, values) = (golden.shape(&key).unwrap(), floats(&key));
            for format in FORMATS {
                let part = |what: &str| format!("{name}.q{}.{what}", format.bits());
                let blocks = Blocks::quantize(format, shape, &values).unwrap();
                assert_eq!(blocks.codes(), &*golden.u8(&part("codes")).unwrap(), "{name} {format:?}");
                let scales: Vec<f32> = blocks.scales().iter().map(|scale| scale.to_f32()).collect();
                assert_eq!(scales, floats(&part("scales")), "{name} {format:?}");
                assert_eq!(blocks.dequantize(), floats(&part("widened")), "{name} {format:?}");
            }
        }
    }

    /// As a UNet has them: layers inside its transformers, and others.
    #[derive(Module, Debug)]
    struct Net {
        conv_in: Conv2d,
        attention: Transformer,
        conv: Conv2d,
        norm: LayerNorm,
    }

    #[derive(Module, Debug)]
    struct Transformer {
        transformer_blocks: Vec<Linear>,
    }

    const LINEAR: &str = "attention.transformer_blocks.0.weight";
    const LINEAR_SCALE: &str = "attention.transformer_blocks.0.weight.scale";

    impl Net {
        fn new() -> Self {
            Self::on(&Device::flex())
        }

        fn on(device: &Device) -> Self {
            let (conv_in, linear) = (Conv2d::new(3, 5, 3, device), Linear::new(40, 6, device));
            let attention = Transformer { transformer_blocks: vec![linear] };
            Self { conv_in, attention, conv: Conv2d::new(5, 7, 3, device), norm: LayerNorm::new(6, 1e-5, device) }
        }
    }

    type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

    fn floats() -> Vec<u8> {
        let shapes = crate::weights::paths(&Net::new()).into_iter();
        let value = |x: f32| f16::from_f32(x).to_le_bytes();
        let tensors = shapes.map(|(name, shape)| {
            let values = stream(1, &name, 0).randn(shape.iter().product());
            (name, (Dtype::F16, shape, values.into_iter().flat_map(value).collect()))
        });
        serialized(&tensors.collect())
    }

    fn serialized(tensors: &Tensors) -> Vec<u8> {
        let views = tensors
            .iter()
            .map(|(name, (dtype, shape, data))| (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
        safetensors::serialize(views, None).unwrap()
    }

    fn quantized(format: BlockFormat) -> Vec<u8> {
        quantize(&Net::new(), &Checkpoint::parse("x", &floats()).unwrap(), format).unwrap().bytes
    }

    fn read(bytes: &[u8], quantization: Option<Quantization>) -> Result<Net> {
        load(Net::new(), &Checkpoint::parse("x.safetensors", bytes)?.with_quantization(quantization))
    }

    #[test]
    fn layers_are_put_into_blocks_and_everything_else_stays() {
        // Four bits are for a transformer's layers.
        for (format, dtype, bytes) in [(BlockFormat::Q8_0, Dtype::I8, 32), (BlockFormat::Q4_0, Dtype::U8, 16)] {
            let file = quantized(format);
            let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
            let mut names: Vec<&str> = tensors.names();
            names.sort_unstable();
            let expected = [
                "attention.transformer_blocks.0.bias",
                LINEAR,
                LINEAR_SCALE,
                "conv.bias",
                "conv.weight",
                "conv.weight.scale",
                "conv_in.bias",
                "conv_in.weight",
                "norm.bias",
                "norm.weight",
            ];
            assert_eq!(names, expected);
            let of =
                |name: &str| (tensors.tensor(name).unwrap().dtype(), tensors.tensor(name).unwrap().shape().to_vec());
            assert_eq!(of("conv_in.weight"), (Dtype::F16, vec![5, 3, 3, 3]));
            assert_eq!(of(LINEAR), (dtype, vec![6, 2, bytes]));
            assert_eq!(of("conv.weight"), (Dtype::I8, vec![7, 2, 32]));
            assert_eq!(of("conv.weight.scale"), (Dtype::F16, vec![7, 2]));
        }
    }

    #[test]
    fn a_quantized_module_holds_its_blocks_and_no_floats() {
        let float = read(&floats(), None).unwrap();
        let values = |tensor: Tensor<4>| tensor.into_data().iter::<f32>().collect::<Vec<_>>();
        let words = |tensor: Tensor<1, Int>| tensor.into_data().iter::<i32>().collect::<Vec<_>>();
        for format in FORMATS {
            let net = read(&quantized(format), Some(Quantization::new(format))).unwrap();
            assert_eq!(values(net.conv_in.weight.val()), values(float.conv_in.weight.val()));
            assert!(net.conv_in.packed.weight(&net.conv_in.weight.lazy_shape()).is_none());
            let linear = (&net.attention.transformer_blocks[0], &float.attention.transformer_blocks[0]);
            let expected = Blocks::quantize(
                format,
                &[6, 40],
                &linear.1.weight.val().into_data().iter::<f32>().collect::<Vec<_>>(),
            )
            .unwrap();
            let packed = linear.0.packed.weight(&linear.0.weight.lazy_shape()).unwrap();
            assert_eq!(packed.packing, Packing { format, rows: 6, columns: 40 });
            assert_eq!(words(packed.codes), kernels::code_words(&expected));
            assert_eq!(words(packed.scales), kernels::scale_words(&expected));
            let packed = net.conv.packed.weight(&net.conv.weight.lazy_shape()).unwrap();
            assert_eq!(packed.packing, Packing { format: BlockFormat::Q8_0, rows: 7, columns: 45 });
            assert!(!net.conv.weight.is_initialized() && !linear.0.weight.is_initialized());
        }
    }

    /// Training cannot start from blocks, but Imagic's gradients pass through layers that were quantized.
    #[test]
    fn where_gradients_are_kept_blocks_are_widened() {
        let device = Device::flex().autodiff();
        let file = quantized(BlockFormat::Q8_0);
        let checkpoint = Checkpoint::parse("x", &file).unwrap();
        let checkpoint = checkpoint.with_quantization(Some(Quantization::new(BlockFormat::Q8_0)));
        let net = load(Net::on(&device), &checkpoint).unwrap();
        assert!(net.conv.weight.is_initialized() && net.conv.packed.weight(&net.conv.weight.lazy_shape()).is_none());
    }

    #[test]
    fn packed_layers_draw_what_widened_ones_draw() {
        let (cpu, gradients) = (Device::flex(), Device::flex().autodiff());
        for format in FORMATS {
            let file = quantized(format);
            let read = |device: &Device| {
                let checkpoint = Checkpoint::parse("x", &file).unwrap();
                load(Net::on(device), &checkpoint.with_quantization(Some(Quantization::new(format)))).unwrap()
            };
            let picture = stream(2, "picture", 0).randn(2 * 5 * 9 * 7);
            let tokens = stream(2, "tokens", 0).randn(3 * 40);
            let run = |device: &Device| {
                let net = read(device);
                let x = Tensor::<4>::from_data(TensorData::new(picture.clone(), [2, 5, 9, 7]), device);
                let y = Tensor::<2>::from_data(TensorData::new(tokens.clone(), [3, 40]), device);
                let outputs =
                    [net.conv.forward(x).into_data(), net.attention.transformer_blocks[0].forward(y).into_data()];
                outputs.map(|data| data.iter::<f32>().collect::<Vec<_>>())
            };
            for (packed, widened) in run(&cpu).iter().flatten().zip(run(&gradients).iter().flatten()) {
                assert!((packed - widened).abs() < 1e-4, "{packed} for {widened}");
            }
        }
    }

    #[test]
    fn what_is_wrong_with_quantized_weights_is_named() {
        type Break = fn(&mut Tensors);
        fn put(tensors: &mut Tensors, name: &str, bytes: [u8; 2]) {
            tensors.get_mut(name).unwrap().2[..2].copy_from_slice(&bytes);
        }
        let breaks: [(&[&str], Break); 8] = [
            (&[LINEAR_SCALE, "missing"], |t| drop(t.remove(LINEAR_SCALE))),
            (&[LINEAR, "missing"], |t| drop(t.remove(LINEAR))),
            (&["conv.weight", "NaN"], |t| put(t, "conv.weight.scale", [0xff, 0x7f])),
            (&["conv.weight", "scale inf"], |t| put(t, "conv.weight.scale", [0x00, 0x7c])),
            (&["conv.weight", "scale -"], |t| put(t, "conv.weight.scale", [0x00, 0xbc])),
            (&[LINEAR, "[6, 2, 32]", "[6, 64]"], |t| t.get_mut(LINEAR).unwrap().1 = vec![6, 64]),
            (&["conv.weight.scale", "F32"], |t| {
                *t.get_mut("conv.weight.scale").unwrap() = (Dtype::F32, vec![7, 2], vec![0; 56]);
            }),
            (&["norm.weight", "I8"], |t| *t.get_mut("norm.weight").unwrap() = (Dtype::I8, vec![6], vec![1; 6])),
        ];
        let file = quantized(BlockFormat::Q8_0);
        let whole = safetensors::SafeTensors::deserialize(&file).unwrap();
        for (words, breaks) in breaks {
            let own = |view: &TensorView| (view.dtype(), view.shape().to_vec(), view.data().to_vec());
            let mut tensors: Tensors = whole.tensors().iter().map(|(name, view)| (name.clone(), own(view))).collect();
            breaks(&mut tensors);
            let error =
                read(&serialized(&tensors), Some(Quantization::new(BlockFormat::Q8_0))).unwrap_err().to_string();
            assert!(error.starts_with("x.safetensors: "), "{error}");
            assert!(words.iter().all(|word| error.contains(word)), "{words:?} is not in: {error}");
        }
    }

    #[test]
    fn configuration_and_file_must_agree() {
        let (q8, q4) = FORMATS.map(Quantization::new).into();
        let cases = [
            (quantized(BlockFormat::Q8_0), None, "quantization_config"),
            (quantized(BlockFormat::Q8_0), Some(q4), "config.json says 4"),
            (floats(), Some(q8), "no quantized weights"),
        ];
        for (bytes, quantization, words) in cases {
            let error = read(&bytes, quantization).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let bytes = quantized(BlockFormat::Q4_0);
        let error = quantize(&Net::new(), &Checkpoint::parse("x", &bytes).unwrap(), BlockFormat::Q8_0).err().unwrap();
        assert!(error.to_string().contains("weight: quantized already"), "{error}");
    }

    #[test]
    fn configurations_are_read_strictly() {
        let parse = |text: &str| Quantization::parse("unet/config.json", text.as_bytes());
        assert_eq!(parse("{}").unwrap(), None);
        assert_eq!(parse(r#"{"quantization_config": null}"#).unwrap(), None);
        for format in FORMATS {
            let text = serde_json::json!({ Quantization::KEY: Quantization::new(format) }).to_string();
            assert_eq!(parse(&text).unwrap().unwrap().format(), format);
        }
        let with = |inner: &str| parse(&format!(r#"{{"quantization_config": {{{inner}}}}}"#)).unwrap_err().to_string();
        for (inner, words) in [
            (r#""quant_method": "gguf""#, "gguf"),
            ("", "quant_method = null"),
            (r#""quant_method": "fourstep", "bits": 5, "group_size": 32"#, "bits = 5"),
            (r#""quant_method": "fourstep", "bits": 8, "group_size": 64"#, "group_size = 64"),
            (r#""quant_method": "fourstep", "bits": 8"#, "group_size"),
            (r#""quant_method": "fourstep", "bits": 8, "group_size": 32, "sym": true"#, "sym"),
        ] {
            let error = with(inner);
            assert!(error.starts_with("unet/config.json: quantization_config") && error.contains(words), "{error}");
        }
    }
}
