//! Initial weights, with the distributions of PyTorch's layers.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};

use crate::random::{self, Generator};
use crate::weights::KeyPath;

/// Standard deviation of the rows of embedding tables (CLIP's `initializer_factor` 1).
const EMBEDDING_DEVIATION: f32 = 0.02;

/// Initialises every parameter of `module`: weights and biases of linear layers and convolutions uniformly in
/// ±1/√(inputs of one output), which is PyTorch's `kaiming_uniform_(a = √5)`; scales of norms with 1, their shifts with
/// 0; embeddings with normal numbers of deviation 0.02. Each parameter has its own stream, `init.` and its checkpoint
/// key.
pub fn initialize<M: Module>(module: M, seed: u64) -> M {
    module.map(&mut Initializer { seed, path: KeyPath::default(), last: None })
}

struct Initializer {
    seed: u64,
    path: KeyPath,
    /// The layer of the last weight, and the bound for its bias; a bias follows its weight.
    last: Option<(String, f32)>,
}

impl Initializer {
    fn values(&mut self, shape: &[usize]) -> Vec<f32> {
        let key = self.path.key();
        let count = shape.iter().product();
        let mut random = random::stream(self.seed, &format!("init.{key}"), 0);
        if let Some(layer) = key.strip_suffix(".bias") {
            let (weight, bound) = self.last.clone().expect("a weight before its bias");
            assert_eq!(weight, layer, "the bias after its weight");
            return uniform(&mut random, count, bound);
        }
        let layer = key.strip_suffix(".weight").unwrap_or(&key).to_string();
        if shape.len() == 1 {
            self.last = Some((layer, 0.0));
            return vec![1.0; count];
        }
        if layer.ends_with("embedding") {
            return random.randn(count).into_iter().map(|value| value * EMBEDDING_DEVIATION).collect();
        }
        let bound = 1.0 / (shape[1..].iter().product::<usize>() as f32).sqrt();
        self.last = Some((layer, bound));
        uniform(&mut random, count, bound)
    }
}

fn uniform(random: &mut impl Generator, count: usize, bound: f32) -> Vec<f32> {
    random.rand(count).into_iter().map(|value| (2.0 * value - 1.0) * bound).collect()
}

impl ModuleMapper for Initializer {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape().to_vec();
        let data = TensorData::new(self.values(&shape), shape);
        let (id, device) = (param.id, param.lazy_device());
        param.transform_for_load(Tensor::from_data(data, &device), id)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::{ResnetBlock2D, ResnetConfig};

    fn block(seed: u64) -> ResnetBlock2D {
        let sizes = ResnetConfig { in_channels: 8, out_channels: 16, temb_channels: Some(32), groups: 4, eps: 1e-5 };
        initialize(ResnetBlock2D::new(sizes, &Device::flex()), seed)
    }

    fn values<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
        param.val().into_data().try_into_vec().unwrap()
    }

    #[test]
    fn convolutions_and_norms_start_as_in_pytorch() {
        let block = block(1);
        assert!(values(&block.norm1.weight).iter().all(|v| *v == 1.0));
        assert!(values(&block.norm1.bias).iter().all(|v| *v == 0.0));
        let bound = 1.0 / (8.0f32 * 9.0).sqrt();
        for drawn in [values(&block.conv1.weight), values(block.conv1.bias.as_ref().unwrap())] {
            let largest = drawn.iter().fold(0f32, |a, b| a.max(b.abs()));
            assert!(largest <= bound && largest > 0.8 * bound, "{largest} of {bound}");
        }
        let weight = values(&block.conv1.weight);
        let square = weight.iter().map(|v| v * v).sum::<f32>() / weight.len() as f32;
        assert!((square / (bound * bound / 3.0) - 1.0).abs() < 0.1, "variance {square}");
    }

    #[test]
    fn the_seed_and_the_key_decide() {
        assert_eq!(values(&block(1).conv1.weight), values(&block(1).conv1.weight));
        assert_ne!(values(&block(1).conv1.weight), values(&block(2).conv1.weight));
        let block = block(1);
        assert_ne!(values(&block.conv1.weight)[..100], values(&block.conv2.weight)[..100]);
    }
}
