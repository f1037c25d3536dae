//! What JavaScript throws, as an error of this crate.

use wasm_bindgen::JsValue;

use crate::Error;

/// The error that names what was thrown.
pub(crate) fn thrown(error: &JsValue) -> Error {
    Error::Request(format!("the page's code threw {error:?}"))
}
