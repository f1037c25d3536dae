//! A white outline around what a transparent picture shows, like that of messenger stickers.

use super::{Picture, WHITE};

/// The outline's width as a share of the longer side. Messengers ask for 8 of 512 pixels; this is a little more, so
/// that it is also visible on a small picture.
const SHARE: f32 = 1.0 / 40.0;

impl Picture {
    /// The picture with a white outline behind it, a fortieth of the longer side wide. If the outline would not fit,
    /// the picture grows by the same margin on all sides. A picture that is nowhere more than half transparent stays as
    /// it is.
    pub fn outlined(&self) -> Self {
        let Some(alpha) = &self.alpha else { return self.clone() };
        if alpha.iter().all(|alpha| *alpha >= 128) {
            return self.clone();
        }
        let radius = (SHARE * self.width.max(self.height) as f32).max(1.0);
        let margin = (radius.ceil() as usize).saturating_sub(self.room(alpha));
        let wide = self.padded(margin);
        let white = dilated(wide.alpha.as_deref().unwrap_or_default(), wide.width, radius);
        let pixels = wide.pixels().zip(white).flat_map(|(pixel, white)| under(pixel, white)).collect::<Vec<u8>>();
        Self::from_rgba(wide.width, wide.height, &pixels).unwrap_or(wide)
    }

    /// Pixels between the visible part and the nearest edge.
    fn room(&self, alpha: &[u8]) -> usize {
        let seen = alpha.iter().enumerate().filter(|(_, alpha)| **alpha > 0).map(|(i, _)| i);
        let (right, bottom) = (self.width - 1, self.height - 1);
        let distance = |(x, y): (usize, usize)| x.min(y).min(right - x).min(bottom - y);
        seen.map(|i| distance((i % self.width, i / self.width))).min().unwrap_or(usize::MAX)
    }

    /// With this many more transparent pixels on each side.
    fn padded(&self, margin: usize) -> Self {
        let (width, height) = (self.width + 2 * margin, self.height + 2 * margin);
        let mut rgb = vec![0; 3 * width * height];
        let mut alpha = vec![0; width * height];
        for (i, [r, g, b, a]) in self.pixels().enumerate() {
            let at = (margin + i / self.width) * width + margin + i % self.width;
            rgb[3 * at..3 * at + 3].copy_from_slice(&[r, g, b]);
            alpha[at] = a;
        }
        Self { width, height, rgb, alpha: Some(alpha) }
    }
}

/// For each pixel, the greatest alpha of a pixel nearby, limited to the share of the pixel that a disc of that radius
/// around the other one covers. So a smooth edge stays smooth when it moves outwards.
fn dilated(alpha: &[u8], width: usize, radius: f32) -> Vec<u8> {
    let height = alpha.len() / width;
    let reach = radius.ceil() as isize;
    let disc: Vec<(isize, isize, u8)> = (-reach..=reach)
        .flat_map(|dy| (-reach..=reach).map(move |dx| (dx, dy)))
        .map(|(dx, dy)| (dx, dy, covered(radius, (dx as f32).hypot(dy as f32))))
        .filter(|(_, _, cover)| *cover > 0)
        .collect();
    let mut out = alpha.to_vec();
    for at in (0..alpha.len()).filter(|&at| is_edge(alpha, width, at)) {
        let (x, y) = ((at % width) as isize, (at / width) as isize);
        for &(dx, dy, cover) in &disc {
            let (x, y) = (x + dx, y + dy);
            if x >= 0 && y >= 0 && (x as usize) < width && (y as usize) < height {
                let place = &mut out[y as usize * width + x as usize];
                *place = (*place).max(alpha[at].min(cover));
            }
        }
    }
    out
}

/// How much of a pixel a disc covers whose centre is this far away; 255 for all of it.
fn covered(radius: f32, away: f32) -> u8 {
    ((radius + 0.5 - away).clamp(0.0, 1.0) * 255.0).round() as u8
}

/// Whether the disc around a pixel may reach places that no other disc reaches. This is not so for an opaque pixel with
/// opaque neighbours on its four sides, one of which is nearer to any place outside.
fn is_edge(alpha: &[u8], width: usize, at: usize) -> bool {
    let (x, opaque) = (at % width, |at: usize| alpha.get(at).is_none_or(|alpha| *alpha == 255));
    let left = x == 0 || opaque(at - 1);
    let right = x + 1 == width || opaque(at + 1);
    let inside = opaque(at) && left && right && at.checked_sub(width).is_none_or(opaque) && opaque(at + width);
    alpha[at] > 0 && !inside
}

/// A pixel composited over white with an alpha of at least its own.
fn under([r, g, b, alpha]: [u8; 4], white: u8) -> [u8; 4] {
    let own = f32::from(alpha) / 255.0;
    let all = own + f32::from(white) / 255.0 * (1.0 - own);
    let part = |level: u8, ground: u8| match all > 0.0 {
        true => ((f32::from(level) * own + f32::from(ground) * (all - own)) / all).round() as u8,
        false => 0,
    };
    [part(r, WHITE[0]), part(g, WHITE[1]), part(b, WHITE[2]), (all * 255.0).round() as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disc of one colour with a smooth edge: alpha is the covered share of each pixel.
    fn disc(side: usize, radius: f32) -> Picture {
        let centre = (side as f32 - 1.0) / 2.0;
        let pixel = |i: usize| {
            let away = (i % side) as f32 - centre;
            let away = away.hypot((i / side) as f32 - centre);
            [200, 30, 60, ((radius + 0.5 - away).clamp(0.0, 1.0) * 255.0).round() as u8]
        };
        let rgba: Vec<u8> = (0..side * side).flat_map(pixel).collect();
        Picture::from_rgba(side, side, &rgba).unwrap()
    }

    #[test]
    fn a_disc_gets_a_white_ring_of_that_width() {
        let (side, radius) = (160, 50.0);
        let outlined = disc(side, radius).outlined();
        assert_eq!((outlined.width, outlined.height), (side, side));
        let wanted = disc(side, radius + side as f32 / 40.0);
        for (i, [r, g, b, alpha]) in outlined.pixels().enumerate() {
            let away = (i % side) as f32 - 79.5;
            let away = away.hypot((i / side) as f32 - 79.5);
            // Within half a pixel of a true disc of that size.
            let true_alpha = wanted.alpha.as_ref().unwrap()[i];
            assert!(alpha.abs_diff(true_alpha) <= 128, "{away}: {alpha}, {true_alpha}");
            if away < radius - 1.0 {
                assert_eq!([r, g, b, alpha], [200, 30, 60, 255]);
            } else if away > radius + 1.0 && alpha > 0 {
                assert_eq!([r, g, b], [255; 3], "{away}");
            }
            assert!(alpha == 255 || away > radius + 2.0, "{away}: {alpha}");
        }
        let area = |picture: &Picture| picture.alpha.iter().flatten().map(|a| f64::from(*a) / 255.0).sum::<f64>();
        let apart = area(&outlined) / area(&wanted) - 1.0;
        // A third of a pixel of radius 54.
        assert!(apart.abs() < 0.0125, "the area is off by {apart}");
    }

    /// The shortcut that skips inner pixels gives the same result.
    #[test]
    fn only_edges_count() {
        let mut random = crate::random::stream(5, "outline", 0);
        use crate::random::Generator;
        let (width, height) = (40, 30);
        let blobs: Vec<f32> = random.rand(12);
        let alpha: Vec<u8> = (0..width * height)
            .map(|i| {
                let (x, y) = ((i % width) as f32, (i / width) as f32);
                let depth = |blob: &[f32]| 2.0 + 6.0 * blob[2] - (x - 40.0 * blob[0]).hypot(y - 30.0 * blob[1]);
                (blobs.chunks_exact(3).map(depth).fold(0f32, f32::max).min(1.0) * 255.0) as u8
            })
            .collect();
        for radius in [1.0f32, 2.3, 4.0] {
            let fast = dilated(&alpha, width, radius);
            for (i, fast) in fast.iter().enumerate() {
                let value = |(j, alpha): (usize, &u8)| {
                    let away = (i % width) as f32 - (j % width) as f32;
                    let away = away.hypot((i / width) as f32 - (j / width) as f32);
                    (*alpha).min(covered(radius, away))
                };
                assert_eq!(Some(*fast), alpha.iter().enumerate().map(value).max(), "radius {radius}, place {i}");
            }
        }
    }

    #[test]
    fn it_grows_only_where_the_outline_needs_room() {
        let whole = disc(80, 39.5).outlined();
        assert_eq!((whole.width, whole.height), (84, 84));
        assert_eq!(whole.pixel(42, 42), [200, 30, 60]);
        assert_eq!(whole.pixel(42, 0), [255; 3]);
        let wide = disc(80, 37.4).outlined();
        assert_eq!((wide.width, wide.height), (80, 80));
    }

    #[test]
    fn pictures_without_transparency_stay_as_they_are() {
        let opaque = Picture::filled(9, 9, [1, 2, 3]);
        assert_eq!(opaque.outlined(), opaque);
        let nearly = Picture::from_rgba(2, 1, &[1, 2, 3, 254, 4, 5, 6, 255]).unwrap();
        assert_eq!(nearly.outlined(), nearly);
        let nothing = Picture::from_rgba(2, 1, &[0; 8]).unwrap();
        assert_eq!(nothing.outlined().alpha, Some(vec![0, 0]));
    }
}
