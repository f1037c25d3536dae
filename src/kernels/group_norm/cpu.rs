//! Group normalisation (Wu & He, 2018) and the activation after it, on the processor. Each group of channels of a
//! picture is processed while it is in the cache, instead of being read again by each of a dozen operations.

use super::super::lanes::{self, exp, wide};
use super::super::parallel::{Share, for_each_share, shares};
use super::GroupNormSizes;

/// `x` `[batch, channels, places]` to the same shape; `weight` and `bias` `[channels]`.
pub fn group_norm(x: &[f32], weight: &[f32], bias: &[f32], sizes: &GroupNormSizes) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    let out = Share::new(&mut y);
    for_each_share(shares(sizes.batch * sizes.groups), |range| {
        for i in range {
            let group = i * sizes.group()..(i + 1) * sizes.group();
            // SAFETY: groups do not overlap.
            #[allow(unsafe_code)]
            let y = unsafe { out.slice(group.clone()) };
            let x = &x[group];
            wide(
                #[inline(always)]
                || {
                    let (mean, rate) = moments(x, sizes.eps);
                    let lines = y.chunks_exact_mut(sizes.places).zip(x.chunks_exact(sizes.places));
                    for ((y, x), channel) in lines.zip(sizes.channels_of(i)) {
                        let scale = rate * weight[channel];
                        let shift = bias[channel] - mean * scale;
                        match sizes.silu {
                            true => y.iter_mut().zip(x).for_each(|(y, x)| *y = silu(x * scale + shift)),
                            false => y.iter_mut().zip(x).for_each(|(y, x)| *y = x * scale + shift),
                        }
                    }
                },
            );
        }
    });
    y
}

#[cfg(feature = "fit")]
/// The gradients of `x`, `weight` and `bias` for the gradient `dy` of the output.
pub fn group_norm_backward(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    dy: &[f32],
    sizes: &GroupNormSizes,
) -> [Vec<f32>; 3] {
    let mut dx = vec![0.0; x.len()];
    let out = Share::new(&mut dx);
    let parts = for_each_share(shares(sizes.batch * sizes.groups), |range| {
        let (mut dw, mut db) = (vec![0.0; sizes.channels], vec![0.0; sizes.channels]);
        for i in range {
            let group = i * sizes.group()..(i + 1) * sizes.group();
            // SAFETY: groups do not overlap.
            #[allow(unsafe_code)]
            let dx = unsafe { out.slice(group.clone()) };
            let (x, dy) = (&x[group.clone()], &dy[group]);
            wide(
                #[inline(always)]
                || group_backward(i, x, weight, bias, dy, sizes, dx, (&mut dw, &mut db)),
            );
        }
        (dw, db)
    });
    let (mut dw, mut db) = (vec![0.0; sizes.channels], vec![0.0; sizes.channels]);
    for (part_w, part_b) in parts {
        dw.iter_mut().zip(part_w).for_each(|(sum, part)| *sum += part);
        db.iter_mut().zip(part_b).for_each(|(sum, part)| *sum += part);
    }
    [dx, dw, db]
}

#[cfg(feature = "fit")]
/// dx = rate · (g - mean(g) - n · mean(g · n)), with n the normalised numbers and g their gradient.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn group_backward(
    i: usize,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    dy: &[f32],
    sizes: &GroupNormSizes,
    dx: &mut [f32],
    (dw, db): (&mut [f32], &mut [f32]),
) {
    let (mean, rate) = moments(x, sizes.eps);
    let (mut sum_g, mut sum_gn) = (0.0, 0.0);
    let places = sizes.places;
    let lines = || x.chunks_exact(places).zip(dy.chunks_exact(places)).zip(sizes.channels_of(i));
    for (((x, dy), channel), dz) in lines().zip(dx.chunks_exact_mut(places)) {
        let (w, b) = (weight[channel], bias[channel]);
        match sizes.silu {
            true => {
                let numbers = dz.iter_mut().zip(dy).zip(x);
                numbers.for_each(|((dz, dy), x)| *dz = dy * silu_slope((x - mean) * rate * w + b));
            }
            false => dz.copy_from_slice(dy),
        }
        let sum_b = lanes::sum(dz, |dz| dz);
        let sum_w = lanes::sum2(dz, x, |dz, x| dz * (x - mean)) * rate;
        db[channel] += sum_b;
        dw[channel] += sum_w;
        sum_g += w * sum_b;
        sum_gn += w * sum_w;
    }
    let (mean_g, mean_gn) = (sum_g / x.len() as f32, sum_gn / x.len() as f32);
    for (((x, _), channel), dx) in lines().zip(dx.chunks_exact_mut(places)) {
        let w = weight[channel];
        dx.iter_mut().zip(x).for_each(|(dx, x)| *dx = rate * (*dx * w - mean_g - (x - mean) * rate * mean_gn));
    }
}

/// Mean and 1 / standard deviation, in two passes.
#[inline(always)]
fn moments(x: &[f32], eps: f32) -> (f32, f32) {
    let mean = lanes::sum(x, |x| x) / x.len() as f32;
    let variance = lanes::sum(x, |x| (x - mean) * (x - mean)) / x.len() as f32;
    (mean, 1.0 / (variance + eps).sqrt())
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

#[cfg(feature = "fit")]
/// The derivative of [`silu`].
#[inline(always)]
fn silu_slope(x: f32) -> f32 {
    let sigmoid = 1.0 / (1.0 + exp(-x));
    sigmoid * (1.0 + x * (1.0 - sigmoid))
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Draw, close};
    use super::*;

    /// In f64, directly from the definition.
    fn plain(x: &[f64], weight: &[f64], bias: &[f64], sizes: &GroupNormSizes) -> Vec<f64> {
        let mut y = Vec::new();
        for (i, group) in x.chunks(sizes.group()).enumerate() {
            let mean = group.iter().sum::<f64>() / group.len() as f64;
            let variance = group.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / group.len() as f64;
            for (j, x) in group.iter().enumerate() {
                let channel = sizes.channels_of(i).start + j / sizes.places;
                let z = (x - mean) / (variance + f64::from(sizes.eps)).sqrt() * weight[channel] + bias[channel];
                y.push(if sizes.silu { z / (1.0 + (-z).exp()) } else { z });
            }
        }
        y
    }

    #[test]
    fn normalisation_and_gradients_are_their_definition_at_odd_sizes() {
        let mut draw = Draw::new("group_norm");
        let wide = |numbers: &[f32]| -> Vec<f64> { numbers.iter().map(|x| f64::from(*x)).collect() };
        for round in 0..24 {
            let groups = 1 + draw.below(4);
            let sizes = GroupNormSizes {
                batch: 1 + draw.below(3),
                channels: groups * (1 + draw.below(3)),
                places: 2 + draw.below(40),
                groups,
                eps: 1e-5,
                silu: round % 2 == 0,
            };
            let x = draw.numbers(sizes.batch * sizes.channels * sizes.places);
            let (weight, bias, dy) =
                (draw.numbers(sizes.channels), draw.numbers(sizes.channels), draw.numbers(x.len()));
            let inputs = [wide(&x), wide(&weight), wide(&bias)];
            let y = |inputs: &[Vec<f64>; 3]| plain(&inputs[0], &inputs[1], &inputs[2], &sizes);
            close(&group_norm(&x, &weight, &bias, &sizes), &y(&inputs), &format!("y of {sizes:?}"));
            let found = group_norm_backward(&x, &weight, &bias, &dy, &sizes);
            for (which, found) in found.iter().enumerate() {
                let slope = |at: usize| {
                    let moved = |by: f64| {
                        let mut inputs = inputs.clone();
                        inputs[which][at] += by;
                        y(&inputs).iter().zip(&dy).map(|(y, dy)| y * f64::from(*dy)).sum::<f64>()
                    };
                    (moved(1e-5) - moved(-1e-5)) / 2e-5
                };
                let known: Vec<f64> = (0..found.len()).map(slope).collect();
                close(found, &known, &format!("gradient {which} of {sizes:?}"));
            }
        }
    }
}
