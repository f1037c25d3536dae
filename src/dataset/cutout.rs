//! Scene -> picture for recipes with alpha: the arranged parts are fitted into the square, drawn on nothing, sent
//! through the style, given a shadow, and laid on the background that the caption names.

use super::affine::Affine;
use super::arrange::Group;
use super::compose::{bounds, compose};
use super::looks::Look;
use super::raster::{Layer, softened};
use super::sample::Stickers;
use super::scene::{Scene, Size, Spot, Style, Turn};
use super::style;
use crate::error::{Error, Result};

/// Longer side of what is drawn, as a share of the picture.
pub const FULL: f32 = 0.92;
/// What every picture keeps free at each side when something is moved.
const EDGE: f32 = 0.015;

impl Stickers {
    /// The scene of a recipe with alpha as a square layer of `size` pixels a side; what [`Stickers::render_layer`] does for
    /// such recipes.
    pub(super) fn cut_out(&self, scene: &Scene, size: usize) -> Result<Layer> {
        if size == 0 {
            return Err(Error::Request("a picture of 0 pixels".into()));
        }
        let look = self.look(scene);
        let group = fitted(self.arrange(scene, &look)?, scene, &look);
        let mut layer = match scene.style {
            // Lines are found at twice the size.
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
            Some(Style::PixelArt) => layer = style::pixelated(&layer, 24, size),
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

    /// What the scene's caption leaves open, as its number draws it.
    pub(super) fn look(&self, scene: &Scene) -> Look {
        match scene.more.look {
            Some(seed) => Look::draw(seed, &self.recipe.variation),
            None => Look::STILL,
        }
    }
}

/// The group turned as look and scene say, and moved and scaled into the picture.
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
    // Near the middle, wherever a narrow thing could go.
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

/// Over a soft shadow, a little below.
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
