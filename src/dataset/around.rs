//! Small things that surround a thing: rain, snow, hearts and so on.

use super::affine::Affine;
use super::artist::Artist;
use super::compose::{Part, bounds};
use super::looks::Look;
use super::pack::Pack;
use super::scene::Around;
use super::sprite::Sprite;
use super::studio::Studio;
use crate::error::Result;
use crate::random::{self, Mt19937};

/// The thing's parts and what surrounds them, in a square from about -0.5 to 0.5.
pub fn parts<'a>(
    studio: &'a Studio,
    pack: &'a Pack,
    thing: Vec<Part<'a>>,
    what: Around,
    (look, artists): (&Look, &[Artist]),
) -> Result<Vec<Part<'a>>> {
    let mut random = random::stream(look.details, "dataset.around", 0);
    if let Some(name) = what.concept() {
        return Ok(ring(thing, studio.named(pack, name, artists)?, &mut random));
    }
    Ok(match what {
        Around::Rain => rain(thing, [studio.prop("cloud")?, studio.prop("streak")?], &mut random),
        Around::Snow => snow(thing, [studio.prop("mound")?, studio.prop("flake")?], &mut random),
        _ => ring(thing, studio.prop("note")?, &mut random),
    })
}

/// The thing at (x, y) with its longer side `side`.
fn moved<'a>(thing: Vec<Part<'a>>, (x, y): (f32, f32), side: f32) -> Vec<Part<'a>> {
    let (left, top, right, bottom) = bounds(&thing, Affine::IDENTITY);
    let scale = side / (right - left).max(bottom - top).max(1e-3);
    let centre = Affine::moved(-(left + right) / 2.0, -(top + bottom) / 2.0);
    let to = centre.then(Affine::scaled(scale, scale)).then(Affine::moved(x, y));
    thing.into_iter().map(|part| Part { to: part.to.then(to), ..part }).collect()
}

fn about(random: &mut Mt19937, most: f32) -> f32 {
    (2.0 * random.uniform() - 1.0) * most
}

fn rain<'a>(thing: Vec<Part<'a>>, [cloud, streak]: [&'a Sprite; 2], random: &mut Mt19937) -> Vec<Part<'a>> {
    let thing = moved(thing, (0.0, 0.23), 0.6);
    let (_, top, _, _) = bounds(&thing, Affine::IDENTITY);
    let lean = 10.0;
    let drop = |x: f32, y: f32, long: f32| {
        Part::new(streak, Affine::scaled(long, long).then(Affine::turned(lean)).then(Affine::moved(x, y)))
    };
    let mut behind = Vec::new();
    let mut before = Vec::new();
    for (row, y) in [-0.07f32, 0.12, 0.31, 0.48].into_iter().enumerate() {
        for column in 0..6 {
            let x = -0.42 + 0.165 * column as f32 + if row % 2 == 0 { 0.04 } else { -0.04 } - 0.04 * (y + 0.1);
            let part = drop(x + about(random, 0.02), y + about(random, 0.03), 0.13 + about(random, 0.015));
            // A few fall in front of the thing, at the sides.
            let front = (column == 0 || column == 5) && row > 0 || random.uniform() < 0.1;
            if front { before.push(part) } else { behind.push(part) }
        }
    }
    let cloud_y = (top - 0.14).min(-0.24);
    let cloud = Part::new(cloud, Affine::scaled(0.86, 0.7).then(Affine::moved(0.0, cloud_y)));
    behind.into_iter().chain(thing).chain(before).chain([cloud]).collect()
}

fn snow<'a>(thing: Vec<Part<'a>>, [mound, flake]: [&'a Sprite; 2], random: &mut Mt19937) -> Vec<Part<'a>> {
    let thing = moved(thing, (0.0, 0.05), 0.74);
    let (_, _, _, bottom) = bounds(&thing, Affine::IDENTITY);
    let mound = Part::new(mound, Affine::scaled(1.04, 0.9).then(Affine::moved(0.0, bottom + 0.01)));
    let flake = |x: f32, y: f32, side: f32, turn: f32| {
        Part::new(flake, Affine::scaled(side, side).then(Affine::turned(turn)).then(Affine::moved(x, y)))
    };
    let spots = [
        (-0.44, -0.38),
        (-0.2, -0.46),
        (0.12, -0.45),
        (0.4, -0.4),
        (-0.46, -0.1),
        (0.46, -0.12),
        (-0.42, 0.16),
        (0.44, 0.17),
        (0.28, -0.22),
        (-0.3, -0.24),
    ];
    let mut behind = Vec::new();
    let mut before = Vec::new();
    for (i, (x, y)) in spots.into_iter().enumerate() {
        let part =
            flake(x + about(random, 0.03), y + about(random, 0.03), 0.125 + about(random, 0.025), about(random, 30.0));
        if i < 8 { before.push(part) } else { behind.push(part) }
    }
    behind.into_iter().chain(thing).chain([mound]).chain(before).collect()
}

/// About six copies of a sprite at the thing's sides and above it.
fn ring<'a>(thing: Vec<Part<'a>>, sprite: &'a Sprite, random: &mut Mt19937) -> Vec<Part<'a>> {
    let mut parts = moved(thing, (0.0, 0.06), 0.74);
    let spots = [
        (-0.42, -0.3, 0.2),
        (0.42, -0.32, 0.22),
        (-0.46, 0.1, 0.15),
        (0.46, 0.08, 0.16),
        (-0.16, -0.47, 0.13),
        (0.17, -0.48, 0.14),
        (-0.4, 0.38, 0.13),
        (0.41, 0.38, 0.12),
    ];
    for (x, y, side) in spots {
        let side = side + about(random, 0.02);
        let turn = Affine::turned(about(random, 18.0));
        let to = Affine::scaled(side, side)
            .then(turn)
            .then(Affine::moved(x + about(random, 0.025), y + about(random, 0.03)));
        parts.push(Part::new(sprite, to));
    }
    parts
}
