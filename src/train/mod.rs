//! Data and training, native only.

pub mod dataset;
pub mod picture;

pub use picture::Picture;
