//! A model's `words.json`, which lists what it knows: things with their phrases, and the other words of its captions.

use serde::{Deserialize, Serialize};

/// What a model knows: its `words.json`, written by `fourstep dataset words`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct World {
    /// The things.
    pub concepts: Vec<Known>,
    /// Colours of things.
    pub colours: Vec<String>,
    /// Colours of backgrounds.
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
    /// "happy", "sad" and so on.
    #[serde(default)]
    pub moods: Vec<String>,
    /// Clauses that can follow a thing: "wearing sunglasses", "in the rain" and so on.
    #[serde(default)]
    pub clauses: Vec<String>,
    /// Every single word of the captions, in lower case, sorted.
    pub words: Vec<String>,
    /// Captions as in training that name thing and colours.
    pub surprises: Vec<String>,
    /// Phrases for occasions, and the things that people send with them.
    #[serde(default)]
    pub occasions: Vec<Occasion>,
    /// Words that no caption has, and the things that they suggest.
    #[serde(default)]
    pub related: Vec<Occasion>,
}

/// A thing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Known {
    /// Its name in captions.
    pub name: String,
    /// Its name with an article.
    pub one: String,
    /// Related words that captions do not use.
    #[serde(default)]
    pub also: Vec<String>,
    /// Its other phrases in captions, the most frequent first.
    #[serde(default)]
    pub says: Vec<String>,
    /// Its emoji, and those of people that it stands for, separated by spaces.
    #[serde(default)]
    pub emoji: String,
}

/// Phrases with the same meaning, and the things that people send with them, best first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Occasion {
    /// "thank you", "thanks".
    pub says: Vec<String>,
    /// Indices into [`World::concepts`].
    pub things: Vec<usize>,
}

impl World {
    /// Every phrase of every thing, and how well it fits the thing (0..=1).
    pub fn scored(&self) -> impl Iterator<Item = (usize, &str, f32)> {
        let things = self.concepts.iter().enumerate().flat_map(|(thing, known)| {
            let says = known.says.iter().enumerate().map(move |(rank, says)| (thing, &**says, synonym_score(rank)));
            let also = known.also.iter().enumerate().map(move |(rank, also)| (thing, &**also, related_score(rank)));
            let emoji = known.emoji.split(' ').map(move |emoji| (thing, emoji, 1.0));
            std::iter::once((thing, &*known.name, 1.0)).chain(emoji).chain(says).chain(also)
        });
        let sent = of_all(&self.occasions, occasion_score);
        things.chain(sent).chain(of_all(&self.related, related_score))
    }
}

/// Each phrase with each of its things, scored by the thing's rank.
fn of_all(occasions: &[Occasion], score: fn(usize) -> f32) -> impl Iterator<Item = (usize, &str, f32)> {
    occasions.iter().flat_map(move |occasion| {
        let things = occasion.things.iter().enumerate();
        things.flat_map(move |(rank, thing)| occasion.says.iter().map(move |says| (*thing, &**says, score(rank))))
    })
}

/// How well the synonym of this rank fits its thing; the score of the name is 1.
pub fn synonym_score(rank: usize) -> f32 {
    0.9 - 0.3 * (rank as f32 / (rank as f32 + 6.0))
}

/// As [`synonym_score`], for the thing of this rank on an occasion.
pub fn occasion_score(rank: usize) -> f32 {
    0.95 / (1.0 + 0.4 * rank as f32)
}

/// As [`synonym_score`], for words that are only related.
pub fn related_score(rank: usize) -> f32 {
    0.45 - 0.2 * (rank as f32 / (rank as f32 + 8.0))
}
