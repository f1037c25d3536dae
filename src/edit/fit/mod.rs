//! Fitting a loaded model to pictures: what [`super::imagic`] and [`super::adapt`] share.
//!
//! Gradients need floats: a model in blocks is loaded on a device that keeps gradients, where its weights are widened.

mod adam;
pub mod adapters;
mod descend;
pub(in crate::edit) mod drawing;
mod reconstruction;

pub use adapters::Adapters;
pub(super) use descend::descend;
pub use descend::{Draw, Ended, StageOptions, StageStep};
pub(super) use reconstruction::{Reconstruction, Text};
