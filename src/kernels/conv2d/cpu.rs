//! Two-dimensional convolution on the processor, forwards and backwards: the windows of a tile of places become the
//! columns of a matrix, and the rest is one matrix product for each tile (Chellapilla et al., 2006).
//!
//! burn's own convolution converts the layout and multiplies sample by sample. For the small pictures of training, that
//! is most of the time. Here several small pictures share a tile, so that the product stays large, and nothing is
//! transposed.

use super::super::BLOCK;
use super::super::packed::PackedRows;
use super::super::parallel::{Share, for_each_share, shares};
use super::super::product::{Matrix, product};
use super::Conv2dSizes;

#[cfg(feature = "fit")]
mod backward;
#[cfg(feature = "fit")]
pub use backward::conv2d_backward;

/// A weight `[channels_out, channels_in, kh, kw]`.
#[derive(Clone, Copy)]
pub enum Weight<'a> {
    /// Floats in order.
    Floats(&'a [f32]),
    /// Blocks, of which some channels are widened at a time.
    Packed(PackedRows<'a>),
}

/// Number of channels whose packed weights are widened together.
const WIDENED: usize = 32;

/// Convolves `x` `[batch, channels_in, h, w]` with `bias` `[channels_out]` to `[batch, channels_out, h', w']`.
pub fn conv2d(x: &[f32], weight: Weight, bias: Option<&[f32]>, sizes: &Conv2dSizes) -> Vec<f32> {
    let mut y = vec![0.0; sizes.batch * sizes.channels_out * sizes.places()];
    let tiles = tiles(sizes, 1);
    let out = Share::new(&mut y);
    for_each_share(shares(tiles.len()), |range| {
        let mut scratch = Scratch::new(sizes, &tiles[range.clone()]);
        for tile in &tiles[range] {
            scratch.read(x, tile);
            scratch.unfold(tile);
            let mut values = std::mem::take(&mut scratch.values);
            let places = sizes.channels_out * tile.places(sizes);
            multiply(weight, scratch.columns(tile), &mut values[..places], sizes);
            scratch.values = values;
            // SAFETY: tiles do not share places.
            unsafe { scratch.write(&out, bias, tile) };
        }
    });
    y
}

/// `weight` times the columns of windows, into `values`, with a row for each channel.
fn multiply(weight: Weight, columns: Matrix, values: &mut [f32], sizes: &Conv2dSizes) {
    let window = sizes.window();
    let packed = match weight {
        Weight::Floats(weight) => return product(Matrix::rows(weight, window), columns, values, false),
        Weight::Packed(packed) => packed,
    };
    let (taps, places) = (sizes.kernel[0] * sizes.kernel[1], values.len() / sizes.channels_out);
    let mut scratch = vec![0.0; packed.packing.blocks() * BLOCK];
    let mut floats = vec![0.0; WIDENED * window];
    for (first, values) in (0..).step_by(WIDENED).zip(values.chunks_mut(WIDENED * places)) {
        let some = values.len() / places;
        for (i, floats) in floats.chunks_exact_mut(window).take(some).enumerate() {
            packed.widen_window(first + i, taps, &mut scratch, floats);
        }
        product(Matrix::rows(&floats[..some * window], window), columns, values, false);
    }
}

/// Whole pictures, or some lines of one picture's output.
#[derive(Clone, Copy, Debug)]
struct Tile {
    picture: usize,
    pictures: usize,
    line: usize,
    lines: usize,
}

/// Places in a tile: few enough that the columns fit into the second-level cache.
const PLACES: usize = 256;

/// The tiles in order. With `spread`, each has few enough pictures that every thread gets work.
fn tiles(sizes: &Conv2dSizes, spread: usize) -> Vec<Tile> {
    let [height, width] = sizes.output();
    let places = height * width;
    if places > 2 * PLACES {
        let lines = (PLACES / width).max(1);
        let bands = move |picture| {
            let band = move |line| Tile { picture, pictures: 1, line, lines: lines.min(height - line) };
            (0..height).step_by(lines).map(band)
        };
        return (0..sizes.batch).flat_map(bands).collect();
    }
    let fair = match spread {
        0 => sizes.batch,
        _ => sizes.batch.div_ceil(super::super::parallel::threads()),
    };
    let pictures = (PLACES / places.max(1)).clamp(1, fair.max(1));
    let whole = |picture| Tile { picture, pictures: pictures.min(sizes.batch - picture), line: 0, lines: height };
    (0..sizes.batch).step_by(pictures).map(whole).collect()
}

impl Tile {
    fn places(&self, sizes: &Conv2dSizes) -> usize {
        self.pictures * self.lines * sizes.output()[1]
    }
}

/// Buffers for one tile.
struct Scratch<'a> {
    sizes: &'a Conv2dSizes,
    /// `[pictures, channels_in, lines, width]` with the border of zeros.
    padded: Vec<f32>,
    /// `[channels_in · kh · kw, places]`.
    columns: Vec<f32>,
    /// `[channels_out, places]`.
    values: Vec<f32>,
}

impl<'a> Scratch<'a> {
    fn new(sizes: &'a Conv2dSizes, tiles: &[Tile]) -> Self {
        let places = tiles.iter().map(|tile| tile.places(sizes)).max().unwrap_or_default();
        let most = |of: fn(&Tile) -> usize| tiles.iter().map(of).max().unwrap_or_default();
        let (pictures, lines) = (most(|tile| tile.pictures), most(|tile| tile.lines));
        let mut scratch = Self {
            sizes,
            padded: Vec::new(),
            columns: vec![0.0; sizes.window() * places],
            values: vec![0.0; sizes.channels_out * places],
        };
        let whole = Tile { picture: 0, pictures, line: 0, lines };
        scratch.padded =
            vec![0.0; pictures * sizes.channels_in * scratch.padded_lines(&whole) * scratch.padded_width()];
        scratch
    }

    fn columns(&self, tile: &Tile) -> Matrix<'_> {
        let places = tile.places(self.sizes);
        Matrix::rows(&self.columns[..self.sizes.window() * places], places)
    }

    fn padded_width(&self) -> usize {
        self.sizes.size[1] + self.sizes.padding[0] + self.sizes.padding[1]
    }

    fn padded_lines(&self, tile: &Tile) -> usize {
        (tile.lines.max(1) - 1) * self.sizes.stride + self.sizes.kernel[0]
    }

    /// For each line of a tile's input that is not border: its start in `padded`, and in the whole input.
    fn lines(&self, tile: &Tile) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (sizes, tile) = (*self.sizes, *tile);
        let ([height, width], top) = (sizes.size, sizes.padding[0]);
        let (wide, high) = (self.padded_width(), self.padded_lines(&tile));
        let first = tile.line * sizes.stride;
        let inside = top.saturating_sub(first)..(height + top).saturating_sub(first).min(high);
        (0..tile.pictures * sizes.channels_in).flat_map(move |plane| {
            let from = (tile.picture * sizes.channels_in + plane) * height;
            let inside = inside.clone();
            inside.map(move |line| ((plane * high + line) * wide + top, (from + first + line - top) * width))
        })
    }

    fn read(&mut self, x: &[f32], tile: &Tile) {
        self.padded.fill(0.0);
        let width = self.sizes.size[1];
        for (to, from) in self.lines(tile) {
            self.padded[to..to + width].copy_from_slice(&x[from..from + width]);
        }
    }

    /// Positions of a window's numbers in `padded`, relative to its corner.
    fn numbers(&self, tile: &Tile) -> Vec<usize> {
        let (wide, high) = (self.padded_width(), self.padded_lines(tile));
        let [kernel_h, kernel_w] = self.sizes.kernel;
        let line = |c: usize, ky: usize| (0..kernel_w).map(move |kx| (c * high + ky) * wide + kx);
        (0..self.sizes.channels_in).flat_map(|c| (0..kernel_h).flat_map(move |ky| line(c, ky))).collect()
    }

    /// The corner of the first window of each line of places.
    fn corners(&self, tile: &Tile) -> Vec<usize> {
        let (wide, high) = (self.padded_width(), self.padded_lines(tile));
        let (picture, line) = (self.sizes.channels_in * high * wide, self.sizes.stride * wide);
        (0..tile.pictures).flat_map(|i| (0..tile.lines).map(move |j| i * picture + j * line)).collect()
    }

    fn unfold(&mut self, tile: &Tile) {
        let (numbers, corners) = (self.numbers(tile), self.corners(tile));
        let (width, stride) = (self.sizes.output()[1], self.sizes.stride);
        let (padded, columns) = (&self.padded, &mut self.columns);
        match (stride, width) {
            (1, 4) => unfold_lines::<4>(padded, columns, &numbers, &corners),
            (1, 8) => unfold_lines::<8>(padded, columns, &numbers, &corners),
            (1, 16) => unfold_lines::<16>(padded, columns, &numbers, &corners),
            (1, 32) => unfold_lines::<32>(padded, columns, &numbers, &corners),
            _ => {
                for (line, from) in columns.chunks_exact_mut(width).zip(pairs(&numbers, &corners)) {
                    line.iter_mut().zip(padded[from..].iter().step_by(stride)).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }

    /// For each channel and picture: the position of its places in `values` and in the output.
    fn runs(&self, tile: &Tile) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let (sizes, tile, width) = (*self.sizes, *tile, self.sizes.output()[1]);
        let (run, all) = (tile.lines * width, sizes.places());
        (0..sizes.channels_out).flat_map(move |channel| {
            (0..tile.pictures).map(move |picture| {
                let outside = ((tile.picture + picture) * sizes.channels_out + channel) * all + tile.line * width;
                (channel, (channel * tile.pictures + picture) * run, outside)
            })
        })
    }

    /// # Safety
    /// No other thread may use this tile's places.
    unsafe fn write(&self, y: &Share<f32>, bias: Option<&[f32]>, tile: &Tile) {
        let run = tile.lines * self.sizes.output()[1];
        for (channel, from, to) in self.runs(tile) {
            let bias = bias.map_or(0.0, |bias| bias[channel]);
            // SAFETY: by the caller's promise.
            let places = unsafe { y.slice(to..to + run) };
            places.iter_mut().zip(&self.values[from..from + run]).for_each(|(to, value)| *to = value + bias);
        }
    }
}

/// Every number of every line of places, in the order of the columns.
fn pairs<'a>(numbers: &'a [usize], corners: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
    numbers.iter().flat_map(move |number| corners.iter().map(move |corner| number + corner))
}

/// For widths that the compiler knows, a line is copied in one or two instructions.
fn unfold_lines<const W: usize>(padded: &[f32], columns: &mut [f32], numbers: &[usize], corners: &[usize]) {
    let lines = columns.as_chunks_mut::<W>().0;
    for (lines, number) in lines.chunks_exact_mut(corners.len()).zip(numbers) {
        for (line, corner) in lines.iter_mut().zip(corners) {
            *line = *padded[number + corner..].first_chunk::<W>().expect("windows lie within");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Draw, close};
    use super::*;

    /// The definition of a convolution in f64: for each product, the positions in output, input and weight.
    fn each_product(sizes: &Conv2dSizes, mut visit: impl FnMut(usize, usize, usize)) {
        let (Conv2dSizes { size: [h, w], kernel: [kh, kw], stride, padding, .. }, [oh, ow]) = (*sizes, sizes.output());
        for n in 0..sizes.batch {
            for (o, i) in (0..sizes.channels_out).flat_map(|o| (0..sizes.channels_in).map(move |i| (o, i))) {
                for (y, x) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
                    for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
                        let (iy, ix) = (y * stride + ky, x * stride + kx);
                        let inside = |at: usize, len: usize| (padding[0]..len + padding[0]).contains(&at);
                        if inside(iy, h) && inside(ix, w) {
                            let input = ((n * sizes.channels_in + i) * h + iy - padding[0]) * w + ix - padding[0];
                            let weight = ((o * sizes.channels_in + i) * kh + ky) * kw + kx;
                            visit(((n * sizes.channels_out + o) * oh + y) * ow + x, input, weight);
                        }
                    }
                }
            }
        }
    }

    fn sizes(draw: &mut Draw) -> Conv2dSizes {
        let kernel = [1, 3, 3, 5][draw.below(4)];
        // Including the widths with special loops, and pictures that are divided into bands.
        let side = [4, 5, 7, 8, 16, 17, 32, 33][draw.below(8)];
        Conv2dSizes {
            batch: 1 + draw.below(5),
            channels_in: 1 + draw.below(5),
            channels_out: 1 + draw.below(6),
            size: [side, if draw.below(2) == 0 { side } else { 4 + draw.below(30) }],
            kernel: [kernel, kernel],
            stride: 1 + draw.below(2),
            padding: [draw.below(3), draw.below(3)],
        }
    }

    #[test]
    fn convolution_and_gradients_are_their_definition_at_odd_sizes() {
        let mut draw = Draw::new("conv2d");
        for _ in 0..120 {
            let sizes = sizes(&mut draw);
            if sizes.kernel[0] > sizes.size[1] + sizes.padding[0] + sizes.padding[1] {
                continue;
            }
            let x = draw.numbers(sizes.batch * sizes.channels_in * sizes.size[0] * sizes.size[1]);
            let weight = draw.numbers(sizes.channels_out * sizes.window());
            let bias = draw.numbers(sizes.channels_out);
            let dy = draw.numbers(sizes.batch * sizes.channels_out * sizes.places());

            let channel = |at: usize| at / sizes.places() % sizes.channels_out;
            let mut y: Vec<f64> = (0..dy.len()).map(|at| f64::from(bias[channel(at)])).collect();
            let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; weight.len()], vec![0.0; bias.len()]);
            dy.iter().enumerate().for_each(|(at, dy)| db[channel(at)] += f64::from(*dy));
            each_product(&sizes, |out, input, w| {
                y[out] += f64::from(x[input]) * f64::from(weight[w]);
                dx[input] += f64::from(dy[out]) * f64::from(weight[w]);
                dw[w] += f64::from(dy[out]) * f64::from(x[input]);
            });
            let (found_dx, found_dw, found_db) = conv2d_backward(&x, &weight, &dy, &sizes);
            let found_y = conv2d(&x, Weight::Floats(&weight), Some(&bias), &sizes);
            for (what, found, known) in
                [("y", found_y, y), ("dx", found_dx, dx), ("dw", found_dw, dw), ("db", found_db, db)]
            {
                close(&found, &known, &format!("{what} of {sizes:?}"));
            }
        }
    }
}
