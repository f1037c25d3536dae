//! Adam (Kingma & Ba, 2015, algorithm 1) for one tensor, in the form and with the constants of `torch.optim.Adam`.

use burn::tensor::Tensor;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// The moments of a tensor's gradients.
pub(super) struct Adam<const D: usize> {
    learning_rate: f64,
    steps: i32,
    moments: Option<[Tensor<D>; 2]>,
}

impl<const D: usize> Adam<D> {
    /// Before the first step.
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, steps: 0, moments: None }
    }

    /// `value` after one more step, both without autodiff.
    pub fn step(&mut self, value: Tensor<D>, gradient: Tensor<D>) -> Tensor<D> {
        let [first, second] = self.moments.take().unwrap_or_else(|| [gradient.zeros_like(), gradient.zeros_like()]);
        let first = first * BETA_1 + gradient.clone() * (1.0 - BETA_1);
        let second = second * BETA_2 + gradient.square() * (1.0 - BETA_2);
        self.steps += 1;
        let correction = |beta: f64| 1.0 - beta.powi(self.steps);
        let scale = second.clone().sqrt() / correction(BETA_2).sqrt() + EPSILON;
        let moved = first.clone() / scale * (self.learning_rate / correction(BETA_1));
        self.moments = Some([first, second]);
        value - moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    /// By torch.optim.Adam([x], lr=0.1) in float64 on the gradients below.
    #[test]
    fn steps_are_those_of_pytorch() {
        let device = Device::flex();
        let mut adam = Adam::new(0.1);
        let mut x = Tensor::<1>::from_floats([1.0, -2.0, 0.0], &device);
        for gradient in [[0.5, -1.0, 0.0], [-2.0, -1e-3, 1e-9], [0.1, 3.0, 0.0]] {
            x = adam.step(x, Tensor::from_floats(gradient, &device));
        }
        let found: Vec<f32> = x.into_data().iter::<f32>().collect();
        for (found, known) in found.iter().zip(AFTER) {
            assert!((found - known).abs() < 1e-6, "{found} is not {known}");
        }
    }

    const AFTER: [f32; 3] = [0.996_052_6, -1.877_146_3, -0.008_055_252];
}
