//! A tiny network with a hand-written gradient. It takes a point, an angle and a label, and returns a velocity.
//!
//! Sources: Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", 1986; Kingma and Ba,
//! "Adam", 2015, algorithm 1.

use crate::foundations::{Matrix, Rung};
use crate::random::{Generator, stream};

/// x, y; cosine and sine of the angle and of twice and four times it; one for each label.
pub const INPUTS: usize = 11;
const WIDTH: usize = 64;
const SIZES: [usize; 4] = [INPUTS, WIDTH, WIDTH, 2];

/// The product that training uses; for these short rows, whole rows at a time.
const PRODUCT: Rung = Rung::Slices;

/// Weights and bias of each layer. Between the layers, every number passes through `silu`.
#[derive(Clone, Debug)]
pub struct Network {
    layers: Vec<Layer>,
}

#[derive(Clone, Debug)]
struct Layer {
    weights: Matrix,
    bias: Matrix,
}

/// What the backward pass needs from the forward pass: each layer's input, and its sums before the activation.
pub struct Trace {
    inputs: Vec<Matrix>,
    sums: Vec<Matrix>,
}

/// The slope of the loss for every weight and bias, in the network's order.
pub struct Slopes(Vec<Matrix>);

impl Network {
    /// Random weights, scaled so that sums stay near 1.
    pub fn new(seed: u64) -> Self {
        let layer = |at: usize| {
            let (from, to) = (SIZES[at], SIZES[at + 1]);
            let scale = (2.0 / from as f32).sqrt();
            let drawn = stream(seed, "network", at as u64).randn(from * to);
            let weights = Matrix::from_fn(from, to, |row, column| scale * drawn[row * to + column]);
            Layer { weights, bias: Matrix::zeros(1, to) }
        };
        Self { layers: (0..SIZES.len() - 1).map(layer).collect() }
    }

    /// How many numbers are trained.
    pub fn parameters(&self) -> usize {
        self.all().map(|matrix| matrix.values().len()).sum()
    }

    // cell: network-forward
    /// The velocities (n x 2) for n rows of inputs, and what the backward pass needs.
    pub fn forward(&self, inputs: Matrix) -> (Matrix, Trace) {
        let mut trace = Trace { inputs: vec![], sums: vec![] };
        let mut values = inputs;
        for (at, layer) in self.layers.iter().enumerate() {
            let mut sums = product(&values, &layer.weights);
            for row in 0..sums.rows() {
                sums.row_mut(row).iter_mut().zip(layer.bias.values()).for_each(|(sum, bias)| *sum += bias);
            }
            trace.inputs.push(values);
            values = if at + 1 < self.layers.len() { sums.map(silu) } else { sums.clone() };
            trace.sums.push(sums);
        }
        (values, trace)
    }
    // end

    // cell: network-backward
    /// The chain rule, from the last layer to the first. `errors` are the slopes of the loss for each output.
    pub fn backward(&self, trace: &Trace, errors: Matrix) -> Slopes {
        let mut slopes = vec![];
        let mut errors = errors;
        for (at, layer) in self.layers.iter().enumerate().rev() {
            if at + 1 < self.layers.len() {
                let bent = trace.sums[at].values();
                errors.values_mut().iter_mut().zip(bent).for_each(|(error, &sum)| *error *= silu_slope(sum));
            }
            let ones = Matrix::from_fn(1, errors.rows(), |_, _| 1.0);
            slopes.push(product(&ones, &errors));
            slopes.push(product(&trace.inputs[at].transposed(), &errors));
            errors = product(&errors, &layer.weights.transposed());
        }
        slopes.reverse();
        Slopes(slopes)
    }
    // end

    fn all(&self) -> impl Iterator<Item = &Matrix> {
        self.layers.iter().flat_map(|layer| [&layer.weights, &layer.bias])
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Matrix> {
        self.layers.iter_mut().flat_map(|layer| [&mut layer.weights, &mut layer.bias])
    }
}

// cell: silu
/// The activation between layers: 0 far below zero, the number itself far above.
fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

/// The derivative of [`silu`].
fn silu_slope(x: f32) -> f32 {
    let gate = 1.0 / (1.0 + (-x).exp());
    gate * (1.0 + x * (1.0 - gate))
}
// end

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    PRODUCT.multiply(a, b).expect("the layers' sizes follow each other")
}

/// Adam: each weight has its own step size, from the mean of its slopes and of their squares.
#[derive(Clone)]
pub struct Adam {
    means: Vec<Matrix>,
    squares: Vec<Matrix>,
    steps: i32,
}

impl Adam {
    /// Moments at zero.
    pub fn new(network: &Network) -> Self {
        let zeros = || network.all().map(|m| Matrix::zeros(m.rows(), m.columns())).collect();
        Self { means: zeros(), squares: zeros(), steps: 0 }
    }

    // cell: adam
    /// One step downhill.
    pub fn step(&mut self, network: &mut Network, slopes: &Slopes, rate: f32) {
        self.steps += 1;
        let (keep_mean, keep_square) = (0.9f32, 0.999f32);
        let (young_mean, young_square) = (1.0 - keep_mean.powi(self.steps), 1.0 - keep_square.powi(self.steps));
        let memory = self.means.iter_mut().zip(&mut self.squares);
        for ((weights, slopes), (means, squares)) in network.all_mut().zip(&slopes.0).zip(memory) {
            for (i, slope) in slopes.values().iter().enumerate() {
                let (mean, square) = (&mut means.values_mut()[i], &mut squares.values_mut()[i]);
                *mean = keep_mean * *mean + (1.0 - keep_mean) * slope;
                *square = keep_square * *square + (1.0 - keep_square) * slope * slope;
                let step = *mean / young_mean / ((*square / young_square).sqrt() + 1e-8);
                weights.values_mut()[i] -= rate * step;
            }
        }
    }
    // end
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::matrix;
    use super::*;

    fn loss(network: &Network, inputs: &Matrix, wanted: &Matrix) -> f64 {
        let (found, _) = network.forward(inputs.clone());
        let error = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
        found.values().iter().zip(wanted.values()).map(error).sum::<f64>() / 2.0
    }

    #[test]
    fn the_way_back_gives_the_slopes() {
        let network = Network::new(3);
        let (inputs, wanted) = (matrix(7, INPUTS, 1), matrix(7, 2, 2));
        let (found, trace) = network.forward(inputs.clone());
        let errors = Matrix::from_fn(7, 2, |row, column| found[(row, column)] - wanted[(row, column)]);
        let slopes = network.backward(&trace, errors);
        for (which, slopes) in slopes.0.iter().enumerate() {
            for at in (0..slopes.values().len()).step_by(37) {
                let tried = [1e-2f32, -1e-2].map(|change| {
                    let mut moved = network.clone();
                    moved.all_mut().nth(which).expect("as many").values_mut()[at] += change;
                    loss(&moved, &inputs, &wanted)
                });
                let tried = (tried[0] - tried[1]) / 2e-2;
                let found = f64::from(slopes.values()[at]);
                assert!((found - tried).abs() < 1e-3 * (1.0 + tried.abs()), "{which} {at}: {found}, by trying {tried}");
            }
        }
    }

    #[test]
    fn adam_follows_a_slope_by_its_rate_at_first() {
        let mut network = Network::new(3);
        let before = network.clone();
        let slopes = Slopes(network.all().map(|m| m.map(|_| 4.0)).collect());
        Adam::new(&network).step(&mut network, &slopes, 0.01);
        for (a, b) in network.all().zip(before.all()) {
            assert!(a.values().iter().zip(b.values()).all(|(a, b)| (b - a - 0.01).abs() < 1e-6));
        }
        assert_eq!(network.parameters(), 11 * 64 + 64 + 64 * 64 + 64 + 64 * 2 + 2);
    }
}
