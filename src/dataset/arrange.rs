//! From a scene to its parts: which sprites a picture consists of, and how they lie relative to each other. Later the
//! whole is fitted into the square. The unit of length is the longer side of the (first) thing.

use super::affine::Affine;
use super::compose::{Paint, Part};
use super::looks::Look;
use super::props::{self, Held, Seat, Worn};
use super::sample::Stickers;
use super::scene::{Facing, Place, Scene};
use super::sprite::Sprite;
use super::studio::Studio;
use super::{around, moods};
use crate::error::{Error, Result};
use crate::random::{self, Generator};

/// Parts that move together.
pub struct Group<'a> {
    /// The parts, the hindmost first.
    pub parts: Vec<Part<'a>>,
    /// Share of the look's tilt by which the whole is rotated.
    pub tilt: f32,
    /// Whether the whole is mirrored.
    pub mirrored: bool,
}

/// A thing, and the properties of the scene that concern it.
pub(super) struct Thing<'a> {
    pub(super) sprite: &'a Sprite,
    pub(super) paint: Paint,
    /// Whether it may be mirrored.
    pub(super) mirror: bool,
    /// Whether it has a face.
    pub(super) face: bool,
}

impl<'a> Thing<'a> {
    /// The part at a place, in units of its longer side.
    pub(super) fn part(&self, to: Affine) -> Part<'a> {
        Part { sprite: self.sprite, to, paint: self.paint }
    }
}

/// Distance between the centres of copies and pairs.
const STEP: f32 = 1.06;

impl Stickers {
    pub(super) fn arrange<'a>(&'a self, scene: &Scene, look: &Look) -> Result<Group<'a>> {
        let studio = self.studio()?;
        let first = scene.concepts.first().ok_or_else(|| Error::Request("a scene without a concept".into()))?;
        let thing = self.thing(studio, (first, scene.colour.as_deref()), scene, look)?;
        let mirrored = match scene.more.facing {
            Some(facing) => facing == Facing::Right,
            None => look.mirrored && thing.mirror,
        };
        if let Some(second) = scene.concepts.get(1) {
            let second = self.thing(studio, (second, scene.more.second_colour.as_deref()), scene, look)?;
            return pair([thing, second], scene.place, look);
        }
        match scene.count {
            1 => {}
            2..=6 => return Ok(copies(&thing, scene.count, look, mirrored)),
            other => return Err(Error::Request(format!("{other} of a concept: 1 to 6 are drawn"))),
        }
        let artists = self.preferred(studio, scene, look);
        let mut parts = vec![thing.part(Affine::IDENTITY)];
        if let Some(mood) = scene.more.mood {
            parts.extend(moods::parts(studio, &self.pack, &thing, mood, &artists)?);
        }
        if let Some(word) = &scene.more.wearing {
            parts.push(self.worn(studio, word, &thing, &artists)?);
        }
        if let Some(word) = &scene.more.holding {
            parts.push(self.held(studio, word, &thing, &artists)?);
        }
        if scene.more.potted {
            let pot = studio.prop("pot")?;
            let wide = (1.5 * thing.sprite.half.0).clamp(0.5, 0.95);
            let to = Affine::scaled(wide, wide).then(Affine::moved(0.0, thing.sprite.half.1 + 0.26 * wide));
            parts.push(Part::new(pot, to));
        }
        let mut tilt = 1.0;
        if let Some(what) = scene.more.around {
            parts = around::parts(studio, &self.pack, parts, what, (look, &artists))?;
            tilt = 0.3;
        }
        Ok(Group { parts, tilt, mirrored })
    }

    /// The sprites and words of recipes with alpha.
    pub(super) fn studio(&self) -> Result<&Studio> {
        let missing = || Error::Request("a scene that only recipes with alpha have".into());
        self.studio.as_ref().ok_or_else(missing)
    }

    /// The artists in the order that scene and look prefer.
    fn preferred(&self, studio: &Studio, scene: &Scene, look: &Look) -> Vec<super::Artist> {
        let order = if scene.more.look.is_some() { look.artists.to_vec() } else { studio.order().to_vec() };
        scene.artist.into_iter().chain(order).collect()
    }

    fn thing<'a>(
        &'a self,
        studio: &'a Studio,
        (name, colour): (&str, Option<&str>),
        scene: &Scene,
        look: &Look,
    ) -> Result<Thing<'a>> {
        let concept = self.concept(name)?;
        let order = self.preferred(studio, scene, look);
        let artist = match scene.artist {
            Some(artist) => artist,
            None => {
                let missing = || Error::Request(format!("none of the recipe's artists drew '{name}'"));
                studio.artists(&self.pack, concept, &order).next().ok_or_else(missing)?
            }
        };
        let sprite = studio.sprite(&self.pack, concept, artist)?;
        let unused = |name: &str| Error::Request(format!("colour '{name}' of the palette has no 'glyph'"));
        let colour = match colour {
            Some(name) => Some(self.recipe.colour(name)?.glyph.ok_or_else(|| unused(name))?),
            None => None,
        };
        let suits = studio.suits[concept];
        // An asked colour is not shifted, and skin never turns green.
        let shift = if colour.is_some() { None } else { look.shift(if suits.skin { 0.4 } else { 1.0 }) };
        Ok(Thing { sprite, paint: Paint { colour, shift, solid: None }, mirror: suits.mirror, face: suits.face })
    }

    fn worn<'a>(
        &'a self,
        studio: &'a Studio,
        word: &str,
        thing: &Thing,
        artists: &[super::Artist],
    ) -> Result<Part<'a>> {
        let unknown = || Error::Request(format!("nothing to wear is called '{word}'"));
        let worn = studio.worn.iter().find(|worn| worn.word == word).ok_or_else(unknown)?;
        let sprite = match worn.from {
            props::Source::Pack(name) => studio.named(&self.pack, name, artists)?,
            props::Source::Drawn(name) => studio.prop(name)?,
        };
        Ok(Part::new(sprite, seat(worn, sprite, thing)))
    }

    fn held<'a>(
        &'a self,
        studio: &'a Studio,
        word: &str,
        thing: &Thing,
        artists: &[super::Artist],
    ) -> Result<Part<'a>> {
        let unknown = || Error::Request(format!("nothing to hold is called '{word}'"));
        let held = studio.held.iter().find(|held| held.word == word).ok_or_else(unknown)?;
        Ok(Part::new(studio.named(&self.pack, held.concept, artists)?, hand(held, thing.sprite)))
    }
}

/// Where something to wear sits on a thing.
fn seat(worn: &Worn, sprite: &Sprite, on: &Thing) -> Affine {
    let anchors = on.sprite.anchors();
    // A sprite's longer side is 1, and its width is twice the half.
    let wide = |width: f32| width / (2.0 * sprite.half.0);
    match worn.seat {
        Seat::Eyes => {
            // Seeds and buttons are not eyes.
            let (x, y, gap) = match anchors.eyes.filter(|_| on.face) {
                Some(eyes) => (eyes.x, eyes.y, eyes.gap),
                None => {
                    let (x, y, radius) = anchors.belly;
                    (x, y - 0.25 * radius, 0.75 * radius)
                }
            };
            let scale = wide(worn.width * gap.clamp(0.18, 0.5));
            Affine::scaled(scale, scale).then(Affine::moved(x, y + worn.sink * scale))
        }
        Seat::Head => {
            let head = anchors.head;
            let scale = wide(worn.width * head.width.clamp(0.3, 0.95));
            let down = head.y - scale * sprite.half.1 * (1.0 - 2.0 * worn.sink);
            Affine::scaled(scale, scale).then(Affine::moved(head.x, down))
        }
    }
}

/// Where a thing holds something: at its side, below the middle.
fn hand(held: &Held, who: &Sprite) -> Affine {
    let x = who.half.0 + 0.16 * held.side - 0.05;
    let y = who.half.1 - 0.3 - held.above * held.side;
    Affine::scaled(held.side, held.side).then(Affine::moved(x, y))
}

fn pair<'a>(things: [Thing<'a>; 2], place: Option<Place>, look: &Look) -> Result<Group<'a>> {
    let [one, two] = &things;
    // Narrow things are placed closer together than wide ones.
    let apart = |one: f32, two: f32| (one + two + 0.08).max(0.6);
    let across = apart(one.sprite.half.0, two.sprite.half.0);
    let down = apart(one.sprite.half.1, two.sprite.half.1);
    let (x, y) = match place {
        Some(Place::NextTo | Place::LeftOf | Place::And) => (across, 0.0),
        Some(Place::RightOf) => (-across, 0.0),
        Some(Place::Above) => (0.0, down),
        Some(Place::Below) => (0.0, -down),
        None => return Err(Error::Request("two concepts without a place".into())),
    };
    let mut random = random::stream(look.details, "dataset.pair", 0);
    let parts = things.iter().zip([(0.0, 0.0), (x, y)]).map(|(thing, (x, y))| {
        let turn = 0.35 * look.tilt * (2.0 * random.uniform() - 1.0);
        let mirrored = thing.mirror && look.mirrored;
        thing.part(
            Affine::scaled(if mirrored { -1.0 } else { 1.0 }, 1.0).then(Affine::turned(turn)).then(Affine::moved(x, y)),
        )
    });
    Ok(Group { parts: parts.collect(), tilt: 0.2, mirrored: false })
}

/// The centres of two to six copies, in steps.
pub(super) fn places(count: usize) -> Vec<(f32, f32)> {
    let row = |y: f32, n: usize| (0..n).map(move |i| (i as f32 - (n as f32 - 1.0) / 2.0, y)).collect::<Vec<_>>();
    match count {
        2 => row(0.0, 2),
        3 => [row(-0.5, 1), row(0.5, 2)].concat(),
        4 => [row(-0.5, 2), row(0.5, 2)].concat(),
        5 => [row(-0.5, 2), row(0.5, 3)].concat(),
        6 => [row(-0.5, 3), row(0.5, 3)].concat(),
        _ => row(0.0, 1),
    }
}

fn copies<'a>(thing: &Thing<'a>, count: usize, look: &Look, mirrored: bool) -> Group<'a> {
    let mut random = random::stream(look.details, "dataset.copies", 0);
    let (width, height) = (2.0 * thing.sprite.half.0, 2.0 * thing.sprite.half.1);
    // Narrow things are placed closer together, so that the whole fills the picture.
    let (across, down) = ((STEP * width).max(0.62), (STEP * height).max(0.62));
    let parts = places(count).into_iter().map(|(x, y)| {
        let [turn] = [2.0 * random.rand(1)[0] - 1.0];
        let turn = Affine::scaled(if mirrored { -1.0 } else { 1.0 }, 1.0).then(Affine::turned(0.25 * turn * look.tilt));
        thing.part(turn.then(Affine::moved(x * across, y * down)))
    });
    Group { parts: parts.collect(), tilt: 0.2, mirrored: false }
}
