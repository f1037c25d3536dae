//! Fourstep: text to image in four denoising steps, in a browser tab.
//!
//! The list below is the whole system. The numbered comments are the floors: a module imports only from floors with a
//! smaller number, and `tests/floors.rs` fails otherwise. ARCHITECTURE.md describes each module in a sentence.

// 0: errors
pub mod error;
// 1: settings, random numbers
pub mod checked;
pub mod infotext;
pub mod random;
// 2: pictures; products, convolutions, norms and attention, for packed weights too; the lesson from scratch (native; the
// page's view compiles it alone: how/)
#[cfg(feature = "native")]
pub mod foundations;
pub mod kernels;
pub mod picture;
// 3: layers, text, picture files, charts
#[cfg(feature = "native")]
pub mod chart;
pub mod nn;
pub mod pngfile;
pub mod text;
// 4: weights
pub mod weights;
// 5: networks and samplers
pub mod models;
pub mod schedulers;
// 6: the denoising loop
pub mod pipeline;
// 7: edits by words; captioned pictures (native)
#[cfg(feature = "native")]
pub mod dataset;
pub mod edit;
// 8: training (native)
#[cfg(feature = "native")]
pub mod train;
// 9: distillation and evaluation (native)
#[cfg(feature = "native")]
pub mod distill;
#[cfg(feature = "native")]
pub mod eval;
// 10: the two front ends
#[cfg(feature = "native")]
pub mod cli;
#[cfg(all(feature = "web", target_arch = "wasm32"))]
mod web;

pub use error::{Error, Result};
