//! Compares models over numbers of steps: a teacher, its faster samplers and its students draw the same prompts from
//! the same noise, and everything that can be counted is counted for each number of steps.

mod measure;
mod questions;
mod table;

use std::time::Instant;

use serde::Serialize;

pub use measure::{Measure, Measured, Split};
pub use questions::{Group, Question, questions};

use super::compare::{Memory, Nearness, nearness};
use super::psnr::through;
use super::store::{Ask, Drawn, Model, Store, Way, draw_batch};
use crate::dataset::{self, Stickers};
use crate::picture::Picture;
use crate::train::classifier::Classifier;
use crate::{Error, Result};

/// The settings of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// Number of pictures for each number of steps.
    pub pictures: usize,
    /// Guidance scale, the same for all.
    pub guidance_scale: f32,
    /// Steps of the teacher's own sampler that make the reference pictures.
    pub reference_steps: usize,
    /// Side of the pictures in pixels.
    pub size: usize,
    /// Seed of prompts and noise.
    pub seed: u64,
    /// Number of training pictures among which the nearest is searched; 0 skips this.
    pub training_pictures: usize,
    /// Seed of the training run.
    pub training_seed: u64,
    /// How often each number of steps is timed; 0 skips this.
    pub timing_rounds: usize,
    /// Pictures encoded together.
    pub batch: usize,
}

/// One line of the charts: a model, a sampler and some numbers of steps. Entries with the same name are one line,
/// because students often are a different model for each number of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Name of the line.
    pub line: String,
    /// Index of the model.
    pub model: usize,
    /// The sampler's short name; none means the model's own.
    pub sampler: Option<String>,
    /// Numbers of steps.
    pub steps: Vec<usize>,
}

/// The results of one line at one number of steps.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// Name of the line.
    pub line: String,
    /// The sampler's short name; none means the model's own.
    pub sampler: Option<String>,
    /// Denoising steps.
    pub steps: usize,
    /// Evaluations of the network for one picture.
    pub evaluations: f64,
    /// Distance to the reference pictures; none for the reference itself.
    pub near: Option<Near>,
    /// Everything that is counted on these pictures.
    pub measured: Measured,
    /// Time for one picture, drawn alone, as a share of the reference's in the same run.
    pub time: Option<f64>,
}

/// See [`Nearness`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Near {
    /// Mean PSNR in dB.
    pub mean_psnr_db: f64,
    /// PSNR of the mean error in dB.
    pub psnr_of_mean_db: f64,
}

/// All numbers of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The settings.
    pub settings: Settings,
    /// Number of questions in each group.
    pub groups: Vec<(Group, usize)>,
    /// In the order of the entries and their steps.
    pub points: Vec<Point>,
    /// The dataset's own pictures: the results of a perfect model.
    pub truth: Measured,
    /// The same through the teacher's autoencoder: the results of a perfect UNet.
    pub autoencoder: Measured,
    /// Seconds for one reference picture, drawn alone.
    pub reference_s: Option<f64>,
}

/// A report and its pictures.
pub struct Comparison {
    /// The numbers.
    pub report: Report,
    /// The questions.
    pub questions: Vec<Question>,
    /// The dataset's pictures.
    pub truth: Vec<Picture>,
    /// The pictures for each point of the report.
    pub drawn: Vec<Vec<Picture>>,
}

/// Draws and counts. The first entry is the teacher with its own sampler, whose pictures of `settings.reference_steps`
/// are the reference for the others. `progress` gets what is being done, how many are done, and how many there are.
///
/// # Errors
/// [`Error::Request`] for entries that draw the same thing twice, or a recipe without such pictures; those of drawing,
/// and of reading and writing the store.
pub fn compare(
    (models, entries): (&[Model], &[Entry]),
    (stickers, classifier): (&Stickers, Option<&Classifier>),
    settings: &Settings,
    store: &Store,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Comparison> {
    let cells = cells(entries, settings)?;
    let asked = questions(stickers, settings.seed, settings.pictures)?;
    let asks: Vec<Ask> = asked.iter().map(|question| question.ask.clone()).collect();
    let mut draw = |cell: &Cell| -> Result<Drawn> {
        let what = format!("{}, {} steps", cell.line, cell.way.steps);
        store.draw(&models[cell.model], &cell.way, &asks, &mut |done| progress(&what, done, asks.len()))
    };
    let reference =
        Cell { line: cells[0].line.clone(), model: cells[0].model, way: reference_way(&cells[0].way, settings) };
    let reference_pictures = draw(&reference)?.pictures;
    let drawn = cells.iter().map(&mut draw).collect::<Result<Vec<_>>>()?;

    let render = |questions: &[Question]| -> Result<Vec<Picture>> {
        questions.iter().map(|question| stickers.render(&question.scene, settings.size)).collect()
    };
    let truth = render(&asked)?;
    let others = render(&questions(stickers, settings.seed.wrapping_add(1), settings.pictures)?)?;
    let memory = training_pictures(stickers, settings, progress)?;
    let measure = Measure::new(stickers, (&asked, &truth), (classifier, &others), memory, settings.size)?;
    let times = time(models, (&cells, &reference), &asks, settings, progress)?;
    let mut points = Vec::with_capacity(cells.len());
    for (i, (cell, drawn)) in cells.iter().zip(&drawn).enumerate() {
        progress("counting", i, cells.len());
        let is_reference = cell.model == reference.model && cell.way == reference.way;
        let near = if is_reference { None } else { nearness(&drawn.pictures, &reference_pictures) };
        points.push(Point {
            line: cell.line.clone(),
            sampler: cell.way.sampler.clone(),
            steps: cell.way.steps,
            evaluations: drawn.evaluations,
            near: near.map(Near::from),
            measured: measure.of(&drawn.pictures)?,
            time: times.as_ref().map(|times| times.cells[i] / times.reference),
        });
    }
    let report = Report {
        settings: settings.clone(),
        groups: groups(&asked),
        points,
        autoencoder: measure.of(&through(&models[0].pipeline, &truth, settings.batch)?)?,
        truth: measure.of(&truth)?,
        reference_s: times.map(|times| times.reference),
    };
    let drawn = drawn.into_iter().map(|drawn| drawn.pictures).collect();
    Ok(Comparison { report, questions: asked, truth, drawn })
}

/// One line at one number of steps.
struct Cell {
    line: String,
    model: usize,
    way: Way,
}

fn cells(entries: &[Entry], settings: &Settings) -> Result<Vec<Cell>> {
    let mut cells: Vec<Cell> = Vec::new();
    for entry in entries {
        for &steps in &entry.steps {
            if cells.iter().any(|cell| cell.line == entry.line && cell.way.steps == steps) {
                return Err(Error::Request(format!("{} draws {steps} steps twice: give one another name", entry.line)));
            }
            let (sampler, size) = (entry.sampler.clone(), settings.size);
            let way = Way { sampler, steps, guidance_scale: settings.guidance_scale, size };
            cells.push(Cell { line: entry.line.clone(), model: entry.model, way });
        }
    }
    match cells.is_empty() {
        true => Err(Error::Request("no model and number of steps to draw".into())),
        false => Ok(cells),
    }
}

fn reference_way(teacher: &Way, settings: &Settings) -> Way {
    Way { steps: settings.reference_steps, ..teacher.clone() }
}

fn training_pictures(
    stickers: &Stickers,
    settings: &Settings,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Memory> {
    let count = settings.training_pictures;
    let mut pictures = Vec::with_capacity(count);
    for i in 0..count {
        let scene = stickers.sample(settings.training_seed, dataset::Split::Train, i as u64)?;
        pictures.push(stickers.render(&scene, settings.size)?);
        progress("training pictures", i + 1, count);
    }
    Ok(Memory::new(pictures))
}

struct Times {
    reference: f64,
    cells: Vec<f64>,
}

/// Seconds for one picture, drawn alone: the minimum over rounds in which everything takes its turn. Other load on the
/// machine can only make a round longer.
fn time(
    models: &[Model],
    (cells, reference): (&[Cell], &Cell),
    asks: &[Ask],
    settings: &Settings,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Option<Times>> {
    let rounds = settings.timing_rounds;
    if rounds == 0 || asks.is_empty() {
        return Ok(None);
    }
    let turns: Vec<&Cell> = std::iter::once(reference).chain(cells).collect();
    let mut seconds = vec![f64::INFINITY; turns.len()];
    // The first drawing of a model also allocates and, on a graphics card, compiles.
    for (index, model) in models.iter().enumerate() {
        if let Some(cell) = turns.iter().find(|cell| cell.model == index) {
            draw_batch(model, &Way { steps: 1, ..cell.way.clone() }, &asks[..1])?;
        }
    }
    for round in 0..rounds {
        for (i, cell) in turns.iter().enumerate() {
            let ask = &asks[round % asks.len()];
            let started = Instant::now();
            draw_batch(&models[cell.model], &cell.way, std::slice::from_ref(ask))?;
            seconds[i] = seconds[i].min(started.elapsed().as_secs_f64());
            progress("timing", round * turns.len() + i + 1, rounds * turns.len());
        }
    }
    let reference = seconds.remove(0);
    Ok(Some(Times { reference, cells: seconds }))
}

fn groups(questions: &[Question]) -> Vec<(Group, usize)> {
    let mut groups: Vec<(Group, usize)> = Vec::new();
    for question in questions {
        match groups.iter_mut().find(|(group, _)| *group == question.group) {
            Some((_, count)) => *count += 1,
            None => groups.push((question.group, 1)),
        }
    }
    groups
}

impl From<Nearness> for Near {
    fn from(near: Nearness) -> Self {
        Self { mean_psnr_db: near.mean_psnr_db, psnr_of_mean_db: near.psnr_of_mean_db }
    }
}
