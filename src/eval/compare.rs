//! Measures that compare pictures without asking what they show: error, colourfulness, distance to the training
//! pictures.

use super::gallery::{halved, squares};
use super::psnr::psnr;
use crate::picture::Picture;

/// Mean squared difference of 8-bit values.
///
/// # Panics
/// If the pictures have different sizes.
pub fn mean_square_error(a: &Picture, b: &Picture) -> f64 {
    assert_eq!((a.width, a.height), (b.width, b.height), "pictures of one size");
    squares(&a.rgb, &b.rgb) as f64 / a.rgb.len() as f64
}

/// How similar two sets of pictures are, picture by picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearness {
    /// Mean over the pictures of the PSNR of each, in dB; an equal one counts [`EQUAL_DB`].
    pub mean_psnr_db: f64,
    /// PSNR of the mean squared error over all pictures, in dB.
    pub psnr_of_mean_db: f64,
    /// Root of the mean squared error, in levels of 0 to 255.
    pub rms: f64,
}

/// PSNR assigned to an equal picture: that of an error of 1 in one of 10,000 values.
pub const EQUAL_DB: f64 = 88.0;

/// Compares `pictures` with `reference`, in order; none if there are none.
///
/// # Panics
/// If their numbers or sizes differ.
pub fn nearness(pictures: &[Picture], reference: &[Picture]) -> Option<Nearness> {
    assert_eq!(pictures.len(), reference.len(), "as many pictures as there are in the reference");
    let errors: Vec<f64> = pictures.iter().zip(reference).map(|(a, b)| mean_square_error(a, b)).collect();
    let n = errors.len() as f64;
    let mean = errors.iter().sum::<f64>() / n;
    (!errors.is_empty()).then(|| Nearness {
        mean_psnr_db: errors.iter().map(|e| psnr(*e).min(EQUAL_DB)).sum::<f64>() / n,
        psnr_of_mean_db: psnr(mean).min(EQUAL_DB),
        rms: mean.sqrt(),
    })
}

/// Mean saturation (HSV: (max - min) / max, 0 to 1) over all pixels of all pictures.
pub fn saturation(pictures: &[Picture]) -> f64 {
    let of = |p: &[u8]| {
        let (low, high) = (p.iter().min().copied().unwrap_or(0), p.iter().max().copied().unwrap_or(0));
        f64::from(high - low) / f64::from(high.max(1))
    };
    mean(pictures.iter().flat_map(|picture| picture.rgb.chunks_exact(3).map(of)))
}

/// Mean over pictures of the standard deviation of their luma (Rec. 601), in levels of 0 to 255.
pub fn contrast(pictures: &[Picture]) -> f64 {
    let luma = |p: &[u8]| 0.299 * f64::from(p[0]) + 0.587 * f64::from(p[1]) + 0.114 * f64::from(p[2]);
    mean(pictures.iter().map(|picture| {
        let lumas: Vec<f64> = picture.rgb.chunks_exact(3).map(luma).collect();
        let centre = mean(lumas.iter().copied());
        mean(lumas.iter().map(|l| (l - centre).powi(2))).sqrt()
    }))
}

/// Pictures among which the nearest is searched, at half their size, so that fine detail does not decide.
pub struct Memory {
    pictures: Vec<Picture>,
}

impl Memory {
    /// Stores the pictures, all of one size.
    pub fn new(pictures: impl IntoIterator<Item = Picture>) -> Self {
        Self { pictures: pictures.into_iter().map(|picture| halved(&picture)).collect() }
    }

    /// Their number.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// Root of the mean squared difference to the nearest, at half size, in levels of 0 to 255; infinite if there is
    /// none.
    pub fn distance(&self, picture: &Picture) -> f64 {
        let half = halved(picture);
        let least = self.pictures.iter().map(|other| squares(&other.rgb, &half.rgb)).min();
        least.map_or(f64::INFINITY, |least| (least as f64 / half.rgb.len() as f64).sqrt())
    }

    /// The same distance between two pictures.
    pub fn between(a: &Picture, b: &Picture) -> f64 {
        mean_square_error(&halved(a), &halved(b)).sqrt()
    }
}

/// The median; for an even number of values the mean of the middle two; none for no values.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len();
    (n > 0).then(|| (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0)
}

/// The mean; 0 for no values.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    sum / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(value: u8) -> Picture {
        Picture::filled(4, 4, [value; 3])
    }

    #[test]
    fn the_errors_of_flat_pictures_are_known() {
        // Errors 10 and 20: squares 100 and 400, their mean 250.
        let near = nearness(&[grey(100), grey(100)], &[grey(110), grey(80)]).unwrap();
        assert!((near.mean_psnr_db - (28.130_803_608_679_1 + 22.110_203_695_399_48) / 2.0).abs() < 1e-9, "{near:?}");
        assert!((near.psnr_of_mean_db - 24.151_403_521_958_7).abs() < 1e-9, "{near:?}");
        assert!((near.rms - 250f64.sqrt()).abs() < 1e-12);
        assert_eq!(nearness(&[grey(7)], &[grey(7)]).unwrap().mean_psnr_db, EQUAL_DB);
        assert_eq!(nearness(&[], &[]), None);
    }

    #[test]
    fn saturation_and_contrast_of_known_pictures() {
        assert_eq!((saturation(&[grey(90)]), contrast(&[grey(90)])), (0.0, 0.0));
        assert_eq!(saturation(&[Picture::filled(2, 2, [200, 50, 100])]), 0.75);
        assert_eq!(saturation(&[grey(0), Picture::filled(4, 4, [9, 0, 0])]), 0.5);
        let mut halves = grey(0);
        halves.paste(&Picture::filled(2, 4, [200; 3]), 0, 0);
        assert!((contrast(&[halves, grey(3)]) - 50.0).abs() < 1e-9, "half of 100");
    }

    #[test]
    fn the_nearest_is_found_at_half_size() {
        let memory = Memory::new([grey(0), grey(200)]);
        assert_eq!((memory.len(), memory.is_empty()), (2, false));
        assert!((memory.distance(&grey(190)) - 10.0).abs() < 1e-12);
        // A checkerboard of 190 and 210 is 200 at half size.
        let mut board = grey(190);
        (0..16).filter(|i| (i % 4 + i / 4) % 2 == 0).for_each(|i| board.set(i % 4, i / 4, [210; 3]));
        assert_eq!(memory.distance(&board), 0.0);
        assert_eq!(Memory::between(&grey(3), &grey(7)), 4.0);
        assert_eq!(Memory::new([]).distance(&grey(1)), f64::INFINITY);
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0]), median(&[])), (Some(2.0), Some(2.5), None));
    }
}
