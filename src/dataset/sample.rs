//! Combines a pack with a recipe, and draws the scene of sample number i.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::artist::Artist;
use super::lexicon::Lexicon;
use super::pack::Pack;
use super::recipe::Recipe;
use super::scene::{Kind, Place, Scene, Size, Style, Turn};
use super::studio::Studio;
use super::suits::Suits;
use super::{caption, words};
use crate::error::{Error, Result};
use crate::random::{self, Mt19937};

/// A split of the recipe's pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Everything except the held-out combinations.
    Train,
    /// Only held-out combinations.
    HeldOut,
    /// Each concept once by each of its artists, plain; the drawings of a concept are consecutive.
    Glyphs,
}

/// A pack and a matching recipe. Draws scenes and (in render.rs) pictures of them; both are pure functions.
pub struct Stickers {
    pub(super) pack: Pack,
    /// The recipe.
    pub recipe: Recipe,
    /// Caption names of the chosen concepts, in the pack's order.
    pub names: Vec<String>,
    pub(super) index: HashMap<String, usize>,
    countable: Vec<usize>,
    /// For each drawing, the index into `names` and the artist.
    drawings: Vec<(usize, Artist)>,
    /// With alpha: the sprites and words.
    pub(super) studio: Option<Studio>,
    /// With alpha: cumulative sums of the things' weights.
    pub(super) weights: Vec<f32>,
}

impl Stickers {
    /// Chooses the recipe's concepts from the pack.
    ///
    /// # Errors
    /// As [`Recipe::select`].
    pub fn new(pack: Pack, recipe: Recipe) -> Result<Self> {
        let mut chosen = recipe.select(&pack)?;
        let mut lexicon = None;
        if recipe.alpha {
            // The lexicon gives things their names.
            let indices = chosen.iter().map(|(_, concept)| *concept).collect::<Vec<_>>();
            let words = Lexicon::of(&pack.concepts, &indices)?;
            chosen.iter_mut().for_each(|(name, concept)| *name = words.name(*concept).text().to_owned());
            lexicon = Some(words);
        }
        let names = chosen.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let countable = (0..names.len()).filter(|&i| words::countable(&names[i])).collect();
        let drawn = |(name, (_, concept)): (usize, &(String, usize))| {
            let used = |artist: &Artist| !recipe.alpha || recipe.artists.contains(artist);
            pack.artists(*concept).filter(used).map(move |artist| (name, artist)).collect::<Vec<_>>()
        };
        let drawings = chosen.iter().enumerate().flat_map(drawn).collect();
        let mut weights = Vec::new();
        let studio = lexicon.map(|lexicon| {
            let indices = chosen.iter().map(|(_, concept)| *concept).collect::<Vec<_>>();
            let mut sum = 0.0;
            weights.extend(indices.iter().map(|concept| {
                sum += lexicon.weight(*concept);
                sum
            }));
            Studio::new(&pack, &recipe, &indices, lexicon)
        });
        let index = chosen.into_iter().collect();
        Ok(Self { pack, recipe, names, index, countable, drawings, studio, weights })
    }

    /// The number of samples of [`Split::Glyphs`].
    pub fn drawings(&self) -> usize {
        self.drawings.len()
    }

    /// The words of recipes with alpha.
    pub(super) fn lexicon(&self) -> Option<&Lexicon> {
        self.studio.as_ref().map(|studio| &studio.lexicon)
    }

    /// The index of the named concept in the pack.
    ///
    /// # Errors
    /// [`Error::Request`] if it is not one of the recipe's.
    pub fn concept(&self, name: &str) -> Result<usize> {
        self.index.get(name).copied().ok_or_else(|| Error::Request(format!("no concept '{name}' in the recipe")))
    }

    /// Sample `i` of a split, which depends only on the pack, the recipe, `seed`, `split` and `i`.
    ///
    /// # Errors
    /// [`Error::Request`] if `i` is beyond the end of [`Split::Glyphs`], or if the recipe leaves nothing to draw.
    pub fn sample(&self, seed: u64, split: Split, i: u64) -> Result<Scene> {
        let stream = match split {
            Split::Glyphs => {
                let drawing = self.drawings.get(i as usize);
                let past = || Error::Request(format!("glyph {i} of {}", self.drawings.len()));
                let (name, artist) = drawing.ok_or_else(past)?;
                return Ok(Scene { artist: Some(*artist), ..Scene::plain(&self.names[*name]) });
            }
            Split::Train => "dataset.train",
            Split::HeldOut => "dataset.held_out",
        };
        let mut random = random::stream(seed, stream, i);
        for _ in 0..TRIES {
            let scene = self.draw(&mut random);
            if self.is_held_out(&scene) == (split == Split::HeldOut) {
                return Ok(scene);
            }
        }
        Err(Error::Request(format!("recipe: no {split:?} scene in {TRIES} draws; check mixture and held_out")))
    }

    /// What may be done with a concept; none in recipes without alpha, and for names that the recipe lacks.
    pub fn suits(&self, name: &str) -> Option<Suits> {
        Some(self.studio.as_ref()?.suits[*self.index.get(name)?])
    }

    /// Whether the scene has a combination that training never sees.
    pub fn is_held_out(&self, scene: &Scene) -> bool {
        let kept = |kind: &str, a: &str, b: &str| fraction(&[kind, a, b]) < f64::from(self.recipe.held_out);
        let pair = match &scene.concepts[..] {
            // Unordered, so that "a cat above a dog" and "a dog next to a cat" are both held out or both trained.
            [a, b] => kept("pair", a.min(b), a.max(b)),
            _ => false,
        };
        // On white a background is indistinguishable from none, so white is never held out.
        let behind = scene.background.as_deref().filter(|b| *b != "white");
        let worn = scene.more.wearing.as_deref().map(|word| ("wearing", word));
        let held = scene.more.holding.as_deref().map(|word| ("holding", word));
        let colours = [scene.colour.as_deref(), scene.more.second_colour.as_deref().or(scene.colour.as_deref())];
        let with = worn.into_iter().chain(held);
        pair || scene.concepts.iter().zip(colours).any(|(concept, colour)| {
            colour.is_some_and(|colour| kept("colour", concept, colour))
                || behind.is_some_and(|colour| kept("background", concept, colour))
                || with.clone().any(|(kind, word)| kept(kind, concept, word))
        })
    }

    fn draw(&self, random: &mut Mt19937) -> Scene {
        if let Some(studio) = &self.studio {
            return self.draw_open(studio, random);
        }
        let kind = self.draw_kind(random);
        let mut scene = Scene { kind, ..Scene::plain(&self.names[below(random, self.names.len())]) };
        // Half of the captions have the plain wording.
        scene.wording = if random.uniform() < 0.5 { 0 } else { 1 + below(random, caption::WORDINGS - 1) };
        match kind {
            Kind::Plain => {}
            Kind::Background => scene.background = Some(self.draw_background(random, None)),
            Kind::Recolour => scene.colour = Some(self.draw_colour(random)),
            Kind::RecolourBackground => {
                let colour = self.draw_colour(random);
                scene.background = Some(self.draw_background(random, Some(&colour)));
                scene.colour = Some(colour);
            }
            Kind::Count => {
                scene.count = 2 + below(random, 3);
                if !self.countable.is_empty() {
                    scene.concepts = vec![self.names[*pick(random, &self.countable)].clone()];
                }
            }
            Kind::Pair => {
                scene.place = Some(*pick(random, &Place::ALL));
                scene.concepts.push(self.draw_other(random, &scene.concepts[0]));
            }
            Kind::Size => scene.size = Some(*pick(random, &Size::ALL)),
            Kind::Rotation => scene.turn = Some(*pick(random, &Turn::ALL)),
            Kind::Style => scene.style = Some(*pick(random, &Style::ALL)),
            // Recipes without alpha have no other kinds: Recipe::check.
            _ => {}
        }
        let combines = matches!(kind, Kind::Count | Kind::Pair | Kind::Size | Kind::Rotation | Kind::Style);
        // The dark styles are only visible on a light background.
        let dark = matches!(scene.style, Some(Style::Silhouette | Style::Outline));
        if combines && !dark && random.uniform() < self.recipe.extra_background {
            scene.background = Some(self.draw_background(random, None));
        }
        if matches!(kind, Kind::Background | Kind::Recolour | Kind::RecolourBackground) {
            scene.says = self.draw_says(random);
        }
        scene
    }

    pub(super) fn draw_kind(&self, random: &mut Mt19937) -> Kind {
        let total: f32 = self.recipe.mixture.values().sum();
        let mut left = random.uniform() * total;
        let mut last = Kind::Plain;
        for (kind, weight) in self.recipe.mixture.iter().filter(|(_, weight)| **weight > 0.0) {
            last = *kind;
            if left < *weight {
                break;
            }
            left -= weight;
        }
        last
    }

    pub(super) fn draw_colour(&self, random: &mut Mt19937) -> String {
        let colours = self.recipe.palette.iter().filter(|c| c.glyph.is_some()).collect::<Vec<_>>();
        pick(random, &colours).name.clone()
    }

    pub(super) fn draw_background(&self, random: &mut Mt19937, other_than: Option<&str>) -> String {
        let usable = |c: &&super::recipe::Colour| c.background.is_some() && Some(c.name.as_str()) != other_than;
        let colours = self.recipe.palette.iter().filter(usable).collect::<Vec<_>>();
        pick(random, &colours).name.clone()
    }

    fn draw_other(&self, random: &mut Mt19937, than: &str) -> String {
        let own = self.names.iter().position(|n| n == than).unwrap_or(0);
        let step = 1 + below(random, self.names.len().max(2) - 1);
        self.names[(own + step) % self.names.len()].clone()
    }
}

/// Maximum number of draws until a scene belongs to the split. With 8 % held out, 1,000 draws fail with probability
/// 1e-36.
const TRIES: usize = 1000;

/// Uniform over 0..n; the modulo's bias is below n / 2^32.
pub(super) fn below(random: &mut Mt19937, n: usize) -> usize {
    random.next_u32() as usize % n
}

pub(super) fn pick<'a, T>(random: &mut Mt19937, from: &'a [T]) -> &'a T {
    &from[below(random, from.len())]
}

/// A number in [0, 1) from the words, the same on every machine and in every version.
fn fraction(words: &[&str]) -> f64 {
    let digest = Sha256::digest(words.join("\n").as_bytes());
    let first = digest.iter().take(6).fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    first as f64 / (1u64 << 48) as f64
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn a_sample_depends_on_seed_split_and_index_alone() {
        let (one, two) = (testing::stickers(), testing::stickers());
        let draw = |s: &Stickers, seed, split, i| serde_json::to_string(&s.sample(seed, split, i).unwrap()).unwrap();
        let forwards = (0..50).map(|i| draw(&one, 7, Split::Train, i)).collect::<Vec<_>>();
        let backwards = (0..50).rev().map(|i| draw(&two, 7, Split::Train, i)).collect::<Vec<_>>();
        assert!(forwards.iter().eq(backwards.iter().rev()));
        assert!((0..50).any(|i| draw(&one, 8, Split::Train, i) != forwards[i as usize]));
    }

    #[test]
    fn held_out_combinations_never_meet_training() {
        let stickers = testing::stickers();
        let mut seen = [0, 0];
        for i in 0..3000 {
            let combination = |scene: &Scene| {
                let mut concepts = scene.concepts.clone();
                concepts.sort();
                (concepts, scene.colour.clone(), scene.background.clone())
            };
            let train = stickers.sample(1, Split::Train, i).unwrap();
            let held = stickers.sample(1, Split::HeldOut, i).unwrap();
            assert!(!stickers.is_held_out(&train) && stickers.is_held_out(&held));
            assert!(combination(&held) != combination(&train));
            seen[0] += usize::from(held.colour.is_some());
            seen[1] += usize::from(held.place.is_some());
        }
        assert!(seen[0] > 100 && seen[1] > 5, "colours and pairs are held out: {seen:?}");
    }

    #[test]
    fn every_kind_comes_at_its_weight_and_is_consistent() {
        let stickers = testing::stickers();
        let mut counts = HashMap::new();
        for i in 0..4000 {
            let scene = stickers.sample(3, Split::Train, i).unwrap();
            *counts.entry(scene.kind).or_insert(0) += 1;
            assert_eq!(scene.concepts.len(), if scene.kind == Kind::Pair { 2 } else { 1 });
            assert_eq!(scene.count > 1, scene.kind == Kind::Count);
            assert!(scene.colour.is_none() || scene.colour != scene.background);
            assert!(scene.concepts.len() == 1 || scene.concepts[0] != scene.concepts[1]);
        }
        assert_eq!(counts.len(), 9);
        // 9 kinds of weight 1. Held-out scenes are drawn again, which slightly favours plain ones.
        assert!(counts.values().all(|&n| n > 250 && n < 750), "{counts:?}");
    }
}
