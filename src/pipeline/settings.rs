//! The one place where settings become a [`Request`]. The command line, the page and the evaluation fill in a
//! [`Settings`]; the model's defaults replace what is missing.

use std::collections::BTreeMap;

use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Control, MicroConditioning, Pipeline, Request};
use crate::picture::Picture;
use crate::schedulers::{self, SchedulerConfig};
use crate::text::PromptSyntax;
use crate::{Error, Result};

/// The settings of a [`Request`]. `None` means the model's own value. As JSON it is the page's request, in which an
/// unknown key is an error.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Settings {
    /// The prompt.
    #[serde(default)]
    pub prompt: String,
    /// The negative prompt.
    #[serde(default)]
    pub negative_prompt: String,
    /// The seed. In JSON a number, or decimal digits for numbers beyond 2^53.
    #[serde(deserialize_with = "seed_of")]
    pub seed: u64,
    /// Denoising steps.
    #[serde(default, deserialize_with = "steps_of")]
    pub steps: Option<usize>,
    /// No guidance at 1 and below.
    pub guidance_scale: Option<f32>,
    /// Against overexposure, 0 to 1.
    pub guidance_rescale: Option<f32>,
    /// Guidance by the negative prompt inside the cross-attention; none at 1 and below.
    pub nag_scale: Option<f32>,
    /// The greatest ratio of norms that it allows.
    pub nag_tau: Option<f32>,
    /// Its share in the result, 0 to 1.
    pub nag_alpha: Option<f32>,
    /// A sampler's name, as [`schedulers::named`] takes it. Older requests in JSON say `scheduler`.
    #[serde(alias = "scheduler")]
    pub sampler: Option<String>,
    /// The text of a `scheduler_config.json`, which overrides `sampler`.
    pub scheduler_config: Option<String>,
    /// Width in pixels. By default the start picture's, or the first control image's, or the model's.
    pub width: Option<usize>,
    /// Height in pixels, by default likewise.
    pub height: Option<usize>,
    /// Whether the model's large decoder draws.
    #[serde(default)]
    pub large: bool,
    /// How much of `image` is redrawn, 0 to 1. By default 0.8, with a mask 1.
    pub strength: Option<f64>,
    /// Noise that DDIM adds in each step, 0 to 1.
    pub eta: Option<f64>,
    /// How many of the text encoder's last layers to skip.
    pub clip_skip: Option<usize>,
    /// How the prompts are read.
    pub prompt_syntax: Option<PromptSyntax>,
    /// The prompt of Stable Diffusion XL's second text encoder.
    pub prompt_2: Option<String>,
    /// The negative prompt of Stable Diffusion XL's second text encoder.
    pub negative_prompt_2: Option<String>,
    /// Sizes as conditioning of Stable Diffusion XL.
    #[serde(flatten, deserialize_with = "sizes_and_no_more")]
    pub micro_conditioning: MicroConditioning,
    /// The start picture.
    #[serde(skip)]
    pub image: Option<Picture>,
    /// A mask: light where `image` is redrawn, dark where it is kept.
    #[serde(skip)]
    pub mask: Option<Picture>,
    /// What each loaded ControlNet reads.
    #[serde(skip)]
    pub controls: Vec<Control>,
}

impl Pipeline {
    /// Turns settings into a request. Ranges are checked when it is drawn ([`Request::check`]).
    ///
    /// # Errors
    /// [`Error::Request`] for a sampler that is unknown or does not fit the model; [`Error::Config`] for an invalid
    /// `scheduler_config`.
    pub fn request_of(&self, settings: Settings) -> Result<Request> {
        let own = self.request(settings.prompt);
        let scheduler = match (&settings.scheduler_config, &settings.sampler) {
            (Some(text), _) => Some(SchedulerConfig::parse("scheduler_config", text)?),
            (None, Some(name)) => Some(schedulers::named(name, self.scheduler())?),
            (None, None) => None,
        };
        let given = settings.image.as_ref().or(settings.controls.first().map(|control| &control.image));
        let (width, height) = given.map_or((own.width, own.height), |image| (image.width, image.height));
        let strength = if settings.mask.is_some() { 1.0 } else { own.strength };
        Ok(Request {
            negative_prompt: settings.negative_prompt,
            seed: settings.seed,
            num_inference_steps: settings.steps.unwrap_or(own.num_inference_steps),
            guidance_scale: settings.guidance_scale.unwrap_or(own.guidance_scale),
            guidance_rescale: settings.guidance_rescale.unwrap_or(own.guidance_rescale),
            nag_scale: settings.nag_scale.unwrap_or(own.nag_scale),
            nag_tau: settings.nag_tau.unwrap_or(own.nag_tau),
            nag_alpha: settings.nag_alpha.unwrap_or(own.nag_alpha),
            width: settings.width.unwrap_or(width),
            height: settings.height.unwrap_or(height),
            large: settings.large,
            clip_skip: settings.clip_skip,
            eta: settings.eta.unwrap_or(own.eta),
            scheduler,
            image: settings.image,
            strength: settings.strength.unwrap_or(strength),
            mask: settings.mask,
            prompt_syntax: settings.prompt_syntax.unwrap_or(own.prompt_syntax),
            prompt_2: settings.prompt_2,
            negative_prompt_2: settings.negative_prompt_2,
            micro_conditioning: settings.micro_conditioning,
            controls: settings.controls,
            ..own
        })
    }
}

/// Parses a number of steps; zero is refused later, when something is drawn.
///
/// # Errors
/// [`Error::Request`] for anything but a whole number.
pub fn parse_steps(text: &str) -> Result<usize> {
    text.parse().map_err(|_| Error::Request(format!("steps = {text}: use a whole number from 1")))
}

/// Parses a seed.
///
/// # Errors
/// [`Error::Request`] for anything but a whole number of 64 bits.
pub fn parse_seed(text: &str) -> Result<u64> {
    text.parse().map_err(|_| Error::Request(format!("seed = {text}: use a whole number from 0 to 2^64 - 1")))
}

/// Parses a seed in JSON: a number or decimal digits.
///
/// # Errors
/// With the message of [`parse_seed`].
pub fn seed_of<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<u64, D::Error> {
    let text = match Value::deserialize(from)? {
        Value::String(text) => text,
        other => other.to_string(),
    };
    parse_seed(&text).map_err(D::Error::custom)
}

/// The keys that the other fields of [`Settings`] do not take. (serde ignores `deny_unknown_fields` beside `flatten`.)
#[derive(Deserialize)]
struct Rest {
    #[serde(flatten)]
    sizes: MicroConditioning,
    #[serde(flatten)]
    unknown: BTreeMap<String, IgnoredAny>,
}

fn sizes_and_no_more<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<MicroConditioning, D::Error> {
    let Rest { sizes, unknown } = Rest::deserialize(from)?;
    match unknown.into_keys().next() {
        None => Ok(sizes),
        Some(key) => Err(D::Error::custom(format!("unknown key {key}: check its spelling, or leave it out"))),
    }
}

fn steps_of<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<usize>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        other => parse_steps(&other.to_string()).map(Some).map_err(D::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::golden;
    use super::*;

    fn parsed(json: &str) -> std::result::Result<Settings, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_is_the_models_own() {
        let pipeline = golden("sd15");
        let own = pipeline.request("a fox");
        let asked = pipeline.request_of(parsed(r#"{"prompt": "a fox", "seed": 0}"#).unwrap()).unwrap();
        assert_eq!(asked, own);

        let image = Some(Picture::filled(48, 96, [1, 2, 3]));
        let from = Settings { image: image.clone(), ..Settings::default() };
        let asked = pipeline.request_of(from.clone()).unwrap();
        assert_eq!((asked.width, asked.height, asked.strength), (48, 96, 0.8));
        let asked = pipeline.request_of(Settings { mask: image, width: Some(64), ..from }).unwrap();
        assert_eq!((asked.width, asked.height, asked.strength), (64, 96, 1.0));
    }

    #[test]
    fn the_pages_json_is_read_whole() {
        let settings = parsed(
            r#"{"prompt": "x", "seed": "18446744073709551615", "steps": 4, "scheduler": "euler", "width": 64,
            "guidance_scale": 2.5, "prompt_syntax": "weighted", "target_size": [64, 96], "negative_target_size": null}"#,
        )
        .unwrap();
        assert_eq!((settings.seed, settings.steps, settings.width), (u64::MAX, Some(4), Some(64)));
        assert_eq!((settings.sampler.as_deref(), settings.guidance_scale), (Some("euler"), Some(2.5)));
        assert_eq!(settings.prompt_syntax, Some(PromptSyntax::Weighted));
        assert_eq!(settings.micro_conditioning.target_size, Some([64, 96]));
        let named = parsed(r#"{"seed": 1, "sampler": "ddim"}"#).unwrap();
        assert_eq!((named.seed, named.sampler.as_deref(), named.steps), (1, Some("ddim"), None));
    }

    /// The page's request has other keys beside the settings.
    #[derive(Debug, Deserialize)]
    struct Beside {
        latents: bool,
        #[serde(flatten)]
        settings: Settings,
    }

    #[test]
    fn unknown_keys_are_named() {
        let message = parsed(r#"{"seed": 1, "target_size": [64, 96], "num_inference_steps": 4}"#).unwrap_err();
        assert!(message.starts_with("unknown key num_inference_steps: check its spelling"), "{message}");
        let beside = |json: &str| serde_json::from_str::<Beside>(json).map_err(|error| error.to_string());
        let read = beside(r#"{"seed": 1, "latents": true, "crops_coords_top_left": [1, 2]}"#).unwrap();
        assert_eq!((read.latents, read.settings.micro_conditioning.crops_coords_top_left), (true, [1, 2]));
        let message = beside(r#"{"seed": 1, "latents": true, "latent": true}"#).unwrap_err();
        assert!(message.starts_with("unknown key latent: "), "{message}");
    }

    #[test]
    fn wrong_values_are_named() {
        assert!(parsed(r#"{"seed": -1}"#).unwrap_err().contains("seed = -1: use a whole number"));
        assert!(parsed(r#"{"seed": "1x"}"#).unwrap_err().contains("seed = 1x: use a whole number"));
        assert!(parsed("{}").unwrap_err().contains("seed"));
        for steps in ["2.5", "-3"] {
            let message = parsed(&format!(r#"{{"seed": 1, "steps": {steps}}}"#)).unwrap_err();
            assert!(message.contains(&format!("steps = {steps}: use a whole number from 1")), "{message}");
        }
        let wrong = Settings { sampler: Some("eulr".into()), ..Settings::default() };
        let message = golden("sd15").request_of(wrong).unwrap_err().to_string();
        assert!(message.contains("sampler eulr is unknown") && message.contains("euler_a"), "{message}");
    }
}
