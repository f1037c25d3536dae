//! Fourstep: text to image in four denoising steps, in a browser tab.
//!
//! The whole system on one page, in floor order: a module imports only from floors below it.

// 0: errors, pictures and their files, settings, random numbers
pub mod checked;
pub mod error;
pub mod infotext;
pub mod picture;
pub mod pngfile;
pub mod random;
// 1: products, convolutions, norms and attention, for packed weights too; the lesson from scratch (native; the page's
// view compiles it alone: how/)
#[cfg(feature = "native")]
pub mod foundations;
pub mod kernels;
// 2: layers, weights, text
pub mod nn;
pub mod text;
pub mod weights;
// 3: networks and samplers
pub mod models;
pub mod schedulers;
// 4: the denoising loop
pub mod pipeline;
// 5: captioned pictures (native)
#[cfg(feature = "native")]
pub mod dataset;
// 6: training, distillation, evaluation (native)
#[cfg(feature = "native")]
pub mod distill;
#[cfg(feature = "native")]
pub mod eval;
#[cfg(feature = "native")]
pub mod train;
// 7: the two front ends
#[cfg(feature = "native")]
pub mod cli;
#[cfg(all(feature = "web", target_arch = "wasm32"))]
mod web;

pub use error::{Error, Result};
