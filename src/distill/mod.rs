//! From a guided teacher of many steps to a student of four.
//!
//! There are three runs. Each has its own folder and starts from the result of an earlier one:
//!
//! - [`guidance`] replaces classifier-free guidance, which evaluates the network twice in each step, by one evaluation:
//!   the guidance scale and the negative prompt become inputs (Meng et al., 2022, "On Distillation of Guided Diffusion
//!   Models", section 3.1);
//! - [`progressive`] halves the number of steps repeatedly (Salimans & Ho, 2022, "Progressive Distillation for Fast
//!   Sampling of Diffusion Models", algorithm 2);
//! - [`consistency`] learns to jump to the end of a segment directly (Heek et al., 2024, "Multistep Consistency
//!   Models").
//!
//! All three regress v on a target that [`rotation`] computes.

pub mod config;
pub mod consistency;
mod data;
pub mod folder;
pub mod guidance;
pub mod progressive;
pub mod rotation;
mod run;
#[cfg(test)]
mod testing;

pub use config::DistillConfig;
