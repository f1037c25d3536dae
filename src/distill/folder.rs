//! A model's folder as distillation needs it: configurations as they were read, weights on a chosen device. Also makes
//! the first student of a teacher.

use std::path::{Path, PathBuf};

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use serde_json::{Map, Value};

use crate::models::{ClipTextConfig, ClipTextModel, UNet2DConditionConfig, UNet2DConditionModel, parse};
use crate::nn::Linear;
use crate::pipeline::{GUIDANCE_SCALE_RANGE, NEGATIVE_IN_CONTEXT};
use crate::random::{self, Generator};
use crate::schedulers::{NoiseSchedule, PredictionType, SchedulerConfig};
use crate::train::latents::LatentEncoder;
use crate::train::model::DiffusionModel;
use crate::train::{export, vocabulary};
use crate::weights::{self, Checkpoint, DirFiles, Files};
use crate::{Error, Result};

/// The parts of a text-to-image model in the diffusers layout.
pub struct ModelFolder {
    /// The folder that it was read from; the tokenizer is copied from there.
    pub folder: PathBuf,
    /// Text encoder and UNet.
    pub model: DiffusionModel,
    /// `unet/config.json`.
    pub unet: UNet2DConditionConfig,
    /// The noise schedule of training, and the sampler.
    pub scheduler: SchedulerConfig,
    /// Whether the text encoder also reads the negative prompt.
    pub negative_prompt_in_context: bool,
    unet_json: Map<String, Value>,
    text_json: Map<String, Value>,
    scheduler_json: Map<String, Value>,
    index_json: Map<String, Value>,
}

impl ModelFolder {
    /// Reads a folder; the weights go to `device`.
    ///
    /// # Errors
    /// Those of reading, parsing and loading; [`Error::Config`] for a model that does not predict v.
    pub fn read(folder: &Path, device: &Device) -> Result<Self> {
        let files = DirFiles::new(folder);
        let json = |name: &str| parse::<Map<String, Value>>(name, &files.read(name)?);
        let (unet_json, text_json) = (json("unet/config.json")?, json("text_encoder/config.json")?);
        let unet: UNet2DConditionConfig = parse("unet/config.json", &files.read("unet/config.json")?)?;
        let text: ClipTextConfig = parse("text_encoder/config.json", &files.read("text_encoder/config.json")?)?;
        let model = DiffusionModel {
            text_encoder: load(ClipTextModel::new(&text, "text_encoder", device)?, &files, "text_encoder/model")?,
            unet: load(UNet2DConditionModel::new(&unet, "unet", device)?, &files, "unet/diffusion_pytorch_model")?,
        };
        let name = "scheduler/scheduler_config.json";
        let scheduler = SchedulerConfig::parse(name, &files.read_text(name)?)?;
        if scheduler.prediction_type() != PredictionType::VPrediction {
            let reason = "prediction_type must be \"v_prediction\": only v is defined at zero SNR";
            return Err(Error::Config { file: name.into(), reason: reason.into() });
        }
        let index_json = json("model_index.json")?;
        let negative_prompt_in_context = index_json.get(NEGATIVE_IN_CONTEXT) == Some(&Value::Bool(true));
        let scheduler_json = json(name)?;
        let folder = folder.to_owned();
        Ok(Self {
            folder,
            model,
            unet,
            scheduler,
            negative_prompt_in_context,
            unet_json,
            text_json,
            scheduler_json,
            index_json,
        })
    }

    /// The noise schedule of training.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid one.
    pub fn schedule(&self) -> Result<NoiseSchedule> {
        NoiseSchedule::new(&self.scheduler)
    }

    /// The autoencoder of the same folder, for pictures of `size`.
    ///
    /// # Errors
    /// Those of reading and loading; [`Error::Config`] if the UNet is for another size.
    pub fn encoder(&self, size: usize, device: &Device) -> Result<LatentEncoder> {
        let encoder = LatentEncoder::read(&self.folder.join("vae"), size, device)?;
        let [channels, side, _] = encoder.shape();
        match self.unet.sample_size() == Some(side) && self.unet.in_channels == channels {
            true => Ok(encoder),
            false => {
                let reason = format!("the UNet is not for the {channels} x {side} x {side} latents of the pictures");
                Err(Error::Config { file: "unet/config.json".into(), reason })
            }
        }
    }

    /// The first student: this model with the guidance scale and the negative prompt as inputs. Its weights are the
    /// teacher's. The projection of the scale starts at zero (`cond_dim` sinusoids wide). The position vectors of the
    /// negative prompt are the prompt's plus one random vector, the mark, drawn with `seed` and as long as a position
    /// vector is on average. `scales` are the guidance scales that it will learn. `device` is that of the weights.
    ///
    /// # Errors
    /// [`Error::Request`] for a model that already has these inputs.
    pub fn into_student(mut self, cond_dim: usize, scales: [f32; 2], seed: u64, device: &Device) -> Result<Self> {
        if self.negative_prompt_in_context || self.unet.time_cond_proj_dim.is_some() {
            let reason = format!("{}: takes the guidance scale as an input already", self.folder.display());
            return Err(Error::Request(reason));
        }
        let channels = self.unet.block_out_channels[0];
        self.model.unet.time_embedding.cond_proj = Some(Linear::without_bias(cond_dim, channels, device));
        let places = &mut self.model.text_encoder.text_model.embeddings.position_embedding.weight;
        let extended = marked(places.val().inner(), seed);
        let count = extended.dims()[0];
        *places = Param::from_tensor(Tensor::from_data(extended.into_data(), device));

        self.unet.time_cond_proj_dim = Some(cond_dim);
        self.unet_json.insert("time_cond_proj_dim".into(), cond_dim.into());
        self.text_json.insert("max_position_embeddings".into(), count.into());
        self.index_json.insert(NEGATIVE_IN_CONTEXT.into(), true.into());
        // As the recipe writes them, not as the nearest f64.
        let scales = scales.map(|scale| scale.to_string().parse::<f64>().expect("a number"));
        self.index_json.insert(GUIDANCE_SCALE_RANGE.into(), scales.to_vec().into());
        self.negative_prompt_in_context = true;
        Ok(self)
    }

    /// Writes a complete model folder with the weights of `model`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn export(&self, folder: &Path, model: &DiffusionModel, encoder: &LatentEncoder) -> Result<()> {
        export::component(&folder.join("vae"), &encoder.json, export::MODEL, &encoder.vae)?;
        export::component(&folder.join("unet"), &self.unet_json, export::MODEL, &model.unet)?;
        export::component(&folder.join("text_encoder"), &self.text_json, export::TEXT_MODEL, &model.text_encoder)?;
        vocabulary::copy(&self.folder.join("tokenizer"), &folder.join("tokenizer"))?;
        let scheduler = Value::Object(self.scheduler_json.clone());
        export::write_json(&folder.join("scheduler/scheduler_config.json"), &scheduler)?;
        // Written last: a folder with an index is complete.
        export::write_json(&folder.join("model_index.json"), &Value::Object(self.index_json.clone()))
    }
}

/// Doubles the position vectors, to `[2n, features]`.
fn marked(places: Tensor<2>, seed: u64) -> Tensor<2> {
    let [count, features] = places.dims();
    let values: Vec<f32> = places.into_data().iter::<f32>().collect();
    let square: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values.len() as f64;
    let mark: Vec<f32> = random::stream(seed, "distill.mark", 0).randn(features);
    let second = values.iter().zip(mark.iter().cycle()).map(|(place, mark)| place + mark * square.sqrt() as f32);
    let all = values.iter().copied().chain(second).collect::<Vec<f32>>();
    Tensor::from_data(TensorData::new(all, [2 * count, features]), &Device::flex())
}

fn load<M: burn::module::Module>(module: M, files: &DirFiles, path: &str) -> Result<M> {
    let path = format!("{path}.safetensors");
    weights::load(module, &Checkpoint::open(files, &path)?)
}
