//! The gated activation of the UNet's feed-forward layers (GEGLU; Shazeer, 2020) on the processor, in one pass.

use super::lanes::wide;
use super::parallel::{Share, for_each_share, shares};

/// From `x` `[rows, 2 · hidden]` to value · gelu(gate) `[rows, hidden]`; in each row the values come first, then the
/// gates.
pub fn geglu(x: &[f32], hidden: usize) -> Vec<f32> {
    let mut y = vec![0.0; x.len() / 2];
    let out = Share::new(&mut y);
    for_each_share(shares(x.len() / (2 * hidden)), |rows| {
        // SAFETY: rows do not overlap.
        #[allow(unsafe_code)]
        let y = unsafe { out.slice(rows.start * hidden..rows.end * hidden) };
        let x = &x[rows.start * 2 * hidden..rows.end * 2 * hidden];
        wide(
            #[inline(always)]
            || {
                for (x, y) in x.chunks_exact(2 * hidden).zip(y.chunks_exact_mut(hidden)) {
                    let (values, gates) = x.split_at(hidden);
                    for ((y, value), gate) in y.iter_mut().zip(values).zip(gates) {
                        *y = value * gate * normal_cdf(*gate);
                    }
                }
            },
        );
    });
    y
}

#[cfg(feature = "fit")]
/// The gradient of `x` for the gradient `dy` of the output.
pub fn geglu_backward(x: &[f32], dy: &[f32], hidden: usize) -> Vec<f32> {
    let mut dx = vec![0.0; x.len()];
    let out = Share::new(&mut dx);
    for_each_share(shares(x.len() / (2 * hidden)), |rows| {
        let all = rows.start * 2 * hidden..rows.end * 2 * hidden;
        // SAFETY: rows do not overlap.
        #[allow(unsafe_code)]
        let dx = unsafe { out.slice(all.clone()) };
        let (x, dy) = (&x[all], &dy[rows.start * hidden..rows.end * hidden]);
        wide(
            #[inline(always)]
            || {
                let lines = x.chunks_exact(2 * hidden).zip(dx.chunks_exact_mut(2 * hidden));
                for ((x, dx), dy) in lines.zip(dy.chunks_exact(hidden)) {
                    let ((values, gates), (d_values, d_gates)) = (x.split_at(hidden), dx.split_at_mut(hidden));
                    let inputs = values.iter().zip(gates).zip(dy);
                    for (((value, gate), dy), (dv, dg)) in inputs.zip(d_values.iter_mut().zip(d_gates)) {
                        let cdf = normal_cdf(*gate);
                        *dv = dy * gate * cdf;
                        *dg = dy * value * (cdf + gate * normal_density(*gate));
                    }
                }
            },
        );
    });
    dx
}

/// Φ(x), the share of a standard normal below x, to about 2e-7.
#[inline(always)]
fn normal_cdf(x: f32) -> f32 {
    0.5 + 0.5 * erf(x * std::f32::consts::FRAC_1_SQRT_2)
}

#[cfg(feature = "fit")]
#[inline(always)]
fn normal_density(x: f32) -> f32 {
    const AT_ZERO: f32 = 0.398_942_3;
    AT_ZERO * super::lanes::exp(-0.5 * x * x)
}

/// A rational approximation of the error function on [-4, 4]; beyond that it is 1 in f32 (the coefficients of Eigen's
/// `erf`).
#[inline(always)]
fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let mut p = -2.726_142_3e-10;
    for c in [2.770_681_4e-8, -2.101_024e-6, -5.692_506_5e-5, -7.349_906_5e-4, -2.954_6e-3, -1.609_603_4e-2] {
        p = p * square + c;
    }
    let mut q = -1.456_607_2e-5;
    for c in [-2.133_740_5e-4, -1.682_827e-3, -7.373_329_4e-3, -1.426_473_9e-2] {
        q = q * square + c;
    }
    x * p / q
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values from Python's math.erf in float64.
    #[test]
    fn gelu_has_its_known_values() {
        let known =
            [(-6.0, -5.9195e-9), (-1.0, -0.158_655_25), (-0.1, -0.046_017_2), (0.5, 0.345_731_23), (3.0, 2.995_950_3)];
        for (x, y) in known {
            let found = geglu(&[1.0, x], 1)[0];
            assert!((found - y).abs() < 3e-7 * x.abs().max(1.0), "gelu({x}) = {found}, not {y}");
        }
    }

    /// Central differences in f64 of value · gate · Φ(gate) at value 1.5, gate -0.7 and 2.
    #[test]
    fn gradients_are_slopes() {
        let dx = geglu_backward(&[1.5, 1.5, -0.7, 2.0], &[1.0, 2.0], 2);
        for (found, known) in dx.iter().zip([-0.169_374_6, 3.908_999_5, 0.035_078_8, 3.255_695_4]) {
            assert!((found - known).abs() < 1e-5, "{dx:?}");
        }
    }
}
