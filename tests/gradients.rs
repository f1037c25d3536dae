//! Gradients of all that training and editing differentiate through, against finite differences in float64.
//!
//! Every number of every input and weight is moved by one and two [`STEP`]s in float64 on the processor, where the plain operations run.
//! The gradient is taken twice on a device that keeps gradients: in f32, by the kernels and the derivatives of our own that
//! training runs with, and in float64, by burn's operations, which GPUs take. The shapes are odd, so that the edges of
//! tiles, groups and lanes are met.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Int, Tensor, TensorData, module};
use fourstep::kernels::{attend, convolve, geglu, multiply, normalise};
use fourstep::models::{ClipTextConfig, ClipTextModel};
use fourstep::nn::{
    Activation, Attention, AttentionConfig, Context, Downsample2D, LayerNorm, ResnetBlock2D, ResnetConfig,
    TimestepEmbedding, Transformer2DConfig, Transformer2DModel, Upsample2D,
};
use fourstep::random::{Generator, stream};
use fourstep::weights;

/// The five-point formula is off by f⁽⁵⁾ STEP⁴ / 30, and by the rounding of a sum of some hundred numbers, about 1e-15 / STEP.
const STEP: f64 = 1e-4;
/// Relative L2 of each tensor's gradient. Seen: 1e-9.
const OF_F64: f64 = 1e-8;
/// The same, by the kernels in f32. Seen: 3e-7 of single operations, 4e-6 of blocks.
const OF_F32: f64 = 2e-5;
/// A gradient below this share of the largest one counts against that share: some are zero, as that of a key's bias.
const SMALL: f64 = 1e-2;
const SEED: u64 = 14;

/// What a function is called with: tensors that are asked for by number, then the weights of a module.
struct Inputs<'a> {
    leaves: &'a [Tensor<1>],
    shapes: &'a [Vec<usize>],
}

impl Inputs<'_> {
    fn tensor<const D: usize>(&self, i: usize) -> Tensor<D> {
        let shape: [usize; D] = self.shapes[i].as_slice().try_into().unwrap();
        self.leaves[i].clone().reshape(shape)
    }

    fn device(&self) -> Device {
        self.leaves[0].device()
    }

    /// `module` with the tensors from number `first` on as its weights.
    fn fill<M: Module>(&self, first: usize, module: M) -> M {
        module.map(&mut Fill { inputs: self, next: first })
    }
}

struct Fill<'a, 'b> {
    inputs: &'a Inputs<'b>,
    next: usize,
}

impl ModuleMapper for Fill<'_, '_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.next += 1;
        Param::initialized(param.id, self.inputs.tensor(self.next - 1))
    }
}

/// The function's output, weighted with fixed numbers and summed up, and what it was called with.
fn evaluate<const D: usize>(
    (device, dtype): (&Device, DType),
    values: &[Vec<f64>],
    shapes: &[Vec<usize>],
    f: &dyn Fn(&Inputs) -> Tensor<D>,
) -> (Tensor<1>, Vec<Tensor<1>>) {
    let tensor = |values: Vec<f64>| {
        let count = values.len();
        Tensor::<1>::from_data(TensorData::new(values, [count]), (device, dtype))
    };
    let leaf = |values: &Vec<f64>| {
        let leaf = tensor(values.clone());
        if device.is_autodiff() { leaf.require_grad() } else { leaf }
    };
    let leaves: Vec<_> = values.iter().map(leaf).collect();
    let output = f(&Inputs { leaves: &leaves, shapes });
    let count = output.dims().iter().product();
    let weights = tensor(normal("output", 0, count));
    ((output.reshape([count]) * weights).sum(), leaves)
}

fn normal(name: &str, index: usize, count: usize) -> Vec<f64> {
    stream(SEED, name, index as u64).randn(count).into_iter().map(f64::from).collect()
}

fn numbers(tensor: Tensor<1>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn differences<const D: usize>(
    values: &[Vec<f64>],
    shapes: &[Vec<usize>],
    f: &dyn Fn(&Inputs) -> Tensor<D>,
) -> Vec<Vec<f64>> {
    let device = Device::flex();
    let at = |i: usize, j: usize, by: f64| {
        let mut moved = values.to_vec();
        moved[i][j] += by;
        numbers(evaluate((&device, DType::F64), &moved, shapes, f).0)[0]
    };
    let across = |i: usize, j: usize, by: f64| at(i, j, by) - at(i, j, -by);
    let slope = |i: usize, j: usize| (8.0 * across(i, j, STEP) - across(i, j, 2.0 * STEP)) / (12.0 * STEP);
    (0..values.len()).map(|i| (0..values[i].len()).map(|j| slope(i, j)).collect()).collect()
}

/// The worst relative error of the gradients in a width of floats, and whose it is.
fn worst<const D: usize>(
    dtype: DType,
    slopes: &[Vec<f64>],
    names: &[String],
    (values, shapes): (&[Vec<f64>], &[Vec<usize>]),
    f: &dyn Fn(&Inputs) -> Tensor<D>,
) -> (f64, String) {
    let (sum, leaves) = evaluate((&Device::flex().autodiff(), dtype), values, shapes, f);
    let gradients = sum.backward();
    let norm = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|x| x * x).sum::<f64>().sqrt();
    let largest = slopes.iter().map(|slopes| norm(&mut slopes.iter().copied())).fold(0.0, f64::max);
    assert!(largest > 0.0 && largest.is_finite(), "the function does not depend on its inputs");
    let mut worst = (0.0, String::new());
    for ((leaf, slopes), name) in leaves.iter().zip(slopes).zip(names) {
        let gradient = leaf.grad(&gradients).map_or_else(|| vec![0.0; slopes.len()], numbers);
        let apart = norm(&mut gradient.iter().zip(slopes).map(|(a, b)| a - b));
        let error = apart / norm(&mut slopes.iter().copied()).max(SMALL * largest);
        if error > worst.0 || error.is_nan() {
            worst = (error, name.clone());
        }
    }
    worst
}

/// Holds the gradients of `f` for inputs of these names and shapes against finite differences.
fn check<const D: usize>(what: &str, inputs: &[(&str, &[usize])], f: impl Fn(&Inputs) -> Tensor<D>) {
    let (names, shapes): (Vec<_>, Vec<_>) =
        inputs.iter().map(|(name, shape)| (name.to_string(), shape.to_vec())).unzip();
    check_all(what, &names, &shapes, &f);
}

/// The same for the weights of a module too, which `f` gets with the inputs.
fn check_module<M: Module, const D: usize>(
    what: &str,
    inputs: &[(&str, &[usize])],
    module: impl Fn(&Device) -> M,
    f: impl Fn(&M, &Inputs) -> Tensor<D>,
) {
    let weights = weights::paths(&module(&Device::flex()));
    let inputs = inputs.iter().map(|(name, shape)| (name.to_string(), shape.to_vec()));
    let (names, shapes): (Vec<_>, Vec<_>) = inputs.clone().chain(weights).unzip();
    check_all(what, &names, &shapes, &|given| f(&given.fill(inputs.len(), module(&given.device())), given));
}

fn check_all<const D: usize>(what: &str, names: &[String], shapes: &[Vec<usize>], f: &dyn Fn(&Inputs) -> Tensor<D>) {
    let values = |(i, shape): (usize, &Vec<usize>)| normal(what, i, shape.iter().product());
    let values: Vec<_> = shapes.iter().enumerate().map(values).collect();
    let slopes = differences(&values, shapes, f);
    for (dtype, allowed) in [(DType::F64, OF_F64), (DType::F32, OF_F32)] {
        let (error, name) = worst(dtype, &slopes, names, (&values, shapes), f);
        println!("{what}, {dtype:?}: {error:.1e} ({name})");
        assert!(error <= allowed, "{what}, {dtype:?}: the gradient of {name} is off by {error:.1e}");
    }
}

#[test]
#[should_panic(expected = "the gradient of x is off")]
fn a_wrong_gradient_is_found() {
    check("x · a copy that counts as constant", &[("x", &[3])], |given| {
        given.tensor::<1>(0) * given.tensor::<1>(0).detach()
    });
}

#[test]
fn of_products() {
    let shapes: [(&str, &[usize]); 3] = [("x", &[2, 5, 7]), ("weight", &[3, 7]), ("bias", &[3])];
    check("product with bias", &shapes, |given| multiply(given.tensor::<3>(0), given.tensor(1), Some(given.tensor(2))));
    check("product", &[("x", &[11, 19]), ("weight", &[17, 19])], |given| {
        multiply(given.tensor::<2>(0), given.tensor(1), None)
    });
}

#[test]
fn of_convolutions() {
    // (batch, in, out, height, width), kernel, stride, padding; widths 4, 8, 16 and 32 have code of their own, and more than
    // 256 places are more than one tile.
    let cases = [
        ([2, 3, 5, 5, 7], 3, 1, [1, 1]),
        ([2, 3, 5, 7, 5], 3, 2, [1, 1]),
        ([1, 2, 3, 6, 9], 3, 2, [0, 1]),
        ([3, 5, 2, 3, 5], 1, 1, [0, 0]),
        ([1, 2, 1, 7, 6], 5, 3, [2, 2]),
        ([3, 1, 2, 3, 4], 3, 1, [1, 1]),
        ([1, 3, 2, 5, 8], 3, 1, [1, 1]),
        ([1, 2, 1, 3, 16], 3, 1, [1, 1]),
        ([1, 1, 2, 11, 32], 3, 1, [1, 1]),
        ([1, 2, 1, 17, 19], 3, 1, [1, 1]),
    ];
    for ([batch, inside, outside, height, width], kernel, stride, padding) in cases {
        let what =
            format!("convolution {kernel} of {inside} x {height} x {width}, stride {stride}, padding {padding:?}");
        let shapes: [(&str, &[usize]); 3] = [
            ("x", &[batch, inside, height, width]),
            ("weight", &[outside, inside, kernel, kernel]),
            ("bias", &[outside]),
        ];
        check(&what, &shapes, |given| convolve(given.tensor(0), given.tensor(1), given.tensor(2), stride, padding));
    }
}

#[test]
fn of_norms() {
    for (channels, groups, height, width) in [(6, 3, 5, 7), (5, 1, 3, 3), (4, 4, 3, 17)] {
        for silu in [false, true] {
            let what = format!("group norm, {groups} groups of {channels} x {height} x {width}, SiLU: {silu}");
            let shapes: [(&str, &[usize]); 3] =
                [("x", &[2, channels, height, width]), ("weight", &[channels]), ("bias", &[channels])];
            check(&what, &shapes, |given| {
                normalise(given.tensor(0), given.tensor(1), given.tensor(2), groups, 1e-5, silu)
            });
        }
    }
    check_module(
        "layer norm",
        &[("x", &[2, 3, 7])],
        |device| LayerNorm::new(7, 1e-5, device),
        |norm, given| norm.forward(given.tensor::<3>(0)),
    );
}

#[test]
fn of_attention() {
    let (q, k): (&[usize], &[usize]) = (&[2, 7, 15], &[2, 5, 15]);
    check("attention", &[("q", q), ("k", k), ("v", k)], |given| {
        attend(given.tensor(0), given.tensor(1), given.tensor(2), 3, false)
    });
    check("attention with a causal mask", &[("q", q), ("k", q), ("v", q)], |given| {
        attend(given.tensor(0), given.tensor(1), given.tensor(2), 5, true)
    });
    let config = AttentionConfig { query_dim: 6, context_dim: 6, heads: 2, bias: true, group_norm: Some((3, 1e-6)) };
    check_module(
        "attention over a picture",
        &[("x", &[1, 6, 3, 5])],
        |device| Attention::new(&config, device),
        |attention, given| attention.forward_spatial(given.tensor(0)),
    );
}

#[test]
fn of_activations() {
    check("GEGLU", &[("x", &[2, 3, 2 * 37])], |given| geglu(given.tensor(0)));
    for activation in [Activation::Silu, Activation::Relu, Activation::Gelu, Activation::QuickGelu] {
        check(&format!("{activation:?}"), &[("x", &[3, 37])], |given| activation.forward(given.tensor::<2>(0)));
    }
}

#[test]
fn of_embeddings() {
    check("rows of a table, some twice and some never", &[("table", &[7, 5])], |given| {
        let ids = TensorData::new(vec![0i64, 3, 3, 5, 1, 3], [2, 3]);
        module::embedding(given.tensor(0), Tensor::<2, Int>::from_data(ids, &given.device()))
    });
    check_module(
        "embedding of timesteps with a condition",
        &[("sample", &[3, 7]), ("condition", &[3, 5])],
        |device| TimestepEmbedding::new(7, 9, Some(5), device),
        |embedding, given| embedding.forward(given.tensor(0), Some(given.tensor(1))),
    );
}

#[test]
fn of_halving_and_doubling() {
    for padding in [0, 1] {
        check_module(
            &format!("halving with padding {padding}"),
            &[("x", &[2, 3, 5, 7])],
            |device| Downsample2D::new(3, padding, device),
            |layer, given| layer.forward(given.tensor(0)),
        );
    }
    for size in [[6, 10], [5, 9]] {
        check_module(
            &format!("enlarging 3 x 5 to {size:?}"),
            &[("x", &[2, 3, 3, 5])],
            |device| Upsample2D::new(3, device),
            |layer, given| layer.forward(given.tensor(0), size),
        );
    }
}

#[test]
fn of_residual_blocks() {
    for (in_channels, out_channels) in [(4, 6), (6, 6)] {
        let config = ResnetConfig { in_channels, out_channels, temb_channels: Some(5), groups: 2, eps: 1e-5 };
        check_module(
            &format!("residual block from {in_channels} to {out_channels} channels"),
            &[("x", &[2, in_channels, 3, 5]), ("temb", &[2, 5])],
            |device| ResnetBlock2D::new(config, device),
            |block, given| block.forward(given.tensor(0), Some(given.tensor(1))),
        );
    }
}

#[test]
fn of_transformer_blocks() {
    for use_linear_projection in [false, true] {
        let config = Transformer2DConfig {
            channels: 6,
            heads: 3,
            layers: 1,
            cross_attention_dim: 5,
            groups: 2,
            use_linear_projection,
        };
        check_module(
            &format!("transformer, linear projection: {use_linear_projection}"),
            &[("x", &[2, 6, 3, 5]), ("context", &[2, 7, 5])],
            |device| Transformer2DModel::new(config, device),
            |block, given| block.forward(given.tensor(0), &Context { text: given.tensor(1), avoided: None }),
        );
    }
}

#[test]
fn of_the_text_encoder() {
    for hidden_act in [Activation::QuickGelu, Activation::Gelu] {
        let config = ClipTextConfig {
            architectures: Vec::new(),
            vocab_size: 9,
            hidden_size: 6,
            intermediate_size: 7,
            projection_dim: 6,
            num_hidden_layers: 2,
            num_attention_heads: 3,
            max_position_embeddings: 6,
            hidden_act,
            layer_norm_eps: 1e-5,
            eos_token_id: 8,
        };
        let ids = [vec![7, 3, 3, 5, 8], vec![7, 1, 0, 8, 8]];
        check_module(
            &format!("text encoder, {hidden_act:?}"),
            &[],
            |device| ClipTextModel::new(&config, "text_encoder", device).unwrap(),
            |encoder, given| encoder.encode(&ids, &given.device()),
        );
    }
}
