//! Philox 4x32-10 with the drawing rules of PyTorch's CUDA generator: the noise of pictures that were made on a GPU.
//!
//! Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011; the counter layout and Box-Muller of
//! cuRAND as torch calls them, by the README of the reference set.

use super::Generator;
use std::f64::consts::TAU;

/// The generator behind `torch.Generator("cuda").manual_seed(seed)`.
///
/// It agrees with torch for calls below one launch grid of the GPU (`blocks * 256` values: 43,008 on a small card,
/// above 200,000 on a large one; SD's latents at 512 x 512 are 16,384). Beyond that, torch's order depends on the card;
/// this generator still gives distinct random values, but not torch's.
///
/// A clone draws the same numbers as the original: see the module [`random`](super).
#[derive(Clone, Debug)]
pub struct Philox {
    seed: u64,
    /// Number of calls so far; each uses one counter value.
    calls: u64,
}

impl Philox {
    /// All 64 bits of the seed count.
    pub fn new(seed: u64) -> Self {
        Self::at(seed, 0)
    }

    /// The state after `calls` calls of any size.
    pub fn at(seed: u64, calls: u64) -> Self {
        Self { seed, calls }
    }

    /// The normal values of the next call, in double precision.
    pub fn randn_f64(&mut self, n: usize) -> Vec<f64> {
        let normal = |[a, b, ..]: [u32; 4]| (TAU * unit(b)).sin() * (-2.0 * unit(a).ln()).sqrt();
        self.draw(n).map(normal).collect()
    }

    /// One counter value for each of n elements; counts the call.
    fn draw(&mut self, n: usize) -> impl Iterator<Item = [u32; 4]> + use<> {
        let (seed, call) = (self.seed, self.calls);
        self.calls += 1;
        let halves = |x: u64| [x as u32, (x >> 32) as u32];
        (0..n as u64).map(move |i| {
            let ([c0, c1], [c2, c3]) = (halves(call), halves(i));
            philox4x32_10([c0, c1, c2, c3], halves(seed))
        })
    }
}

impl Generator for Philox {
    /// `torch.rand(n, device="cuda")`. No golden covers it; it follows cuRAND's definition (0, 1], with 1 mapped to 0.
    fn rand(&mut self, n: usize) -> Vec<f32> {
        let uniform = |[a, ..]: [u32; 4]| unit(a) as f32;
        self.draw(n).map(uniform).map(|value| if value == 1.0 { 0.0 } else { value }).collect()
    }

    /// `torch.randn(n, device="cuda")` to about 1e-6.
    fn randn(&mut self, n: usize) -> Vec<f32> {
        self.randn_f64(n).into_iter().map(|value| value as f32).collect()
    }
}

/// The ten rounds: from 128 bits of counter and 64 of key to 128 random bits.
pub fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let [c0, c1, c2, c3] = counter;
        let (p0, p1) = (0xd251_1f53 * u64::from(c0), 0xcd9e_8d57 * u64::from(c2));
        counter = [(p1 >> 32) as u32 ^ c1 ^ key[0], p1 as u32, (p0 >> 32) as u32 ^ c3 ^ key[1], p0 as u32];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

/// The middle of the interval that the bits represent, in (0, 1).
fn unit(bits: u32) -> f64 {
    (f64::from(bits) + 0.5) / (1u64 << 32) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the Random123 distribution.
    #[test]
    fn known_answers() {
        assert_eq!(philox4x32_10([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = philox4x32_10([u32::MAX; 4], [u32::MAX; 2]);
        assert_eq!(ones, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

    #[test]
    fn every_call_moves_on() {
        let mut a = Philox::new(5);
        a.rand(3);
        assert_eq!(a.randn(8), Philox::at(5, 1).randn(8));
        assert_ne!(a.randn(8), Philox::at(5, 1).randn(8));
    }
}
