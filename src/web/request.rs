//! A request as the page sends it, made into the pipeline's.

use js_sys::{Object, Reflect, Uint8ClampedArray};
use serde::Deserialize;
use wasm_bindgen::prelude::*;

use super::thrown::thrown;
use crate::picture::Picture;
use crate::pipeline::{MicroConditioning, Pipeline, Request};
use crate::schedulers::{self, SchedulerConfig};
use crate::text::PromptSyntax;
use crate::{Error, Result};

/// A request as the page sends it; settings that are left out are the model's.
#[derive(Deserialize)]
pub(crate) struct Settings {
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    negative_prompt: String,
    seed: Seed,
    steps: Option<f64>,
    guidance_scale: Option<f32>,
    scheduler: Option<String>,
    /// The text of a whole scheduler_config.json instead of a name.
    scheduler_config: Option<String>,
    width: Option<usize>,
    height: Option<usize>,
    strength: Option<f64>,
    guidance_rescale: Option<f32>,
    eta: Option<f64>,
    clip_skip: Option<usize>,
    prompt_syntax: Option<Syntax>,
    prompt_2: Option<String>,
    negative_prompt_2: Option<String>,
    original_size: Option<[usize; 2]>,
    crops_coords_top_left: Option<[usize; 2]>,
    target_size: Option<[usize; 2]>,
    negative_original_size: Option<[usize; 2]>,
    negative_crops_coords_top_left: Option<[usize; 2]>,
    negative_target_size: Option<[usize; 2]>,
    #[serde(default)]
    pub latents: bool,
    /// The model's id, for the infotext.
    pub model: Option<String>,
    pub toward: Option<Toward>,
    #[serde(skip)]
    image: Option<Picture>,
    #[serde(skip)]
    mask: Option<Picture>,
}

/// How prompts are read: "plain" or "weighted".
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Syntax {
    Plain,
    Weighted,
}

/// The other end of a way, and how far to go.
#[derive(Deserialize)]
pub(crate) struct Toward {
    #[serde(default)]
    pub prompt: String,
    #[serde(default)]
    pub negative_prompt: String,
    pub seed: Seed,
    pub at: f32,
}

/// A number, or decimal digits for those beyond 2^53.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Seed {
    Number(u64),
    Text(String),
}

impl Seed {
    pub fn value(&self) -> Result<u64> {
        match self {
            Self::Number(seed) => Ok(*seed),
            Self::Text(text) => {
                let refuse = |_| Error::Request(format!("seed = {text}: use a whole number from 0 to 2^64 - 1"));
                text.parse().map_err(refuse)
            }
        }
    }
}

impl Settings {
    /// Reads the page's object. Its pictures are taken out first: as JSON they would be long texts.
    pub fn parse(request: &JsValue) -> Result<Self> {
        let object = Object::assign(&Object::new(), &Object::from(request.clone()));
        let [image, mask] = ["image", "mask"].map(|key| picture(&object, key));
        let text = js_sys::JSON::stringify(&object).map_err(|error| thrown(&error))?;
        let settings: Self = serde_json::from_str(&String::from(text))
            .map_err(|error| Error::Request(format!("the request: {error}")))?;
        Ok(Self { image: image?, mask: mask?, ..settings })
    }

    /// The pipeline's request.
    pub fn request(&self, pipeline: &Pipeline) -> Result<Request> {
        let own = pipeline.request(&self.prompt);
        let seed = self.seed.value()?;
        let steps = self.steps.unwrap_or(own.num_inference_steps as f64);
        if steps < 0.0 || steps.fract() != 0.0 {
            return Err(Error::Request(format!("steps = {steps}: use a whole number from 1")));
        }
        let scheduler = match (&self.scheduler_config, &self.scheduler) {
            (Some(text), _) => Some(SchedulerConfig::parse("scheduler_config", text)?),
            (None, Some(name)) => Some(schedulers::named(name, pipeline.scheduler())?),
            (None, None) => None,
        };
        let strength = if self.mask.is_some() { 1.0 } else { own.strength };
        Ok(Request {
            negative_prompt: self.negative_prompt.clone(),
            seed,
            num_inference_steps: steps as usize,
            guidance_scale: self.guidance_scale.unwrap_or(own.guidance_scale),
            width: self.width.unwrap_or(own.width),
            height: self.height.unwrap_or(own.height),
            scheduler,
            image: self.image.clone(),
            strength: self.strength.unwrap_or(strength),
            mask: self.mask.clone(),
            guidance_rescale: self.guidance_rescale.unwrap_or(own.guidance_rescale),
            eta: self.eta.unwrap_or(own.eta),
            clip_skip: self.clip_skip,
            prompt_syntax: match self.prompt_syntax {
                Some(Syntax::Weighted) => PromptSyntax::Weighted,
                Some(Syntax::Plain) => PromptSyntax::Plain,
                None => own.prompt_syntax,
            },
            prompt_2: self.prompt_2.clone(),
            negative_prompt_2: self.negative_prompt_2.clone(),
            micro_conditioning: self.micro_conditioning(),
            ..own
        })
    }

    fn micro_conditioning(&self) -> MicroConditioning {
        MicroConditioning {
            original_size: self.original_size,
            crops_coords_top_left: self.crops_coords_top_left.unwrap_or_default(),
            target_size: self.target_size,
            negative_original_size: self.negative_original_size,
            negative_crops_coords_top_left: self.negative_crops_coords_top_left.unwrap_or_default(),
            negative_target_size: self.negative_target_size,
        }
    }
}

/// Takes `{ width, height, rgba }` out of the object; none where there is nothing under the key.
fn picture(object: &Object, key: &str) -> Result<Option<Picture>> {
    let get = |of: &JsValue, key: &str| Reflect::get(of, &key.into()).map_err(|error| thrown(&error));
    let value = get(object, key)?;
    Reflect::delete_property(object, &key.into()).map_err(|error| thrown(&error))?;
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    let side = |name: &str| get(&value, name).map(|side| side.as_f64().unwrap_or(0.0) as usize);
    let (width, height) = (side("width")?, side("height")?);
    let rgba = get(&value, "rgba")?.dyn_into::<Uint8ClampedArray>();
    let rgba = rgba.map_err(|_| Error::Request(format!("{key}: its rgba is no Uint8ClampedArray")))?;
    Picture::from_rgba(width, height, &rgba.to_vec()).map(Some)
}
