//! The manifests of a set, read strictly: a key that is not named here fails its case, and so does one that the suite
//! has no use for (the compiler warns of fields that nothing reads).
//!
//! Fields that begin with `_` say where a golden came from; no arithmetic depends on them.

use std::collections::BTreeMap;

use fourstep::schedulers::{SchedulerClass, SchedulerConfig};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};

use super::Failure;

/// The start of a run.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Text2img,
    Img2img,
    Inpaint,
}

/// An entry of `index.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub name: String,
    pub kind: String,
    pub pipeline: String,
    pub scheduler: Option<String>,
    pub json: String,
}

/// A tensor of a golden file.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Described {
    pub dtype: String,
    pub shape: Vec<usize>,
}

/// What a golden file holds.
pub type Tensors = BTreeMap<String, Described>;

/// How far off a case may be.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    pub rel_l2: f64,
    pub image_u8_max_abs: Option<u8>,
}

impl Tolerance {
    /// Refuses a bound that is wider than the set's own rule: 1e-4, or 5 times the reference's own error.
    pub fn check(&self, rerun: &BTreeMap<String, f64>) -> Result<(), Failure> {
        let widest = 1e-4f64.max(5.0 * rerun.values().fold(0.0, |worst, error| error.max(worst)));
        // Manifests round.
        match self.rel_l2 <= 1.05 * widest && self.image_u8_max_abs.unwrap_or(1) <= 1 {
            true => Ok(()),
            false => {
                Err(format!("tolerance {:e} is wider than {widest:e}, or the picture's than 1", self.rel_l2).into())
            }
        }
    }
}

/// A manifest of `cases/runs`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    pub name: String,
    pub pipeline_class: String,
    pub pipeline: String,
    pub kind: Kind,
    pub prompt: String,
    pub negative_prompt: Option<String>,
    pub seed: Seeds,
    pub steps: usize,
    pub guidance_scale: f32,
    pub width: usize,
    pub height: usize,
    pub strength: Option<f64>,
    #[serde(rename = "image_seed")]
    _image_seed: Option<u64>,
    pub vae: Option<String>,
    #[serde(default = "one")]
    pub num_images_per_prompt: usize,
    #[serde(default)]
    pub controlnets: Vec<String>,
    #[serde(default)]
    pub embeddings: Vec<String>,
    pub lora: Option<String>,
    pub lora_scale: Option<f32>,
    #[serde(default)]
    pub extra: Extra,
    pub unet_trace: Trace,
    pub scheduler: Value,
    pub noise_draws: Option<Vec<Draw>>,
    pub file: String,
    pub tensors: Tensors,
    pub tolerance: Tolerance,
    pub float64_rerun_rel_l2: BTreeMap<String, f64>,
    #[serde(rename = "float64_rerun_image_u8_max_abs")]
    _float64_rerun_image_u8_max_abs: IgnoredAny,
}

fn one() -> usize {
    1
}

/// One generator for all pictures, or one for each.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Seeds {
    One(u64),
    Each(Vec<u64>),
}

impl Seeds {
    pub fn all(&self) -> &[u64] {
        match self {
            Self::One(seed) => std::slice::from_ref(seed),
            Self::Each(seeds) => seeds,
        }
    }
}

/// A random draw of a run, in the order of drawing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draw {
    pub tensor: String,
    #[serde(rename = "drawn_in")]
    _drawn_in: IgnoredAny,
}

/// Further arguments of the pipeline's call, by diffusers' names; `prompt_syntax` is ours.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Extra {
    pub eta: f64,
    pub clip_skip: Option<usize>,
    pub guidance_rescale: f32,
    pub nag_scale: Option<f32>,
    pub nag_tau: Option<f32>,
    pub nag_alpha: Option<f32>,
    pub controlnet_conditioning_scale: Vec<f32>,
    pub control_guidance_start: Vec<f64>,
    pub control_guidance_end: Vec<f64>,
    pub prompt_syntax: Syntax,
    pub prompt_2: Option<String>,
    pub negative_prompt_2: Option<String>,
    pub original_size: Option<[usize; 2]>,
    pub crops_coords_top_left: [usize; 2],
    pub target_size: Option<[usize; 2]>,
    pub negative_original_size: Option<[usize; 2]>,
    pub negative_crops_coords_top_left: [usize; 2],
    pub negative_target_size: Option<[usize; 2]>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Syntax {
    #[default]
    Plain,
    Weighted,
}

/// Which calls of the network a run's file keeps.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
pub enum Trace {
    #[serde(rename = "all calls")]
    All,
    #[serde(rename = "first and last call only")]
    FirstAndLast,
    #[serde(rename = "first call")]
    First,
}

/// A manifest of `cases/components`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    pub name: String,
    pub kind: ComponentKind,
    pub pipeline: String,
    pub file: String,
    pub tensors: Tensors,
    pub tolerance: Tolerance,
    pub float64_rerun_rel_l2: BTreeMap<String, f64>,
    /// Texts of a text encoder's `token_ids`.
    pub prompts: Option<Vec<String>>,
    /// Inputs of a UNet.
    pub shapes: Option<Vec<Shape>>,
    #[serde(rename = "ablation_rel_change")]
    _ablation_rel_change: Option<IgnoredAny>,
    /// Of an autoencoder.
    pub scaling_factor: Option<f64>,
    pub lora: Option<String>,
    /// `diffusers` or `kohya`.
    pub format: Option<String>,
    pub rank: Option<usize>,
    pub alpha: Option<f64>,
    pub rel_change_unet: Option<f64>,
    pub rel_change_text: Option<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ComponentKind {
    TextEncoder,
    Unet,
    AutoencoderKl,
    AutoencoderTiny,
    Lora,
}

/// An input of a UNet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    pub batch: usize,
    pub height: usize,
    pub width: usize,
    pub timesteps: Vec<f32>,
}

/// Reads JSON as Python writes it: infinities are null.
pub fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, String> {
    serde_json::from_str(&text.replace("-Infinity", "null")).map_err(|error| format!("{name}: {error}"))
}

/// A key of diffusers' scheduler configurations, with the value at which it changes nothing.
type Unread = (&'static str, fn(&Value) -> bool);

/// Keys that no scheduler here reads.
const UNREAD: [Unread; 6] = [
    // Parts of `thresholding` and `use_flow_sigmas`, which are refused.
    ("dynamic_thresholding_ratio", |_| true),
    ("sample_max_value", |_| true),
    ("flow_shift", |_| true),
    // From these diffusers' pipelines work out `mu`, which a case gives.
    ("base_shift", |_| true),
    ("max_shift", |_| true),
    ("solver_p", Value::is_null),
];

/// A case's scheduler. One whose class is not built is [`Failure::Unsupported`]; a key that nothing reads is an error.
pub fn scheduler(config: &Value) -> Result<SchedulerConfig, Failure> {
    let class = &config["_class_name"];
    if serde_json::from_value::<SchedulerClass>(class.clone()).is_err() {
        return Err(Failure::Unsupported(format!("scheduler {class}")));
    }
    let known = serde_json::to_value(SchedulerConfig::default()).map_err(|error| error.to_string())?;
    let nothing = Map::new();
    for (key, value) in config.as_object().unwrap_or(&nothing) {
        let neutral = UNREAD.iter().any(|(name, neutral)| name == key && neutral(value));
        if known.get(key).is_none() && !neutral {
            return Err(format!("scheduler: nothing reads {key} = {value}").into());
        }
    }
    Ok(SchedulerConfig::parse("scheduler", &config.to_string())?)
}
