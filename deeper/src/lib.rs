//! All of the crate's exports to JavaScript, with gradients (`fourstep`'s feature `fit`). They are in `src/web`.

pub use fourstep;
