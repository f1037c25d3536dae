//! Is a list of numbers random? Counts, pictures and three classical tests.
//!
//! Source: Knuth, "The Art of Computer Programming" 2, section 3.3 (chi-square, serial correlation); Wald and Wolfowitz,
//! "On a test whether two samples are from the same population", 1940 (runs).

// cell: histogram
/// How many of the numbers (0 up to 1) fall into each of `bins` intervals of equal width.
pub fn histogram(numbers: &[f64], bins: usize) -> Vec<usize> {
    let mut counts = vec![0; bins];
    for number in numbers {
        let bin = (number * bins as f64) as usize;
        counts[bin.min(bins - 1)] += 1;
    }
    counts
}
// end

// cell: lag
/// Each number with the one `lag` places later, as points. Random numbers fill the square evenly; a pattern shows as
/// lines.
pub fn lag_pairs(numbers: &[f64], lag: usize) -> Vec<(f64, f64)> {
    numbers.iter().zip(numbers.iter().skip(lag)).map(|(&now, &later)| (now, later)).collect()
}
// end

/// The result of a test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The test's statistic.
    pub statistic: f64,
    /// The p-value, 0 to 1: how often random numbers deviate at least as far. Below 0.001 is hard to attribute to
    /// chance.
    pub p: f64,
}

// cell: chi-square
/// Compares counts with equal shares: the sum of (count - expected)^2 / expected.
pub fn chi_square(counts: &[usize]) -> Outcome {
    let expected = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
    let statistic = counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
    Outcome { statistic, p: chi_square_tail(statistic, counts.len() - 1) }
}
// end

// cell: runs
/// Numbers above and below one half form runs. Random numbers form a known number of them; the statistic is the
/// distance from it in standard deviations.
pub fn runs(numbers: &[f64]) -> Outcome {
    let above: Vec<bool> = numbers.iter().map(|&number| number >= 0.5).collect();
    let high = above.iter().filter(|&&is| is).count() as f64;
    let (n, low) = (above.len() as f64, above.len() as f64 - high);
    let found = 1.0 + above.windows(2).filter(|pair| pair[0] != pair[1]).count() as f64;
    let mean = 2.0 * high * low / n + 1.0;
    let variance = (mean - 1.0) * (mean - 2.0) / (n - 1.0);
    in_deviations((found - mean) / variance.sqrt())
}
// end

// cell: serial-correlation
/// Does a number predict the next one? The correlation of neighbours, in standard deviations.
pub fn serial_correlation(numbers: &[f64]) -> Outcome {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let spread: f64 = numbers.iter().map(|x| (x - mean).powi(2)).sum();
    let together: f64 = numbers.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    in_deviations(together / spread * n.sqrt())
}
// end

/// `z` with the share of a normal distribution that is at least as far from 0, on both sides.
fn in_deviations(z: f64) -> Outcome {
    Outcome { statistic: z, p: chi_square_tail(z * z, 1) }
}

/// The share of a chi-square distribution with `freedom` degrees above `x`: Q(freedom / 2, x / 2), from its recurrence
/// Q(a + 1, y) = Q(a, y) + y^a e^-y / Gamma(a + 1).
fn chi_square_tail(x: f64, freedom: usize) -> f64 {
    if !x.is_finite() {
        return if x.is_nan() { f64::NAN } else { 0.0 };
    }
    let y = x / 2.0;
    if y <= 0.0 {
        return 1.0;
    }
    // The first term and the first tail: Q(1, y) = e^-y, or Q(1/2, y) = erfc(sqrt y).
    let (mut a, mut tail) = if freedom.is_multiple_of(2) { (1.0, (-y).exp()) } else { (0.5, erfc(y.sqrt())) };
    let mut log_gamma = if freedom.is_multiple_of(2) { 0.0 } else { 0.5 * std::f64::consts::PI.ln() };
    while a < freedom as f64 / 2.0 {
        log_gamma += f64::ln(a); // ln Gamma(a + 1)
        tail += (a * y.ln() - y - log_gamma).exp();
        a += 1.0;
    }
    tail.min(1.0)
}

/// 1 - erf(x) for x >= 0: the series near 0, the continued fraction beyond (Abramowitz and Stegun 7.1.5 and 7.1.14).
fn erfc(x: f64) -> f64 {
    let root_pi = std::f64::consts::PI.sqrt();
    if x < 2.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..60 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return 1.0 - 2.0 / root_pi * sum;
    }
    let fraction = (1..80).rev().fold(x, |below, k| x + f64::from(k) / 2.0 / below);
    (-x * x).exp() / root_pi / fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Generator, Mt19937, Philox, WichmannHill};

    /// Quantiles from the tables of the chi-square distribution.
    #[test]
    fn tails_are_those_of_the_tables() {
        for (x, freedom, p) in [
            (3.841_458_821, 1, 0.05),
            (6.634_896_601, 1, 0.01),
            (10.827_566_170, 1, 0.001),
            (5.991_464_547, 2, 0.05),
            (18.307_038_053, 10, 0.05),
            (30.143_527_206, 19, 0.05),
            (77.929_465_165, 100, 0.95),
        ] {
            let found = chi_square_tail(x, freedom);
            assert!((found - p).abs() < 1e-8, "{x} {freedom}: {found} for {p}");
        }
        assert_eq!(chi_square_tail(0.0, 3), 1.0);
        assert!((erfc(2.0) - 0.004_677_734_981).abs() < 1e-12 && (erfc(1.999_999_999) - erfc(2.0)).abs() < 1e-10);
    }

    #[test]
    fn the_three_generators_pass_and_bad_lists_fail() {
        let mut wichmann_hill = WichmannHill::new(457_428_938_475_u64);
        let lists = [
            (0..10_000).map(|_| wichmann_hill.random()).collect::<Vec<f64>>(),
            Mt19937::new(1).rand(10_000).into_iter().map(f64::from).collect(),
            Philox::new(1).rand(10_000).into_iter().map(f64::from).collect(),
        ];
        for (which, list) in lists.iter().enumerate() {
            for outcome in [chi_square(&histogram(list, 20)), runs(list), serial_correlation(list)] {
                assert!(outcome.p > 0.001, "generator {which}: {outcome:?}");
            }
        }
        let even: Vec<f64> = (0..10_000).map(|i| f64::from(i % 100) / 100.0).collect();
        assert!(chi_square(&histogram(&even, 20)).p > 0.999, "too even is no failure of chi-square");
        assert!(runs(&even).p < 1e-9 && serial_correlation(&even).p < 1e-9);
        let squeezed: Vec<f64> = lists[1].iter().map(|x| x * 0.97).collect();
        assert!(chi_square(&histogram(&squeezed, 20)).p < 1e-9);
    }

    #[test]
    fn counts_and_pairs() {
        assert_eq!(histogram(&[0.0, 0.49, 0.5, 0.99, 1.0], 2), [2, 3]);
        assert_eq!(lag_pairs(&[1.0, 2.0, 3.0], 1), [(1.0, 2.0), (2.0, 3.0)]);
        assert!(lag_pairs(&[1.0], 3).is_empty());
    }

    #[test]
    fn runs_by_hand() {
        // H L L H H: 3 runs, 3 high, 2 low: mean 3.4, variance 2.4 * 1.4 / 4 = 0.84
        let z = runs(&[0.9, 0.1, 0.2, 0.8, 0.7]).statistic;
        assert!((z - (3.0 - 3.4) / 0.84f64.sqrt()).abs() < 1e-12);
    }
}
