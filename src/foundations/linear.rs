//! A linear classifier of digits: one matrix product, then training with a gradient written by hand.
//!
//! Source: Bishop, "Pattern Recognition and Machine Learning", 2006, section 4.3.4 (softmax, cross-entropy, gradient).

use super::data::{Digits, PIXELS};
use super::{Matrix, Rung};
use crate::random::{WichmannHill, stream};
use crate::{Error, Result};

/// The number of classes: ten digits.
pub const CLASSES: usize = 10;

/// A score for each digit: pixels times weights plus bias.
#[derive(Clone, Debug)]
pub struct Linear {
    /// 784 x 10: how much a pixel's ink counts for each digit.
    pub weights: Matrix,
    /// 1 x 10: added to each score.
    pub bias: Matrix,
}

/// The slope of the loss for each weight and bias.
pub struct Gradient {
    /// 784 x 10.
    pub weights: Matrix,
    /// 1 x 10.
    pub bias: Matrix,
}

impl Linear {
    // cell: linear-init
    /// The lesson's initial state: 7,840 normal numbers from our own generator, scaled down, and no bias.
    pub fn new(generator: &mut WichmannHill) -> Self {
        let scale = 1.0 / (PIXELS as f64).sqrt();
        let weights = Matrix::from_fn(PIXELS, CLASSES, |_, _| (generator.gauss() * scale) as f32);
        Self { weights, bias: Matrix::zeros(1, CLASSES) }
    }
    // end

    // cell: linear-forward
    /// The scores (n x 10) of n pictures (n x 784), computed by any rung of the ladder.
    ///
    /// # Errors
    /// [`Error::Request`] for pictures of another size.
    pub fn forward(&self, images: &Matrix, rung: Rung) -> Result<Matrix> {
        let mut scores = rung.multiply(images, &self.weights)?;
        for row in 0..scores.rows() {
            for (score, bias) in scores.row_mut(row).iter_mut().zip(self.bias.values()) {
                *score += bias;
            }
        }
        Ok(scores)
    }
    // end

    /// The loss on some pictures, and its slope for every weight.
    ///
    /// # Errors
    /// [`Error::Request`] for pictures of another size.
    pub fn gradient(&self, images: &Matrix, labels: &[u8]) -> Result<(f64, Gradient)> {
        // cell: linear-gradient
        let probabilities = softmax(&self.forward(images, Rung::Slices)?);
        let loss = cross_entropy(&probabilities, labels);
        // The slope for each score is simple: the predicted probability, minus 1 for the right digit.
        let mut errors = probabilities;
        for (row, &label) in labels.iter().enumerate() {
            errors[(row, usize::from(label))] -= 1.0;
        }
        let errors = errors.map(|error| error / labels.len() as f32);
        // A weight acts through its pixel: slopes = transposed pictures times errors.
        let weights = Rung::Slices.multiply(&images.transposed(), &errors)?;
        let ones = Matrix::from_fn(1, errors.rows(), |_, _| 1.0);
        let bias = Rung::Slices.multiply(&ones, &errors)?;
        // end
        Ok((loss, Gradient { weights, bias }))
    }

    /// One step downhill; returns the loss before it.
    ///
    /// # Errors
    /// [`Error::Request`] if the loss is no longer a number, because the rate is too high.
    pub fn step(&mut self, images: &Matrix, labels: &[u8], rate: f32) -> Result<f64> {
        let (loss, gradient) = self.gradient(images, labels)?;
        if !loss.is_finite() {
            return Err(Error::Request(format!(
                "the loss is {loss} and no longer a number to go down from: the learning rate {rate} is too high. \
                 Start again with a lower one"
            )));
        }
        // cell: linear-step
        for (weight, slope) in self.weights.values_mut().iter_mut().zip(gradient.weights.values()) {
            *weight -= rate * slope;
        }
        for (bias, slope) in self.bias.values_mut().iter_mut().zip(gradient.bias.values()) {
            *bias -= rate * slope;
        }
        // end
        Ok(loss)
    }

    /// How often digit `row` was read as digit `column`.
    ///
    /// # Errors
    /// [`Error::Request`] for pictures of another size.
    pub fn confusion(&self, digits: &Digits) -> Result<[[usize; CLASSES]; CLASSES]> {
        let scores = self.forward(&digits.images, Rung::Slices)?;
        let mut counts = [[0; CLASSES]; CLASSES];
        for (row, &label) in digits.labels.iter().enumerate() {
            counts[usize::from(label)][best(scores.row(row))] += 1;
        }
        Ok(counts)
    }
}

// cell: softmax
/// Scores to probabilities: e to the power of each, divided by their sum. The largest score is subtracted first, so
/// that nothing overflows; this does not change the result.
pub fn softmax(scores: &Matrix) -> Matrix {
    let mut probabilities = scores.clone();
    for row in 0..probabilities.rows() {
        let row = probabilities.row_mut(row);
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|score| *score = (*score - largest).exp());
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|score| *score /= sum);
    }
    probabilities
}

/// How surprising the right digits were: the mean of -ln(probability). 2.303 is guessing, 0 is certainty.
pub fn cross_entropy(probabilities: &Matrix, labels: &[u8]) -> f64 {
    let surprise = |(row, &label): (usize, &u8)| -f64::from(probabilities[(row, usize::from(label))]).ln();
    labels.iter().enumerate().map(surprise).sum::<f64>() / labels.len() as f64
}
// end

/// The digit with the highest score.
pub fn best(scores: &[f32]) -> usize {
    (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0)
}

/// The share of right answers in a table of [`Linear::confusion`]; 0 if it is empty.
pub fn accuracy(confusion: &[[usize; CLASSES]; CLASSES]) -> f64 {
    let right: usize = (0..CLASSES).map(|digit| confusion[digit][digit]).sum();
    right as f64 / confusion.as_flattened().iter().sum::<usize>().max(1) as f64
}

/// The pictures of one pass in a random order, in batches of at most `size`; every pass has its own order.
pub fn batches(count: usize, size: usize, seed: u64, pass: u64) -> Vec<Vec<usize>> {
    let mut generator = stream(seed, "order", pass);
    let mut order: Vec<usize> = (0..count).collect();
    for i in (1..count).rev() {
        order.swap(i, generator.next_u64() as usize % (i + 1));
    }
    order.chunks(size.max(1)).map(<[usize]>::to_vec).collect()
}

// cell: finite-differences
/// The slope for one weight by finite differences: the loss slightly above and slightly below, and their difference
/// divided by the distance.
///
/// # Errors
/// [`Error::Request`] for pictures of another size.
pub fn slope_by_trying(model: &Linear, (row, column): (usize, usize), images: &Matrix, labels: &[u8]) -> Result<f64> {
    let loss_at = |change: f32| {
        let mut moved = model.clone();
        moved.weights[(row, column)] += change;
        Ok(cross_entropy(&softmax(&moved.forward(images, Rung::Slices)?), labels))
    };
    let h = 0.01;
    Ok((loss_at(h)? - loss_at(-h)?) / f64::from(2.0 * h))
}
// end

#[cfg(test)]
mod tests {
    use super::super::testing::matrix;
    use super::*;

    const SEED: u64 = 457_428_938_475;

    #[test]
    fn weights_are_the_generators_numbers() {
        let model = Linear::new(&mut WichmannHill::new(SEED));
        let first = WichmannHill::new(SEED).gauss() / 28.0;
        assert_eq!((model.weights.shape(), model.weights[(0, 0)]), ([784, 10], first as f32));
    }

    #[test]
    fn every_rung_gives_the_same_scores() {
        let model = Linear::new(&mut WichmannHill::new(SEED));
        let images = matrix(9, 784, 1);
        let expected = model.forward(&images, Rung::Loops).expect("fits");
        for &rung in Rung::ALL {
            let found = model.forward(&images, rung).expect("fits");
            let far = found.values().iter().zip(expected.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far < 1e-4, "{rung:?}: {far}");
        }
        assert!(model.forward(&matrix(1, 10, 2), Rung::Slices).is_err());
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let model = Linear::new(&mut WichmannHill::new(SEED));
        let images = matrix(16, 784, 3);
        let labels: Vec<u8> = (0..16).map(|i| i % 10).collect();
        let (loss, gradient) = model.gradient(&images, &labels).expect("fits");
        assert!(loss > 1.0 && loss < 6.0);
        for at in (0..7840).step_by(97) {
            let place = (at / 10, at % 10);
            let tried = slope_by_trying(&model, place, &images, &labels).expect("fits");
            let found = f64::from(gradient.weights[place]);
            assert!((found - tried).abs() < 2e-5 + 1e-3 * tried.abs(), "{place:?}: {found}, by trying {tried}");
        }
        let sums: f32 = gradient.bias.values().iter().sum();
        assert!(sums.abs() < 1e-6, "the slopes of the biases add up to 0, not {sums}");
    }

    #[test]
    fn probabilities_add_up_to_1_for_any_scores() {
        let probabilities = softmax(&Matrix::new(2, 3, vec![1000.0, 1000.0, -1000.0, 0.0, 0.0, 0.0]).expect("fits"));
        assert_eq!(probabilities.row(0), [0.5, 0.5, 0.0]);
        assert!((cross_entropy(&softmax(&Matrix::zeros(4, 10)), &[0, 3, 9, 9]) - 10f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn learns_what_can_be_learned() {
        let images = matrix(300, 784, 4);
        let teacher = matrix(784, 10, 5);
        let scores = Rung::Slices.multiply(&images, &teacher).expect("fits");
        let labels: Vec<u8> = (0..300).map(|row| best(scores.row(row)) as u8).collect();
        let digits = Digits { images, labels };
        let mut model = Linear::new(&mut WichmannHill::new(SEED));
        let before = accuracy(&model.confusion(&digits).expect("fits"));
        for pass in 0..20 {
            for batch in batches(300, 50, 1, pass) {
                let labels: Vec<u8> = batch.iter().map(|&i| digits.labels[i]).collect();
                model.step(&digits.images.pick(&batch), &labels, 0.05).expect("a modest rate");
            }
        }
        let after = accuracy(&model.confusion(&digits).expect("fits"));
        assert!(before < 0.3 && after > 0.9, "{before} {after}");
    }

    #[test]
    fn a_rate_that_is_too_high_is_named() {
        let mut model = Linear::new(&mut WichmannHill::new(SEED));
        let images = matrix(8, 784, 6);
        let labels = [[0, 1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7, 8]];
        let message = (0..20).find_map(|i| model.step(&images, &labels[i % 2], 1e30).err());
        assert!(message.expect("diverges").to_string().contains("the learning rate 1"));
    }

    #[test]
    fn a_pass_visits_every_picture_once_in_its_own_order() {
        let [a, b] = [0, 1].map(|pass| batches(103, 10, 9, pass).concat());
        let mut sorted = a.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..103).collect::<Vec<_>>());
        assert_ne!(a, b);
        assert_eq!(batches(103, 10, 9, 0).concat(), a);
    }
}
