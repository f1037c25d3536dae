//! What the page's worker calls for picture files: PNGs with their settings, animations, and settings read back.

use js_sys::JSON;
use wasm_bindgen::prelude::*;

use crate::Error;
use crate::infotext::Infotext;
use crate::picture::Picture;
use crate::pipeline::Restored;
use crate::pngfile;

/// A PNG file of pictures of one size, given as one buffer of RGBA after the other; several make an animation that
/// shows each for `milliseconds`. `infotext` is written into it when there is one.
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
    let opaque = |frame: &[u8]| frame.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    let frames = rgba.chunks_exact(size).map(|frame| Picture { width, height, rgb: opaque(frame) });
    Ok(pngfile::animation(&frames.collect::<Vec<_>>(), milliseconds, infotext.as_deref())?)
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
