//! Files between the page's worker and here: a model's, read by ranges from where the browser keeps them; and pictures as
//! PNGs with their settings, animations, and settings read back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use js_sys::{Function, JSON, Object, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::Error;
use crate::infotext::Infotext;
use crate::picture::Picture;
use crate::pipeline::Restored;
use crate::pngfile;
use crate::weights::{Beside, Files, MemoryFiles, SingleFile, cut_off};

/// A model's files. Only those that were inserted are in this module's memory.
#[wasm_bindgen(js_name = Files)]
#[derive(Default)]
pub struct JsFiles {
    whole: MemoryFiles,
    streams: BTreeMap<String, Stream>,
    /// What is seen instead, made of all of them.
    single: Option<SingleFile>,
}

struct Stream {
    size: u64,
    /// `(offset, length) => Uint8Array`.
    read: Function,
}

#[wasm_bindgen(js_class = Files)]
impl JsFiles {
    /// Without files.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file under its path in the model's folder.
    pub fn insert(&mut self, path: String, bytes: Vec<u8>) {
        self.whole.insert(path, bytes);
    }

    /// Adds a file of `size` bytes, of which `read(offset, length)` gives a part at once, as a `Uint8Array`.
    pub fn stream(&mut self, path: String, size: f64, read: Function) {
        self.streams.insert(path, Stream { size: size as u64, read });
    }
}

impl JsFiles {
    /// From now on `file` is seen as the folder that it would be, with the other files beside it.
    ///
    /// # Errors
    /// Those of [`SingleFile::open_with`].
    pub(super) fn show(&mut self, file: &str, beside: Beside) -> crate::Result<()> {
        let mut others = std::mem::take(self);
        let stream = others.streams.remove(file).map(|stream| (file.to_string(), stream));
        let files = Self { streams: stream.into_iter().collect(), ..Self::default() };
        let config: Option<Box<dyn Files>> = match others.streams.is_empty() {
            true => None,
            false => Some(Box::new(others)),
        };
        self.single = Some(SingleFile::open_with(Box::new(files), file, Beside { config, ..beside })?);
        Ok(())
    }

    /// The single file that is seen as a folder.
    pub(super) fn shown(&self) -> Option<&SingleFile> {
        self.single.as_ref()
    }
}

impl Files for JsFiles {
    fn place(&self) -> String {
        self.single.as_ref().map_or_else(|| self.whole.place(), Files::place)
    }

    fn get(&self, path: &str) -> crate::Result<Option<Cow<'_, [u8]>>> {
        if let Some(single) = &self.single {
            return single.get(path);
        }
        match self.streams.get(path) {
            Some(stream) => self.range(path, 0, stream.size as usize).map(Some),
            None => self.whole.get(path),
        }
    }

    fn size(&self, path: &str) -> crate::Result<Option<u64>> {
        if let Some(single) = &self.single {
            return single.size(path);
        }
        match self.streams.get(path) {
            Some(stream) => Ok(Some(stream.size)),
            None => self.whole.size(path),
        }
    }

    fn range(&self, path: &str, offset: u64, length: usize) -> crate::Result<Cow<'_, [u8]>> {
        if let Some(single) = &self.single {
            return single.range(path, offset, length);
        }
        let Some(stream) = self.streams.get(path) else { return self.whole.range(path, offset, length) };
        let part = stream.read.call2(&JsValue::NULL, &(offset as f64).into(), &(length as f64).into());
        let unreadable = |error: JsValue| Error::BadFile { file: path.to_string(), reason: format!("{error:?}") };
        let part: Uint8Array = part.map_err(unreadable)?.dyn_into().map_err(unreadable)?;
        match part.length() as usize == length {
            true => Ok(Cow::Owned(part.to_vec())),
            false => Err(cut_off(path, offset, length)),
        }
    }
}

/// A PNG file of pictures of one size, given as one buffer of RGBA after the other; several make an animation that
/// shows each for `milliseconds`. It has alpha where one of them is transparent somewhere. `infotext` is written into it when
/// there is one.
#[wasm_bindgen(js_name = encodePng)]
pub fn encode_png(
    width: usize,
    height: usize,
    rgba: &[u8],
    milliseconds: u16,
    infotext: Option<String>,
) -> Result<Vec<u8>, JsError> {
    let size = width.saturating_mul(height).saturating_mul(4);
    if size == 0 || !rgba.len().is_multiple_of(size) {
        return Err(Error::Request(format!("{} bytes are no pictures of {width} x {height}", rgba.len())).into());
    }
    let frames = rgba.chunks_exact(size).map(|frame| Picture::from_rgba(width, height, frame));
    Ok(pngfile::animation(&frames.collect::<crate::Result<Vec<_>>>()?, milliseconds, infotext.as_deref())?)
}

/// The picture `{ width, height, rgba }` with a white outline around what it shows, as messengers have it; larger than it was where
/// the outline needs room, and as it was where nothing of it is transparent.
#[wasm_bindgen]
pub fn outlined(width: usize, height: usize, rgba: &[u8]) -> Result<Object, JsError> {
    Ok(super::picture(&Picture::from_rgba(width, height, rgba)?.outlined())?)
}

/// The settings in a PNG file, ours or A1111's: `{ prompt, negative_prompt, seed, steps, guidance_scale, sampler, width,
/// height, model, notes }`, null where the file does not say; null in all when it has no settings.
#[wasm_bindgen(js_name = readSettings)]
pub fn read_settings(bytes: &[u8]) -> Result<JsValue, JsError> {
    let Some(text) = pngfile::parameters(bytes)? else { return Ok(JsValue::NULL) };
    let restored = Restored::from_infotext(&Infotext::parse(&text));
    let json = serde_json::to_string(&restored).map_err(|error| Error::Request(error.to_string()))?;
    JSON::parse(&json).map_err(|_| Error::Request("the settings could not be passed on".into()).into())
}
