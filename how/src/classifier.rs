//! Training of the linear classifier, step by step for the page.

use wasm_bindgen::prelude::*;

use crate::Thrown;
use crate::foundations::data::PIXELS;
use crate::foundations::linear::{self, Linear};
use crate::foundations::{Matrix, Rung};
use crate::pictures::Pictures;
use crate::random::WichmannHill;

/// 784 x 10 weights, and the state of their training.
#[wasm_bindgen]
pub struct Classifier {
    model: Linear,
    pass: u64,
    left: Vec<Vec<usize>>,
}

#[wasm_bindgen]
impl Classifier {
    /// Weights from Wichmann and Hill's generator.
    #[wasm_bindgen(constructor)]
    pub fn new(seed: u64) -> Classifier {
        Self { model: Linear::new(&mut WichmannHill::new(seed)), pass: 0, left: vec![] }
    }

    /// The weights, row after row: 784 x 10.
    pub fn weights(&self) -> Vec<f32> {
        self.model.weights.values().to_vec()
    }

    /// The ten numbers that are added to the scores.
    pub fn bias(&self) -> Vec<f32> {
        self.model.bias.values().to_vec()
    }

    /// The scores of the first `n` pictures, ten each, computed by the named rung of the ladder of products.
    pub fn forward(&self, pictures: &Pictures, n: usize, rung: &str) -> Thrown<Vec<f32>> {
        let wanted: Vec<usize> = (0..n.min(pictures.count())).collect();
        let scores = self.model.forward(&pictures.digits.images.pick(&wanted), Rung::named(rung)?)?;
        Ok(scores.values().to_vec())
    }

    /// The probabilities of the ten digits for one picture of 784 numbers.
    pub fn probabilities(&self, pixels: Vec<f32>) -> Thrown<Vec<f32>> {
        let image = Matrix::new(1, PIXELS, pixels)?;
        Ok(linear::softmax(&self.model.forward(&image, Rung::Slices)?).values().to_vec())
    }

    /// For some weights, on the first 32 pictures: row, column, the slope by the gradient, and the slope by finite
    /// differences.
    pub fn check(&self, pictures: &Pictures, weights: usize) -> Thrown<Vec<f64>> {
        let first: Vec<usize> = (0..32.min(pictures.count())).collect();
        let (images, labels) = (pictures.digits.images.pick(&first), &pictures.digits.labels[..first.len()]);
        let (_, gradient) = self.model.gradient(&images, labels)?;
        let mut found = vec![];
        for i in 0..weights {
            // Pixels in the middle of the picture, where there is ink.
            let place = ((10 + 37 * i % 8) * 28 + 10 + 53 * i % 8, 7 * i % 10);
            let tried = linear::slope_by_trying(&self.model, place, &images, labels)?;
            found.extend([place.0 as f64, place.1 as f64, f64::from(gradient.weights[place]), tried]);
        }
        Ok(found)
    }

    /// Takes `steps` steps; returns the loss before each.
    pub fn train(&mut self, pictures: &Pictures, steps: usize, batch: usize, rate: f32) -> Thrown<Vec<f64>> {
        let digits = &pictures.digits;
        let mut losses = vec![];
        for _ in 0..steps {
            if self.left.is_empty() {
                self.left = linear::batches(digits.len(), batch, 1, self.pass);
                self.pass += 1;
            }
            let Some(wanted) = self.left.pop() else {
                return Err(JsError::new("there are no pictures to learn from"));
            };
            let labels: Vec<u8> = wanted.iter().map(|&i| digits.labels[i]).collect();
            losses.push(self.model.step(&digits.images.pick(&wanted), &labels, rate)?);
        }
        Ok(losses)
    }

    /// How many passes over the pictures have begun.
    pub fn passes(&self) -> u64 {
        self.pass
    }

    /// How often digit `row` was read as digit `column`: 10 x 10.
    pub fn confusion(&self, pictures: &Pictures) -> Thrown<Vec<usize>> {
        Ok(self.model.confusion(&pictures.digits)?.as_flattened().to_vec())
    }
}

// Another file has other pictures in these places.
#[wasm_bindgen]
impl Classifier {
    /// Drops the rest of the pass. Call this when the pictures change.
    pub fn new_pictures(&mut self) {
        self.left.clear();
    }
}
