//! Plain loops that the compiler turns into vector instructions.

/// Runs `work`, compiled for the widest vector instructions of this processor. Its closures must be
/// `#[inline(always)]`.
#[inline(always)]
pub fn wide<R>(work: impl FnOnce() -> R) -> R {
    struct Work<F>(F);
    impl<R, F: FnOnce() -> R> pulp::WithSimd for Work<F> {
        type Output = R;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Work(work))
}

/// The sum of `of` over `x`, in sixteen partial sums that can be added in parallel.
#[inline(always)]
pub fn sum(x: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = x.as_chunks::<16>();
    let mut parts = [0f32; 16];
    for chunk in chunks {
        parts.iter_mut().zip(chunk).for_each(|(part, x)| *part += of(*x));
    }
    parts.iter().sum::<f32>() + rest.iter().map(|x| of(*x)).sum::<f32>()
}

#[cfg(feature = "fit")]
/// As [`sum`], over two slices of the same length.
#[inline(always)]
pub fn sum2(x: &[f32], y: &[f32], of: impl Fn(f32, f32) -> f32) -> f32 {
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<16>(), y.as_chunks::<16>());
    let mut parts = [0f32; 16];
    for (xs, ys) in xs.iter().zip(ys) {
        for ((part, x), y) in parts.iter_mut().zip(xs).zip(ys) {
            *part += of(*x, *y);
        }
    }
    parts.iter().sum::<f32>() + x_rest.iter().zip(y_rest).map(|(x, y)| of(*x, *y)).sum::<f32>()
}

/// e^x as 2^k · p(r), accurate to about 2 units in the last place, for x from -87 to 88; beyond that, the values at
/// these ends.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    // Adding this rounds to the nearest whole number, because f32 has no fraction bits at this size.
    const ROUND: f32 = 12_582_912.0;
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let k = rounded - ROUND;
    let r = (x - k * 0.693_359_4) - k * -2.121_944_4e-4;
    // The coefficients of Cephes' expf.
    let mut p = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + c;
    }
    // The last bits of `rounded` are k; they become the exponent.
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    (p * r * r + r + 1.0) * power
}
