//! Attention: a tiled kernel for the GPU. The CPU uses burn-flex's own, which is tiled beyond 512 x 512 scores.

pub mod gpu;

/// Sizes of softmax(q kᵀ / √d) v over several heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionSizes {
    /// Sequences.
    pub batch: usize,
    /// Tokens of the queries.
    pub queries: usize,
    /// Tokens of keys and values.
    pub keys: usize,
    /// Heads, one beside the other in a token's features.
    pub heads: usize,
    /// Features of a head, d.
    pub features: usize,
    /// Whether a token only attends to itself and those before it.
    pub causal: bool,
    /// Whether a GPU holds no more than a tile of the scores at once.
    pub tiles: bool,
}
