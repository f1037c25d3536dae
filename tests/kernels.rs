//! The GPU's kernels (on whatever adapter wgpu finds) and those of the processor that widen packed weights against the
//! processor's with floats, over odd sizes. Every size is drawn from a seed, which a failure names.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use burn::tensor::ops::{AttentionModuleOptions, ConvOptions};
use burn::tensor::{DType, Device, Int, Tensor, TensorData, activation, module};
use fourstep::kernels::{
    BlockFormat, Blocks, PackedWeight, Packing, attend_in_tiles, code_words, convolve, convolve_packed, multiply,
    multiply_packed, normalise, scale_words,
};
use fourstep::models::{AutoencoderTiny, ClipTextModel, UNet2DConditionModel, parse};
use fourstep::pipeline::{LoadOptions, Pipeline, Request, StepEvent};
use fourstep::random::{Generator, Mt19937};
use fourstep::weights::{Checkpoint, Files, MemoryFiles, Quantization, QuantizedFile, quantize};

/// Sizes and numbers of one case.
struct Draw(Mt19937);

impl Draw {
    fn new(seed: u64) -> Self {
        Self(Mt19937::new(seed))
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.0.next_u32() as usize % of.len()]
    }

    fn size(&mut self, most: usize) -> usize {
        1 + self.0.next_u32() as usize % most
    }

    fn numbers(&mut self, count: usize) -> Vec<f32> {
        self.0.randn(count)
    }
}

fn gpu() -> Device {
    static GPU: OnceLock<Device> = OnceLock::new();
    let open = || pollster::block_on(Device::wgpu_options().init_async()).expect("a wgpu device");
    GPU.get_or_init(open).clone()
}

fn on<const D: usize>(device: &Device, numbers: &[f32], shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers.to_vec(), shape), device)
}

fn packed(blocks: &Blocks, device: &Device) -> PackedWeight {
    let words = |words: Vec<i32>| {
        let count = words.len();
        Tensor::<1, Int>::from_data(TensorData::new(words, [count]), (device, DType::I32))
    };
    let (rows, columns) = (blocks.shape()[0], blocks.shape()[1..].iter().product());
    let packing = Packing { format: blocks.format(), rows, columns };
    PackedWeight { codes: words(code_words(blocks)), scales: words(scale_words(blocks)), packing }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().expect("f32")
}

/// ‖found - expected‖ / ‖expected‖.
fn relative(found: &[f32], expected: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let apart: f64 = found.iter().zip(expected).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let size: f64 = expected.iter().map(|b| square(f64::from(*b))).sum();
    (apart / size.max(1e-30)).sqrt()
}

/// Relative L2 of at most 1e-5; `what` says which case it is.
fn close<const D: usize>(found: Tensor<D>, expected: &Tensor<D>, what: &str) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let (found, expected) = (values(found), values(expected.clone()));
    let error = relative(&found, &expected);
    assert!(error <= 1e-5, "{what}: relative error {error:.1e}");
}

const FORMATS: [BlockFormat; 2] = [BlockFormat::Q8_0, BlockFormat::Q4_0];

#[test]
fn products_agree_on_every_device_and_in_every_format() {
    let (cpu, gpu) = (Device::flex(), gpu());
    for seed in 0..12 {
        let mut draw = Draw::new(seed);
        let (batch, most) = (draw.size(3), draw.pick(&[4, 30, 150]));
        let (tokens, inner, columns) = (draw.size(most), draw.size(200), draw.size(200));
        let what = format!("seed {seed}: [{batch}, {tokens}, {inner}] to {columns}");
        let (x, shape) = (draw.numbers(batch * tokens * inner), [batch, tokens, inner]);
        let (weight, bias) = (draw.numbers(columns * inner), draw.numbers(columns));
        let biased = draw.pick(&[true, false]);
        let bias = |device: &Device| biased.then(|| on(device, &bias, [columns]));
        let float = |weight: &[f32], device: &Device| {
            multiply(on(device, &x, shape), on(device, weight, [columns, inner]), bias(device))
        };
        close(float(&weight, &gpu), &float(&weight, &cpu), &what);
        for format in FORMATS {
            let blocks = Blocks::quantize(format, &[columns, inner], &weight).expect("finite weights");
            let expected = float(&blocks.dequantize(), &cpu);
            for device in [&cpu, &gpu] {
                let found = multiply_packed(on(device, &x, shape), packed(&blocks, device), bias(device));
                close(found, &expected, &format!("{what}, {format:?} on {device:?}"));
            }
        }
    }
}

#[test]
fn convolutions_agree_on_every_device_and_in_every_format() {
    let (cpu, gpu) = (Device::flex(), gpu());
    for seed in 100..112 {
        let mut draw = Draw::new(seed);
        let (batch, kernel, stride) = (draw.size(2), draw.pick(&[[1, 1], [3, 3]]), draw.pick(&[1, 2]));
        let channels_in = match draw.pick(&[true, false]) {
            true => 32 * draw.size(3),
            false => draw.size(70),
        };
        let (channels_out, height, width) = (draw.size(100), 2 + draw.size(18), 2 + draw.size(18));
        let padding = draw.pick(&[[kernel[0] / 2; 2], [0, 1]]);
        let shape = [batch, channels_in, height, width];
        let weight_shape = [channels_out, channels_in, kernel[0], kernel[1]];
        let what = format!("seed {seed}: {shape:?} by {weight_shape:?}, stride {stride}, padding {padding:?}");
        let (x, weight) = (draw.numbers(shape.iter().product()), draw.numbers(weight_shape.iter().product()));
        let bias = draw.numbers(channels_out);
        let float = |weight: &[f32], device: &Device| {
            let (weight, bias) = (on(device, weight, weight_shape), on(device, &bias, [channels_out]));
            convolve(on(device, &x, shape), weight, bias, stride, padding)
        };
        close(float(&weight, &gpu), &float(&weight, &cpu), &what);
        for format in FORMATS {
            let blocks = Blocks::quantize(format, &weight_shape, &weight).expect("finite weights");
            let expected = float(&blocks.dequantize(), &cpu);
            for device in [&cpu, &gpu] {
                let (weight, bias) = (packed(&blocks, device), on(device, &bias, [channels_out]));
                let found = convolve_packed(on(device, &x, shape), weight, kernel, bias, stride, padding);
                close(found, &expected, &format!("{what}, {format:?} on {device:?}"));
            }
        }
    }
}

#[test]
fn group_norms_agree_on_every_device() {
    for seed in 200..210 {
        let mut draw = Draw::new(seed);
        let (batch, groups, each) = (draw.size(3), draw.pick(&[1, 3, 32]), draw.size(4));
        let most = draw.pick(&[4, 20, 60]);
        let shape = [batch, groups * each, draw.size(most), draw.size(most)];
        let silu = draw.pick(&[true, false]);
        let what = format!("seed {seed}: {shape:?} in {groups} groups, silu {silu}");
        // Far from zero, where sums of squares would lose their digits.
        let x: Vec<f32> = draw.numbers(shape.iter().product()).iter().map(|x| x + 30.0).collect();
        let [weight, bias] = [draw.numbers(groups * each), draw.numbers(groups * each)];
        let run = |device: &Device| {
            let [weight, bias] = [&weight, &bias].map(|numbers| on(device, numbers, [groups * each]));
            normalise(on(device, &x, shape), weight, bias, groups, 1e-5, silu)
        };
        let (found, expected) = (run(&gpu()), run(&Device::flex()));
        // The two sum in different orders.
        let size = values(expected.clone()).iter().map(|x| x.abs()).fold(0f32, f32::max);
        let apart = values(found).iter().zip(values(expected)).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(apart <= 3e-5 * size.max(1.0), "{what}: {apart:.1e}");
    }
}

#[test]
fn attention_agrees_on_every_device() {
    for seed in 300..312 {
        let mut draw = Draw::new(seed);
        let (batch, heads) = (draw.size(2), draw.size(3));
        let features = draw.pick(&[16, 21, 40, 160]);
        let causal = draw.pick(&[true, false]);
        let queries = draw.size(150);
        let keys = if causal { queries } else { draw.size(150) };
        // Large scores, too, where e^score alone overflows.
        let scale = draw.pick(&[1.0, 10.0]);
        let what = format!("seed {seed}: {batch} x {heads} heads of {features}, {queries} by {keys}, causal {causal}");
        let token = heads * features;
        let q: Vec<f32> = draw.numbers(batch * queries * token).iter().map(|x| x * scale).collect();
        let [k, v] = [draw.numbers(batch * keys * token), draw.numbers(batch * keys * token)];
        let run = |device: &Device| {
            let [k, v] = [&k, &v].map(|numbers| on(device, numbers, [batch, keys, token]));
            attend_in_tiles(on(device, &q, [batch, queries, token]), k, v, heads, causal)
        };
        let (found, expected) = (run(&gpu()), run(&Device::flex()));
        close(found, &expected, &what);
    }
}

/// The autoencoder's: one head of all channels.
#[test]
fn attention_agrees_for_a_head_of_512_features() {
    let mut draw = Draw::new(400);
    let [q, k, v] = [(); 3].map(|()| draw.numbers(100 * 512));
    let run = |device: &Device| {
        let [q, k, v] = [&q, &k, &v].map(|numbers| on(device, numbers, [1, 100, 512]));
        attend_in_tiles(q, k, v, 1, false)
    };
    let (found, expected) = (run(&gpu()), run(&Device::flex()));
    close(found, &expected, "seed 400");
}

/// *Stickers* with all linear and convolutional weights in blocks.
fn stickers(format: BlockFormat) -> MemoryFiles {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/stickers-teacher");
    let mut files = MemoryFiles::default();
    for folder in ["scheduler", "text_encoder", "tokenizer", "unet", "vae", "."] {
        for entry in std::fs::read_dir(root.join(folder)).expect("the shipped model") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let name = path.strip_prefix(&root).expect("inside").to_str().expect("a plain name");
                files.insert(name.trim_start_matches("./"), std::fs::read(&path).expect("a file"));
            }
        }
    }
    let cpu = Device::flex();
    let read = |name: &str| files.read(name).expect("a file of the model").into_owned();
    let (unet, vae, text) = (read("unet/config.json"), read("vae/config.json"), read("text_encoder/config.json"));
    let unet_model = UNet2DConditionModel::new(&parse("unet", &unet).unwrap(), "unet", &cpu).unwrap();
    let vae_model = AutoencoderTiny::new(&parse("vae", &vae).unwrap(), "vae", &cpu).unwrap();
    let text_model = ClipTextModel::new(&parse("text", &text).unwrap(), "text", &cpu).unwrap();
    let put = |folder: &str, weights: &str, config: &[u8], quantize: &dyn Fn(&Checkpoint) -> QuantizedFile| {
        let (path, bytes) = (format!("{folder}/{weights}"), read(&format!("{folder}/{weights}")));
        let file = quantize(&Checkpoint::parse(&path, &bytes).unwrap());
        let mut config: serde_json::Value = serde_json::from_slice(config).unwrap();
        config[Quantization::KEY] = serde_json::to_value(Quantization::new(format)).unwrap();
        [(path, file.bytes), (format!("{folder}/config.json"), config.to_string().into_bytes())]
    };
    let diffusers = "diffusion_pytorch_model.safetensors";
    let changed = [
        put("unet", diffusers, &unet, &|weights| quantize(&unet_model, weights, format).unwrap()),
        put("vae", diffusers, &vae, &|weights| quantize(&vae_model, weights, format).unwrap()),
        put("text_encoder", "model.safetensors", &text, &|weights| quantize(&text_model, weights, format).unwrap()),
    ];
    changed.into_iter().flatten().for_each(|(path, bytes)| files.insert(path, bytes));
    files
}

/// Latents and decoded picture of two steps.
fn drawn(files: &MemoryFiles, options: &LoadOptions, device: &Device) -> [Tensor<4>; 2] {
    let pipeline = Pipeline::load_with(files, options, device).expect("a quantized model");
    let request = Request { num_inference_steps: 2, seed: 5, ..pipeline.request("a green fox") };
    let mut generator = Mt19937::new(5);
    let mut noise = |shape: [usize; 4]| on(device, &generator.randn(shape.iter().product()), shape);
    let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
    let output = pollster::block_on(pipeline.run(&request, &mut noise, &mut on_step)).expect("a picture");
    [output.latents, output.decoded]
}

/// On a device with gradients weights are widened when they are read; elsewhere the kernels widen them.
#[test]
fn packed_models_draw_what_widened_ones_draw() {
    for format in FORMATS {
        let files = stickers(format);
        let widened = drawn(&files, &LoadOptions::default(), &Device::flex().autodiff()).map(values);
        let apart = LoadOptions { text_encoders_on_cpu: true, ..LoadOptions::default() };
        for (device, options) in [(Device::flex(), LoadOptions::default()), (gpu(), apart)] {
            for (found, expected) in drawn(&files, &options, &device).map(values).iter().zip(&widened) {
                let error = relative(found, expected);
                assert!(error <= 1e-3, "{format:?} on {device:?}: relative error {error:.1e}");
            }
        }
    }
}

/// `cargo test --release --test kernels -- --ignored --nocapture`: our kernels beside burn's own on the same device.
#[test]
#[ignore = "a measurement"]
fn ours_beside_burns_own() {
    let device = gpu();
    let mut draw = Draw::new(1);
    let mut random = |shape: [usize; 4]| on(&device, &draw.numbers(shape.iter().product()), shape);
    let time = |name: &str, ours: &dyn Fn() -> Tensor<4>, burns: &dyn Fn() -> Tensor<4>| {
        let run = |of: &dyn Fn() -> Tensor<4>| {
            values(of());
            let start = std::time::Instant::now();
            (0..3).for_each(|_| drop(values(of())));
            start.elapsed().as_secs_f64() / 3.0 * 1e3
        };
        let (ours, burns) = (run(ours), run(burns));
        println!("{name}: {ours:.1} ms, burn's {burns:.1} ms: {:.2} times as fast", burns / ours);
    };
    let (x, weight) = (random([1, 128, 32, 32]), random([128, 128, 3, 3]));
    let bias = Tensor::<1>::zeros([128], &device);
    let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
    time(
        "convolution 128 -> 128, 3 x 3, at 32 x 32",
        &|| convolve(x.clone(), weight.clone(), bias.clone(), 1, [1, 1]),
        &|| module::conv2d(x.clone(), weight.clone(), Some(bias.clone()), options.clone()),
    );
    let (x, weight) = (random([1, 1, 1024, 320]), random([1, 1, 640, 320]).reshape([640, 320]));
    time("product 1024 x 320 x 640", &|| multiply(x.clone(), weight.clone(), None), &|| {
        module::linear(x.clone(), weight.clone().transpose(), None)
    });
    let [q, k, v] = [(); 3].map(|()| random([1, 4, 512, 40]));
    let joined = |x: &Tensor<4>| x.clone().swap_dims(1, 2).reshape([1, 512, 160]);
    time(
        "attention, 512 tokens, 4 heads of 40",
        &|| attend_in_tiles(joined(&q), joined(&k), joined(&v), 4, false).unsqueeze(),
        &|| module::attention(q.clone(), k.clone(), v.clone(), None, None, AttentionModuleOptions::default()),
    );
    let (x, one) = (random([1, 128, 64, 64]), Tensor::<1>::ones([128], &device));
    time(
        "group norm and SiLU of 128 x 64 x 64",
        &|| normalise(x.clone(), one.clone(), one.clone(), 32, 1e-5, true),
        &|| {
            let groups: Tensor<3> = x.clone().reshape([1, 32, 4 * 64 * 64]);
            let away = groups.clone() - groups.mean_dim(2);
            let rate = (away.clone().powi_scalar(2).mean_dim(2) + 1e-5).sqrt();
            let channels = || one.clone().reshape([1, 128, 1, 1]);
            activation::silu((away / rate).reshape([1, 128, 64, 64]) * channels() + channels())
        },
    );
}
