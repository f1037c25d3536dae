//! From parts to a picture: premultiplied colours, four samples a pixel. Each part is drawn only within the box of its
//! outline.

use super::affine::Affine;
use super::raster::Layer;
use super::sprite::{Sprite, neutral};
use super::style::{luma, tone};

/// A sprite at a place, in certain colours.
#[derive(Clone)]
pub struct Part<'a> {
    /// The sprite.
    pub sprite: &'a Sprite,
    /// From the sprite's coordinates to the picture's, whose sides are 0..1.
    pub to: Affine,
    /// The colours.
    pub paint: Paint,
}

/// How a sprite's colours are changed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Paint {
    /// The colour that the whole sprite gets, with its shades (sRGB, 0..255).
    pub colour: Option<[u8; 3]>,
    /// The colour that every part of the sprite gets, without shades (sRGB, 0..255).
    pub solid: Option<[u8; 3]>,
    /// Applied to premultiplied colours after that.
    pub shift: Option<Shift>,
}

/// A change of hue, saturation and lightness.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    matrix: [[f32; 3]; 3],
    /// Above 0 towards white, below towards black.
    lighter: f32,
}

/// A slight bend of the whole picture: how far the middle of a side moves relative to its ends, in sides of the
/// picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bend {
    /// Bend of vertical lines.
    pub across: f32,
    /// Bend of horizontal lines.
    pub down: f32,
}

impl<'a> Part<'a> {
    /// A sprite in its own colours.
    pub fn new(sprite: &'a Sprite, to: Affine) -> Self {
        Self { sprite, to, paint: Paint::default() }
    }
}

impl Shift {
    /// Rotates hues by `degrees`, multiplies saturation, and moves lightness towards white (`lighter` > 0) or black,
    /// with the matrices of SVG's `feColorMatrix` (W3C Filter Effects 1, hueRotate and saturate).
    pub fn new(degrees: f32, saturation: f32, lighter: f32) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let grey = [0.213, 0.715, 0.072];
        let around = [[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]];
        let mut turned = [[0.0; 3]; 3];
        for (row, out) in turned.iter_mut().enumerate() {
            for (column, value) in out.iter_mut().enumerate() {
                let own = if row == column { 1.0 } else { 0.0 };
                *value = grey[column] + cos * (own - grey[column]) + sin * around[row][column];
            }
        }
        let mut matrix = [[0.0; 3]; 3];
        for (row, out) in matrix.iter_mut().enumerate() {
            for (column, value) in out.iter_mut().enumerate() {
                let mixed: f32 = (0..3).map(|i| grey[i] * turned[i][column]).sum();
                *value = mixed + saturation * (turned[row][column] - mixed);
            }
        }
        Self { matrix, lighter }
    }

    fn apply(&self, [r, g, b, a]: [f32; 4]) -> [f32; 4] {
        let mut out = [0.0, 0.0, 0.0, a];
        for (value, m) in out.iter_mut().zip(&self.matrix) {
            let turned = m[0] * r + m[1] * g + m[2] * b;
            let lit =
                if self.lighter >= 0.0 { turned + self.lighter * (a - turned) } else { turned * (1.0 + self.lighter) };
            *value = lit.clamp(0.0, a);
        }
        out
    }
}

impl Paint {
    /// Changes one premultiplied pixel (0..1).
    fn apply(&self, sprite: &Sprite, pixel: [f32; 4]) -> [f32; 4] {
        let pixel = match self.colour {
            Some(colour) => recoloured(sprite, colour.map(|c| f32::from(c) / 255.0), pixel),
            None => pixel,
        };
        let pixel = self.solid.map_or(pixel, |solid| {
            let [r, g, b] = solid.map(|c| f32::from(c) / 255.0 * pixel[3]);
            [r, g, b, pixel[3]]
        });
        self.shift.map_or(pixel, |shift| shift.apply(pixel))
    }
}

/// Gives the coloured parts of a sprite shades and tints of `colour`. If they become black, black parts become light,
/// so that a black cat still has visible eyes.
fn recoloured(sprite: &Sprite, colour: [f32; 3], [r, g, b, a]: [f32; 4]) -> [f32; 4] {
    let own = [r / a, g / a, b / a].map(|c| c.min(1.0));
    let tones = sprite.tones;
    let lighter = luma(own) - tones.mean;
    let made = match luma(colour) {
        // White can only be shaded darker.
        bright if bright > 0.85 => [(bright - 0.05 + 0.5 * lighter).clamp(0.3, 1.0); 3],
        _ => tone(colour, lighter),
    };
    let (white, black) = neutral(own);
    let keep = (if tones.keep_white { white } else { 0.0 }, if tones.keep_black { black } else { 0.0 });
    let dark = luma(colour) < 0.25;
    let mut out = [0.0, 0.0, 0.0, a];
    for c in 0..3 {
        let ink = if dark { 0.92 - own[c] } else { own[c] };
        out[c] = a * (keep.0 * own[c] + keep.1 * ink + (1.0 - keep.0 - keep.1) * made[c]);
    }
    out
}

/// Draws the parts in order onto a layer whose sides are 0..1.
pub fn compose(parts: &[Part], bend: Bend, onto: &mut Layer) {
    for part in parts {
        draw(part, bend, onto);
    }
}

/// Left, top, right and bottom of all parts after `then` is applied to each.
pub fn bounds(parts: &[Part], then: Affine) -> (f32, f32, f32, f32) {
    let far = |direction: (f32, f32)| {
        let reaches = parts.iter().map(|part| part.sprite.reach(&part.to.then(then), direction));
        reaches.fold(f32::MIN, f32::max)
    };
    (-far((-1.0, 0.0)), -far((0.0, -1.0)), far((1.0, 0.0)), far((0.0, 1.0)))
}

fn draw(part: &Part, bend: Bend, onto: &mut Layer) {
    let (width, height) = (onto.width as f32, onto.height as f32);
    let (level, to_level) = part.sprite.level(part.to.scale() * width.max(height));
    let Some(back) = part.to.inverse() else { return };
    let back = back.then(to_level);
    let (left, top, right, bottom) = bounds(std::slice::from_ref(part), Affine::IDENTITY);
    let slack = (bend.across.abs().max(bend.down.abs())) * width.max(height) + 2.0;
    let clip = |from: f32, to: f32, size: f32| {
        let first = (from * size - slack).floor().clamp(0.0, size) as usize;
        (first, ((to * size + slack).ceil().clamp(0.0, size) as usize).max(first))
    };
    let ((x0, x1), (y0, y1)) = (clip(left, right, width), clip(top, bottom, height));
    for y in y0..y1 {
        for x in x0..x1 {
            let mut sum = [0.0f32; 4];
            for (dx, dy) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
                let (px, py) = ((x as f32 + dx) / width, (y as f32 + dy) / height);
                let curve = |at: f32| 4.0 * at * (1.0 - at) - 0.5;
                let (u, v) = back.apply(px - bend.across * curve(py), py - bend.down * curve(px));
                let sample = level.between(u, v);
                (0..4).for_each(|c| sum[c] += sample[c]);
            }
            if sum[3] < 1.0 {
                continue;
            }
            let [r, g, b, a] = part.paint.apply(part.sprite, sum.map(|v| v / (4.0 * 255.0)));
            let below = &mut onto.pixels[y * onto.width + x];
            for (under, over) in below.iter_mut().zip([r, g, b, a]) {
                *under = over + *under * (1.0 - a);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::vector;
    use super::*;

    fn disc(fill: &str) -> Sprite {
        let svg = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="15" fill="{fill}"/></svg>"#
        );
        Sprite::new(&vector::rasterised(&svg, 160).unwrap())
    }

    fn drawn(sprite: &Sprite, to: Affine, paint: Paint, size: usize) -> Layer {
        let mut layer = Layer::clear(size, size);
        compose(&[Part { paint, ..Part::new(sprite, to) }], Bend::default(), &mut layer);
        layer
    }

    #[test]
    fn discs_have_their_area_and_no_halo_at_any_size() {
        let sprite = disc("#e02020");
        for (size, across) in [(256, 0.9), (128, 0.8), (64, 0.5), (64, 0.1), (16, 0.9)] {
            let to = Affine::scaled(across, across).then(Affine::turned(20.0)).then(Affine::moved(0.5, 0.5));
            let layer = drawn(&sprite, to, Paint::default(), size);
            let area = layer.pixels.iter().map(|p| p[3]).sum::<f32>() / (size * size) as f32;
            let expected = std::f32::consts::PI * (across / 2.0).powi(2);
            assert!((area / expected - 1.0).abs() < 0.06, "{size} {across}: {area} against {expected}");
            for [r, g, b, a] in layer.pixels.into_iter().filter(|p| p[3] > 0.05) {
                assert!((r / a - 0.878).abs() < 0.03 && (g / a - 0.125).abs() < 0.03 && b <= a, "{r} {g} {b} {a}");
            }
        }
    }

    #[test]
    fn colours_are_given_and_shifted() {
        let sprite = disc("#e0a020");
        let to = Affine::scaled(0.9, 0.9).then(Affine::moved(0.5, 0.5));
        let middle = |paint: Paint| drawn(&sprite, to, paint, 32).pixels[16 * 32 + 16].map(|v| (255.0 * v).round());
        let blue = middle(Paint { colour: Some([45, 100, 225]), ..Paint::default() });
        assert_eq!(blue, [45.0, 100.0, 225.0, 255.0]);
        let kept = middle(Paint { shift: Some(Shift::new(0.0, 1.0, 0.0)), ..Paint::default() });
        assert!(kept.iter().zip([224.0, 160.0, 32.0, 255.0]).all(|(a, b)| (a - b).abs() <= 1.0), "{kept:?}");
        let grey = middle(Paint { shift: Some(Shift::new(30.0, 0.0, 0.0)), ..Paint::default() });
        assert!((grey[0] - grey[1]).abs() <= 1.0 && (grey[1] - grey[2]).abs() <= 1.0, "{grey:?}");
        let lighter = middle(Paint { shift: Some(Shift::new(0.0, 1.0, 0.5)), ..Paint::default() });
        assert!(lighter.iter().zip(kept).all(|(a, b)| *a >= b) && lighter[2] > 120.0);
        let green = middle(Paint { shift: Some(Shift::new(60.0, 1.0, 0.0)), ..Paint::default() });
        assert!(green[1] > green[0], "from orange towards green: {green:?}");
    }

    #[test]
    fn later_parts_lie_over_earlier_ones() {
        let (under, over) = (disc("#00ff00"), disc("#0000ff"));
        let to = Affine::scaled(0.9, 0.9).then(Affine::moved(0.5, 0.5));
        let mut layer = Layer::clear(20, 20);
        compose(&[Part::new(&under, to), Part::new(&over, to)], Bend::default(), &mut layer);
        assert_eq!(layer.pixels[210], [0.0, 0.0, 1.0, 1.0]);
        let (left, top, right, bottom) = bounds(&[Part::new(&under, to)], Affine::moved(0.5, 0.0));
        assert!((left - 0.55).abs() < 0.01 && (top - 0.05).abs() < 0.01);
        assert!((right - 1.45).abs() < 0.01 && (bottom - 0.95).abs() < 0.01);
    }
}
