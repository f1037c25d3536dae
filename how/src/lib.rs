//! The functions that the worker of the page's view "How it works" can call. Each export runs one cell of
//! `src/foundations` and returns plain numbers. The crate compiles these sources without the tensor library, so its
//! wasm stays small.

#[path = "../../src/error.rs"]
pub mod error;
#[path = "../../src/foundations/mod.rs"]
pub mod foundations;
#[path = "../../src/random/mod.rs"]
pub mod random;

mod chance;
mod classifier;
mod clouds;
mod numbers;
mod pictures;

pub use error::{Error, Result};

use wasm_bindgen::prelude::*;

/// Runs once when the module is instantiated: panics are shown in the console with their message.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// What an export throws: an `Error` with the library's message.
type Thrown<T> = std::result::Result<T, JsError>;
