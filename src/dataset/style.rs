//! Recolouring and styles, applied to one glyph before it is placed.

use super::raster::{Glyph, Layer};

/// The glyph in another colour. Its hue is replaced and its shading is kept relative to its mean lightness, so that the
/// mean of the result is `colour` (sRGB, 0..255) and darker or lighter parts are shades and tints of it.
pub fn recoloured(glyph: &Glyph, colour: [u8; 3]) -> Layer {
    let colour = colour.map(|c| f32::from(c) / 255.0);
    let mean = mean_luma(glyph);
    glyph.layer(|pixel| tone(colour, luma(pixel) - mean))
}

/// A shade (`lighter` < 0) or tint (`lighter` > 0) of a colour; `lighter` is a difference of luma, all in 0..1.
pub fn tone(colour: [f32; 3], lighter: f32) -> [f32; 3] {
    let anchor = luma(colour);
    let chroma = colour.iter().fold(0.0f32, |m, c| m.max(*c)) - colour.iter().fold(1.0f32, |m, c| m.min(*c));
    // Black and grey would otherwise spread over all greys and no longer match their names.
    let spread = if chroma < 0.1 { 0.6 } else { 0.8 };
    let lightness = (anchor + spread * lighter).clamp(0.0, 1.0);
    if lightness <= anchor {
        let shade = if anchor > 0.0 { lightness / anchor } else { 1.0 };
        // Not completely black: the darkest parts still show the hue.
        colour.map(|c| c * (0.15 + 0.85 * shade))
    } else {
        let tint = 0.7 * (lightness - anchor) / (1.0 - anchor);
        colour.map(|c| c + tint * (1.0 - c))
    }
}

/// Converts to greys of the same luma.
pub fn black_and_white(glyph: &Glyph) -> Layer {
    glyph.layer(|pixel| [luma(pixel); 3])
}

/// Converts to browns of the same luma.
pub fn sepia(glyph: &Glyph) -> Layer {
    glyph.layer(brown)
}

/// The brown of the same luma.
pub fn brown(colour: [f32; 3]) -> [f32; 3] {
    let grey = luma(colour);
    [0.22 + 0.78 * grey, 0.13 + 0.77 * grey, 0.04 + 0.66 * grey]
}

/// The shape only, nearly black.
pub fn silhouette(glyph: &Glyph) -> Layer {
    glyph.layer(|_| [0.1, 0.1, 0.12])
}

/// Dark lines at the shape's edges and where its lightness changes quickly (Sobel's operator), transparent elsewhere.
pub fn outline(glyph: &Glyph) -> Layer {
    outlined(&glyph.layer(|c| c))
}

/// As [`outline`], for a square layer.
pub fn outlined(full: &Layer) -> Layer {
    // A slight blur first, to find the lines of shapes instead of texture.
    let side = full.width;
    let soft = full.resized(side / 2, side / 2).resized(side, side);
    let at = |x: isize, y: isize| {
        let inside = x >= 0 && y >= 0 && x < side as isize && y < side as isize;
        let p = if inside { soft.pixels[y as usize * side + x as usize] } else { [0.0; 4] };
        [p[3], luma([p[0], p[1], p[2]]) + (1.0 - p[3])]
    };
    let mut lines = Layer::clear(side, side);
    for y in 0..side as isize {
        for x in 0..side as isize {
            let strength = (0..2).map(|channel| sobel(|dx, dy| at(x + dx, y + dy)[channel])).fold(0.0, f32::max);
            let ink = ((strength - 0.35) / 0.6).clamp(0.0, 1.0);
            lines.pixels[y as usize * side + x as usize] = [0.1 * ink, 0.1 * ink, 0.12 * ink, ink];
        }
    }
    lines
}

/// The layer on a grid of `cells` x `cells` hard squares, without translucent ones, at `side` pixels.
pub fn pixelated(layer: &Layer, cells: usize, side: usize) -> Layer {
    let coarse = layer.resized(cells, cells);
    let mut done = Layer::clear(side, side);
    for y in 0..side {
        for x in 0..side {
            let [r, g, b, a] = coarse.pixels[(y * cells / side) * cells + x * cells / side];
            if a >= 0.5 {
                // Five levels for each channel, as on an old display.
                let level = |c: f32| ((c / a) * 5.0).round() / 5.0;
                done.pixels[y * side + x] = [level(r), level(g), level(b), 1.0];
            }
        }
    }
    done
}

/// Rec. 601 luma of sRGB values in 0..1.
pub fn luma([r, g, b]: [f32; 3]) -> f32 {
    0.299 * r + 0.587 * g + 0.114 * b
}

fn mean_luma(glyph: &Glyph) -> f32 {
    let (mut sum, mut weight) = (0.0, 1e-6);
    for [r, g, b, a] in &glyph.rgba {
        let a = f32::from(*a);
        sum += a * luma([*r, *g, *b].map(|c| f32::from(c) / 255.0));
        weight += a;
    }
    sum / weight
}

fn sobel(at: impl Fn(isize, isize) -> f32) -> f32 {
    let horizontal = at(1, -1) + 2.0 * at(1, 0) + at(1, 1) - at(-1, -1) - 2.0 * at(-1, 0) - at(-1, 1);
    let vertical = at(-1, 1) + 2.0 * at(0, 1) + at(1, 1) - at(-1, -1) - 2.0 * at(0, -1) - at(1, -1);
    horizontal.hypot(vertical)
}

#[cfg(test)]
mod tests {
    use super::super::{Pack, testing};
    use super::*;

    #[test]
    fn recolouring_centres_on_the_colour_and_keeps_the_shading() {
        let pack = Pack::from_bytes(&testing::pack_bytes(), "t", 64).unwrap();
        let colour = [50, 165, 55];
        for glyph in (0..pack.concepts.len()).map(|i| pack.first(i)) {
            let layer = recoloured(glyph, colour);
            let inside = layer.pixels.iter().filter(|p| p[3] > 0.99).collect::<Vec<_>>();
            for channel in 0..3 {
                let mean = inside.iter().map(|p| p[channel]).sum::<f32>() / inside.len() as f32;
                assert!((mean * 255.0 - f32::from(colour[channel])).abs() < 12.0, "channel {channel}: {mean}");
            }
            let at = |y: usize| layer.pixels[y * layer.width + layer.width / 2];
            assert!(at(40)[1] > at(100)[1], "the darker half stays the darker");
        }
    }

    #[test]
    fn tones_run_from_shade_to_tint() {
        let red = [0.8, 0.1, 0.1];
        assert_eq!(tone(red, 0.0), red);
        let (dark, light) = (tone(red, -0.9), tone(red, 0.9));
        assert!(luma(dark) < 0.1 && dark[0] > 3.0 * dark[1], "still red: {dark:?}");
        assert!(luma(light) > 0.7 && light[0] > light[1] + 0.1, "still reddish: {light:?}");
    }
}
