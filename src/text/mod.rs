//! Where a prompt becomes tokens: CLIP's tokenizer, the weights of words, and (natively) the training of a small vocabulary in its manner.

#[cfg(feature = "native")]
pub mod clip;
pub mod emoji;
pub mod meaning;
mod prompt;
pub mod suggest;
mod tokenizer;
#[cfg(feature = "native")]
mod train_bpe;
mod weighting;
pub mod world;

pub use prompt::{Chunk, Chunks, PromptSyntax};
pub use tokenizer::{Encoding, Padded, Tokenizer};
#[cfg(feature = "native")]
pub use train_bpe::TrainedBpe;
