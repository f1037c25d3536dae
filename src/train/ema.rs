//! The exponential moving average of the weights. The exported model has these averages.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use super::values::Values;

/// The decay of update number `update` (from 0): min(`largest`, (1 + update) / (10 + update)), so that the first,
/// random weights are soon forgotten (the warm-up of diffusers' `EMAModel`, after TensorFlow's).
pub fn decay(update: u64, largest: f64) -> f64 {
    largest.min((1 + update) as f64 / (10 + update) as f64)
}

/// Moves `average` towards `module` by 1 - `decay`. Both have the same parameters; `average` is without autodiff.
pub fn update<M: Module>(average: M, module: &M, decay: f64) -> M {
    average.map(&mut Move { values: Values::of(module), decay })
}

struct Move {
    values: Values,
    decay: f64,
}

impl ModuleMapper for Move {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(value) = self.values.remove::<D>(param.id) else { return param };
        let towards = 1.0 - self.decay;
        param.map(|average| average.clone() + (value - average) * towards)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::nn::LayerNorm;

    fn filled(mut norm: LayerNorm, weight: [f32; 2]) -> LayerNorm {
        norm.weight = Param::initialized(norm.weight.id, Tensor::from_data(TensorData::from(weight), &Device::flex()));
        norm
    }

    #[test]
    fn the_average_moves_by_what_the_decay_leaves() {
        let norm = LayerNorm::new(2, 1e-5, &Device::flex());
        let (average, module) = (filled(norm.clone(), [1.0, 2.0]), filled(norm, [3.0, -2.0]));
        let average = update(average, &module, 0.75);
        assert_eq!(average.weight.val().into_data(), TensorData::from([1.5f32, 1.0]));
    }

    #[test]
    fn the_decay_starts_low() {
        assert_eq!([0, 8, 100_000].map(|update| decay(update, 0.999)), [0.1, 0.5, 0.999]);
    }
}
