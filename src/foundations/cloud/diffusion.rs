//! Diffusion: noise is added along a quarter of a circle, and a network learns the way back.
//!
//! Sources: Ho et al., "Denoising diffusion probabilistic models", 2020; Song et al., "DDIM", 2021; Salimans and Ho,
//! "Progressive distillation", 2022, appendix D (the angle, v, and a DDIM step as a rotation); Ho and Salimans,
//! "Classifier-free diffusion guidance", 2022, equation 6.

use std::f32::consts::FRAC_PI_2;

use super::network::{Adam, INPUTS, Network};
use super::points::{Cloud, Label, normal_points};
use crate::foundations::Matrix;
use crate::random::{Generator, stream};
use crate::{Error, Result};

// cell: forward-noise
/// A point on its path into noise. The angle runs from 0 (the point) to a quarter turn (noise only).
pub fn noised(point: [f32; 2], noise: [f32; 2], angle: f32) -> [f32; 2] {
    let (sin, cos) = angle.sin_cos();
    [0, 1].map(|i| cos * point[i] + sin * noise[i])
}

/// The direction of the path there: the derivative of [`noised`] by the angle. The network learns this v.
pub fn velocity(point: [f32; 2], noise: [f32; 2], angle: f32) -> [f32; 2] {
    let (sin, cos) = angle.sin_cos();
    [0, 1].map(|i| cos * noise[i] - sin * point[i])
}
// end

// cell: rotate
/// One DDIM step. On the circle, x and v are perpendicular, so going back by an angle is a rotation.
pub fn rotate(x: [f32; 2], v: [f32; 2], back: f32) -> [f32; 2] {
    let (sin, cos) = back.sin_cos();
    [0, 1].map(|i| cos * x[i] - sin * v[i])
}
// end

/// A label, and how strongly it guides.
#[derive(Clone, Copy, Debug)]
pub struct Guidance {
    /// The label of the points to draw.
    pub label: Label,
    /// 1 for the network's own prediction. Above 1, the prediction is pushed away from the one without a label.
    pub scale: f32,
}

/// The network and the state of its training.
#[derive(Clone)]
pub struct Model {
    pub(super) network: Network,
    adam: Adam,
    steps: u64,
    seed: u64,
}

impl Model {
    /// An untrained network.
    pub fn new(seed: u64) -> Self {
        let network = Network::new(seed);
        Self { adam: Adam::new(&network), network, steps: 0, seed }
    }

    /// How many numbers are trained.
    pub fn parameters(&self) -> usize {
        self.network.parameters()
    }

    /// Training steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The network's v for each point at one angle.
    pub fn predict(&self, points: &[[f32; 2]], angle: f32, label: Label) -> Vec<[f32; 2]> {
        let rows: Vec<_> = points.iter().map(|&point| (point, angle, label)).collect();
        pairs(&self.network.forward(inputs(&rows)).0)
    }

    // cell: guidance
    /// v with guidance: from the prediction without the label through the one with it, and beyond.
    pub fn guided(&self, points: &[[f32; 2]], angle: f32, Guidance { label, scale }: Guidance) -> Vec<[f32; 2]> {
        let with = self.predict(points, angle, label);
        if scale == 1.0 || label == Label::None {
            return with;
        }
        let without = self.predict(points, angle, Label::None);
        let pull = |(u, c): (&[f32; 2], &[f32; 2])| [0, 1].map(|i| u[i] + scale * (c[i] - u[i]));
        without.iter().zip(&with).map(pull).collect()
    }
    // end

    // cell: train-step
    /// One step of training on `batch` points: noise them to random angles, predict v, and go downhill on the error.
    ///
    /// # Errors
    /// [`Error::Request`] if the loss is no longer a number, because the rate is too high.
    pub fn train_step(&mut self, cloud: &Cloud, batch: usize, rate: f32) -> Result<f64> {
        let mut generator = stream(self.seed, "training", self.steps);
        let (points, shown) = cloud.draw(&mut generator, batch);
        let noise = normal_points(&mut generator, batch);
        let angles: Vec<f32> = generator.rand(batch).iter().map(|part| part * FRAC_PI_2).collect();
        let rows: Vec<_> = (0..batch).map(|i| (noised(points[i], noise[i], angles[i]), angles[i], shown[i])).collect();
        let wanted: Vec<_> = (0..batch).map(|i| velocity(points[i], noise[i], angles[i])).collect();
        self.learn(&rows, &wanted, rate)
    }
    // end

    /// One step downhill on the mean squared error of v; returns the loss before it.
    pub(super) fn learn(&mut self, rows: &[Row], wanted: &[[f32; 2]], rate: f32) -> Result<f64> {
        // cell: velocity-loss
        let (found, trace) = self.network.forward(inputs(rows));
        let mut errors = found;
        errors.values_mut().iter_mut().zip(wanted.as_flattened()).for_each(|(found, wanted)| *found -= wanted);
        let n = errors.values().len() as f32;
        let loss = errors.values().iter().map(|error| f64::from(error * error)).sum::<f64>() / f64::from(n);
        // end
        if !loss.is_finite() {
            return Err(Error::Request(format!(
                "the loss is {loss} and no longer a number to go down from: the learning rate {rate} is too high. \
                 Start again with a lower one"
            )));
        }
        let slopes = self.network.backward(&trace, errors.map(|error| 2.0 * error / n));
        self.adam.step(&mut self.network, &slopes, rate);
        self.steps += 1;
        Ok(loss)
    }

    /// A copy of the network for another training, with Adam's moments at zero.
    pub(super) fn fresh_copy(&self, seed: u64) -> Self {
        Self { adam: Adam::new(&self.network), network: self.network.clone(), steps: 0, seed }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }
}

/// The positions of all points at each angle, from noise to cloud: steps + 1 lists.
pub type Path = Vec<Vec<[f32; 2]>>;

// cell: sample
/// From noise back to points in `steps` equal steps.
pub fn sample(model: &Model, noise: &[[f32; 2]], steps: usize, guidance: Guidance) -> Path {
    let back = FRAC_PI_2 / steps as f32;
    let mut path = vec![noise.to_vec()];
    for step in 0..steps {
        let angle = FRAC_PI_2 - step as f32 * back;
        let points = &path[step];
        let v = model.guided(points, angle, guidance);
        path.push(points.iter().zip(v).map(|(&x, v)| rotate(x, v, back)).collect());
    }
    path
}
// end

/// A point, its angle, and its label.
pub(super) type Row = ([f32; 2], f32, Label);

fn inputs(rows: &[Row]) -> Matrix {
    let mut inputs = Matrix::zeros(rows.len(), INPUTS);
    for (row, &(point, angle, label)) in rows.iter().enumerate() {
        let turns = [1.0, 2.0, 4.0].map(|times| (times * angle).sin_cos());
        let known = [Label::None, Label::A, Label::B].map(|one| f32::from(u8::from(one == label)));
        let all = point.into_iter().chain(turns.iter().flat_map(|&(sin, cos)| [cos, sin])).chain(known);
        inputs.row_mut(row).iter_mut().zip(all).for_each(|(to, value)| *to = value);
    }
    inputs
}

fn pairs(matrix: &Matrix) -> Vec<[f32; 2]> {
    matrix.values().as_chunks::<2>().0.to_vec()
}

#[cfg(test)]
mod tests {
    use super::super::energy_distance;
    use super::super::points::Shape;
    use super::*;

    #[test]
    fn a_quarter_turn_goes_from_point_to_noise_and_back() {
        let (point, noise) = ([0.3, -1.2], [2.0, 0.5]);
        assert_eq!(noised(point, noise, 0.0), point);
        for angle in [0.1, 0.7, FRAC_PI_2] {
            let (x, v) = (noised(point, noise, angle), velocity(point, noise, angle));
            for back in [0.0, 0.05, angle] {
                let (found, expected) = (rotate(x, v, back), noised(point, noise, angle - back));
                assert!((0..2).all(|i| (found[i] - expected[i]).abs() < 1e-6), "{angle} {back}");
            }
            let h = 1e-3;
            let (after, before) = (noised(point, noise, angle + h), noised(point, noise, angle - h));
            assert!((0..2).all(|i| ((after[i] - before[i]) / (2.0 * h) - v[i]).abs() < 1e-3), "v is the derivative");
        }
    }

    #[test]
    fn learns_a_cloud_and_its_two_colours() {
        let cloud = Cloud::made(Shape::Moons, 600, 1).expect("many points");
        let mut model = Model::new(1);
        let losses: Vec<f64> = (0..800).map(|_| model.train_step(&cloud, 128, 0.003).expect("sound")).collect();
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        assert!(mean(&losses[700..]) < 0.8 * mean(&losses[..20]), "{} {}", mean(&losses[..20]), mean(&losses[700..]));
        let noise = normal_points(&mut stream(1, "noise", 0), 300);
        for label in [Label::A, Label::B] {
            let made = sample(&model, &noise, 32, Guidance { label, scale: 1.0 }).pop().expect("33 lists");
            let own = energy_distance(&made, &cloud.of(label));
            let other = energy_distance(&made, &cloud.of(if label == Label::A { Label::B } else { Label::A }));
            let nothing = energy_distance(&noise, &cloud.of(label));
            assert!(own < 0.1 && own < nothing / 4.0 && own < other / 4.0, "{label:?}: {own} {other} {nothing}");
        }
    }

    #[test]
    fn the_same_seed_learns_the_same() {
        let cloud = Cloud::made(Shape::Ring, 100, 1).expect("many points");
        let mut losses = [0, 0].map(|_| {
            let mut model = Model::new(8);
            (0..5).map(|_| model.train_step(&cloud, 16, 0.01).expect("sound")).collect::<Vec<_>>()
        });
        assert_eq!(losses[0], losses[1]);
        losses[0].dedup();
        assert_eq!(losses[0].len(), 5);
    }

    #[test]
    fn a_rate_that_is_too_high_is_named() {
        let cloud = Cloud::made(Shape::Ring, 100, 1).expect("many points");
        let mut model = Model::new(8);
        let trouble = (0..9).find_map(|_| model.train_step(&cloud, 16, 1e30).err()).expect("diverges");
        assert!(trouble.to_string().contains("learning rate"), "{trouble}");
    }

    #[test]
    fn guidance_extends_the_arrow() {
        let model = Model::new(4);
        let at = [[0.4, 0.1]];
        let [none, with] = [Label::None, Label::A].map(|label| model.predict(&at, 0.8, label)[0]);
        let guided = model.guided(&at, 0.8, Guidance { label: Label::A, scale: 3.0 })[0];
        assert!((0..2).all(|i| (guided[i] - (none[i] + 3.0 * (with[i] - none[i]))).abs() < 1e-6));
    }
}
