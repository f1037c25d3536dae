//! All glyphs of a pack, and the search for the one that is nearest to a drawing.
//!
//! There are two distances, both over opaque RGB on white. Neither has a learned part, so no network's preferences
//! decide:
//!
//! - [`Distance::Pixel`], the plain L2 over pixels;
//! - [`Distance::Shift`], the L2 at half resolution, the minimum over shifts of the drawing by up to 2 of those pixels
//!   (4 of the picture's).
//!
//! The second decides ([`Distance::HEADLINE`]). A sticker that is drawn well but slightly shifted is still that
//! sticker, while plain L2 punishes every displaced edge and so favours small, pale glyphs. Measured on 300 of the
//! 1,377 glyphs at 64 pixels, the share whose nearest glyph is the right one, plain / with shifts: unchanged 100 / 100
//! %, with noise of standard deviation 40 100 / 99.7, moved by (3, 2) 68 / 100, blurred over 5 pixels 93 / 99, shrunk
//! to 0.9, moved by 2 and blurred 49 / 73, at 60 % contrast 68 / 57, mixed with 40 % of another glyph 86 / 82. So
//! allowing shifts does not help drawings that are pale or half something else.

use serde::{Deserialize, Serialize};

use crate::picture::Picture;

/// How far a drawing is from a glyph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// Sum of squared differences of 8-bit RGB.
    Pixel,
    /// The same at half resolution, the minimum over shifts by -2..=2 pixels in each direction.
    Shift,
}

impl Distance {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Pixel, Self::Shift];
    /// The distance that decides whether the glyph was found.
    pub const HEADLINE: Self = Self::Shift;
}

/// Glyphs of one size to compare drawings with.
pub struct Gallery {
    names: Vec<String>,
    full: Vec<Picture>,
    half: Vec<Picture>,
}

impl Gallery {
    /// Named pictures, all of one size.
    pub fn new(glyphs: &[(String, Picture)]) -> Self {
        Self {
            names: glyphs.iter().map(|(name, _)| name.clone()).collect(),
            full: glyphs.iter().map(|(_, picture)| picture.clone()).collect(),
            half: glyphs.iter().map(|(_, picture)| halved(picture)).collect(),
        }
    }

    /// The glyph's name.
    pub fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    /// The squared distance from a drawing of the gallery's size to each glyph, in the gallery's order; exact integers.
    ///
    /// # Panics
    /// If the drawing has another size.
    pub fn distances(&self, drawing: &Picture, distance: Distance) -> Vec<u64> {
        let same = |glyph: &Picture| (glyph.width, glyph.height) == (drawing.width, drawing.height);
        assert!(self.full.iter().all(same), "drawing and glyphs are of one size");
        match distance {
            Distance::Pixel => self.full.iter().map(|glyph| squares(&glyph.rgb, &drawing.rgb)).collect(),
            Distance::Shift => {
                let padded = padded(&halved(drawing));
                self.half.iter().map(|glyph| least_over_shifts(glyph, &padded)).collect()
            }
        }
    }
}

/// The rank of `sought`, 1 for the nearest: one more than the number of glyphs among `among` that are strictly nearer,
/// so that glyphs that look the same share a rank.
pub fn rank(distances: &[u64], sought: usize, among: impl Iterator<Item = usize>) -> usize {
    1 + among.filter(|&other| distances[other] < distances[sought]).count()
}

/// The index of the nearest, the first of several; none if there are none.
pub fn nearest(distances: &[u64]) -> Option<usize> {
    (0..distances.len()).min_by_key(|&i| distances[i])
}

/// Shift in pixels of the half-sized pictures, in each direction.
const SHIFT: usize = 2;

/// Each pixel is the mean of 2 x 2; an odd last row or column is dropped.
pub(super) fn halved(picture: &Picture) -> Picture {
    let mut half = Picture::filled((picture.width / 2).max(1), (picture.height / 2).max(1), [255; 3]);
    for y in 0..picture.height / 2 {
        for x in 0..picture.width / 2 {
            let four = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| picture.pixel(2 * x + dx, 2 * y + dy));
            let mean = |c: usize| ((four.iter().map(|p| u32::from(p[c])).sum::<u32>() + 2) / 4) as u8;
            half.set(x, y, [mean(0), mean(1), mean(2)]);
        }
    }
    half
}

/// With [`SHIFT`] more pixels at each side that repeat the edge.
fn padded(picture: &Picture) -> Picture {
    let mut large = Picture::filled(picture.width + 2 * SHIFT, picture.height + 2 * SHIFT, [255; 3]);
    let inside = |at: usize, size: usize| at.saturating_sub(SHIFT).min(size - 1);
    for y in 0..large.height {
        for x in 0..large.width {
            large.set(x, y, picture.pixel(inside(x, picture.width), inside(y, picture.height)));
        }
    }
    large
}

fn least_over_shifts(glyph: &Picture, padded: &Picture) -> u64 {
    let row = 3 * glyph.width;
    let shifted = |left: usize, top: usize| -> u64 {
        let rows = glyph.rgb.chunks_exact(row).enumerate();
        rows.map(|(y, line)| {
            let from = 3 * ((top + y) * padded.width + left);
            squares(line, &padded.rgb[from..from + row])
        })
        .sum()
    };
    let shifts = (0..=2 * SHIFT).flat_map(|top| (0..=2 * SHIFT).map(move |left| (left, top)));
    shifts.map(|(left, top)| shifted(left, top)).min().unwrap_or(u64::MAX)
}

/// Sum of squared differences; the sum of a chunk fits 32 bits.
pub(super) fn squares(a: &[u8], b: &[u8]) -> u64 {
    let chunk = |(a, b): (&[u8], &[u8])| -> u64 {
        let square = |(a, b): (&u8, &u8)| (i32::from(*a) - i32::from(*b)).pow(2) as u32;
        u64::from(a.iter().zip(b).map(square).sum::<u32>())
    };
    a.chunks(1 << 14).zip(b.chunks(1 << 14)).map(chunk).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Generator, Mt19937};

    /// Discs of many colours, places and sizes on white, 7 pixels or more from the edge.
    fn discs() -> Vec<(String, Picture)> {
        let mut random = Mt19937::new(3);
        let disc = |i: usize| {
            let draw = random.rand(6);
            let (x, y, r) = (16.0 + 16.0 * draw[0], 16.0 + 16.0 * draw[1], 4.0 + 5.0 * draw[2]);
            let colour = [draw[3], draw[4], draw[5]].map(|c| (200.0 * c) as u8);
            let mut picture = Picture::filled(48, 48, [255; 3]);
            for at in 0..48 * 48 {
                let (dx, dy) = ((at % 48) as f32 - x, (at / 48) as f32 - y);
                if dx * dx + dy * dy < r * r {
                    picture.set(at % 48, at / 48, colour);
                }
            }
            (format!("disc {i}"), picture)
        };
        (0..60).map(disc).collect()
    }

    fn shifted(picture: &Picture, right: usize, down: usize) -> Picture {
        let mut moved = Picture::filled(picture.width, picture.height, [255; 3]);
        for y in down..picture.height {
            for x in right..picture.width {
                moved.set(x, y, picture.pixel(x - right, y - down));
            }
        }
        moved
    }

    fn found(glyphs: &[(String, Picture)], distance: Distance, change: impl Fn(&Picture, usize) -> Picture) -> usize {
        let gallery = Gallery::new(glyphs);
        let itself = |i: &usize| nearest(&gallery.distances(&change(&glyphs[*i].1, *i), distance)) == Some(*i);
        (0..glyphs.len()).filter(itself).count()
    }

    #[test]
    fn squares_are_exact() {
        assert_eq!(squares(&[0, 10, 255], &[255, 7, 255]), 255 * 255 + 9);
        assert_eq!(squares(&vec![0; 1 << 17], &vec![255; 1 << 17]), (1 << 17) * 255 * 255);
    }

    #[test]
    fn a_glyph_finds_itself_and_so_does_a_noisy_one() {
        let glyphs = discs();
        let noisy = |picture: &Picture, i: usize| {
            let noise = Mt19937::new(i as u64).randn(picture.rgb.len());
            let rgb = picture.rgb.iter().zip(noise).map(|(c, n)| (f32::from(*c) + 30.0 * n).clamp(0.0, 255.0) as u8);
            Picture { rgb: rgb.collect(), ..picture.clone() }
        };
        for distance in Distance::ALL {
            assert_eq!(found(&glyphs, distance, |picture, _| picture.clone()), 60);
            assert!(found(&glyphs, distance, noisy) >= 55, "{distance:?}");
        }
    }

    #[test]
    fn a_shifted_glyph_is_at_no_distance_with_shifts() {
        let glyphs = discs();
        let gallery = Gallery::new(&glyphs);
        for (i, (_, glyph)) in glyphs.iter().enumerate() {
            let moved = shifted(glyph, 4, 2);
            assert_eq!(gallery.distances(&moved, Distance::Shift)[i], 0);
            assert!(gallery.distances(&moved, Distance::Pixel)[i] > 0);
            assert!(gallery.distances(&shifted(glyph, 6, 0), Distance::Shift)[i] > 0);
        }
        let by = |distance| found(&glyphs, distance, |picture, _| shifted(picture, 4, 2));
        assert!(by(Distance::Shift) > by(Distance::Pixel));
    }

    #[test]
    fn equal_glyphs_share_a_rank() {
        let distances = [5, 3, 3, 9];
        assert_eq!([0, 1, 2, 3].map(|i| rank(&distances, i, 0..4)), [3, 1, 1, 4]);
        assert_eq!(rank(&distances, 0, [0, 1, 3].into_iter()), 2);
        assert_eq!((nearest(&distances), nearest(&[])), (Some(1), None));
    }
}
