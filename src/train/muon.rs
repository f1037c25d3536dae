//! Muon (Jordan et al., 2024, kellerjordan.github.io/posts/muon): the update of a weight matrix is its momentum,
//! replaced by the nearest matrix whose singular values are all equal. The weights inside a network need fewer steps
//! with it than with AdamW.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Muon's settings. Other settings are those of AdamW.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MuonConfig {
    /// The greatest learning rate; it rises and falls like AdamW's. The root mean square of a step is about a fifth of
    /// it, as with AdamW (Liu et al., 2025, "Muon is scalable for LLM training", section 2.2).
    pub learning_rate: f64,
    /// Share of the momentum that is kept.
    pub momentum: f64,
    /// Weights whose key contains one of these are trained with AdamW; embeddings and vectors always are.
    pub except: Vec<String>,
}

impl MuonConfig {
    /// Whether Muon trains the weight `key` of `rank` dimensions.
    pub fn takes(&self, key: &str, rank: usize) -> bool {
        rank >= 2 && !key.ends_with("embedding.weight") && !self.except.iter().any(|part| key.contains(part))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return Err(format!("muon.learning_rate = {}: must be above 0", self.learning_rate));
        }
        match (0.0..1.0).contains(&self.momentum) {
            true => Ok(()),
            false => Err(format!("muon.momentum = {}: must be 0 to below 1", self.momentum)),
        }
    }

    /// One step of a weight `[rows, ...]` at `learning_rate`: the new weight and the new momentum, without autodiff.
    pub fn step<const D: usize>(
        &self,
        learning_rate: f64,
        weight_decay: f32,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        momentum: Option<Tensor<D>>,
    ) -> (Tensor<D>, Tensor<D>) {
        let shape = weight.dims();
        let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
        let keep = self.momentum;
        let fresh = gradient.clone() * (1.0 - keep);
        let momentum = match momentum {
            Some(momentum) => momentum * keep + fresh,
            None => fresh,
        };
        // Nesterov momentum: one step ahead along the new momentum.
        let ahead = gradient * (1.0 - keep) + momentum.clone() * keep;
        let update = orthogonalize(ahead.reshape([rows, columns])).reshape(shape);
        let size = 0.2 * (rows.max(columns) as f64).sqrt();
        let weight = weight * (1.0 - learning_rate * f64::from(weight_decay)) - update * (learning_rate * size);
        (weight, momentum)
    }
}

/// Brings the matrix's singular values near 1 (0.7 to 1.2) with five Newton-Schulz steps.
pub fn orthogonalize(matrix: Tensor<2>) -> Tensor<2> {
    const STEPS: usize = 5;
    const A: f32 = 3.4445;
    const B: f32 = -4.7750;
    const C: f32 = 2.0315;
    let [rows, columns] = matrix.dims();
    // The smaller Gram matrix is cheaper.
    let tall = rows > columns;
    let x = if tall { matrix.transpose() } else { matrix };
    let norm = x.clone().square().sum().sqrt() + 1e-7;
    let mut x = x / norm.reshape([1, 1]);
    for _ in 0..STEPS {
        let gram = x.clone().matmul(x.clone().transpose());
        let polynomial = gram.clone() * B + gram.clone().matmul(gram) * C;
        x = x.clone() * A + polynomial.matmul(x);
    }
    if tall { x.transpose() } else { x }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use serde_json::Value;

    use super::*;

    fn tensor<const D: usize>(values: &Value, shape: [usize; D]) -> Tensor<D> {
        let values: Vec<f32> = values.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    fn apart<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f64 {
        let (a, b): (Vec<f64>, Vec<f64>) = (a.into_data().iter().collect(), b.into_data().iter().collect());
        a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    /// Two steps of a linear and of a convolution's weight, from tests/reference/muon_golden.py in float64.
    #[test]
    fn two_steps_are_those_of_the_reference() {
        let golden: Value = serde_json::from_str(include_str!("../../tests/golden/muon.json")).unwrap();
        let muon = MuonConfig { learning_rate: 0.02, momentum: 0.95, except: Vec::new() };
        for case in golden.as_array().unwrap() {
            let shape: Vec<usize> =
                case["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
            let shape: [usize; 4] = shape.try_into().unwrap();
            let (mut weight, mut momentum) = (tensor(&case["weight"], shape), None);
            for step in case["steps"].as_array().unwrap() {
                let (new, kept) = muon.step(0.02, 0.1, weight, tensor(&step["gradient"], shape), momentum);
                assert!(apart(new.clone(), tensor(&step["weight"], shape)) < 2e-5);
                assert!(apart(kept.clone(), tensor(&step["momentum"], shape)) < 1e-6);
                (weight, momentum) = (new, Some(kept));
            }
        }
    }

    #[test]
    fn embeddings_vectors_and_exceptions_are_adamws() {
        let muon = MuonConfig { learning_rate: 0.02, momentum: 0.95, except: vec!["conv_in".into()] };
        assert!(muon.takes("unet.mid_block.resnets.0.conv1.weight", 4));
        assert!(muon.takes("text_encoder.text_model.encoder.layers.0.mlp.fc1.weight", 2));
        assert!(!muon.takes("text_encoder.text_model.embeddings.token_embedding.weight", 2));
        assert!(!muon.takes("unet.conv_in.weight", 4));
        assert!(!muon.takes("unet.mid_block.resnets.0.conv1.bias", 1));
    }
}
