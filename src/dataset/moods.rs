//! How a thing shows what it feels: with brows, tears and signs beside its face, or with a whole face if it has none.

use super::affine::Affine;
use super::anchors::Eyes;
use super::arrange::Thing;
use super::artist::Artist;
use super::compose::{Paint, Part};
use super::pack::Pack;
use super::scene::Mood;
use super::sprite::Sprite;
use super::studio::Studio;
use crate::error::Result;

/// The parts that are laid over the thing.
pub fn parts<'a>(
    studio: &'a Studio,
    pack: &'a Pack,
    thing: &Thing<'a>,
    mood: Mood,
    artists: &[Artist],
) -> Result<Vec<Part<'a>>> {
    let sprite = thing.sprite;
    match sprite.anchors().eyes.filter(|_| thing.face) {
        Some(eyes) => on_face(studio, pack, (thing, eyes), mood, artists),
        None => drawn_face(studio, pack, sprite, mood, artists),
    }
}

fn at(sprite: &Sprite, width: f32, x: f32, y: f32) -> Affine {
    let scale = width / (2.0 * sprite.half.0);
    Affine::scaled(scale, scale).then(Affine::moved(x, y))
}

/// The sign of a mood, beside the head.
fn sign<'a>(
    studio: &'a Studio,
    pack: &'a Pack,
    on: &Sprite,
    mood: Mood,
    artists: &[Artist],
) -> Result<Option<Part<'a>>> {
    let beside = |sprite: &'a Sprite, side: f32| {
        let to = Affine::scaled(side, side).then(Affine::moved(on.half.0 - 0.02, 0.1 - on.half.1));
        Some(Part::new(sprite, to))
    };
    Ok(match mood {
        Mood::Angry if studio.has("anger symbol") => beside(studio.named(pack, "anger symbol", artists)?, 0.28),
        Mood::Sleepy => beside(studio.prop("zzz")?, 0.34),
        Mood::InLove => beside(studio.named(pack, "red heart", artists)?, 0.28),
        _ => None,
    })
}

/// Brows, tears and hearts on a face.
fn on_face<'a>(
    studio: &'a Studio,
    pack: &'a Pack,
    (thing, eyes): (&Thing<'a>, Eyes),
    mood: Mood,
    artists: &[Artist],
) -> Result<Vec<Part<'a>>> {
    let sprite = thing.sprite;
    let (left, right) = (eyes.x - eyes.gap / 2.0, eyes.x + eyes.gap / 2.0);
    let big = eyes.height.clamp(0.06, 0.2);
    let mut parts = Vec::new();
    let mut brows = |turn: f32| -> Result<()> {
        let brow = studio.prop("brow")?;
        let wide = (0.42 * eyes.gap).clamp(0.1, 0.24);
        for (x, side) in [(left, 1.0), (right, -1.0)] {
            let scale = wide / (2.0 * brow.half.0);
            let place = Affine::moved(x, eyes.y - 0.5 * big - 0.055);
            parts.push(Part::new(
                brow,
                Affine::scaled(scale, 1.25 * scale).then(Affine::turned(side * turn)).then(place),
            ));
        }
        Ok(())
    };
    // The eye is covered with the surrounding colour.
    let closed = |name: &str, parts: &mut Vec<Part<'a>>| -> Result<()> {
        let (lid, eye) = (studio.prop("lid")?, studio.prop(name)?);
        let (across, down) = (1.5 * eyes.width.max(0.05), 1.5 * eyes.height.max(0.05));
        for (x, outwards) in [(left, -1.0), (right, 1.0)] {
            let beside = [(0.0, -0.75 * down), (outwards * 0.75 * across, 0.0), (0.0, 0.75 * down)];
            let solid = beside.into_iter().find_map(|(dx, dy)| sprite.colour(x + dx, eyes.y + dy));
            let to = Affine::scaled(across, down).then(Affine::moved(x, eyes.y));
            // The thing's own colour shift also applies to its lids.
            let lid = Part { paint: Paint { solid, shift: thing.paint.shift, colour: None }, ..Part::new(lid, to) };
            let wide = (1.5 * eyes.width).max(0.14).min(0.6 * eyes.gap);
            parts.extend([lid, Part::new(eye, at(eye, wide, x, eyes.y))]);
        }
        Ok(())
    };
    match mood {
        Mood::Sad => {
            brows(-24.0)?;
            let tear = studio.prop("tear")?;
            for x in [left - 0.1 * eyes.gap, right + 0.1 * eyes.gap] {
                parts.push(Part::new(tear, at(tear, 0.13, x, eyes.y + 0.5 * big + 0.1)));
            }
        }
        Mood::Angry => brows(24.0)?,
        Mood::InLove => {
            let heart = studio.named(pack, "red heart", artists)?;
            let wide = (0.72 * eyes.gap).clamp(1.6 * big, 0.36);
            for x in [left, right] {
                parts.push(Part::new(heart, at(heart, wide, x, eyes.y)));
            }
        }
        Mood::Happy => {
            closed("smiling eye", &mut parts)?;
            let blush = studio.prop("blush")?;
            for x in [left - 0.2 * eyes.gap, right + 0.2 * eyes.gap] {
                parts.push(Part::new(blush, at(blush, 0.13, x, eyes.y + 0.5 * big + 0.09)));
            }
        }
        Mood::Sleepy => closed("closed eye", &mut parts)?,
        Mood::Surprised => {
            let wide = (1.7 * eyes.width.max(big)).max(0.15).min(0.85 * eyes.gap);
            let eye = studio.prop("wide eye")?;
            parts.extend([left, right].map(|x| Part::new(eye, at(eye, wide, x, eyes.y))));
        }
    }
    parts.extend(sign(studio, pack, sprite, mood, artists)?);
    Ok(parts)
}

/// A whole face, where there is room for it.
fn drawn_face<'a>(
    studio: &'a Studio,
    pack: &'a Pack,
    sprite: &'a Sprite,
    mood: Mood,
    artists: &[Artist],
) -> Result<Vec<Part<'a>>> {
    let name = match mood {
        Mood::Happy => "happy face",
        Mood::Sad => "sad face",
        Mood::Angry => "angry face",
        Mood::Sleepy => "sleepy face",
        Mood::InLove => "loving face",
        Mood::Surprised => "surprised face",
    };
    let face = studio.prop(name)?;
    let (x, y, radius) = sprite.anchors().belly;
    let mut parts = vec![Part::new(face, at(face, (1.5 * radius).clamp(0.26, 0.7), x, y))];
    parts.extend(sign(studio, pack, sprite, mood, artists)?);
    Ok(parts)
}
