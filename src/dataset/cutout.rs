//! From a scene to a picture, for recipes with alpha: the arranged parts are fitted into the square, drawn on a
//! transparent ground and styled; a shadow and the background that the caption names are added.

use super::affine::Affine;
use super::arrange::Group;
use super::compose::{bounds, compose};
use super::looks::Look;
use super::raster::{Layer, softened};
use super::sample::Stickers;
use super::scene::{Scene, Size, Spot, Style, Turn};
use super::style;
use crate::error::{Error, Result};

/// Longer side of the drawing, as a share of the picture.
pub const FULL: f32 = 0.92;
/// Cells on each side of pixel art.
pub const CELLS: usize = 32;
/// The margin on each side that stays free when something is moved.
const EDGE: f32 = 0.015;

impl Stickers {
    /// Draws a scene of a recipe with alpha as a square layer with sides of `size` pixels; [`Stickers::render_layer`]
    /// uses it.
    pub(super) fn cut_out(&self, scene: &Scene, size: usize) -> Result<Layer> {
        if size == 0 {
            return Err(Error::Request("a picture of 0 pixels".into()));
        }
        let look = self.look(scene);
        let group = fitted(self.arrange(scene, &look)?, scene, &look);
        let mut layer = match scene.style {
            // Outlines are found at twice the size.
            Some(Style::Outline) => {
                let mut large = Layer::clear(2 * size, 2 * size);
                compose(&group.parts, look.bend, &mut large);
                style::outlined(&large).resized(size, size)
            }
            _ => {
                let mut layer = Layer::clear(size, size);
                compose(&group.parts, look.bend, &mut layer);
                layer
            }
        };
        match scene.style {
            Some(Style::PixelArt) => layer = style::pixelated(&layer, CELLS, size),
            Some(Style::Silhouette) => layer.recolour(|_| [0.1, 0.1, 0.12]),
            Some(Style::BlackAndWhite) => layer.recolour(|c| [style::luma(c); 3]),
            Some(Style::Sepia) => layer.recolour(style::brown),
            Some(Style::Outline) | None => {}
        }
        if look.shadow && !matches!(scene.style, Some(Style::Outline | Style::PixelArt)) {
            layer = shadowed(&layer);
        }
        if let Some(name) = &scene.background {
            let unused = || Error::Request(format!("colour '{name}' of the palette has no 'background'"));
            let mut ground = Layer::filled(size, size, self.recipe.colour(name)?.background.ok_or_else(unused)?);
            layer.onto(&mut ground, 0, 0);
            layer = ground;
        }
        Ok(layer)
    }

    /// The properties that the scene's caption leaves open, drawn from its number.
    pub(super) fn look(&self, scene: &Scene) -> Look {
        match scene.more.look {
            Some(seed) => Look::draw(seed, &self.recipe.variation),
            None => Look::STILL,
        }
    }
}

/// Rotates the group as look and scene say, and fits it into the picture.
fn fitted<'a>(mut group: Group<'a>, scene: &Scene, look: &Look) -> Group<'a> {
    let turned = match scene.turn {
        Some(Turn::UpsideDown) => 180.0,
        Some(Turn::Tilted) if look.tilt < 0.0 => -28.0,
        Some(Turn::Tilted) => 28.0,
        None => 0.0,
    };
    let share = if scene.turn.is_some() { 0.2 } else { group.tilt };
    let pose = look.pose(group.mirrored, share).then(Affine::turned(turned));
    let (left, top, right, bottom) = bounds(&group.parts, pose);
    let (width, height) = ((right - left).max(1e-3), (bottom - top).max(1e-3));
    let longer = FULL * if look.shadow { 0.95 } else { 1.0 };
    let said = match (scene.size, scene.more.spot) {
        (Some(Size::Small), _) => Some(0.55),
        (Some(Size::Tiny), _) => Some(0.32),
        (Some(Size::Huge), _) => Some(1.35),
        (None, Some(_)) => Some(0.52),
        (None, None) => None,
    };
    let bent = 1.0 - 2.0 * look.bend.across.abs().max(look.bend.down.abs());
    let scale = longer * bent * said.unwrap_or(look.size) / width.max(height);
    let free = |extent: f32| ((1.0 - extent * scale) / 2.0 - EDGE).max(0.0);
    // Near the middle, even if a narrow thing could move further.
    let most = if said.is_some() { 0.12 } else { 0.07 };
    let moved = |share: f32, extent: f32| 0.5 + share * free(extent).min(most);
    let mut at = (moved(look.place.0, width), moved(look.place.1, height));
    match scene.more.spot {
        Some(Spot::Left) => at.0 = 0.5 - free(width),
        Some(Spot::Right) => at.0 = 0.5 + free(width),
        Some(Spot::Top) => at.1 = 0.5 - free(height),
        Some(Spot::Bottom) => at.1 = 0.5 + free(height),
        None => {}
    }
    let centre = Affine::moved(-(left + right) / 2.0, -(top + bottom) / 2.0);
    let place = pose.then(centre).then(Affine::scaled(scale, scale)).then(Affine::moved(at.0, at.1));
    group.parts.iter_mut().for_each(|part| part.to = part.to.then(place));
    group
}

/// Puts a soft shadow below, shifted slightly down.
fn shadowed(layer: &Layer) -> Layer {
    let alpha = layer.pixels.iter().map(|p| p[3]).collect::<Vec<_>>();
    let alpha = softened(&alpha, layer.width, (layer.width / 40).max(1));
    let down = (layer.height / 28).max(1);
    let mut below = Layer::clear(layer.width, layer.height);
    for y in down..layer.height {
        for x in 0..layer.width {
            below.pixels[y * layer.width + x][3] = 0.38 * alpha[(y - down) * layer.width + x];
        }
    }
    layer.onto(&mut below, 0, 0);
    below
}

#[cfg(test)]
mod tests {
    use super::super::likeness::{drawn_box, part};
    use super::super::scene::{Around, Facing, Mood, Place};
    use super::super::testing_open;
    use super::*;

    fn fox(change: impl Fn(&mut Scene)) -> Scene {
        let mut scene = Scene::plain("fox");
        change(&mut scene);
        scene
    }

    /// Left, top, right and bottom of the drawing, as shares of the side.
    fn drawn(stickers: &Stickers, scene: &Scene) -> [f32; 4] {
        let layer = stickers.render_layer(scene, 64).unwrap();
        drawn_box(&layer).unwrap().map(|at| at as f32 / 64.0)
    }

    #[test]
    fn whatever_varies_stays_inside_and_is_drawn_the_same_again() {
        let stickers = testing_open::stickers();
        for i in 0..200 {
            let scene = stickers.sample(3, super::super::Split::Train, i).unwrap();
            let layer = stickers.render_layer(&scene, 64).unwrap();
            assert_eq!(layer.bytes(), stickers.render_layer(&scene, 64).unwrap().bytes());
            let clear = |x: usize, y: usize| layer.pixels[y * 64 + x][3] < 0.5;
            let inside = (0..64).all(|i| clear(i, 0) && clear(i, 63) && clear(0, i) && clear(63, i));
            assert!(inside || scene.background.is_some() || scene.size == Some(Size::Huge), "{scene:?}");
            assert!(layer.pixels.iter().any(|p| p[3] > 0.4), "{scene:?}");
            assert!(layer.pixels.iter().all(|p| p[..3].iter().all(|c| *c <= p[3] + 1e-3 && *c >= 0.0)), "{scene:?}");
        }
    }

    #[test]
    fn plain_things_fill_the_picture_at_any_size() {
        let stickers = testing_open::stickers();
        for name in &stickers.names {
            let [left, top, right, bottom] = drawn(&stickers, &Scene::plain(name));
            assert!(((right - left).max(bottom - top) - FULL).abs() < 0.05, "{name}");
            assert!((left + right - 1.0).abs() < 0.05 && (top + bottom - 1.0).abs() < 0.05, "{name}");
            let large = stickers.render_layer(&Scene::plain(name), 128).unwrap().resized(32, 32);
            let small = stickers.render_layer(&Scene::plain(name), 32).unwrap();
            let apart: f32 = large.pixels.iter().zip(&small.pixels).map(|(a, b)| (a[3] - b[3]).abs()).sum();
            assert!(apart / 1024.0 < 0.02, "{name}: {apart}");
        }
    }

    #[test]
    fn words_of_place_size_and_turn_are_obeyed() {
        let stickers = testing_open::stickers();
        for look in [None, Some(1), Some(2), Some(3)] {
            let at = |spot| drawn(&stickers, &fox(|s| (s.more.spot, s.more.look) = (Some(spot), look)));
            assert!(at(Spot::Left)[2] < 0.62 && at(Spot::Right)[0] > 0.38);
            assert!(at(Spot::Top)[3] < 0.62 && at(Spot::Bottom)[1] > 0.38);
            let side = |size| {
                let [left, top, right, bottom] = drawn(&stickers, &fox(|s| (s.size, s.more.look) = (Some(size), look)));
                (right - left).max(bottom - top)
            };
            assert!(side(Size::Tiny) < 0.4 && side(Size::Small) > 0.4 && side(Size::Small) < 0.62);
            assert!(side(Size::Huge) > 0.97);
        }
        let fish = |facing| {
            let mut scene = Scene::plain("fish");
            scene.more.facing = Some(facing);
            stickers.render_layer(&scene, 64).unwrap()
        };
        // The eye is black and inside the head.
        let dark =
            |layer: Layer| (0..64 * 64).find(|i| layer.pixels[*i][3] > 0.9 && layer.pixels[*i][0] < 0.2).unwrap() % 64;
        assert!(dark(fish(Facing::Left)) < 24 && dark(fish(Facing::Right)) > 40);
    }

    #[test]
    fn backgrounds_lie_behind_and_shadows_below() {
        let stickers = testing_open::stickers_with(|r| r.variation.shadow = 1.0);
        let on_blue = stickers.render_layer(&fox(|s| s.background = Some("blue".into())), 64).unwrap();
        assert!(on_blue.pixels.iter().all(|p| p[3] > 0.999));
        let corner = on_blue.pixels[0].map(|c| (255.0 * c).round());
        assert_eq!(corner, [92.0, 150.0, 245.0, 255.0]);
        let soft = |layer: &Layer| layer.pixels.iter().filter(|p| p[3] > 0.05 && p[3] < 0.3 && p[0] < 0.02).count();
        let plain = stickers.render_layer(&fox(|_| ()), 64).unwrap();
        let shaded = stickers.render_layer(&fox(|s| s.more.look = Some(9)), 64).unwrap();
        assert!(soft(&shaded) > 60 && soft(&plain) < 10, "{} {}", soft(&shaded), soft(&plain));
        assert!(stickers.render_layer(&fox(|s| s.background = Some("mauve".into())), 8).is_err());
        assert!(stickers.render_layer(&fox(|_| ()), 0).is_err());
    }

    #[test]
    fn pairs_and_copies_stand_in_their_places() {
        let stickers = testing_open::stickers();
        for (place, half) in [
            (Place::LeftOf, [32, 0, 64, 64]),
            (Place::And, [32, 0, 64, 64]),
            (Place::RightOf, [0, 0, 32, 64]),
            (Place::Above, [0, 32, 64, 64]),
            (Place::Below, [0, 0, 64, 32]),
        ] {
            let concepts = vec!["fox".to_owned(), "key".to_owned()];
            let pair = Scene { concepts, place: Some(place), ..Scene::plain("fox") };
            let layer = stickers.render_layer(&pair, 64).unwrap();
            let alone = stickers.render_layer(&Scene::plain("key"), 64).unwrap();
            let own = alone.pixels.iter().find(|p| p[3] > 0.99).unwrap();
            let same = |p: &[f32; 4]| p[3] > 0.9 && p.iter().zip(own).all(|(a, b)| (a - b).abs() < 0.06);
            let all = layer.pixels.iter().filter(|p| same(p)).count();
            let there = part(&layer, half).pixels.iter().filter(|p| same(p)).count();
            assert!(all > 60 && 10 * there > 9 * all, "{place:?}: {there} of {all}");
        }
        let inked = |count| {
            let layer = stickers.render_layer(&fox(|s| s.count = count), 64).unwrap();
            layer.pixels.iter().map(|p| p[3]).sum::<f32>()
        };
        for count in 2..=6 {
            assert!(inked(count) > 0.09 * inked(1) * count as f32, "{count}");
        }
        assert!(stickers.render_layer(&fox(|s| s.count = 7), 8).unwrap_err().to_string().contains("1 to 6"));
    }

    #[test]
    fn what_is_added_is_seen_and_what_is_unknown_is_named() {
        let stickers = testing_open::stickers();
        let plain = stickers.render_layer(&fox(|_| ()), 64).unwrap();
        type Change = Box<dyn Fn(&mut Scene)>;
        let mut added: Vec<Change> = Vec::new();
        for word in ["sunglasses", "hat", "crown", "party hat", "Santa hat"] {
            added.push(Box::new(move |s| s.more.wearing = Some(word.into())));
        }
        for word in ["flower", "balloon", "heart", "pizza"] {
            added.push(Box::new(move |s| s.more.holding = Some(word.into())));
        }
        for around in [Around::Rain, Around::Snow, Around::Hearts, Around::Music] {
            added.push(Box::new(move |s| s.more.around = Some(around)));
        }
        for mood in [Mood::Sad, Mood::Angry, Mood::InLove] {
            added.push(Box::new(move |s| s.more.mood = Some(mood)));
        }
        added.push(Box::new(|s| s.more.potted = true));
        for (i, add) in added.iter().enumerate() {
            let with = stickers.render_layer(&fox(add), 64).unwrap();
            let other = with.pixels.iter().zip(&plain.pixels).filter(|(a, b)| (a[0] - b[0]).abs() > 0.2).count();
            assert!(other > 40, "{i}: {other}");
        }
        let refused = |change: fn(&mut Scene)| stickers.render_layer(&fox(change), 8).unwrap_err().to_string();
        assert!(refused(|s| s.more.wearing = Some("monocle".into())).contains("'monocle'"));
        assert!(refused(|s| s.more.around = Some(Around::Stars)).contains("'star'"));
        assert!(refused(|s| s.artist = Some(super::super::Artist::Twemoji)).contains("twemoji"));
    }
}
