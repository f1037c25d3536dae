//! Writes the trained model as a folder in the diffusers layout, in 16-bit floats.

use std::collections::HashMap;
use std::path::Path;

use burn::module::Module;
use serde_json::{Map, Value, json};

use crate::weights::{self, Precision};
use crate::{Error, Result};

/// File name of the weights in a component of diffusers.
pub const MODEL: &str = "diffusion_pytorch_model.safetensors";
/// File name of the weights in a component of transformers.
pub const TEXT_MODEL: &str = "model.safetensors";

/// Writes one component, `config.json` and weights in F16, into `folder`, which is created if missing.
///
/// # Errors
/// [`Error::Io`].
pub fn component<M: Module>(folder: &Path, config: &Map<String, Value>, weights: &str, module: &M) -> Result<()> {
    write_json(&folder.join("config.json"), &Value::Object(config.clone()))?;
    let format = HashMap::from([("format".to_string(), "pt".to_string())]);
    weights::save(module, &folder.join(weights), Precision::F16, format)
}

/// Writes `model_index.json` and `scheduler/scheduler_config.json` of a text-to-image model with a tiny autoencoder.
///
/// # Errors
/// [`Error::Io`].
pub fn index(folder: &Path, scheduler: &Map<String, Value>) -> Result<()> {
    let class = scheduler.get("_class_name").cloned().unwrap_or_default();
    write_json(&folder.join("scheduler/scheduler_config.json"), &Value::Object(scheduler.clone()))?;
    let index = json!({
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.30.0",
        "feature_extractor": [null, null],
        "image_encoder": [null, null],
        "requires_safety_checker": false,
        "safety_checker": [null, null],
        "scheduler": ["diffusers", class],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderTiny"],
    });
    write_json(&folder.join("model_index.json"), &index)
}

/// Writes a JSON file, and creates the folders above it.
///
/// # Errors
/// [`Error::Io`].
pub fn write_json(path: &Path, value: &Value) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    std::fs::write(path, format!("{value:#}\n")).map_err(Error::io(path))
}
