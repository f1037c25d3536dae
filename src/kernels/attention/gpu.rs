//! Attention on a GPU in tiles, with the softmax computed on the fly (Milakov & Gimelshein, 2018; Dao et al., 2022). A
//! workgroup of 256 invocations compares 64 queries of a head with 32 keys at a time, so it never holds more than 64 x
//! 32 scores.
//!
//! Workgroup memory (16128 bytes): scores; a chunk of queries and keys, later of values; and the largest score of each
//! query. The four numbers of a quad of scores belong to keys that are eight apart. Then neighbouring invocations read
//! neighbouring keys, which lie in different banks.

#![allow(clippy::assign_op_pattern, clippy::collapsible_if, reason = "the kernel compiler reads these forms")]

use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::super::launch;
use super::super::tile::{Quad, fused};
use super::AttentionSizes;

/// Queries for each workgroup.
const QUERIES: usize = 64;
/// A value smaller than every score.
const NONE: f32 = -1.0e30;

/// Attention of `q` `[batch, queries, heads · d]` to `k` and `v` `[batch, keys, heads · d]`, with the result in the
/// shape of `q`.
pub fn attention(q: CubeTensor, k: CubeTensor, v: CubeTensor, sizes: &AttentionSizes) -> CubeTensor {
    let y = empty_device_contiguous_dtype(q.client.clone(), q.device.clone(), q.shape(), DType::F32);
    let tiles = [sizes.queries.div_ceil(QUERIES), sizes.heads, sizes.batch];
    // SAFETY: every index is checked against the sizes, and the buffers have those sizes.
    #[allow(unsafe_code)]
    unsafe {
        kernel::launch_unchecked(
            &y.client,
            launch::count(tiles),
            CubeDim::new_1d(256),
            launch::buffer(&launch::contiguous(q)),
            launch::buffer(&launch::contiguous(k)),
            launch::buffer(&launch::contiguous(v)),
            launch::buffer(&y),
            sizes.queries as u32,
            sizes.keys as u32,
            sizes.heads as u32,
            1.0 / (sizes.features as f32).sqrt(),
            sizes.features,
            sizes.causal,
        );
    }
    y
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn kernel(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    y: &mut [f32],
    queries: u32,
    keys: u32,
    heads: u32,
    scale: f32,
    #[comptime] features: usize,
    #[comptime] causal: bool,
) {
    let (queries, keys) = (queries as usize, keys as usize);
    let token = heads as usize * features;
    let head = CUBE_POS_Y as usize * features;
    let q_base = CUBE_POS_Z as usize * queries * token + head;
    let k_base = CUBE_POS_Z as usize * keys * token + head;
    let first = CUBE_POS_X as usize * 64;
    let mut scores = Shared::<[Quad]>::new_slice(512usize);
    let mut stage = Shared::<[Quad]>::new_slice(480usize);
    let mut peaks = Shared::<[f32]>::new_slice(64usize);
    let unit = UNIT_POS as usize;
    // This invocation's results: queries `down * 4 + i`, features `across` and `across + 16` of each chunk of 32.
    let (down, across) = (unit / 16, unit % 16);
    let chunks = comptime!(features.div_ceil(32));
    let mut sums = Array::<f32>::new(comptime!(chunks * 8));
    let mut weights = Array::<f32>::new(4usize);
    let mut known = Array::<f32>::new(4usize);
    #[unroll]
    for i in 0..4usize {
        known[i] = f32::new(NONE);
    }
    let mut peak = f32::new(NONE);
    let mut tiles = keys.div_ceil(32usize);
    if comptime!(causal) {
        tiles = min(tiles, CUBE_POS_X as usize * 2 + 2);
    }
    for tile in 0..tiles {
        let mut own = Array::<f32>::new(8usize);
        score(q, k, q_base, k_base, first, tile * 32, queries, keys, token, &mut stage, &mut own, features);
        mask(&mut own, &mut scores, first, tile * 32, keys, scale, causal);
        sync_cube();
        if unit < 64 {
            peak = max(peak, largest(&scores, unit));
            peaks[unit] = peak;
        }
        sync_cube();
        weigh(&own, &mut scores, &peaks);
        #[unroll]
        for i in 0..4usize {
            let new = peaks[down * 4 + i];
            let fade = (known[i] - new).exp();
            known[i] = new;
            weights[i] = weights[i] * fade;
            #[unroll]
            for c in 0..comptime!(chunks * 2) {
                sums[c * 4 + i] = sums[c * 4 + i] * fade;
            }
        }
        #[unroll]
        for chunk in 0..chunks {
            sync_cube();
            stage_values(v, k_base, tile * 32, chunk * 32, keys, token, &mut stage, features);
            sync_cube();
            gather(&scores, &stage, &mut sums, &mut weights, chunk);
        }
    }
    #[unroll]
    for c in 0..comptime!(chunks * 2) {
        let feature = across + c * 16;
        #[unroll]
        for i in 0..4usize {
            let query = first + down * 4 + i;
            if feature < features && query < queries {
                y[q_base + query * token + feature] = sums[c * 4 + i] / weights[i];
            }
        }
    }
}

/// Products of queries `pair * 2 + r` and keys `lane + 8 j` into `own[r * 4 + j]`.
#[cube]
#[allow(clippy::too_many_arguments)]
fn score(
    q: &[f32],
    k: &[f32],
    q_base: usize,
    k_base: usize,
    first_query: usize,
    first_key: usize,
    queries: usize,
    keys: usize,
    token: usize,
    stage: &mut Shared<[Quad]>,
    own: &mut Array<f32>,
    #[comptime] features: usize,
) {
    let unit = UNIT_POS as usize;
    let (pair, lane) = (unit / 8, unit % 8);
    let (row, quad) = (unit / 4, unit % 4);
    for chunk in 0..comptime!(features.div_ceil(16)) {
        let feature = chunk * 16 + quad * 4;
        sync_cube();
        stage[row * 5 + quad] = load(q, q_base, first_query + row, queries, feature, token, features);
        if row < 32 {
            stage[320 + row * 5 + quad] = load(k, k_base, first_key + row, keys, feature, token, features);
        }
        sync_cube();
        #[unroll]
        for i in 0..4usize {
            let one = stage[pair * 10 + i];
            let two = stage[pair * 10 + 5 + i];
            #[unroll]
            for j in 0..4usize {
                let key = stage[320 + (lane + j * 8) * 5 + i];
                own[j] = fused(one, key, own[j]);
                own[4 + j] = fused(two, key, own[4 + j]);
            }
        }
    }
}

/// Features `feature..feature + 4` of a token; zeros beyond the end.
#[cube]
fn load(
    x: &[f32],
    base: usize,
    row: usize,
    rows: usize,
    feature: usize,
    token: usize,
    #[comptime] features: usize,
) -> Quad {
    let mut quad = Quad::new(0.0f32);
    if row < rows {
        #[unroll]
        for l in 0..4usize {
            if feature + l < features {
                quad.insert(l, x[base + row * token + feature + l]);
            }
        }
    }
    quad
}

/// Scales this invocation's scores, masks those that do not count, and shares them with the others.
#[cube]
fn mask(
    own: &mut Array<f32>,
    scores: &mut Shared<[Quad]>,
    first_query: usize,
    first_key: usize,
    keys: usize,
    scale: f32,
    #[comptime] causal: bool,
) {
    let unit = UNIT_POS as usize;
    let (pair, lane) = (unit / 8, unit % 8);
    #[unroll]
    for r in 0..2usize {
        let mut quad = Quad::new(0.0f32);
        #[unroll]
        for j in 0..4usize {
            let key = first_key + lane + j * 8;
            let mut score = own[r * 4 + j] * scale;
            if key >= keys {
                score = f32::new(NONE);
            }
            if comptime!(causal) {
                if key > first_query + pair * 2 + r {
                    score = f32::new(NONE);
                }
            }
            own[r * 4 + j] = score;
            quad.insert(j, score);
        }
        scores[(pair * 2 + r) * 8 + lane] = quad;
    }
}

/// The largest of a query's 32 scores. Every invocation starts at a different one, so that they read different banks.
#[cube]
fn largest(scores: &Shared<[Quad]>, query: usize) -> f32 {
    let mut largest = f32::new(NONE);
    for i in 0..8usize {
        let quad = scores[query * 8 + (query + i) % 8];
        #[unroll]
        for l in 0..4usize {
            largest = max(largest, quad.extract(l));
        }
    }
    largest
}

/// Replaces this invocation's scores by e^(score - largest).
#[cube]
fn weigh(own: &Array<f32>, scores: &mut Shared<[Quad]>, peaks: &Shared<[f32]>) {
    let unit = UNIT_POS as usize;
    let (pair, lane) = (unit / 8, unit % 8);
    #[unroll]
    for r in 0..2usize {
        let peak = peaks[pair * 2 + r];
        let mut quad = Quad::new(0.0f32);
        #[unroll]
        for j in 0..4usize {
            quad.insert(j, (own[r * 4 + j] - peak).exp());
        }
        scores[(pair * 2 + r) * 8 + lane] = quad;
    }
}

/// Loads 32 features of 32 values, with keys in the order of the scores' quads.
#[cube]
#[allow(clippy::too_many_arguments)]
fn stage_values(
    v: &[f32],
    base: usize,
    first_key: usize,
    first_feature: usize,
    keys: usize,
    token: usize,
    stage: &mut Shared<[Quad]>,
    #[comptime] features: usize,
) {
    let unit = UNIT_POS as usize;
    let (feature, lane) = (unit % 32, unit / 32);
    let mut quad = Quad::new(0.0f32);
    #[unroll]
    for j in 0..4usize {
        let key = first_key + lane + j * 8;
        if key < keys && first_feature + feature < features {
            quad.insert(j, v[base + key * token + first_feature + feature]);
        }
    }
    stage[feature * 9 + lane] = quad;
}

/// Adds the loaded values with their weights; with the first chunk, also the weights themselves.
#[cube]
fn gather(
    scores: &Shared<[Quad]>,
    stage: &Shared<[Quad]>,
    sums: &mut Array<f32>,
    weights: &mut Array<f32>,
    #[comptime] chunk: usize,
) {
    let unit = UNIT_POS as usize;
    let (down, across) = (unit / 16, unit % 16);
    for lane in 0..8usize {
        let one = stage[across * 9 + lane];
        let two = stage[(across + 16) * 9 + lane];
        #[unroll]
        for i in 0..4usize {
            let score = scores[(down * 4 + i) * 8 + lane];
            sums[chunk * 8 + i] = fused(score, one, sums[chunk * 8 + i]);
            sums[chunk * 8 + 4 + i] = fused(score, two, sums[chunk * 8 + 4 + i]);
            if comptime!(chunk == 0) {
                weights[i] = fused(score, Quad::new(1.0f32), weights[i]);
            }
        }
    }
}
