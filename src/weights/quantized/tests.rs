//! Blocks in files against numpy's, and what is refused.

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
        let of = |name: &str| (tensors.tensor(name).unwrap().dtype(), tensors.tensor(name).unwrap().shape().to_vec());
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
        let expected =
            Blocks::quantize(format, &[6, 40], &linear.1.weight.val().into_data().iter::<f32>().collect::<Vec<_>>())
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
            let outputs = [net.conv.forward(x).into_data(), net.attention.transformer_blocks[0].forward(y).into_data()];
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
        let error = read(&serialized(&tensors), Some(Quantization::new(BlockFormat::Q8_0))).unwrap_err().to_string();
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
