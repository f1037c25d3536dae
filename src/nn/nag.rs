//! Normalized attention guidance (Chen et al., 2025, arXiv 2505.21179): negative prompts for models that draw without
//! classifier-free guidance.

use burn::tensor::Tensor;

/// The settings of the guidance, with the names of the authors' code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nag {
    /// How far to go from the negative features through the positive ones (s + 1 in equation 7); nothing changes at 1.
    pub scale: f32,
    /// The greatest allowed ratio of the guided features' L1 norm to the positive ones' (equation 9).
    pub tau: f32,
    /// The share of the guided features in the result, 0 to 1 (equation 10).
    pub alpha: f32,
}

/// What the network's cross-attention reads.
#[derive(Clone)]
pub struct Context {
    /// Features of the text `[batch, tokens, features]`.
    pub text: Tensor<3>,
    /// Features of the text to avoid `[n, tokens', features]`, for the last n samples of the batch: with
    /// classifier-free guidance, the half with the prompt.
    pub avoided: Option<(Nag, Tensor<3>)>,
}

impl Nag {
    /// Guides what a layer attends to. `positive` and `negative` are the attention's results for the two texts, `[n,
    /// positions, features]`, before the output projection.
    pub fn guide(&self, positive: Tensor<3>, negative: Tensor<3>) -> Tensor<3> {
        let guided = positive.clone() * self.scale - negative * (self.scale - 1.0);
        let norm = |x: &Tensor<3>| x.clone().abs().sum_dim(2);
        // At most `tau` times the positive norm: the factor is 1 where the ratio is below.
        let ratio = norm(&guided) / (norm(&positive) + f32::MIN_POSITIVE);
        let limit = ratio.clone().clamp_max(self.tau) / (ratio + f32::MIN_POSITIVE);
        guided * limit * self.alpha + positive * (1.0 - self.alpha)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn rows(values: [[f32; 2]; 2]) -> Tensor<3> {
        Tensor::from_data([values], &Device::flex())
    }

    fn guided(nag: Nag, positive: [[f32; 2]; 2], negative: [[f32; 2]; 2]) -> Vec<f32> {
        nag.guide(rows(positive), rows(negative)).into_data().iter::<f32>().collect()
    }

    /// By hand. First row: 3 (1, 1) - 2 (0, 1) = (3, 1), whose norm 4 is twice that of (1, 1); at most 1.5 is allowed,
    /// so it becomes (2.25, 0.75). Second row: 3 (2, 0) - 2 (2, 1) = (2, -2), twice again: (1.5, -1.5). Half of each,
    /// and half of the positive row.
    #[test]
    fn norms_are_limited_and_results_are_mixed() {
        let nag = Nag { scale: 3.0, tau: 1.5, alpha: 0.5 };
        let mixed = guided(nag, [[1.0, 1.0], [2.0, 0.0]], [[0.0, 1.0], [2.0, 1.0]]);
        assert_eq!(mixed, [1.625, 0.875, 1.75, -0.75]);
        let free = guided(Nag { tau: 9.0, alpha: 1.0, ..nag }, [[1.0, 1.0], [2.0, 0.0]], [[0.0, 1.0], [2.0, 1.0]]);
        assert_eq!(free, [3.0, 1.0, 2.0, -2.0]);
    }

    #[test]
    fn nothing_divides_by_zero() {
        let nag = Nag { scale: 3.0, tau: 2.5, alpha: 0.5 };
        assert_eq!(guided(nag, [[0.0; 2]; 2], [[0.0; 2]; 2]), [0.0; 4]);
        assert!(guided(nag, [[0.0; 2]; 2], [[1.0; 2]; 2]).iter().all(|x| x.is_finite()));
    }
}
