//! Diffusion with points in the plane: everything that the sticker model does, small enough to see.
//!
//! A cloud of points is dissolved into noise along a quarter of a circle. A tiny network learns the way back, and
//! distillation teaches it to do in four steps the work of 64.

mod diffusion;
mod distill;
mod measure;
mod network;
mod points;

pub use diffusion::{Guidance, Model, Path, noised, rotate, sample, velocity};
pub use distill::{Distillation, two_steps};
pub use measure::energy_distance;
pub use network::{Adam, Network, Slopes};
pub use points::{Cloud, Label, Shape, normal_points};
