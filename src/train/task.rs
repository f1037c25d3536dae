//! The trait through which the training loop ([`super::run`]) and the micro-batches ([`super::lanes`]) train a model.

use burn::tensor::Tensor;

use crate::Result;
use crate::picture::Picture;

/// A model's training task.
pub trait Task<M> {
    /// The data of one micro-batch.
    type Batch: Send + 'static;

    /// The loss of a batch, `[1]`.
    ///
    /// # Errors
    /// For an invalid batch.
    fn loss(&self, model: &M, batch: &Self::Batch) -> Result<Tensor<1>>;

    /// A sheet that shows what the averaged model can do.
    ///
    /// # Errors
    /// Those of drawing.
    fn sheet(&self, average: &M) -> Result<Picture>;
}
