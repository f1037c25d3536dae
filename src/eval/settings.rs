//! The settings of an evaluation. Its report repeats them.

use serde::{Deserialize, Serialize};

/// What was asked, of which model, drawn how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The model's folder.
    pub model: String,
    /// The pack's file.
    pub pack: String,
    /// The recipe's file.
    pub recipe: String,
    /// Where it was drawn.
    pub device: String,
    /// Plain prompts.
    pub prompts: usize,
    /// Prompts for a colour, and again as many for a background.
    pub colour_prompts: usize,
    /// Denoising steps.
    pub steps: usize,
    /// 1 and below: no guidance.
    pub guidance_scale: f32,
    /// The sampler's short name; none is the model's own.
    #[serde(alias = "scheduler")]
    pub sampler: Option<String>,
    /// Side of the pictures in pixels.
    pub size: usize,
    /// Of the prompts and their noise.
    pub seed: u64,
    /// Pictures drawn at once.
    pub batch: usize,
}
