//! Everything that recipes with alpha need besides the pack: the lexicon, every drawing as a sprite, and which things
//! suit which scenes.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use super::artist::Artist;
use super::lexicon::Lexicon;
use super::pack::{Concept, Pack};
use super::props::{DRAWN, HELD, Held, Source, WORN, Worn};
use super::raster::{Glyph, softened};
use super::recipe::Recipe;
use super::sprite::Sprite;
use super::suits::{Suits, suits};
use super::vector;
use crate::error::{Error, Result};

/// A pack and a recipe prepared for drawing; see the module.
pub struct Studio {
    /// The names of things.
    pub lexicon: Lexicon,
    /// What suits each chosen concept, by its index in the pack; nothing suits the others.
    pub suits: Vec<Suits>,
    /// Things to wear whose drawing the pack has.
    pub worn: Vec<&'static Worn>,
    /// Things to hold whose drawing the pack has.
    pub held: Vec<&'static Held>,
    artists: Vec<Artist>,
    sprites: Vec<[OnceLock<Sprite>; Artist::ALL.len()]>,
    props: BTreeMap<&'static str, OnceLock<Sprite>>,
    by_name: HashMap<String, usize>,
    side: usize,
}

impl Studio {
    /// Prepares the studio; sprites are made when they are first drawn.
    ///
    /// # Errors
    /// Those of the lexicon.
    pub fn new(pack: &Pack, recipe: &Recipe, chosen: &[usize], lexicon: Lexicon) -> Self {
        let by_name: HashMap<_, _> = pack.concepts.iter().enumerate().map(|(i, c)| (c.name.clone(), i)).collect();
        let mut all = vec![Suits::default(); pack.concepts.len()];
        for &concept in chosen {
            all[concept] = suits(&pack.concepts[concept], &recipe.palette);
        }
        let drawn = |from: Source| match from {
            Source::Pack(name) => by_name.contains_key(name),
            Source::Drawn(_) => true,
        };
        Self {
            lexicon,
            suits: all,
            worn: WORN.iter().filter(|worn| drawn(worn.from)).collect(),
            held: HELD.iter().filter(|held| by_name.contains_key(held.concept)).collect(),
            artists: recipe.artists.clone(),
            sprites: pack.concepts.iter().map(|_| Default::default()).collect(),
            props: DRAWN.iter().map(|(name, _)| (*name, OnceLock::new())).collect(),
            by_name,
            side: (0..pack.concepts.len()).map(|i| pack.first(i).height).max().unwrap_or(64),
        }
    }

    /// The artists of the recipe who drew the concept, in the order of `preferred`.
    pub fn artists<'a>(
        &'a self,
        pack: &'a Pack,
        concept: usize,
        preferred: &'a [Artist],
    ) -> impl Iterator<Item = Artist> + 'a {
        let used = move |artist: &Artist| self.artists.contains(artist) && pack.glyph(concept, *artist).is_some();
        preferred.iter().copied().filter(used)
    }

    /// The recipe's artists in the recipe's order.
    pub fn order(&self) -> &[Artist] {
        &self.artists
    }

    /// The concept's sprite by an artist.
    ///
    /// # Errors
    /// [`Error::Request`] if the artist did not draw it.
    pub fn sprite(&self, pack: &Pack, concept: usize, artist: Artist) -> Result<&Sprite> {
        let glyph = pack.glyph(concept, artist).ok_or_else(|| {
            let Concept { name, .. } = &pack.concepts[concept];
            Error::Request(format!("the pack has no '{name}' by {}", artist.key()))
        })?;
        Ok(self.sprites[concept][artist as usize].get_or_init(|| Sprite::new(glyph)))
    }

    /// The sprite of the concept with that emoji-test.txt name by the first of `preferred` who drew it, or by the first
    /// of the recipe's artists.
    ///
    /// # Errors
    /// [`Error::Request`] if none of the recipe's artists drew such a concept.
    pub fn named(&self, pack: &Pack, name: &str, preferred: &[Artist]) -> Result<&Sprite> {
        let missing = || Error::Request(format!("the pack has no '{name}' by the recipe's artists"));
        let concept = *self.by_name.get(name).ok_or_else(missing)?;
        let artist = self.artists(pack, concept, preferred).next();
        let artist = artist.or_else(|| self.artists(pack, concept, &self.artists).next()).ok_or_else(missing)?;
        self.sprite(pack, concept, artist)
    }

    /// Whether every artist's drawing of the concept can show a face: it has eyes, or room for them.
    pub fn has_room(&self, pack: &Pack, concept: usize) -> bool {
        let roomy = |artist: Artist| {
            let anchors = self.sprite(pack, concept, artist).map(|sprite| *sprite.anchors());
            anchors
                .is_ok_and(|found| if self.suits[concept].face { found.eyes.is_some() } else { found.belly.2 > 0.21 })
        };
        self.artists(pack, concept, &self.artists).all(roomy)
    }

    /// A drawing of `props::DRAWN`.
    ///
    /// # Errors
    /// [`Error::Request`] if there is none with that name.
    pub fn prop(&self, name: &str) -> Result<&Sprite> {
        let missing = || Error::Request(format!("no drawing '{name}' among the props"));
        let place = self.props.get(name).ok_or_else(missing)?;
        let svg = DRAWN.iter().find(|(known, _)| *known == name).ok_or_else(missing)?.1;
        let failed = |e: String| Error::Request(format!("the drawing '{name}' of the props: {e}"));
        match place.get() {
            Some(sprite) => Ok(sprite),
            None => {
                let mut glyph = vector::rasterised(svg, self.side).map_err(failed)?;
                if name == "brow" || name.ends_with(" face") {
                    haloed(&mut glyph);
                }
                Ok(place.get_or_init(|| Sprite::new(&glyph)))
            }
        }
    }

    /// Whether the pack has a concept with that emoji-test.txt name.
    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }
}

/// Puts white under and around the drawing, so that it is also visible on dark things.
fn haloed(glyph: &mut Glyph) {
    let side = glyph.width;
    let alpha = glyph.rgba.iter().map(|p| f32::from(p[3]) / 255.0).collect::<Vec<_>>();
    let around = softened(&alpha, side, (side / 50).max(1));
    for (pixel, around) in glyph.rgba.iter_mut().zip(around) {
        let own = f32::from(pixel[3]) / 255.0;
        let white = 0.85 * (5.0 * around).min(1.0) * (1.0 - own);
        let all = (own + white).max(1e-6);
        for value in &mut pixel[..3] {
            *value = ((own * f32::from(*value) + white * 255.0) / all).round() as u8;
        }
        pixel[3] = (255.0 * (own + white)).round() as u8;
    }
}
