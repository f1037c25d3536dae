//! The distance between two clouds of points.

// cell: energy-distance
/// The energy distance: how much further points are from the other cloud than from their own. 0 for the same cloud.
///
/// Source: Szekely and Rizzo, "Energy statistics", Journal of Statistical Planning and Inference 143, 2013, equation 1.
pub fn energy_distance(a: &[[f32; 2]], b: &[[f32; 2]]) -> f64 {
    2.0 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b)
}

fn mean_distance(a: &[[f32; 2]], b: &[[f32; 2]]) -> f64 {
    let distance = |p: &[f32; 2], q: &[f32; 2]| f64::from((p[0] - q[0]).hypot(p[1] - q[1]));
    let sum: f64 = a.iter().map(|p| b.iter().map(|q| distance(p, q)).sum::<f64>()).sum();
    sum / (a.len() * b.len()) as f64
}
// end

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_0_for_the_same_and_known_for_two_points() {
        let a = [[0.0, 0.0], [1.0, 2.0]];
        assert_eq!(energy_distance(&a, &a), 0.0);
        assert!((energy_distance(&[[0.0, 0.0]], &[[3.0, 4.0]]) - 10.0).abs() < 1e-9);
    }
}
