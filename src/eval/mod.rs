//! Measures by program how good a model of stickers is: whether a drawing shows the thing, the colour and the
//! background that were asked for, and how much the autoencoder loses.
//!
//! [`evaluate`] draws every prompt with the pipeline and asks
//!
//! - [`Gallery`]: which of all glyphs of the pack is nearest to the drawing ("a fox");
//! - the dataset's `ColourJudge`: is the colour there ("a green fox", "a fox on a blue background"), for combinations
//!   that training saw and for held-out ones;
//! - [`psnr`]: what encoding and decoding every glyph loses.
//!
//! [`steps`] compares models over numbers of steps, [`guidance`] over guidance scales and negative prompts, [`edits`]
//! ways to edit a picture over their strengths.
//!
//! Reports give for each share what chance would reach, and what the dataset's own pictures of the same scenes reach.

pub mod compare;
mod draw;
pub mod edits;
mod frechet;
mod gallery;
pub mod guidance;
mod prompts;
mod psnr;
mod questions;
mod report;
mod settings;
pub mod steps;
pub mod store;
mod symmetric;
#[cfg(test)]
mod testing;

pub use draw::{Batch, draw};
pub use frechet::Gaussian;
pub use gallery::{Distance, Gallery};
pub use prompts::{Asked, Combinations, Prompt, prompts};
pub use psnr::{compared, decoded, mean_square_error, psnr, reconstruction, seen};
pub use report::{ColourShare, Drawing, Reconstruction, Report, Retrieval, Times};
pub use settings::Settings;

use std::time::Instant;

use crate::Result;
use crate::dataset::{ColourJudge, Stickers};
use crate::picture::Picture;
use crate::pipeline::Pipeline;

/// A report and its pictures, in the order of `report.drawings`.
pub struct Evaluation {
    /// The numbers.
    pub report: Report,
    /// What the model drew.
    pub drawn: Vec<Picture>,
    /// The dataset's picture of the same scene.
    pub truth: Vec<Picture>,
}

/// Draws and counts. `progress` gets what is being done, how many are done, and how many there are.
///
/// # Errors
/// [`crate::Error::Request`] if the recipe lacks a kind of picture that is asked for, or for settings that the model
/// does not take; those of [`Pipeline::generate_batch`].
pub fn evaluate(
    pipeline: &Pipeline,
    stickers: &Stickers,
    settings: Settings,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Evaluation> {
    let asked = prompts(stickers, &settings)?;
    let batch = Batch::new(pipeline, &settings)?;
    let started = Instant::now();
    progress("drawing", 0, asked.len());
    let (drawn, warnings) = draw(pipeline, &batch, &asked, |done| progress("drawing", done, asked.len()))?;
    let drawing_s = started.elapsed().as_secs_f64();
    let truth = asked.iter().map(|prompt| stickers.render(&prompt.scene, settings.size)).collect::<Result<Vec<_>>>()?;

    let glyphs = stickers.all_glyphs(settings.size);
    let gallery = Gallery::new(&glyphs);
    let concepts = stickers.names.iter().map(|name| stickers.concept(name)).collect::<Result<Vec<_>>>()?;
    let mut drawings = Vec::with_capacity(asked.len());
    let judge = ColourJudge::new(&stickers.recipe);
    for (i, (prompt, picture)) in asked.iter().zip(&drawn).enumerate() {
        let sought = stickers.concept(&prompt.scene.concepts[0])?;
        drawings.push(questions::drawing(prompt, picture, (&gallery, &concepts, sought), &judge)?);
        progress("comparing", i + 1, asked.len());
    }
    let retrieval =
        Distance::ALL.map(|distance| questions::retrieval(distance, &drawings, glyphs.len(), concepts.len()));
    let colours = questions::colours(&asked, &drawn, &truth, &judge)?;
    let autoencoder =
        reconstruction(pipeline, &glyphs, settings.batch, |done| progress("reconstructing", done, glyphs.len()))?;
    let times =
        Times { drawing_s, picture_s: drawing_s / asked.len().max(1) as f64, all_s: started.elapsed().as_secs_f64() };
    let report = Report { settings, retrieval: retrieval.to_vec(), colours, autoencoder, times, warnings, drawings };
    Ok(Evaluation { report, drawn, truth })
}
