//! The gradients of a convolution, for training. They use tiles like the forward pass, with the two products in the
//! other direction.

use super::*;
use crate::kernels::lanes::{self, wide};

/// The gradients of `x`, `weight` and `bias` for the gradient `dy` of the output.
pub fn conv2d_backward(x: &[f32], weight: &[f32], dy: &[f32], sizes: &Conv2dSizes) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; weight.len()], vec![0.0; sizes.channels_out]);
    for (i, places) in dy.chunks_exact(sizes.places()).enumerate() {
        db[i % sizes.channels_out] += wide(
            #[inline(always)]
            || lanes::sum(places, |dy| dy),
        );
    }
    let out = Share::new(&mut dx);
    let parts = for_each_share(shares(sizes.batch), |pictures| {
        let mut part = vec![0.0; weight.len()];
        let tiles: Vec<Tile> = tiles(sizes, 0).into_iter().filter_map(|tile| tile.within(&pictures)).collect();
        let mut scratch = Scratch::new(sizes, &tiles);
        for tile in &tiles {
            scratch.read(x, tile);
            scratch.unfold(tile);
            scratch.read_output(dy, tile);
            product(scratch.values(tile), scratch.columns(tile).transposed(), &mut part, true);
            let mut columns = std::mem::take(&mut scratch.columns);
            let weight = Matrix::rows(weight, sizes.window()).transposed();
            product(weight, scratch.values(tile), &mut columns[..sizes.window() * tile.places(sizes)], false);
            scratch.columns = columns;
            scratch.fold(tile);
            // SAFETY: shares do not overlap in their pictures.
            unsafe { scratch.add_to(&out, tile) };
        }
        part
    });
    for part in parts {
        dw.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    (dx, dw, db)
}

impl Tile {
    /// The part of the tile within some pictures.
    fn within(self, pictures: &std::ops::Range<usize>) -> Option<Self> {
        let first = self.picture.max(pictures.start);
        let end = (self.picture + self.pictures).min(pictures.end);
        (first < end).then(|| Self { picture: first, pictures: end - first, ..self })
    }
}

impl Scratch<'_> {
    fn values(&self, tile: &Tile) -> Matrix<'_> {
        let places = tile.places(self.sizes);
        Matrix::rows(&self.values[..self.sizes.channels_out * places], places)
    }

    /// Adds the gradient in `padded` to the input's.
    ///
    /// # Safety
    /// No other thread may use this tile's pictures.
    unsafe fn add_to(&self, dx: &Share<f32>, tile: &Tile) {
        let width = self.sizes.size[1];
        for (from, to) in self.lines(tile) {
            // SAFETY: by the caller's promise.
            let line = unsafe { dx.slice(to..to + width) };
            line.iter_mut().zip(&self.padded[from..from + width]).for_each(|(sum, part)| *sum += part);
        }
    }

    /// The reverse of [`Self::unfold`]: sums over all windows that contain a number.
    fn fold(&mut self, tile: &Tile) {
        let (numbers, corners) = (self.numbers(tile), self.corners(tile));
        let (width, stride) = (self.sizes.output()[1], self.sizes.stride);
        let (padded, columns) = (&mut self.padded, &self.columns);
        padded.fill(0.0);
        match (stride, width) {
            (1, 4) => fold_lines::<4>(padded, columns, &numbers, &corners),
            (1, 8) => fold_lines::<8>(padded, columns, &numbers, &corners),
            (1, 16) => fold_lines::<16>(padded, columns, &numbers, &corners),
            (1, 32) => fold_lines::<32>(padded, columns, &numbers, &corners),
            _ => {
                for (line, to) in columns.chunks_exact(width).zip(pairs(&numbers, &corners)) {
                    padded[to..].iter_mut().step_by(stride).zip(line).for_each(|(sum, part)| *sum += part);
                }
            }
        }
    }

    fn read_output(&mut self, dy: &[f32], tile: &Tile) {
        let run = tile.lines * self.sizes.output()[1];
        for (_, to, from) in self.runs(tile) {
            self.values[to..to + run].copy_from_slice(&dy[from..from + run]);
        }
    }
}

fn fold_lines<const W: usize>(padded: &mut [f32], columns: &[f32], numbers: &[usize], corners: &[usize]) {
    let lines = columns.as_chunks::<W>().0;
    for (lines, number) in lines.chunks_exact(corners.len()).zip(numbers) {
        for (line, corner) in lines.iter().zip(corners) {
            let sums = padded[number + corner..].first_chunk_mut::<W>().expect("windows lie within");
            sums.iter_mut().zip(line).for_each(|(sum, part)| *sum += part);
        }
    }
}
