//! Reproducible random numbers: the generators of PyTorch (CPU and CUDA), numpy and Wichmann-Hill, so that a seed gives
//! the same picture here, in Python and in the browser.
//!
//! There is no global generator. A function that needs random numbers takes a generator as an argument, and its caller
//! uses a separate [`stream`] for each purpose. So one more draw in one place changes nothing in another.
//!
//! No generator is `Copy`. They are `Clone`, to save and resume a run, and that is a trap: **a clone draws the same
//! numbers as its original**. Two dropout masks from two clones are the same mask. Clone only to store; for a second
//! source of numbers create another [`stream`].

mod mt19937;
mod numpy;
mod philox;
mod wichmann_hill;

pub use mt19937::Mt19937;
pub use numpy::NumpyLegacy;
pub use philox::{Philox, philox4x32_10};
pub use wichmann_hill::WichmannHill;

use sha2::{Digest, Sha256};

/// A source of random numbers. The state advances with every call.
pub trait Generator {
    /// `n` values, uniform in [0, 1).
    fn rand(&mut self, n: usize) -> Vec<f32>;
    /// `n` values, normal with mean 0 and variance 1.
    fn randn(&mut self, n: usize) -> Vec<f32>;
}

/// An independent generator for one purpose (`name`) and one item of it (`index`) under a seed.
///
/// Its state comes from SHA-256 over the seed (8 bytes, little endian), the length of the name in bytes (likewise), the
/// name in UTF-8 and the index (8 bytes, little endian). The digest, read as eight little-endian `u32`, is the key of
/// [`Mt19937::from_key`]. So all 64 bits of the seed count, and streams of neighbouring seeds, names and indices are
/// unrelated.
pub fn stream(seed: u64, name: &str, index: u64) -> Mt19937 {
    let digest = Sha256::new()
        .chain_update(seed.to_le_bytes())
        .chain_update((name.len() as u64).to_le_bytes())
        .chain_update(name.as_bytes())
        .chain_update(index.to_le_bytes())
        .finalize();
    let key: Vec<u32> = digest.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    Mt19937::from_key(&key)
}

/// Rounds to single precision, but stays below 1.
fn below_one(value: f64) -> f32 {
    (value as f32).min(1.0f32.next_down())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs by hashlib and numpy: `RandomState(frombuffer(sha256(...).digest(), '<u4'))`.
    #[test]
    fn stream_is_the_documented_derivation() {
        let mut a = stream(42, "noise", 7);
        assert_eq!([a.next_u32(), a.next_u32(), a.next_u32()], STREAM_42_NOISE_7);
    }

    const STREAM_42_NOISE_7: [u32; 3] = [1_596_714_914, 1_527_128_431, 562_251_698];

    #[test]
    fn streams_differ_in_every_part_of_the_triple() {
        let first = |seed, name, index| stream(seed, name, index).next_u32();
        let mut all = vec![
            first(1, "a", 0),
            first(1 + (1 << 32), "a", 0),
            first(2, "a", 0),
            first(1, "b", 0),
            first(1, "a", 1),
            first(1, "", 0),
        ];
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn a_clone_repeats_and_a_stream_does_not() {
        let mut a = stream(3, "noise", 0);
        let (mut copy, mut other) = (a.clone(), stream(3, "noise", 1));
        let drawn = a.randn(40);
        assert_eq!(drawn, copy.randn(40));
        assert_ne!(drawn, other.randn(40));
        assert_ne!(drawn, a.randn(40));
    }
}
