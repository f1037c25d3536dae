//! The descent: Adam on matrices, with random timesteps and noise in each step, until all steps are taken, somebody stops it or
//! the loss grows.

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::adam::Adam;
use crate::random::{self, Generator};
use crate::{Error, Result};

const MAX_STEPS: usize = 100_000;
const MAX_BATCH: usize = 64;
/// Steps over which losses are averaged before they are compared: a loss alone says more about its timesteps.
const WINDOW: usize = 20;
/// How many times the mean loss of the first window counts as diverging.
const DIVERGED: f64 = 4.0;

/// How a model is fitted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageOptions {
    /// Steps of Adam, 1 to 100,000.
    pub steps: usize,
    /// The same for all steps.
    pub learning_rate: f64,
    /// Timesteps in each step, 1 to 64, each with its own noise.
    pub batch: usize,
    /// Of all random numbers.
    pub seed: u64,
}

impl StageOptions {
    /// # Errors
    /// [`Error::Request`] for what is out of range.
    pub(in crate::edit) fn check(&self) -> Result<()> {
        let Self { steps, learning_rate, batch, .. } = self;
        let reason = if !(1..=MAX_STEPS).contains(steps) {
            format!("steps = {steps}: fitting takes 1 to {MAX_STEPS}")
        } else if !(1..=MAX_BATCH).contains(batch) {
            format!("batch = {batch}: fitting takes 1 to {MAX_BATCH} timesteps in a step")
        } else if !(learning_rate.is_finite() && *learning_rate > 0.0) {
            format!("learning rate = {learning_rate}: must be above 0")
        } else {
            return Ok(());
        };
        Err(Error::Request(reason))
    }

    /// Timesteps below `timesteps` and noise, from streams of the seed with the name `what`.
    pub(in crate::edit) fn draws(&self, what: &str, timesteps: usize) -> impl FnMut(usize, usize) -> Draw + use<> {
        let (seed, batch) = (self.seed, self.batch);
        let [of_timesteps, of_noise] = ["timesteps", "noise"].map(|of| format!("{what}.{of}"));
        move |step, numbers| {
            let timesteps = random::stream(seed, &of_timesteps, step as u64).randint(0, timesteps as i64, batch);
            Draw {
                timesteps: timesteps.into_iter().map(|t| t as usize).collect(),
                noise: random::stream(seed, &of_noise, step as u64).randn(numbers),
            }
        }
    }
}

/// The random numbers of a step.
pub struct Draw {
    /// One for each sample of the batch.
    pub timesteps: Vec<usize>,
    /// Standard normal, for the batch's latents `[batch, c, h, w]`.
    pub noise: Vec<f32>,
}

/// A step that was taken.
pub struct StageStep<'a> {
    /// From 0.
    pub index: usize,
    /// Of all.
    pub steps: usize,
    /// Mean squared error before the step.
    pub loss: f32,
    /// What is fitted, after the step: the embedding `[tokens, features]`, or the factors of all adapters.
    pub values: &'a [Tensor<2>],
}

/// Why a descent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// All steps are taken.
    Finished,
    /// The handler asked to stop.
    Stopped,
    /// The loss was not finite any more, or several times what it was at first: what is left is the last sound state.
    Diverged,
}

/// Where a descent ended.
pub(in crate::edit) struct Descent {
    pub values: Vec<Tensor<2>>,
    /// Before each step.
    pub losses: Vec<f32>,
    pub ended: Ended,
}

/// From `start`, without autodiff. In each step `loss` `[1]` is asked for, of leaves that keep gradients, with the step's index and
/// its random numbers from `draws`.
pub(in crate::edit) async fn descend(
    start: Vec<Tensor<2>>,
    options: &StageOptions,
    mut draws: impl FnMut(usize) -> Draw,
    loss: impl Fn(&[Tensor<2>], usize, Draw) -> Result<Tensor<1>>,
    on_step: &mut impl AsyncFnMut(StageStep<'_>) -> ControlFlow<()>,
) -> Result<Descent> {
    let mut adams: Vec<Adam<2>> = start.iter().map(|_| Adam::new(options.learning_rate)).collect();
    let mut watch = Watch::new(start.clone());
    let (mut values, mut ended) = (start, Ended::Finished);
    for index in 0..options.steps {
        let leaves: Vec<Tensor<2>> = values.iter().map(|value| value.clone().autodiff().require_grad()).collect();
        let tracked = loss(&leaves, index, draws(index))?;
        let gradients = tracked.backward();
        let loss = read(tracked.inner()).await;
        if !watch.sound(loss, &values) {
            (values, ended) = (watch.good.clone(), Ended::Diverged);
            break;
        }
        let moved = values.into_iter().zip(&leaves).zip(&mut adams).map(|((value, leaf), adam)| {
            let gradient = leaf.grad(&gradients);
            gradient.map_or_else(|| value.clone(), |gradient| adam.step(value.clone(), gradient))
        });
        values = moved.collect();
        if on_step(StageStep { index, steps: options.steps, loss, values: &values }).await.is_break() {
            ended = Ended::Stopped;
            break;
        }
    }
    // No loss was taken of what the last step made.
    let sum = values.iter().map(|value| value.clone().sum()).reduce(|a, b| a + b).expect("something to fit");
    if !read(sum).await.is_finite() {
        (values, ended) = (watch.good, Ended::Diverged);
    }
    Ok(Descent { values, losses: watch.losses, ended })
}

async fn read(number: Tensor<1>) -> f32 {
    let data = number.into_data_async().await.expect("a number of the device");
    data.iter::<f32>().next().expect("one number")
}

/// Looks for a loss that leaves the numbers behind or grows, and keeps the last values that were sound.
struct Watch {
    losses: Vec<f32>,
    good: Vec<Tensor<2>>,
    /// Means of the first and of the best window, and the values at the best one's end.
    windows: Option<(f64, f64, Vec<Tensor<2>>)>,
}

impl Watch {
    fn new(start: Vec<Tensor<2>>) -> Self {
        Self { losses: Vec::new(), good: start, windows: None }
    }

    /// Whether `loss`, which `values` has, allows to go on; if not, `good` is what to go back to.
    fn sound(&mut self, loss: f32, values: &[Tensor<2>]) -> bool {
        if !loss.is_finite() {
            return false;
        }
        self.losses.push(loss);
        self.good = values.to_vec();
        if !self.losses.len().is_multiple_of(WINDOW) {
            return true;
        }
        let last = &self.losses[self.losses.len() - WINDOW..];
        let mean = last.iter().map(|loss| f64::from(*loss)).sum::<f64>() / WINDOW as f64;
        match &mut self.windows {
            None => self.windows = Some((mean, mean, values.to_vec())),
            Some((first, _, best)) if mean > DIVERGED * *first => {
                self.good = best.clone();
                return false;
            }
            Some((_, least, best)) if mean < *least => (*least, *best) = (mean, values.to_vec()),
            Some(_) => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn at(x: f32) -> Vec<Tensor<2>> {
        vec![Tensor::from_floats([[x]], &Device::flex())]
    }

    /// The step at which the losses are unsound, and what is gone back to.
    fn watched(losses: impl IntoIterator<Item = f32>) -> (Option<usize>, f32) {
        let mut watch = Watch::new(at(-1.0));
        let wrong = losses.into_iter().enumerate().position(|(i, loss)| !watch.sound(loss, &at(i as f32)));
        (wrong, watch.good.remove(0).into_scalar::<f32>())
    }

    #[test]
    fn a_loss_that_is_no_number_or_grows_is_unsound() {
        assert_eq!(watched([f32::NAN]), (Some(0), -1.0));
        assert_eq!(watched([1.0, 2.0, f32::INFINITY]), (Some(2), 1.0));
        // One large loss of some timesteps is not growth.
        assert_eq!(watched((0..60).map(|i| if i == 30 { 40.0 } else { 1.0 })), (None, 59.0));
        // It falls for two windows and then grows: back to the end of the second.
        let falls = |i: usize| if i < 40 { 1.0 - i as f32 / 80.0 } else { 9.0 };
        assert_eq!(watched((0..100).map(falls)), (Some(59), 39.0));
    }
}
