//! Convolution on a GPU as a matrix product whose left matrix is never stored (Chetlur et al., 2014). Each workgroup of
//! 16 x 16 invocations computes a tile of 64 places x 64 channels, and gathers the windows of its places into workgroup
//! memory as it goes.
//!
//! The inner dimension is ordered like the weights: in, kh, kw for floats; kh, kw, in for blocks, where the four
//! numbers of a quad mostly belong to one tap.

use burn::tensor::DType;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::super::launch::{self, Rows};
use super::super::tile::{self, COLUMNS, Quad, SIDE, STRIDE, UNITS};
use super::Conv2dSizes;

/// Properties of a convolution that are compiled into the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Known {
    kernel: [usize; 2],
    stride: usize,
    padding: usize,
    bits: u32,
    /// Whether every quad of the inner dimension lies within one tap.
    whole_quads: bool,
    /// Places for each invocation.
    per_unit: usize,
}

/// Convolves `x` `[batch, channels_in, h, w]` with `bias` `[channels_out]` to `[batch, channels_out, h', w']`.
pub fn conv2d(x: CubeTensor, weight: Rows, bias: CubeTensor, sizes: &Conv2dSizes) -> CubeTensor {
    let ([height, width], places) = (sizes.output(), sizes.places());
    let shape = [sizes.batch, sizes.channels_out, height, width].into();
    let y = empty_device_contiguous_dtype(x.client.clone(), x.device.clone(), shape, DType::F32);
    let known = Known {
        kernel: sizes.kernel,
        stride: sizes.stride,
        padding: sizes.padding[0],
        bits: weight.bits,
        whole_quads: weight.bits < 32 && sizes.channels_in.is_multiple_of(4),
        per_unit: if places <= SIDE { 1 } else { 4 },
    };
    let tiles = [places.div_ceil(SIDE * known.per_unit), sizes.channels_out.div_ceil(COLUMNS), sizes.batch];
    // SAFETY: every index is checked against the sizes, and the buffers have those sizes.
    #[allow(unsafe_code)]
    unsafe {
        kernel::launch_unchecked(
            &y.client,
            launch::count(tiles),
            CubeDim::new_1d(UNITS),
            launch::buffer(&launch::contiguous(x)),
            launch::buffer(&weight.words),
            launch::buffer(&weight.scales),
            launch::buffer(&launch::contiguous(bias)),
            launch::buffer(&y),
            sizes.channels_in as u32,
            sizes.channels_out as u32,
            sizes.size[0] as u32,
            sizes.size[1] as u32,
            width as u32,
            places as u32,
            known,
        );
    }
    y
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn kernel(
    x: &[f32],
    words: &[u32],
    scales: &[u32],
    bias: &[f32],
    y: &mut [f32],
    channels_in: u32,
    channels_out: u32,
    height: u32,
    width: u32,
    width_out: u32,
    places: u32,
    #[comptime] known: Known,
) {
    let per_unit = comptime!(known.per_unit);
    let (channels_in, channels_out, places) = (channels_in as usize, channels_out as usize, places as usize);
    let inner = channels_in * comptime!(known.kernel[0] * known.kernel[1]);
    let mut a = Shared::<[Quad]>::new_slice(comptime!(SIDE * per_unit * STRIDE));
    let mut b = Shared::<[Quad]>::new_slice(comptime!(COLUMNS * STRIDE));
    let unit = UNIT_POS as usize;
    let (across, down) = (unit % 16, unit / 16);
    let first_place = CUBE_POS_X as usize * comptime!(SIDE * per_unit);
    let first_channel = CUBE_POS_Y as usize * 64;
    let picture = CUBE_POS_Z as usize;
    // What this invocation loads: neighbours load neighbouring places, then neighbouring numbers of a weight.
    let (staged, quad) = (unit % comptime!(SIDE * per_unit), unit / comptime!(SIDE * per_unit));
    let place = first_place + staged;
    let top = (place / width_out as usize) * comptime!(known.stride);
    let left = (place % width_out as usize) * comptime!(known.stride);
    let base = picture * channels_in * height as usize * width as usize;
    let (staged_row, staged_quad) = (unit / 4, unit % 4);
    let weight_row = min(first_channel + staged_row, channels_out - 1);
    let mut sums = Array::<f32>::new(comptime!(per_unit * 4));
    for step in 0..inner.div_ceil(16usize) {
        sync_cube();
        if quad < 4 {
            let mut window = Quad::new(0.0f32);
            if place < places {
                let k = step * 16 + quad * 4;
                window = gather(x, base, k, inner, channels_in, top, left, height as usize, width as usize, known);
            }
            a[staged * 5 + quad] = window;
        }
        let k = step * 16 + staged_quad * 4;
        b[staged_row * 5 + staged_quad] = tile::weights(words, scales, weight_row, k, inner, comptime!(known.bits));
        sync_cube();
        tile::multiply(&a, &b, across, down, &mut sums, per_unit, 4usize);
    }
    #[unroll]
    for j in 0..4usize {
        let channel = first_channel + down + j * 16;
        if channel < channels_out {
            let shift = bias[channel];
            #[unroll]
            for i in 0..per_unit {
                let place = first_place + across + i * 16;
                if place < places {
                    y[(picture * channels_out + channel) * places + place] = sums[i * 4 + j] + shift;
                }
            }
        }
    }
}

/// Numbers `k..k + 4` of the window whose corner is at `top`, `left` (of the picture with its border); zeros outside.
#[cube]
#[allow(clippy::too_many_arguments)]
fn gather(
    x: &[f32],
    base: usize,
    k: usize,
    inner: usize,
    channels_in: usize,
    top: usize,
    left: usize,
    height: usize,
    width: usize,
    #[comptime] known: Known,
) -> Quad {
    let mut quad = Quad::new(0.0f32);
    let taps = comptime!(known.kernel[0] * known.kernel[1]);
    let across = comptime!(known.kernel[1]);
    let padding = comptime!(known.padding);
    if comptime!(known.whole_quads) {
        let (tap, channel) = (k / channels_in, k % channels_in);
        let (line, column) = (top + tap / across, left + tap % across);
        if k < inner && line >= padding && line < height + padding && column >= padding && column < width + padding {
            let first = base + (channel * height + line - padding) * width + column - padding;
            #[unroll]
            for l in 0..4usize {
                quad.insert(l, x[first + l * height * width]);
            }
        }
    } else {
        #[unroll]
        for l in 0..4usize {
            let number = k + l;
            let mut channel = number / taps;
            let mut tap = number % taps;
            if comptime!(known.bits < 32) {
                tap = number / channels_in;
                channel = number % channels_in;
            }
            let (line, column) = (top + tap / across, left + tap % across);
            let within = line >= padding && line < height + padding && column >= padding && column < width + padding;
            if number < inner && within {
                quad.insert(l, x[base + (channel * height + line - padding) * width + column - padding]);
            }
        }
    }
    quad
}
