//! A glyph prepared for repeated drawing at any size and rotation: premultiplied pixels in halving sizes, its outline,
//! and data for recolouring.
//!
//! Positions in a sprite are in units of its longer side. The middle of what is drawn is (0, 0), and its longer side
//! reaches from -0.5 to 0.5, with y pointing down. So glyphs of all artists have the same size, whatever margins their
//! files have.

use std::sync::OnceLock;

use super::affine::Affine;
use super::anchors::{self, Anchors};
use super::raster::Glyph;
use super::style::luma;

/// A glyph prepared for drawing; see the module.
pub struct Sprite {
    levels: Vec<Level>,
    /// From the sprite's coordinates to the glyph's square, 0..1.
    inner: Affine,
    /// Half the width and half the height of the drawing; the larger is 0.5.
    pub half: (f32, f32),
    /// Greatest extent of the drawing in [`DIRECTIONS`] directions, clockwise from the right.
    reach: [f32; DIRECTIONS],
    /// Data for recolouring.
    pub tones: Tones,
    anchors: OnceLock<Anchors>,
}

/// The pixels at one size, premultiplied.
pub struct Level {
    /// Side in pixels.
    pub side: usize,
    /// Rows from the top.
    pub pixels: Vec<[u8; 4]>,
}

/// The parts of a glyph that take another colour, and their lightness.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tones {
    /// Mean luma of the parts that take the colour, 0..1.
    pub mean: f32,
    /// Whether white parts stay as they are (eyes, teeth, snow on a roof).
    pub keep_white: bool,
    /// Whether black parts stay as they are (eyes, mouths, tyres).
    pub keep_black: bool,
}

/// Number of directions in the outline's table.
const DIRECTIONS: usize = 64;
/// Alpha (of 255) at which a pixel counts as drawn.
const DRAWN: u8 = 24;
/// Side of the smallest level, in pixels.
const LEAST_SIDE: usize = 8;
/// A glyph keeps its black and white parts if at least this share of it takes the colour.
const ENOUGH: f32 = 0.5;

impl Sprite {
    /// Prepares a square glyph with straight alpha. An empty glyph gives an empty sprite.
    pub fn new(glyph: &Glyph) -> Self {
        let levels = levels(glyph);
        let first = &levels[0];
        let side = first.side as f32;
        let (left, top, right, bottom) = first.drawn().unwrap_or((0, 0, first.side, first.side));
        let longer = ((right - left).max(bottom - top)) as f32;
        let half = ((right - left) as f32 / longer / 2.0, (bottom - top) as f32 / longer / 2.0);
        let centre = ((left + right) as f32 / 2.0 / side, (top + bottom) as f32 / 2.0 / side);
        let inner = Affine::scaled(longer / side, longer / side).then(Affine::moved(centre.0, centre.1));
        let reach = reach(first, inner);
        let tones = Tones::of(levels.iter().find(|l| l.side <= 96).unwrap_or(first));
        Self { levels, inner, half, reach, tones, anchors: OnceLock::new() }
    }

    /// The positions of eyes, head and belly.
    pub fn anchors(&self) -> &Anchors {
        self.anchors.get_or_init(|| anchors::find(self))
    }

    /// The colour (sRGB, 0..255) at a place; none if nothing is drawn there.
    pub fn colour(&self, x: f32, y: f32) -> Option<[u8; 3]> {
        let (level, to_level) = self.level(40.0);
        let (u, v) = to_level.apply(x, y);
        let [r, g, b, a] = level.between(u, v);
        (a > 200.0).then(|| [r, g, b].map(|c| (c / a * 255.0).round().min(255.0) as u8))
    }

    /// The level for drawing with `scale` pixels of the picture to one unit of the sprite, and the map from the
    /// sprite's coordinates to the level's pixels. At most two of the level's pixels correspond to one of the picture,
    /// so that four samples a pixel miss nothing.
    pub fn level(&self, scale: f32) -> (&Level, Affine) {
        let whole = scale / self.inner.scale();
        let level = self.levels.iter().rev().find(|l| l.side as f32 >= whole).unwrap_or(&self.levels[0]);
        (level, self.inner.then(Affine::scaled(level.side as f32, level.side as f32)))
    }

    /// The extent in direction (u, v) when the sprite is mapped by `to`: the greatest value of u x + v y over the
    /// drawing.
    pub fn reach(&self, to: &Affine, (u, v): (f32, f32)) -> f32 {
        let [across, down] = to.steps();
        let (along_x, along_y) = (across.0 * u + across.1 * v, down.0 * u + down.1 * v);
        let (x, y) = to.apply(0.0, 0.0);
        let length = along_x.hypot(along_y);
        let turn = along_y.atan2(along_x) / std::f32::consts::TAU;
        let at = turn.rem_euclid(1.0) * DIRECTIONS as f32;
        let (low, part) = (at as usize % DIRECTIONS, at.fract());
        let reach = self.reach[low] * (1.0 - part) + self.reach[(low + 1) % DIRECTIONS] * part;
        length * reach + x * u + y * v
    }
}

impl Level {
    /// The pixel; transparent outside.
    fn at(&self, x: isize, y: isize) -> [f32; 4] {
        let inside = x >= 0 && y >= 0 && x < self.side as isize && y < self.side as isize;
        if inside { self.pixels[y as usize * self.side + x as usize].map(f32::from) } else { [0.0; 4] }
    }

    /// Linear interpolation; the centre of pixel (0, 0) is at (0.5, 0.5). Premultiplied, 0..255.
    pub fn between(&self, x: f32, y: f32) -> [f32; 4] {
        let (x, y) = (x - 0.5, y - 0.5);
        let (left, top) = (x.floor(), y.floor());
        let (fx, fy) = (x - left, y - top);
        let (left, top) = (left as isize, top as isize);
        let side = self.side as isize;
        if left < -1 || top < -1 || left >= side || top >= side {
            return [0.0; 4];
        }
        let (a, b) = (self.at(left, top), self.at(left + 1, top));
        let (c, d) = (self.at(left, top + 1), self.at(left + 1, top + 1));
        let mut mixed = [0.0; 4];
        for i in 0..4 {
            let above = a[i] + (b[i] - a[i]) * fx;
            let below = c[i] + (d[i] - c[i]) * fx;
            mixed[i] = above + (below - above) * fy;
        }
        mixed
    }

    /// Left, top, right and bottom of the drawing, the last two exclusive.
    fn drawn(&self) -> Option<(usize, usize, usize, usize)> {
        let places = (0..self.pixels.len()).filter(|&i| self.pixels[i][3] >= DRAWN);
        places.map(|i| (i % self.side, i / self.side)).fold(None, |found, (x, y)| {
            let (left, top, right, bottom) = found.unwrap_or((x, y, x + 1, y + 1));
            Some((left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1)))
        })
    }

    fn halved(&self) -> Self {
        let side = self.side / 2;
        let mut pixels = Vec::with_capacity(side * side);
        for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
            let four = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| (2 * y + dy) * self.side + 2 * x + dx);
            let sum = |c: usize| four.iter().map(|&i| u16::from(self.pixels[i][c])).sum::<u16>();
            pixels.push([0, 1, 2, 3].map(|c| ((sum(c) + 2) / 4) as u8));
        }
        Self { side, pixels }
    }
}

impl Tones {
    fn of(level: &Level) -> Self {
        // Area and sum of luma of the white parts, the black parts and the rest.
        let mut sums = [(1e-6f32, 0.0f32); 3];
        for pixel in level.pixels.iter().filter(|p| p[3] >= DRAWN) {
            let alpha = f32::from(pixel[3]);
            let colour = [pixel[0], pixel[1], pixel[2]].map(|c| f32::from(c) / alpha);
            let (white, black) = neutral(colour);
            for (sum, share) in sums.iter_mut().zip([white, black, 1.0 - white - black]) {
                sum.0 += share * alpha;
                sum.1 += share * alpha * luma(colour);
            }
        }
        let [white, black, rest] = sums;
        let all = white.0 + black.0 + rest.0;
        let with = |parts: &[(f32, f32)]| parts.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0, s.1 + p.1));
        let kept = [(true, true), if white.0 >= black.0 { (false, true) } else { (true, false) }, (false, false)];
        let coloured = |(keep_white, keep_black): (bool, bool)| {
            let mut parts = vec![rest];
            parts.extend((!keep_white).then_some(white));
            parts.extend((!keep_black).then_some(black));
            with(&parts)
        };
        let chosen = kept.into_iter().find(|k| coloured(*k).0 >= ENOUGH * all).unwrap_or((false, false));
        let (area, sum) = coloured(chosen);
        Self { mean: sum / area, keep_white: chosen.0, keep_black: chosen.1 }
    }
}

/// How white and how black a colour (sRGB, 0..1) is; both are 0 for most colours.
pub fn neutral(colour: [f32; 3]) -> (f32, f32) {
    let most = colour.iter().fold(0.0f32, |m, c| m.max(*c));
    let least = colour.iter().fold(1.0f32, |m, c| m.min(*c));
    let between = |low: f32, high: f32, x: f32| ((x - low) / (high - low)).clamp(0.0, 1.0);
    (between(0.82, 0.9, least), between(0.36, 0.26, most) * between(0.2, 0.14, most - least))
}

fn levels(glyph: &Glyph) -> Vec<Level> {
    let square = glyph.layer(|c| c);
    let byte = |v: f32| (v * 255.0).round().clamp(0.0, 255.0) as u8;
    let pixels = square.pixels.iter().map(|p| p.map(byte)).collect();
    let mut levels = vec![Level { side: square.width, pixels }];
    while levels[levels.len() - 1].side / 2 >= LEAST_SIDE {
        let next = levels[levels.len() - 1].halved();
        levels.push(next);
    }
    levels
}

fn reach(level: &Level, inner: Affine) -> [f32; DIRECTIONS] {
    let back = Affine::scaled(1.0 / level.side as f32, 1.0 / level.side as f32)
        .then(inner.inverse().unwrap_or(Affine::IDENTITY));
    let drawn = |x: usize, y: usize| level.pixels[y * level.side + x][3] >= DRAWN;
    // The outermost pixels of each row are enough.
    let mut points = Vec::new();
    for y in 0..level.side {
        let first = (0..level.side).find(|&x| drawn(x, y));
        let last = (0..level.side).rev().find(|&x| drawn(x, y));
        for (x, right) in first.map(|x| (x, 0)).into_iter().chain(last.map(|x| (x, 1))) {
            points.extend([0, 1].map(|below| back.apply((x + right) as f32, (y + below) as f32)));
        }
    }
    let mut reach = [0.0f32; DIRECTIONS];
    for (i, most) in reach.iter_mut().enumerate() {
        let (sin, cos) = (i as f32 / DIRECTIONS as f32 * std::f32::consts::TAU).sin_cos();
        *most = points.iter().map(|(x, y)| x * cos + y * sin).fold(f32::MIN, f32::max);
    }
    if points.is_empty() { [0.0; DIRECTIONS] } else { reach }
}

#[cfg(test)]
mod tests {
    use super::super::vector;
    use super::*;

    fn sprite(body: &str) -> Sprite {
        let svg = format!(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40">{body}</svg>"#);
        Sprite::new(&vector::rasterised(&svg.replace("hash", "#"), 80).unwrap())
    }

    #[test]
    fn a_sprite_is_measured_by_its_ink() {
        // 20 x 10 in a corner.
        let flat = sprite(r#"<path fill="hashf00" d="M2 4h20v10h-20z"/>"#);
        assert!((flat.half.0 - 0.5).abs() < 1e-6 && (flat.half.1 - 0.25).abs() < 0.01, "{:?}", flat.half);
        let reach = |map: Affine, direction| flat.reach(&map, direction);
        assert!((reach(Affine::IDENTITY, (1.0, 0.0)) - 0.5).abs() < 0.01);
        assert!((reach(Affine::IDENTITY, (0.0, -1.0)) - 0.25).abs() < 0.01);
        assert!((reach(Affine::turned(90.0), (0.0, 1.0)) - 0.5).abs() < 0.01);
        assert!((reach(Affine::scaled(-2.0, 2.0).then(Affine::moved(3.0, 0.0)), (1.0, 0.0)) - 4.0).abs() < 0.02);
        // The corner at 26.6 degrees is the farthest: half the diagonal.
        assert!((reach(Affine::IDENTITY, (0.894, 0.447)) - 0.559).abs() < 0.01);
    }

    #[test]
    fn levels_halve_until_two_pixels_make_one() {
        let disc = sprite(r#"<circle cx="20" cy="20" r="20" fill="hash08f"/>"#);
        assert_eq!([80.0, 40.0, 39.0, 12.0].map(|pixels| disc.level(pixels).0.side), [80, 40, 40, 20]);
        let (level, to_level) = disc.level(20.0);
        let (x, y) = to_level.apply(0.0, 0.0);
        assert!((x - 10.0).abs() < 0.1 && (y - 10.0).abs() < 0.1 && level.between(x, y)[3] > 254.0);
        assert_eq!(level.between(-3.0, 5.0), [0.0; 4]);
    }

    #[test]
    fn white_and_black_parts_stay_unless_they_are_most() {
        let eyes = r#"<circle cx="14" cy="14" r="4" fill="hash111"/><circle cx="26" cy="14" r="4" fill="hashfff"/>"#;
        let orange = sprite(&format!(r#"<circle cx="20" cy="20" r="19" fill="hashe73"/>{eyes}"#)).tones;
        assert!(orange.keep_white && orange.keep_black);
        let sheep = sprite(&format!(r#"<circle cx="20" cy="20" r="19" fill="hashfafafa"/>{eyes}"#)).tones;
        assert!(!sheep.keep_white && sheep.keep_black && sheep.mean > 0.9);
        let bat = sprite(&format!(r#"<circle cx="20" cy="20" r="19" fill="hash222"/>{eyes}"#)).tones;
        assert!(bat.keep_white && !bat.keep_black && bat.mean < 0.2);
    }
}
