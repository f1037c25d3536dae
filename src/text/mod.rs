//! Where a prompt becomes tokens: CLIP's tokenizer, and (natively) the training of a small vocabulary in its manner.

mod tokenizer;
#[cfg(feature = "native")]
mod train_bpe;

pub use tokenizer::{Encoding, Padded, Tokenizer};
#[cfg(feature = "native")]
pub use train_bpe::TrainedBpe;
