//! Training of the classifier on pictures of the dataset, slightly shifted, brightened or darkened.

use std::collections::HashMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData, activation};
use serde_json::json;

use super::super::checkpoint::{self, Position, TrainState};
use super::super::config::ClassifierConfig;
use super::super::data::{self, Prefetch, push_planes};
use super::super::run::{Outcome, Settings, Stage, run_stage};
use super::super::sheet::sheet;
use super::super::task::Task;
use super::super::{export, init};
use super::{ClassifierModel, GROUPS, HEADS, Sizes};
use crate::dataset::{Kind, Scene, Split, Stickers};
use crate::picture::Picture;
use crate::random::{self, Generator};
use crate::weights::{self, Precision};
use crate::{Error, Result};

/// The name of the weights' file in the run's folder.
const WEIGHTS: &str = "classifier.safetensors";
/// Number of pictures for accuracy.json.
const VALIDATION: u64 = 1024;

/// Trains, or resumes training, in `settings.folder`; writes `classifier.safetensors` there, and `accuracy.json` with
/// the share of each head's right answers on pictures of another seed.
///
/// # Errors
/// [`Error::Config`] for sizes that do not fit together; those of reading the pack, of saving, and [`Error::Diverged`].
pub fn train(config: &ClassifierConfig, settings: &Settings) -> Result<Outcome> {
    let stickers = Arc::new(data::stickers(&config.pictures)?);
    let sizes = sizes(config, &stickers)?;
    let (training, device) = (&config.training, settings.device.clone().autodiff());
    let structure = ClassifierModel::new(&sizes, &device);
    let state = match checkpoint::position(&settings.folder)? {
        Some(_) => checkpoint::load(&settings.folder, structure, &training.optimizer)?,
        None => {
            let model = init::initialize(structure, training.seed);
            TrainState::start(model, &training.optimizer, Position { step: 0, stage: 0, stage_step: 0 })
        }
    };
    let source = Source { stickers: Arc::clone(&stickers), config: config.clone() };
    let first = training.first_batch(state.position.step);
    let mut batches = Prefetch::start(first, settings.workers, move |n| source.batch(n))?;
    let stage = Stage { training, steps: training.steps, all_steps: training.steps, title: "classifier" };
    let task = ClassifierTask { stickers, config: config.clone(), sizes, device };
    let (state, outcome) = run_stage(state, &task, &mut batches, &stage, settings)?;
    let path = settings.folder.join(WEIGHTS);
    weights::save(&state.average, &path, Precision::F32, HashMap::new())?;
    let accuracy = task.accuracy(&state.average)?;
    let accuracy: serde_json::Map<_, _> = HEADS.iter().zip(accuracy).map(|(h, a)| (h.to_string(), json!(a))).collect();
    export::write_json(&settings.folder.join("accuracy.json"), &accuracy.into())?;
    Ok(outcome)
}

/// Pictures and the class of each head.
struct Batch {
    /// `[n, 3, size, size]` in about [-1, 1].
    pictures: Vec<f32>,
    labels: Vec<[usize; 5]>,
}

struct Source {
    stickers: Arc<Stickers>,
    config: ClassifierConfig,
}

impl Source {
    fn batch(&self, n: u64) -> Result<Batch> {
        let ClassifierConfig { pictures, training, shift, gain, .. } = &self.config;
        let mut random = random::stream(training.seed, "train.augment", n);
        let mut batch = Batch { pictures: Vec::new(), labels: Vec::new() };
        for i in 0..training.batch as u64 {
            let scene = self.stickers.sample(training.seed, Split::Train, n * training.batch as u64 + i)?;
            let picture = self.stickers.render(&scene, pictures.size)?;
            let [right, down, brighter] = [0; 3].map(|_: i32| 2.0 * random.rand(1)[0] - 1.0);
            let most = *shift as f32;
            let by = |share: f32| (share * (most + 0.5)).round().clamp(-most, most) as isize;
            let from = batch.pictures.len();
            push_planes(&moved(&picture, by(right), by(down)), &mut batch.pictures);
            // White stays white, because brightness changes relative to it.
            let times = 1.0 + gain * brighter;
            batch.pictures[from..].iter_mut().for_each(|value| *value = 1.0 + (*value - 1.0) * times);
            batch.labels.push(labels(&self.stickers, &scene)?);
        }
        Ok(batch)
    }
}

/// The picture shifted to the right and down by this many pixels; its edges repeat.
fn moved(picture: &Picture, right: isize, down: isize) -> Picture {
    let mut moved = picture.clone();
    let inside = |at: usize, by: isize, size: usize| (at as isize - by).clamp(0, size as isize - 1) as usize;
    for y in 0..picture.height {
        for x in 0..picture.width {
            moved.set(x, y, picture.pixel(inside(x, right, picture.width), inside(y, down, picture.height)));
        }
    }
    moved
}

const KINDS: [Kind; 9] = [
    Kind::Plain,
    Kind::Background,
    Kind::Recolour,
    Kind::RecolourBackground,
    Kind::Count,
    Kind::Pair,
    Kind::Size,
    Kind::Rotation,
    Kind::Style,
];

/// The class of each head. A white background is none, because they look the same.
fn labels(stickers: &Stickers, scene: &Scene) -> Result<[usize; 5]> {
    let first = &scene.concepts[0];
    let concept = stickers.names.iter().position(|name| name == first);
    let palette = &stickers.recipe.palette;
    let colour = |name: &Option<String>| match name.as_deref() {
        None | Some("white") => 0,
        Some(name) => 1 + palette.iter().position(|colour| colour.name == name).unwrap_or(palette.len()),
    };
    Ok([
        concept.ok_or_else(|| Error::Request(format!("no concept '{first}' in the recipe")))?,
        colour(&scene.colour),
        colour(&scene.background),
        KINDS.iter().position(|kind| *kind == scene.kind).unwrap_or(0),
        scene.count - 1,
    ])
}

fn sizes(config: &ClassifierConfig, stickers: &Stickers) -> Result<Sizes> {
    let invalid = |reason: String| Err(Error::Config { file: "classifier".into(), reason });
    let (size, widths) = (config.pictures.size, &config.widths);
    if widths.is_empty() || widths.len() > 10 || widths.iter().any(|w| *w == 0 || !w.is_multiple_of(GROUPS)) {
        return invalid(format!("widths: one to ten multiples of {GROUPS}"));
    }
    if size == 0 || !size.is_multiple_of(1 << widths.len()) {
        return invalid(format!("pictures.size = {size}: must be a multiple of {}", 1 << widths.len()));
    }
    let palette = stickers.recipe.palette.len();
    let classes = [stickers.names.len(), palette + 1, palette + 1, KINDS.len(), 4];
    Ok(Sizes { size, widths: widths.clone(), features: config.features, classes })
}

struct ClassifierTask {
    stickers: Arc<Stickers>,
    config: ClassifierConfig,
    sizes: Sizes,
    /// The device, with autodiff.
    device: Device,
}

impl ClassifierTask {
    fn tensor(&self, planes: Vec<f32>, device: &Device) -> Tensor<4> {
        let size = self.sizes.size;
        let n = planes.len() / (3 * size * size);
        Tensor::from_data(TensorData::new(planes, [n, 3, size, size]), device)
    }

    /// Validation scenes, and the averaged model's answer for each head.
    fn answers(&self, average: &ClassifierModel, count: u64) -> Result<Vec<(Scene, [usize; 5])>> {
        let (seed, device) = (self.config.training.seed.wrapping_add(1), self.device.clone().inner());
        let scenes = (0..count).map(|i| self.stickers.sample(seed, Split::Train, i)).collect::<Result<Vec<_>>>()?;
        let mut answers = Vec::with_capacity(scenes.len());
        for some in scenes.chunks(64) {
            let mut planes = Vec::new();
            for scene in some {
                push_planes(&self.stickers.render(scene, self.sizes.size)?, &mut planes);
            }
            let logits = average.logits(average.features(self.tensor(planes, &device))).map(largest);
            let of = |i: usize| [0, 1, 2, 3, 4].map(|head: usize| logits[head][i]);
            answers.extend(some.iter().cloned().enumerate().map(|(i, scene)| (scene, of(i))));
        }
        Ok(answers)
    }

    /// Share of right answers of each head on pictures of another seed.
    fn accuracy(&self, average: &ClassifierModel) -> Result<[f64; 5]> {
        let mut right = [0usize; 5];
        for (scene, answer) in self.answers(average, VALIDATION)? {
            let truth = labels(&self.stickers, &scene)?;
            (0..5).for_each(|head| right[head] += usize::from(answer[head] == truth[head]));
        }
        Ok(right.map(|right| right as f64 / VALIDATION as f64))
    }
}

impl Task<ClassifierModel> for ClassifierTask {
    type Batch = Batch;

    /// The sum of the heads' cross-entropies.
    fn loss(&self, model: &ClassifierModel, batch: &Batch) -> Result<Tensor<1>> {
        let n = batch.labels.len();
        let logits = model.logits(model.features(self.tensor(batch.pictures.clone(), &self.device)));
        let mut loss: Option<Tensor<1>> = None;
        for (head, logits) in logits.into_iter().enumerate() {
            let classes = logits.dims()[1];
            let mut chosen = vec![0f32; n * classes];
            batch.labels.iter().enumerate().for_each(|(i, labels)| chosen[i * classes + labels[head]] = 1.0);
            let chosen = Tensor::<2>::from_data(TensorData::new(chosen, [n, classes]), &self.device);
            let entropy = (activation::log_softmax(logits, 1) * chosen).sum() / -(n as f64);
            loss = Some(loss.map_or(entropy.clone(), |sum| sum + entropy));
        }
        Ok(loss.expect("five heads"))
    }

    fn sheet(&self, average: &ClassifierModel) -> Result<Picture> {
        let mut cells = Vec::new();
        for (scene, [concept, colour, background, kind, count]) in self.answers(average, self.config.sheet_pictures)? {
            let name = |at: usize| at.checked_sub(1).map_or("-", |i| self.stickers.recipe.palette[i].name.as_str());
            let kind = format!("{:?}", KINDS[kind]).to_lowercase();
            let said = format!(
                "{} x{}\n{} on {}\n{kind}",
                self.stickers.names[concept],
                count + 1,
                name(colour),
                name(background)
            );
            cells.push((self.stickers.render(&scene, self.sizes.size)?, said));
        }
        Ok(sheet(&cells, 8))
    }
}

/// The index of the largest number of each row.
fn largest(logits: Tensor<2>) -> Vec<usize> {
    let classes = logits.dims()[1];
    let values: Vec<f32> = logits.into_data().iter::<f32>().collect();
    let best = |row: &[f32]| (0..classes).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap_or(0);
    values.chunks_exact(classes).map(best).collect()
}
