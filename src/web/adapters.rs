//! Adapters and edits in files that somebody opens in the page.

use js_sys::{Array, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use super::files::JsFiles;
use super::object;
use super::thrown::thrown;
use crate::edit::recognised::{IMAGIC_KEYS, Recognised};
use crate::weights::Lora;
use crate::{Error, Result};

/// What the safetensors file at `path` is, from its header alone: `{ kind: "edit" | "adapter", prompt? }`, null for anything else;
/// `prompt` is what an edit should show or what an adapter was taught, where the file says so.
#[wasm_bindgen]
pub fn recognise(files: JsFiles, path: String) -> std::result::Result<JsValue, JsError> {
    let (kind, prompt) = match Recognised::from_header(&files, &path) {
        None => return Ok(JsValue::NULL),
        Some(Recognised::Edit { prompt }) => ("edit", Some(prompt)),
        Some(Recognised::Adapter { prompt }) => ("adapter", prompt),
    };
    let prompt = prompt.map_or(JsValue::UNDEFINED, JsValue::from);
    Ok(object(&[("kind", kind.into()), ("prompt", prompt)])?.into())
}

/// An adapter as the page passes it.
pub(crate) struct Given {
    name: String,
    bytes: Vec<u8>,
    weight: f32,
    /// Whether the file is an edit, which has other tensors beside those of its adapters.
    pub edit: bool,
}

impl Given {
    /// Of `[{ name, bytes: Uint8Array, weight?, edit? }, …]`.
    pub fn all(loras: Option<Array>) -> Result<Vec<Self>> {
        loras.map(|loras| loras.to_vec()).unwrap_or_default().iter().map(Self::of).collect()
    }

    fn of(entry: &JsValue) -> Result<Self> {
        let get = |key: &str| Reflect::get(entry, &key.into()).map_err(|error| thrown(&error));
        let bytes = get("bytes")?.dyn_into::<Uint8Array>();
        let bytes = bytes.map_err(|_| Error::Request("an adapter's bytes are no Uint8Array".into()))?;
        Ok(Self {
            name: get("name")?.as_string().unwrap_or_default(),
            bytes: bytes.to_vec(),
            weight: get("weight")?.as_f64().unwrap_or(1.0) as f32,
            edit: get("edit")?.is_truthy(),
        })
    }

    /// # Errors
    /// Those of [`Lora::parse`].
    pub fn lora(&self) -> Result<Lora<'_>> {
        Lora::parse_among(&self.name, &self.bytes, self.weight, self.edit.then_some(IMAGIC_KEYS))
    }
}
