//! Data and training, native only.

pub mod dataset;
