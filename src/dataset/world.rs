//! Everything that captions of a recipe say, for a page that tells people what the model knows.
//!
//! The things and their phrases are the lexicon's. The other words are taken out of captions of scenes made for it, and
//! of many of the captions that training sees, so that a new wording is in the list as soon as it is in the captions.

use std::collections::BTreeSet;

use super::caption::WORDINGS;
use super::scene::{Kind, Place, Says, Scene, Size, Style, Turn};
use super::{Lexicon, Split, Stickers, caption, words};
use crate::error::Result;
use crate::text::world::Occasion;
pub use crate::text::world::{Known, World};

/// Captions of training that are searched for words.
const SEARCHED: u64 = 20_000;
/// Stands for a concept while a caption is taken apart; the caption's grammar treats it as any other.
const THING: &str = "thing";

impl World {
    /// Takes the captions apart; `surprises` of them, of the kinds in `kinds`, are drawn with `seed`.
    ///
    /// # Errors
    /// As [`Stickers::sample`].
    pub fn new(stickers: &Stickers, (seed, surprises): (u64, usize), kinds: &[Kind]) -> Result<Self> {
        let chosen = stickers.names.iter().map(|name| stickers.pack.concepts[stickers.index[name]].clone());
        let lexicon = Lexicon::new(&chosen.collect::<Vec<_>>())?;
        let said = all_words(stickers, &lexicon, seed)?;
        let [occasions, related] = lexicon.occasions();
        let recipe = &stickers.recipe;
        let has = |kind: Kind| recipe.mixture.get(&kind).is_some_and(|weight| *weight > 0.0);
        let listed = |kind, scenes: Vec<Scene>| if has(kind) { scenes.iter().map(attribute).collect() } else { vec![] };
        let colours = |used: fn(&super::Colour) -> bool| {
            recipe.palette.iter().filter(|c| used(c)).map(|c| c.name.clone()).collect()
        };
        Ok(Self {
            concepts: (0..stickers.names.len()).map(|thing| known(&lexicon, thing, &said)).collect(),
            colours: colours(|c| c.glyph.is_some()),
            backgrounds: colours(|c| c.background.is_some()),
            counts: if has(Kind::Count) { counts() } else { Vec::new() },
            places: if has(Kind::Pair) { Place::ALL.map(place).to_vec() } else { Vec::new() },
            sizes: listed(Kind::Size, Size::ALL.map(|size| Scene { size: Some(size), ..thing() }).to_vec()),
            turns: listed(Kind::Rotation, Turn::ALL.map(|turn| Scene { turn: Some(turn), ..thing() }).to_vec()),
            styles: listed(Kind::Style, Style::ALL.map(|style| Scene { style: Some(style), ..thing() }).to_vec()),
            moods: Vec::new(),
            clauses: Vec::new(),
            surprises: surprises_of(stickers, (seed, surprises), kinds)?,
            occasions,
            related: unknown(related, &said),
            words: said.into_iter().collect(),
        })
    }
}

/// The scene of a thing, in the wording without articles.
fn thing() -> Scene {
    Scene { wording: 2, ..Scene::plain(THING) }
}

/// What the caption says beside the thing.
fn attribute(scene: &Scene) -> String {
    caption(scene).replace(THING, "").trim().to_owned()
}

fn counts() -> Vec<String> {
    let all = (2..).map_while(words::number_word);
    all.map(str::to_owned).collect()
}

fn place(place: Place) -> String {
    let both = vec![THING.to_owned(); 2];
    let said = caption(&Scene { place: Some(place), concepts: both, ..thing() });
    let inner = said.strip_prefix(THING).and_then(|rest| rest.strip_suffix(&words::with_article(THING)));
    inner.unwrap_or(&said).trim().to_owned()
}

/// The words of each concept's phrases, alone and in numbers, and of many captions of training.
fn all_words(stickers: &Stickers, lexicon: &Lexicon, seed: u64) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut add = |text: &str| found.extend(split(text));
    for (said, _) in (0..stickers.names.len()).flat_map(|thing| lexicon.phrases(thing)) {
        add(&said.phrase);
        if let Some(plural) = said.noun.as_ref().and_then(|noun| noun.plural()) {
            add(plural);
        }
    }
    for name in &stickers.names {
        (0..WORDINGS).for_each(|wording| add(&caption(&Scene { wording, ..Scene::plain(name) })));
        if words::countable(name) {
            add(&words::plural(name));
        }
    }
    for i in 0..SEARCHED {
        add(&caption(&stickers.sample(seed, Split::Train, i)?));
    }
    Ok(found)
}

/// Words in lower case: letters and digits, with hyphens and apostrophes inside.
fn split(text: &str) -> impl Iterator<Item = String> {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '-' | '\'' | '’');
    let words = text.split(move |c| !inside(c)).map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect::<Vec<_>>().into_iter()
}

/// What the page is told of a thing. Related words are for suggestions, so those that captions know anyway go.
fn known(lexicon: &Lexicon, thing: usize, said: &BTreeSet<String>) -> Known {
    let mut known = lexicon.known(thing);
    known.also.retain(|word| split(word).any(|part| !said.contains(&part)));
    known
}

/// Those of the words that no caption has.
fn unknown(mut related: Vec<Occasion>, said: &BTreeSet<String>) -> Vec<Occasion> {
    for occasion in &mut related {
        occasion.says.retain(|word| split(word).any(|part| !said.contains(&part)));
    }
    related.retain(|occasion| !occasion.says.is_empty());
    related
}

fn surprises_of(stickers: &Stickers, (seed, count): (u64, usize), kinds: &[Kind]) -> Result<Vec<String>> {
    let mut captions = BTreeSet::new();
    for i in 0..SEARCHED {
        if captions.len() == count {
            break;
        }
        let scene = stickers.sample(seed, Split::Train, i)?;
        if kinds.contains(&scene.kind) && scene.says == Says::All {
            captions.insert(caption(&scene));
        }
    }
    Ok(captions.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::text::suggest::Suggestions;

    #[test]
    fn captions_are_taken_apart() {
        let world = World::new(&testing::stickers(), (0, 20), &[Kind::Recolour]).unwrap();
        assert_eq!(world.counts, ["two", "three", "four", "five", "six"]);
        assert_eq!(world.places, ["next to", "to the left of", "to the right of", "above", "below"]);
        assert_eq!(world.sizes, ["small", "tiny", "huge"]);
        assert_eq!(world.turns, ["upside-down", "tilted"]);
        assert_eq!(world.styles, ["pixel art", "black and white", "sepia", "silhouette", "outline"]);
        assert_eq!(world.colours, ["red", "green", "blue"]);
        assert!(world.backgrounds.contains(&"white".to_owned()));
        let fox = &world.concepts[0];
        assert_eq!((fox.name.as_str(), fox.one.as_str()), ("fox", "a fox"));
        let json = serde_json::to_string(&world).unwrap();
        let page = Suggestions::from_json(&json, "words.json").unwrap();
        assert!(page.knows_any("a fox") && page.unknown("two foxes on a blue background").is_empty());
        for word in ["fox", "foxes", "a", "sticker", "background", "on", "left", "upside-down", "blue"] {
            assert!(world.words.iter().any(|known| known == word), "{word}");
        }
        assert!(!world.words.iter().any(|word| word == THING || word.contains(' ')));
        assert!(world.surprises.len() >= 12, "{:?}", world.surprises);
        assert!(world.surprises.iter().all(|said| ["red", "green", "blue"].iter().any(|c| said.contains(c))));
    }
}
