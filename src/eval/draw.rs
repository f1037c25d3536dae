//! Draws several prompts at a time.

use std::ops::ControlFlow;

use super::{Prompt, Settings};
use crate::Result;
use crate::picture::{Picture, WHITE};
use crate::pipeline::{self, Pipeline, Request, StepEvent};

/// The settings that all prompts share, and how many are drawn together.
pub struct Batch {
    request: Request,
    size: usize,
}

impl Batch {
    /// Takes an evaluation's settings.
    ///
    /// # Errors
    /// [`crate::Error::Request`] for an unknown sampler.
    pub fn new(pipeline: &Pipeline, settings: &Settings) -> Result<Self> {
        let request = pipeline.request_of(pipeline::Settings {
            steps: Some(settings.steps),
            guidance_scale: Some(settings.guidance_scale),
            sampler: settings.sampler.clone(),
            width: Some(settings.size),
            height: Some(settings.size),
            ..pipeline::Settings::default()
        })?;
        Ok(Self { request, size: settings.batch })
    }
}

/// Draws every prompt with its own seed, as `fourstep generate` would, with transparent pictures on white. Also returns
/// the pipeline's warnings, once each. `progress` gets the number of finished pictures.
///
/// # Errors
/// Those of [`Pipeline::generate_batch`].
pub fn draw(
    pipeline: &Pipeline,
    batch: &Batch,
    prompts: &[Prompt],
    mut progress: impl FnMut(usize),
) -> Result<(Vec<Picture>, Vec<String>)> {
    let mut pictures = Vec::with_capacity(prompts.len());
    let mut notes = Vec::new();
    let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
    for some in prompts.chunks(batch.size.max(1)) {
        let request = |p: &Prompt| Request { prompt: p.text.clone(), seed: p.seed, ..batch.request.clone() };
        let requests: Vec<Request> = some.iter().map(request).collect();
        let (images, warnings) = pollster::block_on(pipeline.generate_batch(&requests, &mut on_step))?;
        pictures.extend(images.iter().map(|image| image.over(WHITE).into_owned()));
        notes.extend(warnings);
        progress(pictures.len());
    }
    notes.sort_unstable();
    notes.dedup();
    Ok((pictures, notes))
}
