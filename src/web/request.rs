//! A request as the page sends it.

#[cfg(feature = "fit")]
use js_sys::Array;
use js_sys::{Object, Reflect, Uint8ClampedArray};
use serde::Deserialize;
use wasm_bindgen::prelude::*;

use super::thrown::thrown;
#[cfg(feature = "fit")]
use crate::edit::adapt::AdaptRequest;
#[cfg(feature = "fit")]
use crate::edit::imagic::{Drawn, ImagicRequest};
use crate::edit::{EditRequest, Method};
use crate::picture::Picture;
#[cfg(feature = "fit")]
use crate::pipeline::parse_seed;
use crate::pipeline::{Pipeline, Request, Settings, seed_of};
use crate::{Error, Result};

/// The settings of a picture, and what the page asks for beside it. [`Settings`] refuses a key that neither knows.
#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(flatten)]
    settings: Settings,
    #[serde(default)]
    pub latents: bool,
    /// The model's id, for the infotext.
    pub model: Option<String>,
    pub toward: Option<Toward>,
    edit: Option<Edit>,
}

/// The image is to be edited by words: the prompt says what it should show, the strength how far the edit may go.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    /// What the image shows.
    #[serde(default)]
    from: String,
    /// A name of [`Method::NAMES`]; the first of them where it is left out.
    method: Option<String>,
}

/// The other end of a walk, and how far to go.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Toward {
    #[serde(default)]
    pub prompt: String,
    #[serde(default)]
    pub negative_prompt: String,
    #[serde(deserialize_with = "seed_of")]
    pub seed: u64,
    pub at: f32,
}

impl Asked {
    /// Reads the page's object. Its pictures are taken out first: as JSON they would be long texts.
    pub fn parse(request: &JsValue) -> Result<Self> {
        let object = Object::assign(&Object::new(), &Object::from(request.clone()));
        let [image, mask] = ["image", "mask"].map(|key| picture(&object, key));
        let text = js_sys::JSON::stringify(&object).map_err(|error| thrown(&error))?;
        // By way of a `Value`, so that messages have no lines and columns of a text that nobody sees.
        let mut asked: Self = serde_json::from_str::<serde_json::Value>(&String::from(text))
            .and_then(serde_json::from_value::<Self>)
            .map_err(|error| Error::Request(format!("the request: {error}")))?;
        (asked.settings.image, asked.settings.mask) = (image?, mask?);
        Ok(asked)
    }

    /// The pipeline's request.
    pub fn request(&self, pipeline: &Pipeline) -> Result<Request> {
        pipeline.request_of(self.settings.clone())
    }

    /// The same for Imagic.
    #[cfg(feature = "fit")]
    pub fn imagic(self) -> Result<(ImagicRequest, Drawn)> {
        let (Some(Edit { from, .. }), Some(image)) = (self.edit, self.settings.image) else {
            return Err(Error::Request("an edit by words needs the picture, and what it shows".into()));
        };
        let Settings { prompt, negative_prompt, seed, steps, guidance_scale, .. } = self.settings;
        let request = ImagicRequest {
            source_prompt: Some(from).filter(|from| !from.is_empty()),
            negative_prompt,
            ..ImagicRequest::new(image, prompt, seed)
        };
        Ok((request, Drawn { seed, steps, guidance_scale }))
    }

    /// The edit that is asked for; none where a picture is to be drawn.
    pub fn edit(&self, pipeline: &Pipeline) -> Result<Option<EditRequest>> {
        let Some(Edit { from, method }) = &self.edit else { return Ok(None) };
        if self.toward.is_some() {
            return Err(Error::Request("an edit by words has no other end: leave toward out".into()));
        }
        let method = method.as_deref().map_or(Ok(Method::FlowEdit), Method::named)?;
        EditRequest::of(pipeline, method, from, self.settings.clone()).map(Some)
    }
}

/// Takes `{ width, height, rgba }` out of the object; none where there is nothing under the key.
fn picture(object: &Object, key: &str) -> Result<Option<Picture>> {
    let value = get(object, key)?;
    Reflect::delete_property(object, &key.into()).map_err(|error| thrown(&error))?;
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    picture_of(&value, key).map(Some)
}

/// Of `{ width, height, rgba }`; `key` names it in messages.
fn picture_of(value: &JsValue, key: &str) -> Result<Picture> {
    let side = |name: &str| get(value, name).map(|side| side.as_f64().unwrap_or(0.0) as usize);
    let (width, height) = (side("width")?, side("height")?);
    let rgba = get(value, "rgba")?.dyn_into::<Uint8ClampedArray>();
    let rgba = rgba.map_err(|_| Error::Request(format!("{key}: its rgba is no Uint8ClampedArray")))?;
    Picture::from_rgba(width, height, &rgba.to_vec())
}

fn get(of: &JsValue, key: &str) -> Result<JsValue> {
    Reflect::get(of, &key.into()).map_err(|error| thrown(&error))
}

/// What the model is to learn, of `{ images: { width, height, rgba }[], prompt, seed }`; the seed in decimal digits.
#[cfg(feature = "fit")]
pub(crate) fn adapt_request(request: &JsValue) -> Result<AdaptRequest> {
    let images = get(request, "images")?.dyn_into::<Array>();
    let images = images.map_err(|_| Error::Request("images: no array of pictures".into()))?;
    let images = images.iter().map(|image| picture_of(&image, "images")).collect::<Result<Vec<_>>>()?;
    let text = |key: &str| get(request, key).map(|text| text.as_string().unwrap_or_default());
    Ok(AdaptRequest::new(images, text("prompt")?, parse_seed(&text("seed")?)?))
}
