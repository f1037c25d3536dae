//! Training (native).
//!
//! [`run`] contains everything that a training run does around its loss; [`autoencoder`], [`diffusion`] and
//! [`classifier`] are the runs.

pub mod autoencoder;
pub mod checkpoint;
pub mod classifier;
pub mod config;
pub mod curves;
pub mod data;
pub mod diffusion;
pub mod ema;
pub mod export;
pub mod font;
pub mod init;
pub mod lanes;
pub mod latents;
pub mod model;
pub mod muon;
pub mod optim;
pub mod pictures;
pub mod run;
pub mod samples;
pub mod sheet;
pub mod task;
#[cfg(test)]
pub(crate) mod testing;
pub mod values;
pub mod vocabulary;
