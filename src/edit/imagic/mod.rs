//! Imagic (Kawar et al., 2022, arXiv 2210.09276): a picture and a sentence go in, and the picture comes out as the sentence says,
//! because the model is fitted to the picture first.
//!
//! 1. [`embedding`]: the embedding of the target text moves until the model reconstructs the picture with it.
//!
//! Gradients need floats: a model in blocks is loaded on a device that keeps gradients, where its weights are widened.

mod adam;
pub mod embedding;
