//! The trait through which the training loop ([`super::run`]) and the micro-batches ([`super::lanes`]) train a model.

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
