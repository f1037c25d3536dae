//! Compares how a distilled student and its teacher follow the guidance scale and the negative prompt.

mod negative;
mod table;

use serde::Serialize;

pub use negative::{Case, Negative, Wording, negatives};

use super::compare::{contrast, nearness, saturation};
use super::steps::questions;
use super::store::{Ask, Model, Store, Way};
use crate::dataset::Stickers;
use crate::picture::Picture;
use crate::{Error, Result};

/// The models that are compared.
pub struct Pair<'a> {
    /// The teacher, guided with two evaluations of the network a step.
    pub teacher: &'a Model,
    /// The student.
    pub student: &'a Model,
    /// The student's sampler; none means its own.
    pub student_sampler: Option<String>,
}

/// The settings of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// Pictures for each scale.
    pub pictures: usize,
    /// Guidance scales, ascending; pictures are compared with those of the first.
    pub scales: Vec<f32>,
    /// Denoising steps of the teacher.
    pub teacher_steps: usize,
    /// Denoising steps of the student.
    pub student_steps: usize,
    /// Guidance scale with negative prompts.
    pub guidance_scale: f32,
    /// Number of cases with an open colour, and as many with an open background.
    pub cases: usize,
    /// Number of cases in which the prompt names the colour, and as many in which it implies it.
    pub other_cases: usize,
    /// Side of the pictures in pixels.
    pub size: usize,
    /// Seed of prompts and noise.
    pub seed: u64,
}

/// Teacher and student at one scale, from the same noise.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    /// The guidance scale.
    pub scale: f32,
    /// Mean PSNR of the student's pictures to the teacher's, in dB.
    pub student_db: f64,
    /// The same for the teacher with as few steps as the student.
    pub few_db: f64,
    /// The teacher's pictures.
    pub teacher: Look,
    /// The student's pictures.
    pub student: Look,
}

/// How guidance changes pictures.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Look {
    /// Root of the mean squared difference to the same model's pictures at the first scale, in levels of 0 to 255.
    pub moved: f64,
    /// Mean saturation, 0 to 1.
    pub saturation: f64,
    /// Mean deviation of the luma within a picture, in levels of 0 to 255.
    pub contrast: f64,
}

/// All numbers of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The settings.
    pub settings: Settings,
    /// In the order of the scales.
    pub agreement: Vec<Agreement>,
    /// Student and teacher for each wording.
    pub negatives: Vec<Negative>,
}

/// Draws and counts the agreement over scales. `progress` gets what is being done, how many are done, and how many
/// there are.
///
/// # Errors
/// [`Error::Request`] without scales or pictures; those of drawing and of the store.
pub fn agreement(
    pair: &Pair,
    stickers: &Stickers,
    settings: &Settings,
    store: &Store,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Vec<Agreement>> {
    if settings.scales.is_empty() || settings.pictures == 0 {
        return Err(Error::Request("no guidance scale or no picture to compare".into()));
    }
    let asked = questions(stickers, settings.seed, settings.pictures)?;
    let asks: Vec<Ask> = asked.into_iter().map(|question| question.ask).collect();
    let mut draw = |model: &Model, way: Way| -> Result<Vec<Picture>> {
        let what = format!("{}, {} steps, guidance {}", model.name, way.steps, way.guidance_scale);
        Ok(store.draw(model, &way, &asks, &mut |done| progress(&what, done, asks.len()))?.pictures)
    };
    let mut first: Option<[Vec<Picture>; 2]> = None;
    let mut rows = Vec::with_capacity(settings.scales.len());
    for &scale in &settings.scales {
        let teacher = draw(pair.teacher, pair.teacher_way(settings, scale))?;
        let few = Way { steps: settings.student_steps, ..pair.teacher_way(settings, scale) };
        let few = draw(pair.teacher, few)?;
        let student = draw(pair.student, pair.student_way(settings, scale))?;
        let [first_teacher, first_student] = first.get_or_insert_with(|| [teacher.clone(), student.clone()]);
        let db = |pictures: &[Picture]| nearness(pictures, &teacher).map_or(f64::NAN, |near| near.mean_psnr_db);
        rows.push(Agreement {
            scale,
            student_db: db(&student),
            few_db: db(&few),
            teacher: Look::new(&teacher, first_teacher),
            student: Look::new(&student, first_student),
        });
    }
    Ok(rows)
}

impl Pair<'_> {
    fn teacher_way(&self, settings: &Settings, guidance_scale: f32) -> Way {
        Way { sampler: None, steps: settings.teacher_steps, guidance_scale, size: settings.size }
    }

    fn student_way(&self, settings: &Settings, guidance_scale: f32) -> Way {
        let sampler = self.student_sampler.clone();
        Way { sampler, steps: settings.student_steps, guidance_scale, size: settings.size }
    }
}

impl Look {
    fn new(pictures: &[Picture], first: &[Picture]) -> Self {
        Self {
            moved: nearness(pictures, first).map_or(0.0, |near| near.rms),
            saturation: saturation(pictures),
            contrast: contrast(pictures),
        }
    }
}
