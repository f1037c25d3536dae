//! Decodes a large picture in overlapping tiles that are blended: diffusers' `AutoencoderKL.tiled_decode`, with its
//! names. No activation is larger than that of a tile. But each tile is normalised separately, so tones may differ a
//! little from one tile to the next.

use burn::tensor::{Device, Tensor, TensorData};

/// How a picture is divided into tiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tiling {
    /// Side of a tile in pixels; a picture up to that size is decoded whole.
    pub tile_sample_min_size: usize,
    /// The same side in latents.
    pub tile_latent_min_size: usize,
    /// The share of a tile that the next one overlaps.
    pub tile_overlap_factor: f64,
}

impl Tiling {
    /// Tiles of this many pixels (rounded down to a multiple of `scale`, the pixels of a latent); each overlaps the
    /// next by a quarter.
    pub fn new(tile_sample_min_size: usize, scale: usize) -> Self {
        let tile_latent_min_size = (tile_sample_min_size / scale).max(1);
        let tile_sample_min_size = tile_latent_min_size * scale;
        Self { tile_sample_min_size, tile_latent_min_size, tile_overlap_factor: 0.25 }
    }

    /// Whether latents `[batch, c, h, w]` are divided at all.
    pub fn cuts(&self, latents: &Tensor<4>) -> bool {
        let [_, _, height, width] = latents.dims();
        height > self.tile_latent_min_size || width > self.tile_latent_min_size
    }

    /// Decodes latents `[batch, c, h, w]` to pictures `[batch, channels, h · f, w · f]`, tile by tile with `decode`.
    pub fn decode(&self, latents: Tensor<4>, decode: impl Fn(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
        if !self.cuts(&latents) {
            return decode(latents);
        }
        let part = |size: usize, factor: f64| (size as f64 * factor) as usize;
        let step = part(self.tile_latent_min_size, 1.0 - self.tile_overlap_factor).max(1);
        // As in diffusers if its sizes are whole numbers; otherwise the kept part of a tile still ends where the next
        // begins.
        let limit = step * self.tile_sample_min_size / self.tile_latent_min_size;
        let fade = self.tile_sample_min_size - limit;
        let [_, _, height, width] = latents.dims();
        let mut above: Vec<Tensor<4>> = Vec::new();
        let mut lines = Vec::new();
        for top in (0..height).step_by(step) {
            let mut row: Vec<Tensor<4>> = Vec::new();
            for left in (0..width).step_by(step) {
                let mut tile = decode(self.tile(&latents, top, left));
                if let Some(above) = above.get(row.len()) {
                    tile = blend(above, tile, 2, fade);
                }
                if let Some(before) = row.last() {
                    tile = blend(before, tile, 3, fade);
                }
                row.push(tile);
            }
            let cut = row.iter().map(|tile| first(first(tile.clone(), 2, limit), 3, limit));
            lines.push(Tensor::cat(cut.collect(), 3));
            above = row;
        }
        Tensor::cat(lines, 2)
    }

    fn tile(&self, latents: &Tensor<4>, top: usize, left: usize) -> Tensor<4> {
        let [batch, channels, height, width] = latents.dims();
        let (bottom, right) = (top + self.tile_latent_min_size, left + self.tile_latent_min_size);
        latents.clone().slice([0..batch, 0..channels, top..bottom.min(height), left..right.min(width)])
    }
}

/// `b` with its first `extent` lines along `dim` blended with the last ones of `a`.
fn blend(a: &Tensor<4>, b: Tensor<4>, dim: usize, extent: usize) -> Tensor<4> {
    let (before, size) = (a.dims()[dim], b.dims()[dim]);
    let extent = extent.min(before).min(size);
    if extent == 0 {
        return b;
    }
    let share = ramp(extent, dim, &b.device());
    let old = a.clone().narrow(dim, before - extent, extent) * (share.clone().neg() + 1.0);
    let mixed = old + b.clone().narrow(dim, 0, extent) * share;
    match size > extent {
        true => Tensor::cat(vec![mixed, b.narrow(dim, extent, size - extent)], dim),
        false => mixed,
    }
}

/// 0, 1/n, 2/n … along `dim`.
fn ramp(n: usize, dim: usize, device: &Device) -> Tensor<4> {
    let mut shape = [1; 4];
    shape[dim] = n;
    let values: Vec<f32> = (0..n).map(|i| i as f32 / n as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn first(x: Tensor<4>, dim: usize, count: usize) -> Tensor<4> {
    let count = count.min(x.dims()[dim]);
    x.narrow(dim, 0, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::nearest;
    use crate::random::{Generator, stream};

    fn values(x: Tensor<4>) -> Vec<f32> {
        x.into_data().try_into_vec().unwrap()
    }

    fn noise(shape: [usize; 4]) -> Tensor<4> {
        let values = stream(3, "tiles", 0).randn(shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    /// A decoder in which neighbours do not matter: every latent becomes a square of four pixels.
    fn squares(x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        nearest(x.repeat_dim(1, 3), [2 * height, 2 * width])
    }

    /// Where tiles agree, blending changes nothing, whatever the sizes are.
    #[test]
    fn tiles_of_a_local_decoder_join_without_a_seam() {
        for (height, width, tile) in [(5, 5, 8), (9, 4, 8), (12, 17, 8), (31, 13, 12), (8, 33, 16)] {
            let latents = noise([2, 1, height, width]);
            let tiled = Tiling::new(tile, 2).decode(latents.clone(), squares);
            let whole = squares(latents);
            assert_eq!(tiled.dims(), whole.dims());
            let apart = values(tiled).iter().zip(values(whole)).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            assert!(apart < 1e-6, "{height} x {width} in tiles of {tile}: {apart}");
        }
    }

    /// diffusers: b[y] = a[-extent + y] · (1 - y / extent) + b[y] · y / extent.
    #[test]
    fn a_tile_fades_in_over_the_one_before() {
        let constant = |value: f32, size: usize| Tensor::<4>::full([1, 1, size, 1], value, &Device::flex());
        assert_eq!(values(blend(&constant(1.0, 5), constant(3.0, 6), 2, 4)), [1.0, 1.5, 2.0, 2.5, 3.0, 3.0]);
        assert_eq!(values(blend(&constant(1.0, 2), constant(3.0, 6), 2, 4)), [1.0, 2.0, 3.0, 3.0, 3.0, 3.0]);
    }

    #[test]
    fn no_tile_is_larger_than_asked() {
        let largest = std::cell::Cell::new(0);
        let watched = |x: Tensor<4>| {
            largest.set(largest.get().max(x.dims()[2]).max(x.dims()[3]));
            squares(x)
        };
        Tiling::new(16, 2).decode(noise([1, 1, 40, 21]), watched);
        assert_eq!(largest.get(), 8);
    }
}
