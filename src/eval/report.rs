//! The numbers of an evaluation, as JSON and as a short table.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::{Asked, Combinations, Distance, Prompt, Settings};
use crate::dataset::Scene;

/// All numbers of an evaluation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The settings.
    pub settings: Settings,
    /// Retrieval by each distance.
    pub retrieval: Vec<Retrieval>,
    /// Colours and backgrounds.
    pub colours: Vec<ColourShare>,
    /// The autoencoder alone.
    pub autoencoder: Reconstruction,
    /// Timing.
    pub times: Times,
    /// The pipeline's warnings.
    pub warnings: Vec<String>,
    /// One for each prompt.
    pub drawings: Vec<Drawing>,
}

/// How often the nearest glyph is the asked one; shares in 0..1.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Retrieval {
    /// The distance that decides which is nearest.
    pub distance: Distance,
    /// Number of prompts.
    pub prompts: usize,
    /// Number of glyphs in the pack; chance is 1 in this many.
    pub glyphs: usize,
    /// Share with the asked glyph nearest of all.
    pub top_1: f64,
    /// Share with the asked glyph among the five nearest of all.
    pub top_5: f64,
    /// Number of the recipe's concepts.
    pub concepts: usize,
    /// Share with the asked one nearest of the recipe's concepts.
    pub top_1_among_concepts: f64,
    /// Share with the asked one among the five nearest of the recipe's concepts.
    pub top_5_among_concepts: f64,
}

/// How often an asked colour is present; shares in 0..1.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ColourShare {
    /// Whether it is the colour of the glyph or of the background.
    pub asked: Asked,
    /// The kind of combinations.
    pub combinations: Combinations,
    /// Number of prompts.
    pub prompts: usize,
    /// Share in the drawings for these prompts.
    pub share: f64,
    /// Share in the drawings for prompts with other colours, trained and held-out ones together.
    pub chance: f64,
    /// Share in the dataset's own pictures.
    pub truth: f64,
}

/// What the autoencoder loses. In decibels; null in JSON means infinity.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reconstruction {
    /// Number of pictures.
    pub pictures: usize,
    /// Mean over pictures of the PSNR of each.
    pub mean_psnr_db: f64,
    /// PSNR of the mean squared error over all pictures.
    pub psnr_of_mean_db: f64,
    /// PSNR of the picture that loses most.
    pub worst_psnr_db: f64,
    /// The name of that picture.
    pub worst: String,
    /// Mean over pictures of the intersection over union of the pixels that are more than half opaque; null if nothing
    /// is transparent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_alpha_iou: Option<f64>,
}

/// Times in seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Times {
    /// Time for all drawings.
    pub drawing_s: f64,
    /// Time for one drawing.
    pub picture_s: f64,
    /// Time for everything after loading.
    pub all_s: f64,
}

/// One prompt and its drawing; `fourstep generate` with this seed reproduces it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drawing {
    /// What the model read.
    pub prompt: String,
    /// Seed of the noise.
    pub seed: u64,
    /// The property that was checked.
    pub asked: Asked,
    /// The kind of combination.
    pub combinations: Combinations,
    /// Whether the property is present; for concepts: nearest of all glyphs by [`Distance::HEADLINE`].
    pub found: bool,
    /// The nearest glyph, the main colour, or the background.
    pub looks_like: String,
    /// Rank of the asked concept among all glyphs, by each distance; empty for colours.
    pub ranks: Vec<usize>,
    /// Rank among the recipe's concepts, by each distance.
    pub ranks_among_concepts: Vec<usize>,
    /// What it should show.
    pub scene: Scene,
}

impl Drawing {
    /// A record that is not judged yet.
    pub fn new(prompt: &Prompt) -> Self {
        Self {
            prompt: prompt.text.clone(),
            seed: prompt.seed,
            asked: prompt.asked,
            combinations: prompt.combinations,
            found: false,
            looks_like: String::new(),
            ranks: Vec::new(),
            ranks_among_concepts: Vec::new(),
            scene: prompt.scene.clone(),
        }
    }
}

impl Report {
    /// A Markdown table, and a line about the settings.
    pub fn markdown(&self) -> String {
        let mut rows: Vec<[String; 4]> = Vec::new();
        for retrieval in self.retrieval.iter().filter(|r| r.prompts > 0) {
            retrieval.rows(&mut rows);
        }
        for colour in self.colours.iter().filter(|c| c.prompts > 0) {
            rows.push(colour.row());
        }
        let mut text = String::from("| counted | prompts | share | chance |\n|---|---:|---:|---:|\n");
        for row in rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        let what = format!("{} glyphs", self.autoencoder.pictures);
        let _ = writeln!(text, "\n{}", self.autoencoder.sentence(&what));
        let Settings { steps, guidance_scale, sampler, size, seed, device, .. } = &self.settings;
        let sampler = sampler.as_deref().unwrap_or("the model's sampler");
        let picture_s = self.times.picture_s;
        let _ = writeln!(
            text,
            "Drawn with {sampler}, {steps} steps, guidance {guidance_scale}, {size} px, seed {seed}, on {device}: {picture_s:.2} s a picture."
        );
        text
    }

    /// One line for each drawing that does not show what was asked.
    pub fn failures(&self) -> String {
        let mut text = String::new();
        for drawing in self.drawings.iter().filter(|drawing| !drawing.found) {
            let Drawing { prompt, seed, looks_like, ranks, .. } = drawing;
            let place = Distance::ALL.iter().position(|d| *d == Distance::HEADLINE).and_then(|i| ranks.get(i));
            let place = place.map(|rank| format!("; what was asked is at place {rank}")).unwrap_or_default();
            let _ = writeln!(text, "{prompt} (seed {seed}): {looks_like}{place}");
        }
        text
    }
}

impl Retrieval {
    fn rows(&self, rows: &mut Vec<[String; 4]>) {
        let by = match self.distance {
            Distance::Pixel => "L2",
            Distance::Shift => "L2 at half size, shifts allowed",
        };
        let mut row = |what: String, share: f64, chance: f64| {
            rows.push([format!("{what} ({by})"), self.prompts.to_string(), percent(share), percent(chance)]);
        };
        let (glyphs, concepts) = (self.glyphs, self.concepts);
        let among = |k: usize, n: usize| (k as f64 / n.max(1) as f64).min(1.0);
        row(format!("nearest of all {glyphs} glyphs is the asked one"), self.top_1, among(1, glyphs));
        row(format!("asked one among the 5 nearest of {glyphs}"), self.top_5, among(5, glyphs));
        row(
            format!("nearest of the {concepts} concepts is the asked one"),
            self.top_1_among_concepts,
            among(1, concepts),
        );
        row(format!("asked one among the 5 nearest of {concepts}"), self.top_5_among_concepts, among(5, concepts));
    }
}

impl ColourShare {
    fn row(&self) -> [String; 4] {
        let what = match self.asked {
            Asked::Background => "asked background is there",
            _ => "asked colour is there",
        };
        let which = match self.combinations {
            Combinations::Trained => "trained combinations",
            Combinations::HeldOut => "held-out combinations",
        };
        let truth = percent(self.truth);
        let what = format!("{what}, {which} (in the dataset's own pictures: {truth})");
        [what, self.prompts.to_string(), percent(self.share), percent(self.chance)]
    }
}

fn percent(share: f64) -> String {
    format!("{:.*} %", if share > 0.0 && share < 0.01 { 2 } else { 1 }, 100.0 * share)
}
