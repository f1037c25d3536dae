//! FlowEdit (Kulikov et al., 2024), on the circle.
//!
//! The paper has straight flows, z_tau = (1 - tau) x + tau eps with the velocity u = eps - x. Its algorithm 1 moves an estimate Z of
//! the edit, at first the picture x, from tau to tau' < tau, with new noise N in each step:
//!
//! ```text
//! z_source = (1 - tau) x + tau N        z_target = Z + z_source - x
//! Z' = Z + (tau' - tau) (u(z_target, target prompt) - u(z_source, source prompt))
//! ```
//!
//! Our samples lie on a circle, z = alpha x + sigma eps, where alpha^2 = `alphas_cumprod` and alpha^2 + sigma^2 = 1. Such a z is alpha +
//! sigma times a sample of the straight flow at tau = sigma / (alpha + sigma) that has the same x and eps, and every prediction (of v,
//! eps or x) gives x and eps, so u. In D = (alpha + sigma) (Z - x), the difference of the two samples on the circle, the step becomes
//!
//! ```text
//! D' = alpha' dx + sigma' deps = cos(phi - phi') D - sin(phi - phi') (v(z_target, target) - v(z_source, source))
//! ```
//!
//! with dx and deps the differences of what is predicted, and (alpha, sigma) = (cos phi, sin phi): the step of DDIM, taken by D. Where
//! the noise ends, D = Z - x.

use std::ops::ControlFlow;

use burn::tensor::Tensor;

use super::EditRequest;
use super::difference::{Difference, ddim};
use crate::Result;
use crate::pipeline::{Pipeline, Request, Start, StepEvent, denoise};
use crate::schedulers::{self, Noise, StepOptions};

/// The latents of the edit, and what the user should know.
pub(super) async fn run(
    pipeline: &Pipeline,
    request: &EditRequest,
    noise: &mut Noise<'_>,
    on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
) -> Result<(Tensor<4>, Vec<String>)> {
    let config = ddim(pipeline.scheduler())?;
    let mut scheduler = schedulers::from_config(&config)?;
    let edit = Difference::new(pipeline, request, &config, noise)?;
    let first = pipeline.plan(&edit.request, scheduler.as_mut())?;
    let steps = scheduler.timesteps().len();
    let end = steps.saturating_sub(request.n_min).max(first);
    let moved = edit.walk(scheduler.as_mut(), [first, end], on_step).await?;
    if end == steps {
        return Ok((edit.original.clone() + moved, edit.warnings));
    }
    // The last n_min steps: ordinary sampling by the target prompt, from z_target.
    let unit = edit.draw(edit.original.dims());
    let latents = scheduler.add_noise(edit.original.clone(), unit, &[end])? + moved;
    let (target, _) = pipeline.denoiser(&Request { num_images_per_prompt: 1, ..edit.request.clone() })?;
    let start = Start { latents, index: end, end: None, kept: None };
    let mut more = |shape| edit.draw(shape);
    let mut after = async |event: StepEvent<'_>| {
        let (index, steps) = (event.index + end - first, event.steps + end - first);
        on_step(StepEvent { index, steps, ..event }).await
    };
    let options = StepOptions::default();
    let latents = denoise(&target, scheduler.as_mut(), start, &options, &mut more, &mut after).await?;
    Ok((latents, edit.warnings))
}
