//! Crops and scales pictures of any shape to the squares that a network is trained on.

use super::Picture;

impl Picture {
    /// The largest square in the middle, resampled to `side` pixels with Pillow's "bilinear" filter: a triangle as wide
    /// as two of the larger pixels. Colours are weighted by alpha.
    pub fn covered(&self, side: usize) -> Self {
        let square = self.width.min(self.height);
        if (self.width, self.height) == (side, side) {
            return self.clone();
        }
        let (left, top) = ((self.width - square) / 2, (self.height - square) / 2);
        let weights = weights(square, side);
        let whole = self.planes(4);
        let planes = (0..4).flat_map(|plane| {
            let row = |y: usize| &whole[(plane * self.height + top + y) * self.width + left..][..square];
            let across: Vec<Vec<f32>> = (0..square).map(|y| resampled(&weights, |x| row(y)[x])).collect();
            let down: Vec<Vec<f32>> = (0..side).map(|x| resampled(&weights, |y| across[y][x])).collect();
            (0..side * side).map(move |at| down[at % side][at / side])
        });
        Self::from_planes(side, side, &planes.collect::<Vec<f32>>())
    }
}

/// For each of `to` pixels: the first of the `from` pixels that it is made of, and the weights of that one and the
/// following ones.
fn weights(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let of = |pixel: usize| {
        let middle = (pixel as f64 + 0.5) * scale;
        let first = (middle - reach + 0.5).floor().max(0.0) as usize;
        let end = ((middle + reach + 0.5).floor() as usize).min(from);
        let shares = (first..end).map(|at| (1.0 - (at as f64 + 0.5 - middle).abs() / reach).max(0.0));
        let sum: f64 = shares.clone().sum();
        (first, shares.map(|share| (share / sum) as f32).collect())
    };
    (0..to).map(of).collect()
}

fn resampled(weights: &[(usize, Vec<f32>)], value: impl Fn(usize) -> f32) -> Vec<f32> {
    let sum = |(first, shares): &(usize, Vec<f32>)| {
        shares.iter().enumerate().map(|(i, share)| share * value(first + i)).sum()
    };
    weights.iter().map(sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pillow's `crop((1, 0, 6, 5)).resize((side, side), BILINEAR)`, which rounds once more between its two passes.
    #[test]
    fn the_middle_is_resampled_as_pillow_does() {
        let places = (0..5).flat_map(|y| (0..7).map(move |x| (x, y)));
        let rgb = places.flat_map(|(x, y)| [x * 37 + y * 11, x * 5 + y * 50, x * y * 13].map(|level: u32| level as u8));
        let picture = Picture::opaque(7, 5, rgb.collect());
        let two = [85, 60, 26, 159, 70, 52, 107, 160, 78, 181, 170, 130];
        let three = [
            58, 28, 8, 116, 36, 17, 174, 44, 25, 75, 107, 37, 133, 115, 78, 191, 123, 119, 92, 186, 66, 150, 194, 139,
            208, 202, 128,
        ];
        let eight =
            [37, 5, 0, 53, 7, 0, 76, 10, 0, 99, 13, 0, 123, 17, 0, 146, 20, 0, 169, 23, 0, 185, 25, 0, 42, 27, 6];
        for (side, wanted) in [(2, &two[..]), (3, &three), (8, &eight)] {
            let found = picture.covered(side);
            assert_eq!((found.width, found.height, found.alpha), (side, side, None));
            let near = found.rgb.iter().zip(wanted).all(|(a, b): (&u8, &u8)| a.abs_diff(*b) <= 1);
            assert!(near, "{side}: {:?}", found.rgb);
        }
    }

    #[test]
    fn what_cannot_be_seen_leaves_no_fringe() {
        let half = Picture::from_rgba(4, 2, &[[255, 0, 0, 255].repeat(2), [0, 0, 255, 0].repeat(2)].concat().repeat(2))
            .unwrap();
        let seen = half.covered(2);
        assert_eq!(seen.rgba(), [[255, 0, 0, 255], [0; 4]].concat().repeat(2), "the square in the middle as it is");
        let larger = half.covered(5);
        assert!(larger.pixels().all(|[r, g, b, alpha]| alpha == 0 || [r, g, b] == [255, 0, 0]), "{:?}", larger.rgba());
        assert!(larger.pixels().any(|pixel| (1..255).contains(&pixel[3])), "an edge");
    }
}
