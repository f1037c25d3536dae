//! The configuration of a distillation: one JSON file for all its runs. A copy is saved beside each run.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checked;
use crate::train::config::{Latents, SheetConfig, Training};
use crate::train::pictures::Pictures;
use crate::{Error, Result};

/// See `recipes/distill.json`. An unknown key is an error; no key has a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistillConfig {
    /// The teacher of the first run, in the diffusers layout: a model that predicts v, with trailing timesteps.
    pub teacher: PathBuf,
    /// The source of the pictures.
    pub pictures: Pictures,
    /// How latents are made.
    pub latents: Latents,
    /// The inputs that a student learns.
    pub inputs: Inputs,
    /// The run that replaces guidance's two evaluations by one.
    pub guidance: GuidanceConfig,
    /// The run that halves the number of steps repeatedly.
    pub progressive: ProgressiveConfig,
    /// The consistency run.
    pub consistency: ConsistencyConfig,
    /// The sheets; they use the student's number of steps.
    pub sheet: SheetConfig,
}

/// How a student's inputs are drawn in training.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Smallest and greatest guidance scale; scales are drawn uniformly (Meng et al., 2022: w = scale - 1 from 0 to 4).
    pub guidance_scale: [f32; 2],
    /// Share of the prompts that are empty.
    pub caption_dropout: f32,
    /// Share of the negative prompts that name a colour or a background ("green", "a green background").
    pub negative_colours: f32,
    /// Share of the negative prompts that are captions of other pictures; the remaining ones are empty.
    pub negative_captions: f32,
}

/// Guidance distillation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuidanceConfig {
    /// Steps, batch, optimizer.
    pub training: Training,
    /// Number of sinusoids of the guidance scale: the student's `time_cond_proj_dim`.
    pub time_cond_proj_dim: usize,
}

/// Progressive distillation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgressiveConfig {
    /// Batch and optimizer; its `steps` are not used.
    pub training: Training,
    /// The students, from many steps to few. Each has half of its teacher's steps, and the first has half of the first
    /// teacher's.
    pub stages: Vec<StageConfig>,
    /// Weighting of the squared error.
    pub weighting: Weighting,
}

/// One student of the ladder.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// Denoising steps of the student.
    pub steps: usize,
    /// Training updates.
    pub updates: u64,
}

/// Multistep consistency.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyConfig {
    /// Steps, batch, optimizer.
    pub training: Training,
    /// The model whose small steps the student follows.
    pub teacher: ConsistencyTeacher,
    /// Denoising steps of the student.
    pub segments: usize,
    /// DDIM steps of the teacher over the whole path, a multiple of `segments`: the number at the start, which grows
    /// evenly to the number at the end (Heek et al., 2024, section 3.2).
    pub teacher_steps: [usize; 2],
    /// Weighting of the squared error.
    pub weighting: Weighting,
}

/// The teacher of the consistency run. The student starts from the guidance-distilled model in both cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsistencyTeacher {
    /// The first teacher, guided with two evaluations. The student also learns what guidance distillation missed.
    Guided,
    /// The guidance-distilled model, with one evaluation.
    Distilled,
}

/// Weighting of the squared error of x.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// SNR + 1: the unweighted error of v.
    SnrPlusOne,
    /// max(SNR, 1).
    TruncatedSnr,
}

impl DistillConfig {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Config`] that names the file and the key.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        Self::from_json(&text, &path.display().to_string())
    }

    /// As [`Self::read`], from memory; `file` is for messages.
    pub fn from_json(text: &str, file: &str) -> Result<Self> {
        checked::from_json(text, file, Self::check)
    }

    fn check(&self) -> std::result::Result<(), String> {
        let sections = [
            ("guidance", &self.guidance.training),
            ("progressive", &self.progressive.training),
            ("consistency", &self.consistency.training),
        ];
        for (section, training) in sections {
            training.check().map_err(|reason| format!("{section}.{reason}"))?;
        }
        let [least, largest] = self.inputs.guidance_scale;
        if !(least.is_finite() && largest.is_finite() && 0.0 <= least && least <= largest) {
            return Err(format!("inputs.guidance_scale = [{least}, {largest}]: must be from 0, the least first"));
        }
        let Inputs { caption_dropout, negative_colours, negative_captions, .. } = self.inputs;
        for (key, value) in [
            ("caption_dropout", caption_dropout),
            ("negative_colours", negative_colours),
            ("negative_captions", negative_captions),
            ("negative_colours + negative_captions", negative_colours + negative_captions),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("inputs.{key} = {value}: must be 0 to 1"));
            }
        }
        if !self.guidance.time_cond_proj_dim.is_multiple_of(2) || self.guidance.time_cond_proj_dim < 4 {
            return Err("guidance.time_cond_proj_dim: must be even and at least 4".into());
        }
        let stages = &self.progressive.stages;
        let halves = stages.windows(2).all(|pair| pair[0].steps == 2 * pair[1].steps);
        if stages.is_empty() || !halves || stages.iter().any(|stage| stage.steps == 0 || stage.updates == 0) {
            return Err("progressive.stages: each needs half as many steps as the one before, and updates".into());
        }
        let ConsistencyConfig { segments, teacher_steps: [few, many], .. } = self.consistency;
        let fits = |steps: usize| segments > 0 && steps >= segments && steps.is_multiple_of(segments);
        match fits(few) && fits(many) && few <= many {
            true => Ok(()),
            false => Err("consistency.teacher_steps: two multiples of segments, the smaller first".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = include_str!("../../recipes/distill.json");

    #[test]
    fn the_committed_recipe_is_read() {
        let config = DistillConfig::from_json(RECIPE, "distill.json").unwrap();
        assert_eq!(config.progressive.stages.last().unwrap().steps, 1);
        assert_eq!(config.consistency.segments, 4);
    }

    #[test]
    fn impossible_values_are_named() {
        let message = |from: &str, to: &str| {
            assert!(RECIPE.contains(from), "{from}");
            DistillConfig::from_json(&RECIPE.replacen(from, to, 1), "d.json").unwrap_err().to_string()
        };
        assert!(message("\"segments\": 4", "\"segments\": 5").contains("consistency.teacher_steps"));
        assert!(message("\"steps\": 8,", "\"steps\": 9,").contains("progressive.stages"));
        assert!(message("\"negative_colours\": 0.", "\"negative_colours\": 1.").contains("inputs.negative_colours"));
        assert!(message("\"teacher\"", "\"teachers\"").contains("teachers"));
    }
}
