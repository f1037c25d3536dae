//! Data and training, native only.

pub mod dataset;
pub mod font;
pub mod picture;
pub mod sheet;

pub use picture::Picture;
