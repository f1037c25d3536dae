//! The GPU's kernels (on whatever adapter wgpu finds) and those of the processor that widen packed weights against the
//! processor's with floats, over odd sizes. Every size is drawn from a seed, which a failure names.

use std::sync::OnceLock;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use fourstep::kernels::{
    BlockFormat, Blocks, PackedWeight, Packing, attend, code_words, convolve, convolve_packed, multiply,
    multiply_packed, normalise, scale_words,
};
use fourstep::random::{Generator, Mt19937};

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

/// Relative L2 of at most 1e-5; `what` says which case it is.
fn close<const D: usize>(found: Tensor<D>, expected: &Tensor<D>, what: &str) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let (found, expected) = (values(found), values(expected.clone()));
    let square = |x: f64| x * x;
    let apart: f64 = found.iter().zip(&expected).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let size: f64 = expected.iter().map(|b| square(f64::from(*b))).sum();
    let error = (apart / size.max(1e-30)).sqrt();
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
            attend(on(device, &q, [batch, queries, token]), k, v, heads, causal)
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
        attend(q, k, v, 1, false)
    };
    let (found, expected) = (run(&gpu()), run(&Device::flex()));
    close(found, &expected, "seed 400");
}
