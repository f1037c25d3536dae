//! From a prompt to tokens: CLIP's tokenizer and vocabulary, the weights of words, and (native) the training of a small vocabulary of
//! the same kind. Also suggestions for words that a model does not know.

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
