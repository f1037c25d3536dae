//! Lists everything that the captions of a recipe can say, for a page that tells people what the model knows.
//!
//! For recipes with alpha, things and their phrases come from the lexicon. The other words are taken from captions of
//! scenes made for this purpose, and from many of the captions that training sees. So a new wording is in the list as
//! soon as it is in the captions.

use std::collections::{BTreeSet, HashMap};

use super::props::{self, HELD, WORN};
use super::scene::{Around, Facing, Kind, Mood, More, Place, Says, Scene, Size, Spot, Style, Turn};
use super::{Artist, Split, Stickers, words};
use crate::error::{Error, Result};
use crate::text::world::Occasion;
pub use crate::text::world::{Known, World};

/// Number of training captions that are searched for words.
const SEARCHED: u64 = 20_000;
/// The lowest weight of a thing for surprises: smileys, people, hands, animals, food and celebrations.
const SURPRISING: f32 = 1.5;
/// Greatest count in captions, of recipes without alpha and with it.
const MOST: [usize; 2] = [4, 6];

impl World {
    /// Analyses the captions; draws `surprises` of them, of the kinds in `kinds`, with `seed`.
    ///
    /// # Errors
    /// As [`Stickers::sample`]; [`Error::Request`] if none of the things can be counted.
    pub fn new(stickers: &Stickers, (seed, surprises): (u64, usize), kinds: &[Kind]) -> Result<Self> {
        let said = all_words(stickers, seed)?;
        let asked = Asked::new(stickers)?;
        let palette = &stickers.recipe.palette;
        let colours = |used: fn(&super::Colour) -> bool| {
            let used = palette.iter().filter(|colour| used(colour));
            used.flat_map(|colour| [&colour.name].into_iter().chain(&colour.also).cloned()).collect()
        };
        let (occasions, related) = stickers.lexicon().map_or_else(Default::default, |lexicon| {
            let [occasions, related] = lexicon.occasions().map(|list| numbered(stickers, list));
            (occasions, unknown(related, &said))
        });
        let most = MOST[usize::from(stickers.recipe.alpha)];
        let counts = (2..=most).filter_map(words::number_word).map(str::to_owned).collect();
        Ok(Self {
            concepts: stickers.names.iter().map(|name| known(stickers, name, &said)).collect::<Result<_>>()?,
            colours: colours(|c| c.glyph.is_some()),
            backgrounds: colours(|c| c.background.is_some()),
            counts: if asked.has(Kind::Count) { counts } else { Vec::new() },
            places: asked.places()?,
            sizes: asked.each(Kind::Size, &Size::ALL, |scene, size| scene.size = Some(size))?,
            turns: asked.each(Kind::Rotation, &Turn::ALL, |scene, turn| scene.turn = Some(turn))?,
            styles: asked.styles()?,
            moods: asked.each(Kind::Mood, &Mood::ALL, |scene, mood| scene.more.mood = Some(mood))?,
            clauses: asked.clauses()?,
            surprises: surprises_of(stickers, (seed, surprises), kinds)?,
            occasions,
            related,
            words: said.into_iter().collect(),
        })
    }
}

/// Scenes of one thing, to see what captions say besides the thing.
struct Asked<'a> {
    stickers: &'a Stickers,
    thing: &'a str,
    /// For recipes without alpha, the number of the wording without articles.
    plainest: usize,
}

impl<'a> Asked<'a> {
    /// Uses a thing whose name can be counted.
    fn new(stickers: &'a Stickers) -> Result<Self> {
        let none = || Error::Request("the recipe has no thing that can be counted".to_owned());
        let thing = stickers.names.iter().find(|name| words::countable(name)).ok_or_else(none)?;
        Ok(Self { stickers, thing, plainest: if stickers.recipe.alpha { 0 } else { 2 } })
    }

    /// Whether the recipe draws scenes of the kind.
    fn has(&self, kind: Kind) -> bool {
        self.stickers.recipe.mixture.get(&kind).is_some_and(|weight| *weight > 0.0)
    }

    /// The words that the plainest caption adds to the thing, for each of the changes; nothing if the kind is not
    /// drawn.
    fn each<T: Copy>(&self, kind: Kind, all: &[T], change: impl Fn(&mut Scene, T)) -> Result<Vec<String>> {
        let wanted = if self.has(kind) { all } else { &[] };
        let said = wanted.iter().map(|one| {
            let mut scene = Scene { kind, wording: self.plainest, ..Scene::plain(self.thing) };
            change(&mut scene, *one);
            let caption = self.stickers.caption(&scene)?.replacen(self.thing, "", 1);
            Ok(without_article(caption.trim()).trim().to_owned())
        });
        said.collect()
    }

    /// "next to", "above".
    fn places(&self) -> Result<Vec<String>> {
        let second = words::with_article(self.thing);
        let said = self.each(Kind::Pair, &Place::ALL, |scene, place| {
            (scene.place, scene.concepts) = (Some(place), vec![self.thing.to_owned(); 2]);
        })?;
        Ok(said.iter().map(|said| said.strip_suffix(&second).unwrap_or(said).trim().to_owned()).collect())
    }

    /// "pixel art", and the words that choose an artist.
    fn styles(&self) -> Result<Vec<String>> {
        let mut styles = self.each(Kind::Style, &Style::ALL, |scene, style| scene.style = Some(style))?;
        let artists = Artist::ALL.iter().filter(|artist| self.stickers.recipe.artists.contains(artist));
        styles.extend(artists.filter(|_| self.has(Kind::Artist)).map(|artist| props::manner(*artist).to_owned()));
        Ok(styles)
    }

    /// Clauses that can follow a thing: "wearing a hat", "in the rain".
    fn clauses(&self) -> Result<Vec<String>> {
        let more = |more: More| move |scene: &mut Scene, ()| scene.more = more.clone();
        let mut all = Vec::new();
        for worn in WORN {
            let wearing = More { wearing: Some(worn.word.to_owned()), ..More::default() };
            all.extend(self.each(Kind::Wearing, &[()], more(wearing))?);
        }
        for held in HELD {
            let holding = More { holding: Some(held.word.to_owned()), ..More::default() };
            all.extend(self.each(Kind::Holding, &[()], more(holding))?);
        }
        all.extend(self.each(Kind::Around, &Around::ALL, |scene, around| scene.more.around = Some(around))?);
        all.extend(self.each(Kind::Potted, &[true], |scene, potted| scene.more.potted = potted)?);
        let sides = [Facing::Left, Facing::Right];
        all.extend(self.each(Kind::Facing, &sides, |scene, facing| scene.more.facing = Some(facing))?);
        all.extend(self.each(Kind::Spot, &Spot::ALL, |scene, spot| scene.more.spot = Some(spot))?);
        Ok(all)
    }
}

fn without_article(caption: &str) -> &str {
    let article = ["a ", "an "].iter().find_map(|article| caption.strip_prefix(article));
    article.unwrap_or(caption)
}

/// The words of each concept's phrases, alone and in numbers, and of many captions of training.
fn all_words(stickers: &Stickers, seed: u64) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut add = |text: &str| found.extend(split(text));
    for name in &stickers.names {
        add(name);
        if words::countable(name) {
            add(&words::plural(name));
        }
        let thing = stickers.concept(name)?;
        for (said, _) in stickers.lexicon().into_iter().flat_map(|lexicon| lexicon.phrases(thing)) {
            add(&said.phrase);
            if let Some(plural) = said.noun.as_ref().and_then(|noun| noun.plural()) {
                add(plural);
            }
        }
    }
    for i in 0..SEARCHED {
        add(&stickers.caption(&stickers.sample(seed, Split::Train, i)?)?);
    }
    Ok(found)
}

/// Words in lower case: letters and digits, with hyphens and apostrophes inside.
fn split(text: &str) -> impl Iterator<Item = String> {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '-' | '\'' | '’');
    let words = text.split(move |c| !inside(c)).map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect::<Vec<_>>().into_iter()
}

/// What the page learns about a thing. Related words are for suggestions, so words that captions use anyway are
/// omitted.
fn known(stickers: &Stickers, name: &str, said: &BTreeSet<String>) -> Result<Known> {
    let thing = stickers.concept(name)?;
    let mut known = match stickers.lexicon() {
        Some(lexicon) => lexicon.known(thing),
        None => {
            let concept = &stickers.pack.concepts[thing];
            let also = concept.keywords.iter().chain([&concept.name]).map(|word| word.to_lowercase());
            let also = also.filter(|word| word != name).collect::<BTreeSet<_>>().into_iter().collect();
            Known { name: name.to_owned(), one: words::with_article(name), also, ..Known::default() }
        }
    };
    known.also.retain(|word| split(word).any(|part| !said.contains(&part)));
    Ok(known)
}

/// The occasions with their things numbered by the recipe's names instead of the pack's concepts.
fn numbered(stickers: &Stickers, occasions: Vec<Occasion>) -> Vec<Occasion> {
    let names = stickers.names.iter().enumerate();
    let numbers = names.map(|(number, name)| (stickers.index[name], number)).collect::<HashMap<_, _>>();
    let numbered = occasions.into_iter().map(|occasion| {
        let things = occasion.things.iter().filter_map(|thing| numbers.get(thing).copied()).collect();
        Occasion { things, ..occasion }
    });
    numbered.filter(|occasion| !occasion.things.is_empty()).collect()
}

/// The words that no caption has.
fn unknown(mut related: Vec<Occasion>, said: &BTreeSet<String>) -> Vec<Occasion> {
    for occasion in &mut related {
        occasion.says.retain(|word| split(word).any(|part| !said.contains(&part)));
    }
    related.retain(|occasion| !occasion.says.is_empty());
    related
}

/// Captions in their plainest wording; in recipes with alpha, of things that are drawn often.
fn surprises_of(stickers: &Stickers, (seed, count): (u64, usize), kinds: &[Kind]) -> Result<Vec<String>> {
    let mut captions = BTreeSet::new();
    for i in 0..SEARCHED {
        if captions.len() == count {
            break;
        }
        let mut scene = stickers.sample(seed, Split::Train, i)?;
        if let Some(lexicon) = stickers.lexicon() {
            scene.wording = 0;
            let thing = stickers.concept(&scene.concepts[0])?;
            if lexicon.weight(thing) < SURPRISING {
                continue;
            }
        }
        if kinds.contains(&scene.kind) && scene.says == Says::All {
            captions.insert(stickers.caption(&scene)?);
        }
    }
    Ok(captions.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::{Recipe, testing, testing_open};
    use super::*;
    use crate::text::suggest::Suggestions;

    #[test]
    fn captions_are_taken_apart() {
        let world = World::new(&testing::stickers(), (0, 20), &[Kind::Recolour]).unwrap();
        assert_eq!(world.counts, ["two", "three", "four"]);
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
        assert!(!world.words.iter().any(|word| word.contains(' ')));
        assert!(world.surprises.len() >= 12, "{:?}", world.surprises);
        assert!(world.surprises.iter().all(|said| ["red", "green", "blue"].iter().any(|c| said.contains(c))));
    }

    #[test]
    fn the_lexicon_and_what_scenes_add_are_told_of_recipes_with_alpha() {
        let mut pack = testing_open::pack();
        for (concept, codepoints) in pack.concepts.iter_mut().zip(["1f600", "1f98a", "1f41f", "1f337", "1f355"]) {
            concept.codepoints = codepoints.to_owned();
        }
        let stickers = Stickers::new(pack, Recipe::from_json(testing_open::RECIPE, "test").unwrap()).unwrap();
        let world = World::new(&stickers, (0, 10), &[Kind::Wearing]).unwrap();
        let face = &world.concepts[0];
        assert_eq!((face.name.as_str(), face.emoji.as_str()), ("grinning face", "😀"));
        assert!(face.says.iter().any(|said| said == "happy face"), "{face:?}");
        assert!(world.colours.contains(&"gray".to_owned()) && world.counts.contains(&"six".to_owned()));
        assert!(world.moods.contains(&"sad".to_owned()) && world.styles.contains(&"flat".to_owned()));
        for clause in ["wearing a hat", "holding a flower", "in the rain", "with hearts", "in a pot", "on the left"] {
            assert!(world.clauses.iter().any(|said| said == clause), "{clause} in {:?}", world.clauses);
        }
        let sent = world.occasions.iter().find(|sent| sent.says[0] == "hello").unwrap();
        assert_eq!(world.concepts[sent.things[0]].name, "grinning face");
        let page = Suggestions::from_json(&serde_json::to_string(&world).unwrap(), "words.json").unwrap();
        assert!(page.unknown("a sad red fox wearing a hat in the snow 🦊").is_empty());
        assert_eq!(page.suggest("trout", 2), ["fish"]);
    }
}
