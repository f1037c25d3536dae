//! The words that people use for things.
//!
//! A [`Lexicon`] gives each concept of the pack its phrases. Nouns take adjectives and numbers ("a green {rabbit}",
//! "three {rabbits}"); the other phrases are whole captions ("thank you", "crying").

mod noun;

pub use noun::{Noun, Number};

use super::pack::Concept;
use crate::error::Result;
use crate::random::Mt19937;

/// Sorts of phrases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PhraseKind {
    /// The thing's own name; no other thing has it.
    Name,
    /// Another noun for it; several things may share it.
    Synonym,
    /// What is sent with it: "thank you", "happy birthday".
    Occasion,
    /// What it does or feels: "crying", "running".
    Verb,
    /// The emoji character, or an emoticon.
    Emoji,
}

/// One phrase of a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// As a whole caption: "a rabbit", "rabbit", "thank you", "🐰".
    pub phrase: String,
    /// Which sort.
    pub kind: PhraseKind,
    /// For names and synonyms: the noun, to put adjectives, numbers and "a sticker of" before.
    pub noun: Option<Noun>,
}

/// Every thing's phrases. Things are numbered as the concepts that the lexicon was made from.
pub struct Lexicon {
    nouns: Vec<Vec<Noun>>,
}

impl Lexicon {
    /// The phrases of these concepts.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming two concepts that would have the same name.
    pub fn new(concepts: &[Concept]) -> Result<Self> {
        Ok(Self { nouns: concepts.iter().map(|concept| vec![Noun::guessed(&concept.name)]).collect() })
    }

    /// The thing's own name.
    ///
    /// # Panics
    /// When there is no such thing, as all of these.
    pub fn name(&self, thing: usize) -> &Noun {
        &self.nouns[thing][0]
    }

    /// A noun for the thing: its name in two of three draws, else a synonym. For captions that add adjectives, numbers,
    /// places or clothes.
    pub fn noun(&self, thing: usize, random: &mut Mt19937) -> &Noun {
        let nouns = &self.nouns[thing];
        if random.uniform() < 2.0 / 3.0 { &nouns[0] } else { &nouns[random.next_u32() as usize % nouns.len()] }
    }

    /// As [`Lexicon::noun`], among those that can be counted; none where the thing has none.
    pub fn countable(&self, thing: usize, random: &mut Mt19937) -> Option<&Noun> {
        let _ = random.uniform();
        self.nouns[thing].iter().find(|noun| noun.countable())
    }

    /// A phrase for a picture of the thing alone, of any sort, as often as people would say it: the name about half of
    /// the time.
    pub fn say(&self, thing: usize, random: &mut Mt19937) -> Said {
        let noun = self.noun(thing, random).clone();
        Said { phrase: noun.one(&[]), kind: PhraseKind::Name, noun: Some(noun) }
    }

    /// How often the thing should be drawn against others (1): smileys, people, hands, hearts and celebrations are what
    /// stickers are for.
    pub fn weight(&self, _thing: usize) -> f32 {
        1.0
    }

    /// All phrases that [`Lexicon::say`] may draw for the thing, with their shares (sum 1).
    pub fn phrases(&self, thing: usize) -> Vec<(Said, f32)> {
        let noun = self.name(thing).clone();
        vec![(Said { phrase: noun.one(&[]), kind: PhraseKind::Name, noun: Some(noun) }, 1.0)]
    }

    /// A phrase of the thing that is never said in training, for about 15 % of things: to measure whether the model
    /// understands words that it was not taught.
    pub fn held_out(&self, _thing: usize) -> Option<&Said> {
        None
    }

    /// The things of which this phrase is said, the likeliest first. A picture of any of them is right. Case, articles
    /// and plurals do not matter.
    pub fn things(&self, phrase: &str) -> Vec<usize> {
        (0..self.nouns.len()).filter(|thing| self.nouns[*thing].iter().any(|noun| noun.text() == phrase)).collect()
    }

    /// What a word or phrase could mean, said in training or not, the likeliest first with a score in 0..=1.
    pub fn meaning(&self, phrase: &str) -> Vec<(usize, f32)> {
        self.things(phrase).into_iter().map(|thing| (thing, 1.0)).collect()
    }
}
