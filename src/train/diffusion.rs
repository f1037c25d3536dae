//! Training of a UNet and its text encoder to predict the noise, the velocity or the sample in noisy latents (Ho et
//! al., 2020; Salimans & Ho, 2022; Rombach et al., 2022).

use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::checkpoint::{self, Position, TrainState};
use super::config::DiffusionConfig;
use super::data::{self, CaptionedBatch, CaptionedSource, Prefetch};
use super::latents::LatentEncoder;
use super::model::DiffusionModel;
use super::run::{Outcome, Settings, Stage, run_stage};
use super::samples::{Frozen, Samples};
use super::task::Task;
use super::{export, init, vocabulary};
use crate::dataset::Captioned;
use crate::models::{AddedConditions, ClipTextConfig, ClipTextModel, UNet2DConditionConfig, UNet2DConditionModel};
use crate::picture::Picture;
use crate::schedulers::{NoiseSchedule, PredictionType, SchedulerConfig};
use crate::weights::{self, Checkpoint};
use crate::{Error, Result};

/// The noise schedule of training and the weights of the timesteps.
pub struct Objective {
    /// α̅ of each timestep.
    pub schedule: NoiseSchedule,
    /// What the UNet predicts.
    pub prediction_type: PredictionType,
    /// γ of min-SNR weighting.
    pub min_snr_gamma: Option<f64>,
}

/// Trains, or resumes training, in `settings.folder`; writes `model/` there.
///
/// # Errors
/// [`Error::Config`] for models that cannot be built or do not fit each other; those of reading the pictures and the
/// autoencoder, of saving, and [`Error::Diverged`].
pub fn train(config: &DiffusionConfig, settings: &Settings) -> Result<Outcome> {
    let pictures = data::captioned(&config.pictures)?;
    let parts = Parts::new(config, pictures.as_ref(), settings)?;
    let device = settings.device.clone().autodiff();
    let structure = DiffusionModel {
        text_encoder: ClipTextModel::new(&parts.text_config, "text_encoder", &device)?,
        unet: UNet2DConditionModel::new(&parts.unet_config, "unet", &device)?,
    };
    let training = &config.training;
    let state = match checkpoint::position(&settings.folder)? {
        Some(_) => checkpoint::load(&settings.folder, structure, &training.optimizer)?,
        None => {
            let model = first_weights(config, structure)?;
            TrainState::start(model, &training.optimizer, Position { step: 0, stage: 0, stage_step: 0 })
        }
    };
    let objective = Objective::new(&parts.scheduler, config.min_snr_gamma)?;
    let source = parts.source(config, &pictures, settings, objective.schedule.alphas_cumprod().len())?;
    let first = config.training.first_batch(state.position.step);
    let mut batches = Prefetch::start(first, settings.workers, move |n| source.batch(n))?;
    let stage = Stage { training, steps: training.steps, all_steps: training.steps, title: "diffusion" };
    let task = DiffusionTask { samples: parts.samples(config, pictures, settings), objective, parts, device };
    let (state, outcome) = run_stage(state, &task, &mut batches, &stage, settings)?;
    task.parts.export(config, settings, &state.average)?;
    Ok(outcome)
}

fn first_weights(config: &DiffusionConfig, structure: DiffusionModel) -> Result<DiffusionModel> {
    let Some(folder) = &config.start_from else { return Ok(init::initialize(structure, config.training.seed)) };
    let text_encoder = folder.join("text_encoder").join(export::TEXT_MODEL);
    let unet = folder.join("unet").join(export::MODEL);
    Ok(DiffusionModel {
        text_encoder: weights_of(structure.text_encoder, &text_encoder)?,
        unet: weights_of(structure.unet, &unet)?,
    })
}

fn weights_of<M: Module>(module: M, path: &Path) -> Result<M> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    weights::load(module, &Checkpoint::parse(&path.display().to_string(), &bytes)?)
}

impl Objective {
    /// Takes a scheduler's configuration.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid schedule.
    pub fn new(scheduler: &SchedulerConfig, min_snr_gamma: Option<f64>) -> Result<Self> {
        let schedule = NoiseSchedule::new(scheduler)?;
        Ok(Self { schedule, prediction_type: scheduler.prediction_type(), min_snr_gamma })
    }

    /// Mean squared error of the prediction, each sample weighted by `weight`, `[1]`.
    /// `latents` and `noise` `[n, c, h, w]`, a timestep for each, `ids` as the text encoder takes them.
    ///
    /// # Errors
    /// [`Error::Request`] for timesteps beyond the schedule.
    pub fn loss(
        &self,
        model: &DiffusionModel,
        latents: Tensor<4>,
        noise: Tensor<4>,
        timesteps: &[usize],
        ids: &[Vec<i64>],
    ) -> Result<Tensor<1>> {
        let device = latents.device();
        let noisy = self.schedule.add_noise(latents.clone(), noise.clone(), timesteps)?;
        let target = match self.prediction_type {
            PredictionType::Epsilon => noise,
            PredictionType::VPrediction => self.schedule.velocity(latents, noise, timesteps)?,
            PredictionType::Sample => latents,
        };
        let context = model.text_encoder.encode(ids, &device);
        let times: Vec<f32> = timesteps.iter().map(|t| *t as f32).collect();
        let prediction = model.unet.forward(noisy, &times, context, &AddedConditions::default());
        let square = (prediction - target).square();
        let Some(gamma) = self.min_snr_gamma else { return Ok(square.mean()) };
        let weights: Vec<f32> = timesteps.iter().map(|t| self.weight(*t, gamma) as f32).collect();
        let weights = Tensor::from_data(TensorData::new(weights, [timesteps.len(), 1, 1, 1]), &device);
        Ok((square * weights).mean())
    }

    /// min(SNR, γ) divided by the factor that turns the prediction's error into the sample's: SNR for noise, SNR + 1
    /// for velocity (Hang et al., 2023, section 3.4). Without any signal, noise prediction counts fully.
    fn weight(&self, timestep: usize, gamma: f64) -> f64 {
        let a = f64::from(self.schedule.alphas_cumprod()[timestep]);
        let snr = a / (1.0 - a);
        match self.prediction_type {
            PredictionType::Epsilon if snr == 0.0 => 1.0,
            PredictionType::Epsilon => snr.min(gamma) / snr,
            PredictionType::VPrediction => snr.min(gamma) / (snr + 1.0),
            PredictionType::Sample => snr.min(gamma),
        }
    }
}

/// Everything except the weights that are trained.
struct Parts {
    encoder: LatentEncoder,
    text_config: ClipTextConfig,
    text_json: Map<String, Value>,
    unet_config: UNet2DConditionConfig,
    scheduler: SchedulerConfig,
}

impl Parts {
    fn new(config: &DiffusionConfig, pictures: &dyn Captioned, settings: &Settings) -> Result<Self> {
        let encoder = LatentEncoder::read(&config.vae, config.pictures.size, &settings.device)?;
        let tokenizer = vocabulary::open(config, pictures, &settings.folder.join("tokenizer"))?;
        let text_json = vocabulary::complete(&config.text_encoder, &tokenizer)?;
        let text_config: ClipTextConfig = typed("text_encoder", &text_json)?;
        let unet_config: UNet2DConditionConfig = typed("unet", &config.unet)?;
        let scheduler = Value::Object(config.scheduler.clone()).to_string();
        let scheduler = SchedulerConfig::parse("scheduler", &scheduler)?;

        let [channels, side, _] = encoder.shape();
        let invalid = |reason: String| Err(Error::Config { file: "unet".into(), reason });
        if unet_config.sample_size() != Some(side) {
            return invalid(format!("sample_size: pictures of {} pixels have latents of {side}", config.pictures.size));
        }
        if unet_config.in_channels != channels || unet_config.out_channels != channels {
            return invalid(format!("in_channels and out_channels must be the autoencoder's {channels}"));
        }
        if unet_config.cross_attention_dim != text_config.hidden_size {
            return invalid(format!("cross_attention_dim must be the text encoder's {}", text_config.hidden_size));
        }
        Ok(Self { encoder, text_config, text_json, unet_config, scheduler })
    }

    fn source(
        &self,
        config: &DiffusionConfig,
        pictures: &Arc<dyn Captioned>,
        settings: &Settings,
        num_train_timesteps: usize,
    ) -> Result<CaptionedSource> {
        let store = self.encoder.store(config.latents, &config.training, pictures, settings.workers)?;
        Ok(CaptionedSource {
            pictures: Arc::clone(pictures),
            tokenizer: vocabulary::read(&settings.folder.join("tokenizer"))?,
            store,
            seed: config.training.seed,
            batch: config.training.batch,
            size: config.pictures.size,
            channels: self.encoder.config.in_channels,
            latent: self.encoder.shape().iter().product(),
            caption_dropout: config.caption_dropout,
            num_train_timesteps,
        })
    }

    fn samples(&self, config: &DiffusionConfig, pictures: Arc<dyn Captioned>, settings: &Settings) -> Samples {
        let frozen = Frozen {
            tokenizer: settings.folder.join("tokenizer"),
            vae: self.encoder.vae.clone(),
            vae_config: self.encoder.config.clone(),
            unet_config: self.unet_config.clone(),
            scheduler: self.scheduler.clone(),
            device: settings.device.clone(),
            negative_prompt_in_context: false,
        };
        let (size, seed) = (config.pictures.size, config.training.seed);
        Samples { pictures, sheet: config.sheet.clone(), size, seed, frozen }
    }

    /// Writes the complete model, so that a stopped run also leaves something to draw with.
    fn export(&self, config: &DiffusionConfig, settings: &Settings, average: &DiffusionModel) -> Result<()> {
        let folder = settings.folder.join("model");
        export::component(&folder.join("vae"), &self.encoder.json, export::MODEL, &self.encoder.vae)?;
        export::component(&folder.join("unet"), &config.unet, export::MODEL, &average.unet)?;
        export::component(&folder.join("text_encoder"), &self.text_json, export::TEXT_MODEL, &average.text_encoder)?;
        vocabulary::copy(&settings.folder.join("tokenizer"), &folder.join("tokenizer"))?;
        export::index(&folder, &config.scheduler)
    }
}

fn typed<T: DeserializeOwned>(file: &str, json: &Map<String, Value>) -> Result<T> {
    serde_json::from_value(Value::Object(json.clone()))
        .map_err(|error| Error::Config { file: file.into(), reason: error.to_string() })
}

struct DiffusionTask {
    parts: Parts,
    objective: Objective,
    samples: Samples,
    /// The device, with autodiff.
    device: Device,
}

impl Task<DiffusionModel> for DiffusionTask {
    type Batch = CaptionedBatch;

    fn loss(&self, model: &DiffusionModel, batch: &CaptionedBatch) -> Result<Tensor<1>> {
        let latents = self.parts.encoder.latents(&batch.content).autodiff();
        let noise = Tensor::from_data(TensorData::new(batch.noise.clone(), latents.dims()), &self.device);
        self.objective.loss(model, latents, noise, &batch.timesteps, &batch.ids)
    }

    fn sheet(&self, average: &DiffusionModel) -> Result<Picture> {
        self.samples.draw(average)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objective(prediction: &str, gamma: f64) -> Objective {
        let text = format!(r#"{{"_class_name": "DDPMScheduler", "prediction_type": "{prediction}"}}"#);
        Objective::new(&SchedulerConfig::parse("s", &text).unwrap(), Some(gamma)).unwrap()
    }

    #[test]
    fn min_snr_weights_are_those_of_the_paper() {
        // SNR of timestep 0 of the linear schedule: (1 - 0.0001) / 0.0001.
        let snr = 0.9999 / 0.0001;
        let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-3, "{a} {b}");
        close(objective("epsilon", 5.0).weight(0, 5.0), 5.0 / snr);
        close(objective("v_prediction", 5.0).weight(0, 5.0), 5.0 / (snr + 1.0));
        close(objective("sample", 5.0).weight(0, 5.0), 5.0);
        // Late timesteps have an SNR below γ, so nothing is cut.
        close(objective("epsilon", 5.0).weight(999, 5.0), 1.0);
    }
}
