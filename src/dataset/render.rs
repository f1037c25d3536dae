//! From a scene to a picture. The same scene at the same size gives the same picture, bit for bit.

use super::raster::{Glyph, Layer};
use super::sample::Stickers;
use super::scene::{Place, Scene, Size, Style, Turn};
use super::style;
use crate::error::{Error, Result};
use crate::picture::Picture;

impl Stickers {
    /// The scene as a square picture with sides of `size` pixels: on white, or cut out in recipes with alpha.
    ///
    /// # Errors
    /// [`Error::Request`] that names a concept or colour that the recipe lacks, a count outside 1..=4, or a size of 0.
    pub fn render(&self, scene: &Scene, size: usize) -> Result<Picture> {
        if self.recipe.alpha {
            return Ok(self.cut_out(scene, size)?.picture());
        }
        if size == 0 {
            return Err(Error::Request("a picture of 0 pixels".into()));
        }
        let background = match &scene.background {
            Some(name) => self.recipe.colour(name)?.background.ok_or_else(|| unused(name, "background"))?,
            None => [255; 3],
        };
        let mut picture = Picture::filled(size, size, background);
        for (name, spot) in spots(scene)? {
            let side = ((spot.side * size as f32).round() as usize).max(1);
            let layer = self.layer(self.drawing(name, scene)?, scene, side)?;
            let corner = |centre: f32| (centre * size as f32 - side as f32 / 2.0).round() as isize;
            layer.over(&mut picture, corner(spot.x), corner(spot.y));
        }
        Ok(picture)
    }

    /// The scene cut out: a square layer with sides of `size` pixels, transparent unless the scene has a background.
    ///
    /// # Errors
    /// As [`Stickers::render`].
    pub fn render_layer(&self, scene: &Scene, size: usize) -> Result<Layer> {
        if self.recipe.alpha {
            return self.cut_out(scene, size);
        }
        if size == 0 {
            return Err(Error::Request("a picture of 0 pixels".into()));
        }
        let mut picture = match &scene.background {
            Some(name) => {
                let colour = self.recipe.colour(name)?.background.ok_or_else(|| unused(name, "background"))?;
                Layer::filled(size, size, colour)
            }
            None => Layer::clear(size, size),
        };
        for (name, spot) in spots(scene)? {
            let side = ((spot.side * size as f32).round() as usize).max(1);
            let layer = self.layer(self.drawing(name, scene)?, scene, side)?;
            let corner = |centre: f32| (centre * size as f32 - side as f32 / 2.0).round() as isize;
            layer.onto(&mut picture, corner(spot.x), corner(spot.y));
        }
        Ok(picture)
    }

    /// The concept's glyph, plain on white, with sides of `size` pixels.
    ///
    /// # Errors
    /// As [`Stickers::render`].
    pub fn glyph(&self, name: &str, size: usize) -> Result<Picture> {
        self.render(&Scene::plain(name), size)
    }

    /// Every glyph of the pack, in the pack's order, plain on white as [`Stickers::glyph`] draws it. Its name is the
    /// caption name if it is one of the recipe's concepts, otherwise the Unicode name.
    pub fn all_glyphs(&self, size: usize) -> Vec<(String, Picture)> {
        let mut names = self.pack.concepts.iter().map(|concept| concept.name.clone()).collect::<Vec<_>>();
        for (name, &at) in &self.index {
            names[at].clone_from(name);
        }
        let drawn = (0..self.pack.concepts.len()).map(|concept| self.pack.first(concept)).map(|glyph| {
            let mut picture = Picture::filled(size, size, [255; 3]);
            glyph.layer(|colour| colour).resized(size, size).over(&mut picture, 0, 0);
            picture
        });
        names.into_iter().zip(drawn).collect()
    }

    /// The concept's glyph by the scene's artist.
    fn drawing(&self, name: &str, scene: &Scene) -> Result<&Glyph> {
        let concept = self.concept(name)?;
        let Some(artist) = scene.artist else { return Ok(self.pack.first(concept)) };
        let missing = || Error::Request(format!("the pack has no '{name}' by {}", artist.key()));
        self.pack.glyph(concept, artist).ok_or_else(missing)
    }

    /// One glyph with the scene's colour, style and rotation, with sides of `side` pixels.
    fn layer(&self, glyph: &Glyph, scene: &Scene, side: usize) -> Result<Layer> {
        let mut layer = match (&scene.colour, scene.style) {
            (_, Some(Style::Silhouette)) => style::silhouette(glyph),
            (_, Some(Style::Outline)) => style::outline(glyph),
            (_, Some(Style::BlackAndWhite)) => style::black_and_white(glyph),
            (_, Some(Style::Sepia)) => style::sepia(glyph),
            (Some(name), _) => {
                let colour = self.recipe.colour(name)?.glyph.ok_or_else(|| unused(name, "glyph"))?;
                style::recoloured(glyph, colour)
            }
            (None, _) => glyph.layer(|c| c),
        };
        match scene.turn {
            Some(Turn::UpsideDown) => layer.pixels.reverse(),
            Some(Turn::Tilted) => layer = layer.turned(30.0),
            None => {}
        }
        Ok(match scene.style {
            Some(Style::PixelArt) => style::pixelated(&layer, 16, side),
            _ => layer.resized(side, side),
        })
    }
}

/// Centre and side of a glyph, in units of the picture's side.
pub(super) struct Spot {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) side: f32,
}

/// The place of each glyph; places of one scene never overlap.
pub(super) fn spots(scene: &Scene) -> Result<Vec<(&str, Spot)>> {
    let spot = |x, y, side| Spot { x, y, side };
    let first = scene.concepts.first().ok_or_else(|| Error::Request("a scene without a concept".into()))?.as_str();
    if let Some(second) = scene.concepts.get(1) {
        let (low, high) = (0.255, 0.745);
        let (one, two) = match scene.place {
            Some(Place::NextTo | Place::LeftOf | Place::And) => ((low, 0.5), (high, 0.5)),
            Some(Place::RightOf) => ((high, 0.5), (low, 0.5)),
            Some(Place::Above) => ((0.5, low), (0.5, high)),
            Some(Place::Below) => ((0.5, high), (0.5, low)),
            None => return Err(Error::Request("two concepts without a place".into())),
        };
        return Ok(vec![(first, spot(one.0, one.1, 0.48)), (second.as_str(), spot(two.0, two.1, 0.48))]);
    }
    let side = match (scene.size, scene.turn) {
        (Some(Size::Small), _) => 0.55,
        (Some(Size::Tiny), _) => 0.3,
        (Some(Size::Huge), _) => 1.35,
        (None, Some(Turn::Tilted)) => 0.9,
        (None, _) => 1.0,
    };
    let places: &[(f32, f32)] = match scene.count {
        1 => return Ok(vec![(first, spot(0.5, 0.5, side))]),
        2 => &[(0.255, 0.5), (0.745, 0.5)],
        3 => &[(0.5, 0.255), (0.255, 0.745), (0.745, 0.745)],
        4 => &[(0.255, 0.255), (0.745, 0.255), (0.255, 0.745), (0.745, 0.745)],
        other => return Err(Error::Request(format!("{other} of a concept: 1 to 4 are drawn"))),
    };
    Ok(places.iter().map(|&(x, y)| (first, spot(x, y, 0.48))).collect())
}

fn unused(name: &str, what: &str) -> Error {
    Error::Request(format!("colour '{name}' of the palette has no '{what}'"))
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    /// Centre of gravity and number of the pixels near a colour.
    fn find(picture: &Picture, colour: [u8; 4]) -> (f32, f32, usize) {
        let near = |p: [u8; 3]| (0..3).all(|c| p[c].abs_diff(colour[c]) < 12);
        let places = (0..picture.width * picture.height).map(|i| (i % picture.width, i / picture.width));
        let hits = places.filter(|&(x, y)| near(picture.pixel(x, y))).collect::<Vec<_>>();
        let mean = |of: fn(&(usize, usize)) -> usize| hits.iter().map(of).sum::<usize>() as f32 / hits.len() as f32;
        (mean(|h| h.0) / picture.width as f32, mean(|h| h.1) / picture.height as f32, hits.len())
    }

    #[test]
    fn a_pair_stands_as_its_caption_says() {
        let stickers = testing::stickers();
        for place in Place::ALL {
            let concepts = vec!["fox".to_owned(), "grapes".to_owned()];
            let scene = Scene { concepts, place: Some(place), ..Scene::plain("fox") };
            let picture = stickers.render(&scene, 64).unwrap();
            let (fox, grapes) = (find(&picture, testing::GLYPH_COLOURS[0]), find(&picture, testing::GLYPH_COLOURS[4]));
            let (right, down) = (grapes.0 - fox.0, grapes.1 - fox.1);
            let expected = match place {
                Place::NextTo | Place::LeftOf | Place::And => (0.5, 0.0),
                Place::RightOf => (-0.5, 0.0),
                Place::Above => (0.0, 0.5),
                Place::Below => (0.0, -0.5),
            };
            assert!((right - expected.0).abs() < 0.05 && (down - expected.1).abs() < 0.05, "{place:?} {right} {down}");
        }
    }

    #[test]
    fn as_many_as_asked_of_equal_size_without_overlap() {
        let stickers = testing::stickers();
        let inked = |count| {
            let scene = Scene { count, ..Scene::plain("bat") };
            let picture = stickers.render(&scene, 64).unwrap();
            picture.rgb.chunks_exact(3).filter(|p| p[0] < 128).count() as f32
        };
        for count in [3, 4] {
            assert!((inked(count) / inked(2) - count as f32 / 2.0).abs() < 0.02, "{count}");
        }
        let five = stickers.render(&Scene { count: 5, ..Scene::plain("bat") }, 64);
        assert!(five.unwrap_err().to_string().contains("1 to 4"));
    }

    #[test]
    fn sizes_turns_and_styles_do_what_they_say() {
        let stickers = testing::stickers();
        let fox = |change: fn(&mut Scene)| {
            let mut scene = Scene::plain("fox");
            change(&mut scene);
            stickers.render(&scene, 64).unwrap()
        };
        let inked = |p: &Picture| p.rgb.chunks_exact(3).filter(|p| p[2] < 200).count();
        let (plain, small) = (fox(|_| ()), fox(|s| s.size = Some(Size::Small)));
        let (tiny, huge) = (fox(|s| s.size = Some(Size::Tiny)), fox(|s| s.size = Some(Size::Huge)));
        assert!(inked(&tiny) * 2 < inked(&small) && inked(&small) * 2 < inked(&plain) && inked(&plain) < inked(&huge));
        // The test glyph is darker below; upside down it is darker above.
        assert!(plain.pixel(32, 12)[0] > plain.pixel(32, 52)[0]);
        let turned = fox(|s| s.turn = Some(Turn::UpsideDown));
        assert!(turned.pixel(32, 12)[0] < turned.pixel(32, 52)[0]);
        let grey = fox(|s| s.style = Some(Style::BlackAndWhite));
        assert!(grey.rgb.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]));
        let shape = fox(|s| s.style = Some(Style::Silhouette));
        assert!(shape.pixel(32, 32)[0] < 40 && inked(&shape).abs_diff(inked(&plain)) < 60);
        let lines = fox(|s| s.style = Some(Style::Outline));
        assert!(lines.pixel(32, 20) == [255; 3] && inked(&lines) > 100 && inked(&lines) < inked(&plain) / 2);
        let coarse = fox(|s| s.style = Some(Style::PixelArt));
        assert!((0..4096).all(|i| coarse.pixel(i % 64, i / 64) == coarse.pixel(i % 64 / 4 * 4, i / 64 / 4 * 4)));
    }

    #[test]
    fn what_the_recipe_lacks_is_an_error_that_names_it() {
        let stickers = testing::stickers();
        let refused = |scene: Scene| stickers.render(&scene, 16).unwrap_err().to_string();
        assert!(refused(Scene::plain("yeti")).contains("'yeti'"));
        assert!(refused(Scene { colour: Some("mauve".into()), ..Scene::plain("fox") }).contains("'mauve'"));
        assert!(refused(Scene { colour: Some("white".into()), ..Scene::plain("fox") }).contains("'white'"));
    }
}
