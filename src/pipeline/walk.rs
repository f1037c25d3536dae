//! Pictures between two requests: the noise is rotated from one to the other, and the text's features are interpolated
//! linearly.

use std::ops::ControlFlow;

use burn::tensor::{Tensor, TensorData};

use super::{EncodedPrompt, Output, Pipeline, Request, StepEvent};
use crate::random::{Generator, Mt19937};
use crate::{Error, Result};

/// Noises that are closer than this (the cosine of their angle) are interpolated linearly.
const NEARLY_ONE: f64 = 0.9995;

impl Pipeline {
    /// The picture at `t` (0 to 1) between two requests that differ only in prompt, negative prompt and seed. At 0 and
    /// 1 it equals that of [`Self::generate`].
    ///
    /// # Errors
    /// Those of [`Self::run`]; [`Error::Request`] for other differences, or a `t` out of range.
    pub async fn run_between(
        &self,
        from: &Request,
        to: &Request,
        t: f32,
        on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Output> {
        if !(0.0..=1.0).contains(&t) {
            return Err(Error::Request(format!("{t} of the way: use 0 to 1")));
        }
        let ends = [from.clone(), to.clone()];
        Request::common(&ends)?;
        let [from_prompt, to_prompt] = self.encode_prompts(&ends)?.try_into().ok().expect("one for each end");
        let prompt = between(from_prompt, to_prompt, t);
        let (mut first, mut second) = (Mt19937::new(from.seed), Mt19937::new(to.seed));
        let device = self.device().clone();
        // Noise that the sampler draws during the run is rotated like the initial noise.
        let mut noise = move |shape: [usize; 4]| {
            let n = shape.iter().product();
            let values = slerp(&first.randn(n), &second.randn(n), t);
            Tensor::from_data(TensorData::new(values, shape), &device)
        };
        self.run_encoded(std::slice::from_ref(from), vec![prompt], &mut noise, on_step).await
    }
}

/// Spherical interpolation (Shoemake, 1985): between two draws of normal noise it gives normal noise, while the middle
/// of a straight line would have too little variance. At the ends it is exactly `a` or `b`.
pub fn slerp(a: &[f32], b: &[f32], t: f32) -> Vec<f32> {
    if t == 0.0 || t == 1.0 {
        return if t == 0.0 { a.to_vec() } else { b.to_vec() };
    }
    let product = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let cosine = product(a, b) / (product(a, a) * product(b, b)).sqrt();
    let t = f64::from(t);
    let (of_a, of_b) = if cosine.abs() < NEARLY_ONE {
        let angle = cosine.acos();
        (((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin())
    } else {
        (1.0 - t, t)
    };
    a.iter().zip(b).map(|(a, b)| (of_a * f64::from(*a) + of_b * f64::from(*b)) as f32).collect()
}

fn between(from: EncodedPrompt, to: EncodedPrompt, t: f32) -> EncodedPrompt {
    let mut warnings = from.warnings;
    warnings.extend(to.warnings.into_iter().filter(|_| t > 0.0));
    let encoder_hidden_states = mixed(from.encoder_hidden_states, to.encoder_hidden_states, t);
    let nag_hidden_states = from.nag_hidden_states.zip(to.nag_hidden_states).map(|(a, b)| mixed(a, b, t));
    let text_embeds = from.text_embeds.zip(to.text_embeds).map(|(a, b)| mixed(a, b, t));
    let EncodedPrompt { token_ids, negative_token_ids, .. } = from;
    EncodedPrompt { encoder_hidden_states, nag_hidden_states, text_embeds, token_ids, negative_token_ids, warnings }
}

fn mixed<const D: usize>(a: Tensor<D>, b: Tensor<D>, t: f32) -> Tensor<D> {
    match t {
        0.0 => a,
        1.0 => b,
        _ => a * (1.0 - t) + b * t,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_between_is_as_loud_as_noise() {
        let (a, b) = (Mt19937::new(1).randn(4096), Mt19937::new(2).randn(4096));
        let power = |x: &[f32]| x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / x.len() as f64;
        assert_eq!((slerp(&a, &b, 0.0), slerp(&a, &b, 1.0)), (a.clone(), b.clone()));
        for t in [0.1, 0.25, 0.5, 0.9] {
            let mixed = slerp(&a, &b, t);
            assert!((power(&mixed) - 1.0).abs() < 0.06, "{t}: {}", power(&mixed));
        }
        // Halfway between (1, 0) and (0, 1) is 45 degrees.
        let half = slerp(&[1.0, 0.0], &[0.0, 1.0], 0.5);
        assert!(half.iter().all(|v| (f64::from(*v) - 0.5f64.sqrt()).abs() < 1e-6), "{half:?}");
        assert_eq!(slerp(&a, &a, 0.5), a);
    }
}
