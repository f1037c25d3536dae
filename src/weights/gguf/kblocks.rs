//! The K-quants of llama.cpp: blocks of 256 numbers in groups of 16 or 32, whose own scales (and, in Q2, Q4 and Q5, offsets) are
//! small integers. Each function widens one block; the order of the operations is that of the package `gguf`, so that
//! results agree to the last bit.

use half::f16;

/// Q2_K: 16 bytes of scales and offsets, 64 of codes, d, dmin.
pub(super) fn q2(block: &[u8], to: &mut [f32]) {
    let (scales, codes) = (&block[..16], &block[16..80]);
    let (d, dmin) = (half(block, 80), half(block, 82));
    for (i, to) in to.iter_mut().enumerate() {
        let group = scales[i / 16];
        *to = d * f32::from(group & 15) * f32::from(pair(codes, i)) - dmin * f32::from(group >> 4);
    }
}

/// Q3_K: 32 bytes of high bits, 64 of low ones, 12 of scales, d.
pub(super) fn q3(block: &[u8], to: &mut [f32]) {
    let (high, codes, packed) = (&block[..32], &block[32..96], &block[96..108]);
    let d = half(block, 108);
    // Scales of six bits: the low four of 0 to 7 and of 8 to 15 share a byte, the high two of four share one.
    let scale = |g: usize| {
        let (low, high) = (packed[g % 8] >> (g / 8 * 4) & 15, packed[8 + g % 4] >> (g / 4 * 2) & 3);
        f32::from((low | high << 4) as i8 - 32)
    };
    for (i, to) in to.iter_mut().enumerate() {
        let lowered = high[i % 32] >> (i / 32) & 1 ^ 1;
        *to = d * scale(i / 16) * f32::from(pair(codes, i) as i8 - (lowered << 2) as i8);
    }
}

/// Q4_K: d, dmin, 12 bytes of scales and offsets, 128 of codes.
pub(super) fn q4(block: &[u8], to: &mut [f32]) {
    let (d, dmin, packed, codes) = (half(block, 0), half(block, 2), &block[4..16], &block[16..144]);
    for (i, to) in to.iter_mut().enumerate() {
        let (scale, offset) = scale_and_offset(packed, i / 32);
        *to = d * scale * f32::from(nibble(codes, i)) - dmin * offset;
    }
}

/// Q5_K: as Q4_K, with 32 bytes of fifth bits before the codes.
pub(super) fn q5(block: &[u8], to: &mut [f32]) {
    let (d, dmin, packed) = (half(block, 0), half(block, 2), &block[4..16]);
    let (high, codes) = (&block[16..48], &block[48..176]);
    for (i, to) in to.iter_mut().enumerate() {
        let (scale, offset) = scale_and_offset(packed, i / 32);
        let code = nibble(codes, i) | (high[i % 32] >> (i / 32) & 1) << 4;
        *to = d * scale * f32::from(code) - dmin * offset;
    }
}

/// Q6_K: 128 bytes of low halves, 64 of high bits, 16 scales, d.
pub(super) fn q6(block: &[u8], to: &mut [f32]) {
    let (low, high, scales, d) = (&block[..128], &block[128..192], &block[192..208], half(block, 208));
    for (i, to) in to.iter_mut().enumerate() {
        let low = low[i / 128 * 64 + i % 64] >> (i / 64 % 2 * 4) & 15;
        let code = (low | pair(high, i) << 4) as i8 - 32;
        *to = d * f32::from(scales[i / 16] as i8) * f32::from(code);
    }
}

/// The f16 at byte `at`.
pub(super) fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Two bits of number `i`: 32 bytes hold 128 numbers, those of 32 neighbours in the same place of each byte.
fn pair(codes: &[u8], i: usize) -> u8 {
    codes[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3
}

/// Four bits of number `i`: 32 bytes hold 64 numbers.
fn nibble(codes: &[u8], i: usize) -> u8 {
    codes[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15
}

/// Of group `g` of eight: six bits each in twelve bytes.
fn scale_and_offset(packed: &[u8], g: usize) -> (f32, f32) {
    let (scales, offsets, rest) = (&packed[..4], &packed[4..8], &packed[8..]);
    let (scale, offset) = match g {
        0..4 => (scales[g] & 63, offsets[g] & 63),
        _ => {
            let g = g - 4;
            (rest[g] & 15 | scales[g] >> 2 & 48, rest[g] >> 4 | offsets[g] >> 2 & 48)
        }
    };
    (f32::from(scale), f32::from(offset))
}
