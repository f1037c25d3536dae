//! Judges by program whether a picture has the colour, or the background, that was asked for.
//!
//! Colours are compared in Oklab (Ottosson 2020, "A perceptual color space for image processing"), where equal
//! distances look equal.

use super::raster::Layer;
use super::recipe::Recipe;
use super::sprite::neutral;
use super::style::tone;
use crate::error::{Error, Result};
use crate::picture::Picture;

/// The palette of a recipe, prepared for judging pictures.
pub struct ColourJudge {
    glyphs: Vec<Hue>,
    backgrounds: Vec<(String, Lab)>,
}

impl ColourJudge {
    /// Uses the recipe's palette.
    pub fn new(recipe: &Recipe) -> Self {
        let glyphs = recipe.palette.iter().filter_map(|c| Some(Hue::new(&c.name, c.glyph?))).collect();
        let backgrounds = recipe.palette.iter().filter_map(|c| Some((c.name.clone(), oklab(c.background?)))).collect();
        Self { glyphs, backgrounds }
    }

    /// Whether the drawing has the named colour: its mean colour is nearer to it than to any other of the palette, and
    /// at least `SHARE_NEEDED` of it are shades of the colour.
    ///
    /// # Errors
    /// [`Error::Request`] if the palette has no such glyph colour.
    pub fn shows_colour(&self, picture: &Picture, name: &str) -> Result<bool> {
        let share = self.colour_share(picture, &foreground(picture), name)?;
        Ok(share >= SHARE_NEEDED && self.colour_of(picture) == Some(name))
    }

    /// Share of the pixels in `mask` (from [`foreground`]) that are shades or tints of the named colour; 0 for an empty
    /// mask.
    ///
    /// # Errors
    /// As [`ColourJudge::shows_colour`].
    pub fn colour_share(&self, picture: &Picture, mask: &[bool], name: &str) -> Result<f32> {
        let hue = self.glyphs.iter().find(|h| h.name == name);
        let hue = hue.ok_or_else(|| Error::Request(format!("no glyph colour '{name}' in the palette")))?;
        let inside = masked(picture, mask);
        let hits = inside.iter().filter(|lab| hue.fits(**lab)).count();
        Ok(hits as f32 / inside.len().max(1) as f32)
    }

    /// The palette's glyph colour nearest to the drawing's mean; none if nothing is drawn.
    pub fn colour_of(&self, picture: &Picture) -> Option<&str> {
        let inside = masked(picture, &foreground(picture));
        self.nearest(&inside)
    }

    /// Whether a drawing on a transparent ground was given the named colour. Eyes, teeth and tyres may stay white and
    /// black; the rest must be shades of the colour and on the whole nearer to it than to any other of the palette.
    ///
    /// # Errors
    /// As [`ColourJudge::shows_colour`].
    pub fn tinted(&self, lone: &Layer, name: &str) -> Result<bool> {
        let hue = self.glyphs.iter().find(|h| h.name == name);
        let hue = hue.ok_or_else(|| Error::Request(format!("no glyph colour '{name}' in the palette")))?;
        let grey = hue.colour[1].hypot(hue.colour[2]) < 0.04;
        let (drawn, mut counted) = opaque(lone);
        if grey {
            // Eyes may be white in a black thing, and black in a white one.
            let (dark, light) = (hue.colour[0] < 0.4, hue.colour[0] > 0.85);
            let kept = |lab: &Lab| dark && lab[0] > 0.85 || light && lab[0] < 0.4;
            counted = drawn.iter().filter(|lab| !kept(lab)).copied().collect();
        }
        if counted.len() < 8 || 10 * counted.len() < 3 * drawn.len() {
            return Ok(false);
        }
        let fits = counted.iter().filter(|lab| hue.fits(**lab)).count() as f32 / counted.len() as f32;
        let least = if grey { GREY_NEEDED } else { TINT_NEEDED };
        Ok(fits >= least && self.nearest(&counted) == Some(name))
    }

    /// The palette's glyph colour nearest to the mean of these colours.
    fn nearest(&self, colours: &[Lab]) -> Option<&str> {
        if colours.is_empty() {
            return None;
        }
        let mean = [0, 1, 2].map(|c| colours.iter().map(|lab| lab[c]).sum::<f32>() / colours.len() as f32);
        let nearest = self.glyphs.iter().min_by(|a, b| distance(a.colour, mean).total_cmp(&distance(b.colour, mean)));
        nearest.map(|h| h.name.as_str())
    }

    /// Whether most of a border (premultiplied colours in 0..1) has the named background colour.
    ///
    /// # Errors
    /// As [`ColourJudge::shows_background`].
    pub fn lies_on(&self, border: &[[f32; 4]], name: &str) -> Result<bool> {
        if !self.backgrounds.iter().any(|(n, _)| n == name) {
            return Err(Error::Request(format!("no background '{name}' in the palette")));
        }
        let hits =
            border.iter().filter(|p| p[3] > 0.5 && self.background_name(oklab_unit([p[0], p[1], p[2]])) == Some(name));
        Ok(2 * hits.count() > border.len())
    }

    /// Whether most of the picture's border has the named background colour.
    ///
    /// # Errors
    /// [`Error::Request`] if the palette has no such background.
    pub fn shows_background(&self, picture: &Picture, name: &str) -> Result<bool> {
        if !self.backgrounds.iter().any(|(n, _)| n == name) {
            return Err(Error::Request(format!("no background '{name}' in the palette")));
        }
        Ok(self.background_of(picture) == Some(name))
    }

    /// The palette's background of most of the picture's border; none if no single colour has most of it.
    pub fn background_of(&self, picture: &Picture) -> Option<&str> {
        let border = border(picture);
        let names = border.iter().map(|pixel| self.background_name(oklab(*pixel))).collect::<Vec<_>>();
        let most = |name: &&str| 2 * names.iter().filter(|n| **n == Some(*name)).count() > border.len();
        self.backgrounds.iter().map(|(name, _)| name.as_str()).find(most)
    }

    /// The palette's background that a colour is; none if it is far from all.
    fn background_name(&self, colour: Lab) -> Option<&str> {
        let near = self.backgrounds.iter().map(|(name, lab)| (name.as_str(), distance(*lab, colour)));
        near.min_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, d)| *d < BACKGROUND_TOLERANCE).map(|(name, _)| name)
    }
}

/// Which pixels are drawn: those that differ from the border's median colour. In row-major order.
pub fn foreground(picture: &Picture) -> Vec<bool> {
    apart(picture).into_iter().map(|distance| distance > FOREGROUND_DISTANCE).collect()
}

/// The distance of each pixel from the border's median colour, in Oklab.
pub(super) fn apart(picture: &Picture) -> Vec<f32> {
    let mut border = border(picture);
    let behind = [0, 1, 2].map(|c| {
        border.sort_unstable_by_key(|p| p[c]);
        border[border.len() / 2][c]
    });
    let behind = oklab(behind);
    picture.rgb.chunks_exact(3).map(|p| distance(oklab([p[0], p[1], p[2]]), behind)).collect()
}

/// Smallest share of shades of the asked colour; the rest may be eyes, windows, labels and soft edges.
///
/// Measured with this and the tolerances below on all 374 glyphs of stickers-v0 in all 11 colours at 64 pixels: the
/// asked colour is seen in 99 % of them, another one in fewer than 1 %. For the glyphs in their own colours, 2 % of all
/// pairs (glyph, colour) count as shown (a lemon is yellow). Backgrounds: 100 % and 0 %.
pub const SHARE_NEEDED: f32 = 0.75;
/// Smallest share of shades of the asked colour among pixels that are neither white nor black.
const TINT_NEEDED: f32 = 0.7;
/// The same for white, grey and black, among all pixels.
const GREY_NEEDED: f32 = 0.6;
const FOREGROUND_DISTANCE: f32 = 0.06;
const RAMP_TOLERANCE: f32 = 0.05;
const BACKGROUND_TOLERANCE: f32 = 0.1;

/// An Oklab colour: lightness, green-red, blue-yellow.
type Lab = [f32; 3];

/// A glyph colour with the shades and tints that recolouring makes of it.
struct Hue {
    name: String,
    colour: Lab,
    ramp: Vec<Lab>,
}

impl Hue {
    fn new(name: &str, rgb: [u8; 3]) -> Self {
        let unit = rgb.map(|c| f32::from(c) / 255.0);
        let ramp = (0..=32).map(|i| oklab_unit(tone(unit, i as f32 / 16.0 - 1.0))).collect();
        Self { name: name.to_owned(), colour: oklab(rgb), ramp }
    }

    fn fits(&self, lab: Lab) -> bool {
        self.ramp.iter().any(|shade| distance(*shade, lab) < RAMP_TOLERANCE)
    }
}

/// The colours of a layer's opaque pixels: all of them, and those that are neither white nor black.
fn opaque(lone: &Layer) -> (Vec<Lab>, Vec<Lab>) {
    let drawn = lone.pixels.iter().filter(|p| p[3] > 0.9).map(|p| [p[0], p[1], p[2]].map(|c| (c / p[3]).min(1.0)));
    let drawn = drawn.collect::<Vec<_>>();
    let tinted = |colour: &&[f32; 3]| {
        let (white, black) = neutral(**colour);
        white + black < 0.5
    };
    let labs = |colours: &mut dyn Iterator<Item = &[f32; 3]>| colours.map(|c| oklab_unit(*c)).collect();
    (labs(&mut drawn.iter()), labs(&mut drawn.iter().filter(tinted)))
}

fn masked(picture: &Picture, mask: &[bool]) -> Vec<Lab> {
    let pixels = picture.rgb.chunks_exact(3).map(|p| oklab([p[0], p[1], p[2]]));
    pixels.zip(mask).filter_map(|(lab, inside)| inside.then_some(lab)).collect()
}

/// The two outermost rings of pixels.
fn border(picture: &Picture) -> Vec<[u8; 3]> {
    let (width, height) = (picture.width, picture.height);
    let ring = |x: usize, y: usize| x < 2 || y < 2 || x + 2 >= width || y + 2 >= height;
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    places.filter(|(x, y)| ring(*x, *y)).map(|(x, y)| picture.pixel(x, y)).collect()
}

fn distance(a: Lab, b: Lab) -> f32 {
    a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f32>().sqrt()
}

fn oklab(rgb: [u8; 3]) -> Lab {
    oklab_unit(rgb.map(|c| f32::from(c) / 255.0))
}

/// sRGB in 0..1 -> Oklab.
fn oklab_unit(rgb: [f32; 3]) -> Lab {
    let [r, g, b] = rgb.map(|c| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) });
    let l = (0.412_221_47 * r + 0.536_332_54 * g + 0.051_445_995 * b).cbrt();
    let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).cbrt();
    let s = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).cbrt();
    [
        0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
        1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
        0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
    ]
}

#[cfg(test)]
mod tests {
    use super::super::scene::Scene;
    use super::super::{Stickers, testing};
    use super::*;

    /// The test glyphs under the shipped palette.
    fn shipped() -> (Stickers, ColourJudge) {
        let mut stickers = testing::stickers();
        let text = include_str!("../../recipes/stickers-v0.json");
        stickers.recipe.palette = Recipe::from_json(text, "stickers-v0.json").unwrap().palette;
        let judge = ColourJudge::new(&stickers.recipe);
        (stickers, judge)
    }

    #[test]
    fn recoloured_glyphs_show_their_colour_and_no_other() {
        let (stickers, judge) = shipped();
        let asked = stickers.recipe.palette.iter().filter(|c| c.glyph.is_some()).collect::<Vec<_>>();
        for name in &stickers.names {
            for (colour, behind) in asked.iter().zip(asked.iter().cycle().skip(3)) {
                let background = Some(behind.name.clone());
                for background in [None, background] {
                    let scene = Scene { colour: Some(colour.name.clone()), background, ..Scene::plain(name) };
                    let picture = stickers.render(&scene, 32).unwrap();
                    let shown = asked.iter().filter(|c| judge.shows_colour(&picture, &c.name).unwrap());
                    assert_eq!(shown.map(|c| &c.name).collect::<Vec<_>>(), [&colour.name], "{scene:?}");
                }
            }
        }
    }

    #[test]
    fn a_glyph_of_two_colours_shows_neither() {
        let (_, judge) = shipped();
        let mut picture = Picture::filled(32, 32, [255; 3]);
        picture.paste(&Picture::filled(20, 10, [222, 40, 42]), 6, 6);
        picture.paste(&Picture::filled(20, 10, [45, 100, 225]), 6, 16);
        assert!(!judge.shows_colour(&picture, "red").unwrap() && !judge.shows_colour(&picture, "blue").unwrap());
        let share = judge.colour_share(&picture, &foreground(&picture), "red").unwrap();
        assert!((share - 0.5).abs() < 0.01, "{share}");
        assert_eq!(foreground(&picture).iter().filter(|inside| **inside).count(), 400);
    }

    #[test]
    fn backgrounds_are_told_apart_and_nothing_drawn_has_no_colour() {
        let (stickers, judge) = shipped();
        for asked in &stickers.recipe.palette {
            let scene = Scene { background: Some(asked.name.clone()), ..Scene::plain("fox") };
            let picture = stickers.render(&scene, 32).unwrap();
            for other in &stickers.recipe.palette {
                assert_eq!(judge.shows_background(&picture, &other.name).unwrap(), other == asked);
            }
        }
        let empty = Picture::filled(16, 16, [255; 3]);
        assert_eq!(judge.colour_of(&empty), None);
        assert!(!judge.shows_colour(&empty, "grey").unwrap());
        assert!(judge.shows_colour(&empty, "mauve").is_err() && judge.shows_background(&empty, "mauve").is_err());
    }
}
