//! MT19937 with the drawing rules of PyTorch's CPU generator: the noise of a diffusers pipeline from its seed alone.
//!
//! Source: Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8(1), 1998, and the reference code of 2002 for the
//! two ways of seeding; for the rules of drawing, the README of the reference set and ATen's CPU kernels.

use super::Generator;
use std::f64::consts::TAU;

const N: usize = 624;
const M: usize = 397;
/// With fewer values than this, torch draws normal numbers one by one; with more, in blocks of this size.
const BLOCK: usize = 16;

/// The generator behind `torch.Generator().manual_seed(seed)` on the CPU.
///
/// A clone draws the same numbers as the original: see the module [`random`](super).
#[derive(Clone)]
pub struct Mt19937 {
    state: [u32; N],
    next: usize,
    /// The second normal value of a pair, kept for the next small call; a large call does not use it.
    spare: Option<f64>,
}

impl std::fmt::Debug for Mt19937 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mt19937").field("next", &self.next).field("spare", &self.spare).finish_non_exhaustive()
    }
}

impl Mt19937 {
    /// As torch's `manual_seed`: only the low 32 bits of the seed count.
    pub fn new(seed: u64) -> Self {
        let mut state = [seed as u32; N];
        for i in 1..N {
            let previous = state[i - 1];
            state[i] = 1_812_433_253u32.wrapping_mul(previous ^ (previous >> 30)).wrapping_add(i as u32);
        }
        Self { state, next: N, spare: None }
    }

    /// Seeds the whole state from a key of any length above 0 (`init_by_array` of the reference code, and numpy's
    /// `RandomState` with a list of integers).
    ///
    /// # Panics
    /// On an empty key.
    pub fn from_key(key: &[u32]) -> Self {
        assert!(!key.is_empty(), "the key of a generator is empty");
        let mut mt = Self::new(19_650_218);
        let s = &mut mt.state;
        let mut i = 1;
        for k in 0..N.max(key.len()) {
            let j = k % key.len();
            s[i] = (s[i] ^ (s[i - 1] ^ (s[i - 1] >> 30)).wrapping_mul(1_664_525))
                .wrapping_add(key[j])
                .wrapping_add(j as u32);
            i = advance(s, i);
        }
        for _ in 1..N {
            s[i] = (s[i] ^ (s[i - 1] ^ (s[i - 1] >> 30)).wrapping_mul(1_566_083_941)).wrapping_sub(i as u32);
            i = advance(s, i);
        }
        s[0] = 1 << 31;
        mt
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// The next 64 bits: two draws, the high word first.
    pub fn next_u64(&mut self) -> u64 {
        let high = u64::from(self.next_u32());
        (high << 32) | u64::from(self.next_u32())
    }

    /// One `torch.rand` value: a multiple of 2^-24 in [0, 1).
    pub fn uniform(&mut self) -> f32 {
        (self.next_u32() & 0x00ff_ffff) as f32 / (1u32 << 24) as f32
    }

    /// One `torch.rand(dtype=float64)` value: a multiple of 2^-53 in [0, 1).
    pub fn uniform_f64(&mut self) -> f64 {
        (self.next_u64() & ((1 << 53) - 1)) as f64 / (1u64 << 53) as f64
    }

    /// `torch.randint(low, high, (n,))`: integers in `low..high`, by remainder as in torch, with its slight bias.
    ///
    /// # Panics
    /// If `low >= high`.
    pub fn randint(&mut self, low: i64, high: i64, n: usize) -> Vec<i64> {
        assert!(low < high, "randint from {low} to {high}: the range is empty");
        let range = high.wrapping_sub(low) as u64;
        let wide = range >= 1 << 28;
        let mut draw = || if wide { self.next_u64() } else { u64::from(self.next_u32()) };
        (0..n).map(|_| low.wrapping_add((draw() % range) as i64)).collect()
    }

    /// `torch.randn(n, dtype=float64)`.
    pub fn randn_f64(&mut self, n: usize) -> Vec<f64> {
        if n < BLOCK { self.randn_in_pairs(n) } else { self.randn_in_blocks(n, Self::uniform_f64) }
    }

    /// Each pair (u1, u2) gives a cosine value for this call and a sine value for the next.
    fn randn_in_pairs(&mut self, n: usize) -> Vec<f64> {
        let mut draw = || {
            if let Some(value) = self.spare.take() {
                return value;
            }
            let (u1, u2) = (self.uniform_f64(), self.uniform_f64());
            let r = (-2.0 * (-u2).ln_1p()).sqrt();
            self.spare = Some(r * (TAU * u1).sin());
            r * (TAU * u1).cos()
        };
        (0..n).map(|_| draw()).collect()
    }

    /// n uniforms, transformed to normal values block by block. If the last block is incomplete, torch draws the last
    /// 16 values a second time and overwrites them.
    fn randn_in_blocks(&mut self, n: usize, uniform: fn(&mut Self) -> f64) -> Vec<f64> {
        let mut x: Vec<f64> = (0..n).map(|_| uniform(self)).collect();
        x.chunks_exact_mut(BLOCK).for_each(box_muller);
        if !n.is_multiple_of(BLOCK) {
            let last = &mut x[n - BLOCK..];
            last.iter_mut().for_each(|value| *value = uniform(self));
            box_muller(last);
        }
        x
    }

    fn twist(&mut self) {
        for i in 0..N {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }
}

impl Generator for Mt19937 {
    /// `torch.rand(n)`, exactly.
    fn rand(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.uniform()).collect()
    }

    /// `torch.randn(n)` to about 2e-6. The logarithm, sine and cosine are computed in double precision and rounded
    /// once, so that a native build and the browser agree; torch's vectorised ones are in single precision.
    fn randn(&mut self, n: usize) -> Vec<f32> {
        let drawn = if n < BLOCK { self.randn_in_pairs(n) } else { self.randn_in_blocks(n, |mt| mt.uniform().into()) };
        drawn.into_iter().map(|value| value as f32).collect()
    }
}

/// Transforms 16 uniforms to 16 normal values; values j and j + 8 are a pair.
fn box_muller(block: &mut [f64]) {
    let (first, second) = block.split_at_mut(BLOCK / 2);
    for (a, b) in first.iter_mut().zip(second) {
        let (r, theta) = ((-2.0 * (1.0 - *a).ln()).sqrt(), TAU * *b);
        (*a, *b) = (r * theta.cos(), r * theta.sin());
    }
}

/// The next index of the seeding, which runs through 1..N and copies the last word to the first when it wraps around.
fn advance(state: &mut [u32; N], i: usize) -> usize {
    if i + 1 < N {
        return i + 1;
    }
    state[0] = state[N - 1];
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first lines of mt19937ar.out, which the authors published with their code.
    #[test]
    fn key_of_the_authors() {
        let mut mt = Mt19937::from_key(&[0x123, 0x234, 0x345, 0x456]);
        let drawn: Vec<u32> = (0..5).map(|_| mt.next_u32()).collect();
        assert_eq!(drawn, [1_067_595_299, 955_945_823, 477_289_528, 4_107_218_783, 4_228_976_476]);
    }

    /// The 10,000th output for the default seed, which the C++ standard specifies for std::mt19937.
    #[test]
    fn ten_thousandth_of_the_standard() {
        let mut mt = Mt19937::new(5489);
        assert_eq!((0..10_000).map(|_| mt.next_u32()).last(), Some(4_123_659_995));
    }

    #[test]
    fn high_bits_of_the_seed_are_ignored_as_in_torch() {
        assert_eq!(Mt19937::new(7).next_u32(), Mt19937::new(7 + (5 << 32)).next_u32());
    }

    /// By torch 2.15, on both sides of the width from which it draws 64 bits.
    #[test]
    fn randint_changes_its_width_where_torch_does() {
        let draw = |high| Mt19937::new(5).randint(0, high, 3);
        assert_eq!(draw((1 << 28) - 1), [148_147_046, 236_996_814, 250_105_852]);
        assert_eq!(draw(1 << 28), [236_996_814, 80_864_957, 220_060_790]);
        assert_eq!(draw((1 << 28) + 1), [14_127_830, 105_703_583, 241_507_910]);
    }

    #[test]
    fn large_call_leaves_the_spare() {
        let (mut a, mut b) = (Mt19937::new(1), Mt19937::new(1));
        let pair = a.randn(2);
        assert_eq!(b.randn(1)[0], pair[0]);
        b.randn(16);
        assert_eq!(b.randn(1)[0], pair[1]);
    }

    #[test]
    fn nothing_asked_nothing_drawn() {
        let mut mt = Mt19937::new(1);
        assert!(mt.rand(0).is_empty() && mt.randn(0).is_empty() && mt.randint(0, 5, 0).is_empty());
        assert_eq!(mt.next_u32(), Mt19937::new(1).next_u32());
    }
}
