//! From a guided teacher of many steps to a student of four.
//!
//! Three runs, each from its own folder and each starting from what the one before it left:
//! - [`guidance`] folds classifier-free guidance, two evaluations of the network a step, into one: the guidance scale
//!   and the negative prompt become inputs (Meng et al., 2022, "On Distillation of Guided Diffusion Models", section 3.1);
//! - [`progressive`] halves the number of steps again and again (Salimans & Ho, 2022, "Progressive Distillation for Fast
//!   Sampling of Diffusion Models", algorithm 2);
//! - [`consistency`] learns jumps to the end of a segment directly (Heek et al., 2024, "Multistep Consistency Models").
//!
//! All three are a regression of v on a target that [`rotation`] computes.

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
