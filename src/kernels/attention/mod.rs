//! Attention: a tiled kernel for the GPU. The CPU uses burn-flex's own, which is tiled beyond 512 x 512 scores.

pub mod gpu;

/// Sizes of softmax(q kᵀ / √d) v over several heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionSizes {
    /// Number of sequences.
    pub batch: usize,
    /// Tokens of the queries.
    pub queries: usize,
    /// Tokens of keys and values.
    pub keys: usize,
    /// Number of heads, which are adjacent in a token's features.
    pub heads: usize,
    /// Features of each head, d.
    pub features: usize,
    /// Whether a token only attends to itself and those before it.
    pub causal: bool,
    /// Whether a GPU never holds more than a tile of the scores.
    pub tiles: bool,
}
