//! What the training loop ([`super::run`]) and the micro-batches ([`super::lanes`]) ask of a model that is trained.

use burn::tensor::Tensor;

use crate::Result;
use crate::picture::Picture;

/// What is trained.
pub trait Task<M> {
    /// What one step learns from.
    type Batch: Send + 'static;

    /// The loss of a batch, `[1]`.
    ///
    /// # Errors
    /// For a batch that does not fit.
    fn loss(&self, model: &M, batch: &Self::Batch) -> Result<Tensor<1>>;

    /// What the averaged model can do by now.
    ///
    /// # Errors
    /// Those of drawing.
    fn sheet(&self, average: &M) -> Result<Picture>;
}
