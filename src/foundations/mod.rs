//! The lesson from scratch: data, matrices, tensors, products, random numbers, a linear classifier, and diffusion in
//! two dimensions, in plain Rust without a tensor library.
//!
//! The page's view "How it works" (`www/how/`) shows the regions between `// cell: NAME` and `// end` in these files
//! and runs them. `how/` compiles this folder alone to a small wasm module, so it imports only `random` and `error`.
//! `tools/cells.mjs` reads the regions from here at build time, so the page shows the source that runs.

pub mod cloud;
pub mod data;
pub mod fork;
pub mod linear;
pub mod matrix;
pub mod multiply;
pub mod statistics;
pub mod tensor;

#[cfg(test)]
mod testing;

pub use linear::Linear;
pub use matrix::Matrix;
pub use multiply::Rung;
pub use tensor::Tensor;
