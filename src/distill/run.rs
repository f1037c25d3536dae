//! The parts that all three runs share: pictures, batches, sheets, and the run's folder.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use super::config::{DistillConfig, Weighting};
use super::data::{DistillBatch, DistillSource};
use super::folder::ModelFolder;
use super::rotation::Point;
use crate::dataset::{Captioned, Stickers};
use crate::models::{AddedConditions, guidance_scale_embedding};
use crate::schedulers::NoiseSchedule;
use crate::train::checkpoint::{self, Position, TrainState};
use crate::train::config::{SheetConfig, Training};
use crate::train::data::{self, CaptionedSource, Prefetch};
use crate::train::latents::LatentEncoder;
use crate::train::model::DiffusionModel;
use crate::train::run::Settings;
use crate::train::samples::{Frozen, Samples};
use crate::train::vocabulary;
use crate::{Error, Result};

/// Everything that a step of a run needs besides its teacher and student.
pub struct Bench {
    pub encoder: LatentEncoder,
    pub schedule: NoiseSchedule,
    /// The device, with autodiff.
    pub device: Device,
    stickers: Arc<Stickers>,
}

/// A batch's inputs on the device without autodiff.
pub struct Inputs<'a> {
    batch: &'a DistillBatch,
    latents: Tensor<4>,
    noise: Tensor<4>,
    /// Padded ids of each prompt, then of its negative prompt.
    ids: Vec<Vec<i64>>,
}

impl Bench {
    pub fn open(config: &DistillConfig, teacher: &ModelFolder, settings: &Settings) -> Result<Self> {
        Ok(Self {
            encoder: teacher.encoder(config.pictures.size, &settings.device)?,
            schedule: teacher.schedule()?,
            device: settings.device.clone().autodiff(),
            stickers: Arc::new(data::stickers(&config.pictures)?),
        })
    }

    /// The batches of the steps from `step` on.
    pub fn batches(
        &self,
        config: &DistillConfig,
        training: &Training,
        teacher: &ModelFolder,
        settings: &Settings,
        step: u64,
    ) -> Result<Prefetch<DistillBatch>> {
        let pictures: Arc<dyn Captioned> = Arc::clone(&self.stickers) as _;
        let captioned = CaptionedSource {
            pictures: Arc::clone(&pictures),
            tokenizer: vocabulary::read(&teacher.folder.join("tokenizer"))?,
            store: self.encoder.store(config.latents, training, &pictures, settings.workers)?,
            seed: training.seed,
            batch: training.batch,
            size: config.pictures.size,
            channels: self.encoder.config.in_channels,
            latent: self.encoder.shape().iter().product(),
            caption_dropout: config.inputs.caption_dropout,
            num_train_timesteps: self.schedule.alphas_cumprod().len(),
        };
        let source = DistillSource { captioned, stickers: Arc::clone(&self.stickers), inputs: config.inputs };
        Prefetch::start(training.first_batch(step), settings.workers, move |n| source.batch(n))
    }

    /// Sheets of a student of `steps` steps.
    pub fn samples(
        &self,
        config: &DistillConfig,
        training: &Training,
        student: &ModelFolder,
        steps: usize,
        settings: &Settings,
    ) -> Samples {
        let frozen = Frozen {
            tokenizer: student.folder.join("tokenizer"),
            vae: self.encoder.vae.clone(),
            vae_config: self.encoder.config.clone(),
            unet_config: student.unet.clone(),
            scheduler: student.scheduler.clone(),
            device: settings.device.clone(),
            negative_prompt_in_context: student.negative_prompt_in_context,
        };
        let pictures: Arc<dyn Captioned> = Arc::clone(&self.stickers) as _;
        let sheet = SheetConfig { steps, ..config.sheet.clone() };
        Samples { pictures, sheet, size: config.pictures.size, seed: training.seed, frozen }
    }

    pub fn inputs<'a>(&self, batch: &'a DistillBatch) -> Inputs<'a> {
        let latents = self.encoder.latents(&batch.captioned.content);
        let noise = TensorData::new(batch.captioned.noise.clone(), latents.dims());
        let noise = Tensor::from_data(noise, &latents.device());
        let pairs = batch.captioned.ids.iter().zip(&batch.negative);
        let ids = pairs.map(|(prompt, negative)| [prompt.as_slice(), negative].concat()).collect();
        Inputs { batch, latents, noise, ids }
    }
}

impl Inputs<'_> {
    /// The latents with noise, each at its timestep.
    pub fn noisy(&self, schedule: &NoiseSchedule, timesteps: &[usize]) -> Result<Tensor<4>> {
        schedule.add_noise(self.latents.clone(), self.noise.clone(), timesteps)
    }

    /// The conditioning of a model with guidance scale and negative prompt as inputs, on `device`, the model's.
    pub fn conditions(&self, model: &DiffusionModel, width: usize, device: &Device) -> (Tensor<3>, AddedConditions) {
        let context = model.text_encoder.encode(&self.ids, device);
        let scale = guidance_scale_embedding(&self.batch.guidance_scale, width, device);
        (context, AddedConditions { timestep_cond: Some(scale), ..AddedConditions::default() })
    }
}

/// The number of the guidance scale's sinusoids of a model that takes it.
///
/// # Errors
/// [`Error::Request`] for a model that does not.
pub fn guidance_width(folder: &ModelFolder) -> Result<usize> {
    let width = folder.unet.time_cond_proj_dim.filter(|_| folder.negative_prompt_in_context);
    let missing = || format!("{}: run `fourstep distill guidance` first", folder.folder.display());
    width.ok_or_else(|| Error::Request(missing()))
}

/// Mean squared error of `v` against `target`, `[1]`; `points` are those of the batch's predictions.
pub fn loss(v: Tensor<4>, target: Tensor<4>, points: &[Point], weighting: Weighting) -> Tensor<1> {
    let square = (v - target).square();
    match weighting {
        Weighting::SnrPlusOne => square.mean(),
        Weighting::TruncatedSnr => {
            let weights: Vec<f32> = points.iter().map(|point| point.truncated_snr() as f32).collect();
            let device = square.device();
            (square * Tensor::from_data(TensorData::new(weights, [points.len(), 1, 1, 1]), &device)).mean()
        }
    }
}

/// The state of a run: its last checkpoint, or `student` at the beginning of `position`.
pub fn state(
    folder: &Path,
    student: DiffusionModel,
    training: &Training,
    beginning: Position,
) -> Result<TrainState<DiffusionModel>> {
    match checkpoint::position(folder)? {
        Some(found) if found.stage == beginning.stage => checkpoint::load(folder, student, &training.optimizer),
        _ => Ok(TrainState::start(student, &training.optimizer, beginning)),
    }
}
