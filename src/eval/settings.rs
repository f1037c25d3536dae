//! The settings of an evaluation. Its report repeats them.

use serde::{Deserialize, Serialize};

/// The settings of an evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The model's folder.
    pub model: String,
    /// The pack's file.
    pub pack: String,
    /// The recipe's file.
    pub recipe: String,
    /// The device that drew.
    pub device: String,
    /// Number of plain prompts.
    pub prompts: usize,
    /// Number of prompts for a colour, and again as many for a background.
    pub colour_prompts: usize,
    /// Denoising steps.
    pub steps: usize,
    /// Guidance scale; no guidance at 1 and below.
    pub guidance_scale: f32,
    /// The sampler's short name; none means the model's own.
    #[serde(alias = "scheduler")]
    pub sampler: Option<String>,
    /// Side of the pictures in pixels.
    pub size: usize,
    /// Seed of the prompts and their noise.
    pub seed: u64,
    /// Pictures drawn together.
    pub batch: usize,
}
