//! Group normalisation on a GPU in two passes. The first computes mean and scatter of slices of each group, so that a
//! few large groups also keep a GPU busy. The second combines the slices' values (Chan et al., 1983), normalises, and
//! applies the activation.

#![allow(clippy::assign_op_pattern, reason = "the kernel compiler reads this form")]

use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::super::launch;
use super::GroupNormSizes;

/// Invocations for each workgroup.
const UNITS: u32 = 256;
/// Numbers that one workgroup sums.
const SLICE: usize = 8192;

/// `x` `[batch, channels, h, w]` to the same shape; `weight` and `bias` `[channels]`.
pub fn group_norm(x: CubeTensor, weight: CubeTensor, bias: CubeTensor, sizes: &GroupNormSizes) -> CubeTensor {
    let x = launch::contiguous(x);
    let (client, device) = (x.client.clone(), x.device.clone());
    let groups = sizes.batch * sizes.groups;
    let slices = sizes.group().div_ceil(SLICE);
    let moments = empty_device_contiguous_dtype(client.clone(), device.clone(), [groups, slices, 2].into(), DType::F32);
    let y = empty_device_contiguous_dtype(client.clone(), device, x.shape(), DType::F32);
    let (group, count) = (sizes.group() as u32, [slices, groups, 1]);
    // SAFETY: every index is checked against the sizes, and the buffers have those sizes.
    #[allow(unsafe_code)]
    unsafe {
        let dim = CubeDim::new_1d(UNITS);
        let (numbers, found) = (launch::buffer(&x), launch::buffer(&moments));
        measure::launch_unchecked(&client, launch::count(count), dim, numbers, found, group);
        apply::launch_unchecked(
            &client,
            launch::count(count),
            dim,
            launch::buffer(&x),
            launch::buffer(&moments),
            launch::buffer(&launch::contiguous(weight)),
            launch::buffer(&launch::contiguous(bias)),
            launch::buffer(&y),
            group,
            sizes.places as u32,
            sizes.groups as u32,
            sizes.eps,
            sizes.silu,
        );
    }
    y
}

/// Mean of a slice of a group, and the sum of the squared distances from it.
#[cube(launch_unchecked)]
fn measure(x: &[f32], moments: &mut [f32], group: u32) {
    let mut parts = Shared::<[f32]>::new_slice(256usize);
    let group = group as usize;
    let first = CUBE_POS_X as usize * 8192;
    let count = min(group - first, 8192usize);
    let base = CUBE_POS_Y as usize * group + first;
    let mut sum = 0.0f32;
    for i in 0..32usize {
        let at = i * 256 + UNIT_POS as usize;
        if at < count {
            sum += x[base + at];
        }
    }
    let mean = total(&mut parts, sum) / f32::cast_from(count as u32);
    let mut scatter = 0.0f32;
    for i in 0..32usize {
        let at = i * 256 + UNIT_POS as usize;
        if at < count {
            let distance = x[base + at] - mean;
            scatter += distance * distance;
        }
    }
    let scatter = total(&mut parts, scatter);
    if UNIT_POS == 0 {
        let at = (CUBE_POS_Y as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize) * 2;
        moments[at] = mean;
        moments[at + 1] = scatter;
    }
}

/// The sum of `part` over all invocations.
#[cube]
fn total(parts: &mut Shared<[f32]>, part: f32) -> f32 {
    let unit = UNIT_POS as usize;
    sync_cube();
    parts[unit] = part;
    #[unroll]
    for i in 0..8usize {
        sync_cube();
        let half = comptime!(128 >> i);
        if unit < half {
            parts[unit] = parts[unit] + parts[unit + half];
        }
    }
    sync_cube();
    parts[0]
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn apply(
    x: &[f32],
    moments: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
    group: u32,
    places: u32,
    groups: u32,
    eps: f32,
    #[comptime] silu: bool,
) {
    let (group, places, groups) = (group as usize, places as usize, groups as usize);
    let slices = CUBE_COUNT_X as usize;
    let mut count = 0.0f32;
    let mut mean = 0.0f32;
    let mut scatter = 0.0f32;
    for slice in 0..slices {
        let more = f32::cast_from(min(group - slice * 8192, 8192usize) as u32);
        let at = (CUBE_POS_Y as usize * slices + slice) * 2;
        let away = moments[at] - mean;
        let all = count + more;
        mean += away * (more / all);
        scatter += moments[at + 1] + away * away * (count * (more / all));
        count = all;
    }
    let rate = 1.0 / (scatter / count + eps).sqrt();
    let first = CUBE_POS_X as usize * 8192;
    let number = min(group - first, 8192usize);
    let base = CUBE_POS_Y as usize * group;
    let first_channel = (CUBE_POS_Y as usize % groups) * (group / places);
    for i in 0..32usize {
        let at = i * 256 + UNIT_POS as usize;
        if at < number {
            let channel = first_channel + (first + at) / places;
            let scale = rate * weight[channel];
            let mut z = (x[base + first + at] - mean) * scale + bias[channel];
            if comptime!(silu) {
                z = z / (1.0 + (-z).exp());
            }
            y[base + first + at] = z;
        }
    }
}
