//! Everything that captions of a recipe say, for a page that tells people what the model knows.
//!
//! Nothing is listed here by hand: the words are taken out of captions of scenes made for it, and of many of the
//! captions that training sees, so that a new wording is in the list as soon as it is in the captions.

use std::collections::BTreeSet;

use serde::Serialize;

use super::caption::WORDINGS;
use super::scene::{Kind, Place, Says, Scene, Size, Style, Turn};
use super::{Split, Stickers, caption, words};
use crate::error::Result;

/// Captions of training that are searched for words.
const SEARCHED: u64 = 20_000;
/// Stands for a concept while a caption is taken apart; the caption's grammar treats it as any other.
const THING: &str = "thing";

/// What a model of this recipe knows.
#[derive(Debug, Serialize)]
pub struct World {
    /// The things.
    pub concepts: Vec<Known>,
    /// Of things.
    pub colours: Vec<String>,
    /// Behind things.
    pub backgrounds: Vec<String>,
    /// "two", "three" and so on.
    pub counts: Vec<String>,
    /// "next to", "above" and so on.
    pub places: Vec<String>,
    /// "small" and so on.
    pub sizes: Vec<String>,
    /// "upside-down" and so on.
    pub turns: Vec<String>,
    /// "pixel art" and so on.
    pub styles: Vec<String>,
    /// Every single word of the captions, in lower case, sorted.
    pub words: Vec<String>,
    /// Captions as training sees them, of the asked kinds, that name thing and colours.
    pub surprises: Vec<String>,
}

/// A thing.
#[derive(Debug, Serialize)]
pub struct Known {
    /// As captions call it.
    pub name: String,
    /// With its article.
    pub one: String,
    /// Other words for it, by CLDR, that captions do not use.
    pub also: Vec<String>,
}

impl World {
    /// Takes the captions apart; `surprises` of them, of the kinds in `kinds`, are drawn with `seed`.
    ///
    /// # Errors
    /// As [`Stickers::sample`].
    pub fn new(stickers: &Stickers, (seed, surprises): (u64, usize), kinds: &[Kind]) -> Result<Self> {
        let said = all_words(stickers, seed)?;
        let recipe = &stickers.recipe;
        let has = |kind: Kind| recipe.mixture.get(&kind).is_some_and(|weight| *weight > 0.0);
        let listed = |kind, scenes: Vec<Scene>| if has(kind) { scenes.iter().map(attribute).collect() } else { vec![] };
        let colours = |used: fn(&super::Colour) -> bool| {
            recipe.palette.iter().filter(|c| used(c)).map(|c| c.name.clone()).collect()
        };
        Ok(Self {
            concepts: stickers.names.iter().map(|name| known(stickers, name, &said)).collect(),
            colours: colours(|c| c.glyph.is_some()),
            backgrounds: colours(|c| c.background.is_some()),
            counts: if has(Kind::Count) { counts() } else { Vec::new() },
            places: if has(Kind::Pair) { Place::ALL.map(place).to_vec() } else { Vec::new() },
            sizes: listed(Kind::Size, Size::ALL.map(|size| Scene { size: Some(size), ..thing() }).to_vec()),
            turns: listed(Kind::Rotation, Turn::ALL.map(|turn| Scene { turn: Some(turn), ..thing() }).to_vec()),
            styles: listed(Kind::Style, Style::ALL.map(|style| Scene { style: Some(style), ..thing() }).to_vec()),
            words: said.into_iter().collect(),
            surprises: surprises_of(stickers, (seed, surprises), kinds)?,
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

/// The words of each concept alone and in numbers, and of many captions of training.
fn all_words(stickers: &Stickers, seed: u64) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut add = |text: &str| found.extend(split(text));
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

fn known(stickers: &Stickers, name: &str, said: &BTreeSet<String>) -> Known {
    let concept = &stickers.pack.concepts[stickers.index[name]];
    let others = concept.keywords.iter().chain([&concept.name]).map(|word| word.to_lowercase());
    let news = others.filter(|word| word != name && split(word).any(|part| !said.contains(&part)));
    let also = news.collect::<BTreeSet<_>>().into_iter().collect();
    Known { name: name.to_owned(), one: words::with_article(name), also }
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
        for word in ["fox", "foxes", "a", "sticker", "background", "on", "left", "upside-down", "blue"] {
            assert!(world.words.iter().any(|known| known == word), "{word}");
        }
        assert!(!world.words.iter().any(|word| word == THING || word.contains(' ')));
        assert!(world.surprises.len() >= 12, "{:?}", world.surprises);
        assert!(world.surprises.iter().all(|said| ["red", "green", "blue"].iter().any(|c| said.contains(c))));
    }
}
