//! The words that people use for things.
//!
//! A [`Lexicon`] gives each concept of the pack its phrases. Nouns take adjectives and numbers ("a green {rabbit}",
//! "three {rabbits}"); the other phrases are whole captions ("thank you", "crying").
//!
//! Sources: `things/*.txt` and `occasions.txt` are written by hand for every emoji that is drawn. Lists of keywords do
//! not separate names ("bunny") from associations ("spring"), and people do not use Unicode's names ("backhand index
//! pointing up"). Keywords of CLDR and emojilib add what the hand-written data lacks.
//!
//! Ambiguous phrases:
//!
//! - No two things may have the same name; that is an error.
//! - A phrase is used for at most three things, those that it fits best; the more things share it, the less often for
//!   each. So "happy" means three smileys; for the other twenty it is a related word.
//! - A keyword of up to three concepts is used alone ("hump"). A keyword of more (up to 40) is used with the thing's
//!   name ("sun, summer"). Words that say nothing alone ("face", "woman", "animal") are listed in `general.txt`;
//!   directions, colours and fragments of old names in `unsaid.txt`. Both are used only inside the hand-written phrases
//!   ("a happy face", "a woman cooking").
//! - Everything else, and the keywords that are not used, is only known to [`Lexicon::meaning`], for suggestions.
//!
//! For about 15 % of the things, one phrase whose words all occur elsewhere is held out ([`Lexicon::held_out`]).

mod build;
mod entries;
mod family;
mod keywords;
mod noun;
#[cfg(test)]
mod tests;
mod weights;

pub use noun::{Noun, Number};

use std::collections::HashSet;

use self::build::{Claim, Occasions};
use super::pack::Concept;
use crate::error::Result;
use crate::random::Mt19937;
use crate::text::emoji::plain;
use crate::text::meaning::{Meanings, normal};
use crate::text::world::{Known, Occasion, related_score};

/// Kinds of phrases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PhraseKind {
    /// The thing's name; no other thing has it.
    Name,
    /// Another noun for it; up to three things share it.
    Synonym,
    /// What people send with it: "thank you", "happy birthday".
    Occasion,
    /// What it does or feels: "crying", "running".
    Verb,
    /// The emoji character, or an emoticon.
    Emoji,
    /// A keyword from the lists, alone ("hump" for a camel) or with the name ("sun, summer").
    Related,
}

/// One phrase of a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// As a whole caption: "a rabbit", "rabbit", "thank you", "🐰".
    pub phrase: String,
    /// Its kind.
    pub kind: PhraseKind,
    /// For names and synonyms: the noun, which takes adjectives, numbers and "a sticker of".
    pub noun: Option<Noun>,
}

/// The phrases of every thing. Things have the numbers of the concepts that the lexicon was made from.
pub struct Lexicon {
    things: Vec<Thing>,
    occasions: Occasions,
    suggestive: Occasions,
    meanings: Meanings,
}

/// Empty for a concept that is not chosen.
#[derive(Default)]
struct Thing {
    claims: Vec<Claim>,
    held_out: Option<Claim>,
    related: Vec<String>,
    emoji: String,
    weight: f32,
}

impl Lexicon {
    /// The phrases of these concepts.
    ///
    /// # Errors
    /// [`crate::Error::Config`] that names two concepts with the same name, or a broken line of the data.
    pub fn new(concepts: &[Concept]) -> Result<Self> {
        Self::of(concepts, &(0..concepts.len()).collect::<Vec<_>>())
    }

    /// The phrases of some of these concepts, as if there were no others; numbers stay those of `concepts`.
    ///
    /// # Errors
    /// As [`Lexicon::new`].
    pub fn of(concepts: &[Concept], chosen: &[usize]) -> Result<Self> {
        let those = chosen.iter().map(|thing| concepts[*thing].clone()).collect::<Vec<_>>();
        let built = build::build(&those)?;
        let parts = built.claims.into_iter().zip(built.held_out).zip(built.related).zip(built.emoji);
        let mut things = concepts.iter().map(|_| Thing::default()).collect::<Vec<_>>();
        for ((((claims, held_out), related), emoji), number) in parts.zip(chosen) {
            things[*number] = Thing { claims, held_out, related, emoji, weight: weights::weight(&concepts[*number]) };
        }
        let renumbered = |occasions: Occasions| -> Occasions {
            let renumber = |things: Vec<usize>| things.into_iter().map(|thing| chosen[thing]).collect();
            occasions.into_iter().map(|(says, things)| (says, renumber(things))).collect()
        };
        let (occasions, suggestive) = (renumbered(built.occasions), renumbered(built.suggestive));
        let suggested = suggestive.iter().flat_map(|(says, things)| {
            let ranked = things.iter().enumerate();
            ranked.flat_map(move |(rank, thing)| {
                says.iter().map(move |word| (*thing, &**word, RELATED * related_score(rank)))
            })
        });
        let scored = things.iter().enumerate().flat_map(|(number, thing)| thing.scored(number));
        let meanings = Meanings::new(scored.chain(suggested));
        Ok(Self { things, occasions, suggestive, meanings })
    }

    /// The thing's own name.
    ///
    /// # Panics
    /// If there is no such thing or it was not chosen; this holds for all methods.
    pub fn name(&self, thing: usize) -> &Noun {
        self.things[thing].nouns().next().expect("a thing has a name")
    }

    /// A noun for the thing: its name in two of three draws, otherwise a synonym. This is for captions that add places
    /// or clothes. Use [`Lexicon::noun_with`] for adjectives and numbers.
    pub fn noun(&self, thing: usize, random: &mut Mt19937) -> &Noun {
        self.noun_with(thing, &[], false, random).expect("the name fits where nothing is asked of it")
    }

    /// As [`Lexicon::noun`], among countable nouns; none if the thing has none.
    pub fn countable(&self, thing: usize, random: &mut Mt19937) -> Option<&Noun> {
        self.noun_with(thing, &[], true, random)
    }

    /// As [`Lexicon::noun`], among the nouns that these adjectives do not contradict (no "blue red heart", no "tiny big
    /// smile", no "sad happy face"; [`Noun::clashes`]) and, if `counted`, that take a number; none if there are none.
    pub fn noun_with(&self, thing: usize, adjectives: &[&str], counted: bool, random: &mut Mt19937) -> Option<&Noun> {
        let fits = |noun: &&Noun| (noun.countable() || !counted) && !adjectives.iter().any(|word| noun.clashes(word));
        let claims = self.things[thing].claims.iter().filter_map(|claim| Some((claim, claim.said.noun.as_ref()?)));
        let nouns = claims.filter(|(_, noun)| fits(noun)).collect::<Vec<_>>();
        let of = |kind| nouns.iter().filter(move |(claim, _)| claim.said.kind == kind);
        let name = of(PhraseKind::Name).next();
        // Both draws are always made, so that one noun more or less does not change later draws.
        let (first, second) = (random.uniform(), random.uniform());
        let total = of(PhraseKind::Synonym).map(|(claim, _)| claim.weight).sum::<f32>();
        let mut left = second * total;
        let synonym = of(PhraseKind::Synonym).find(|(claim, _)| {
            left -= claim.weight;
            left < 0.0
        });
        let synonym = synonym.or(of(PhraseKind::Synonym).next());
        let chosen = if first < 2.0 / 3.0 { name.or(synonym) } else { synonym.or(name) };
        chosen.map(|(_, noun)| *noun)
    }

    /// A phrase of any kind for a picture of the thing alone, as often as people would use it: the name about half of
    /// the time, nouns with their article in three of five draws.
    pub fn say(&self, thing: usize, random: &mut Mt19937) -> Said {
        let claims = &self.things[thing].claims;
        let (mut left, article) = (random.uniform(), random.uniform() < 0.6);
        let drawn = claims.iter().find(|claim| {
            left -= claim.weight;
            left < 0.0
        });
        let mut said = drawn.unwrap_or(&claims[0]).said.clone();
        if let Some(noun) = said.noun.as_ref().filter(|_| !article) {
            said.phrase = noun.text().to_owned();
        }
        said
    }

    /// How often the thing should be drawn, relative to 1. Smileys, people, hands, hearts and celebrations are more
    /// frequent, because people use stickers for them.
    pub fn weight(&self, thing: usize) -> f32 {
        self.things[thing].weight
    }

    /// All phrases that [`Lexicon::say`] may draw for the thing, nouns with their article, with their shares (sum 1).
    pub fn phrases(&self, thing: usize) -> impl Iterator<Item = (&Said, f32)> {
        self.things[thing].claims.iter().map(|claim| (&claim.said, claim.weight))
    }

    /// A phrase of the thing that never occurs in training, for about 15 % of things. It measures whether the model
    /// understands phrases that it was not taught. Each of its words occurs in other phrases.
    pub fn held_out(&self, thing: usize) -> Option<&Said> {
        self.things[thing].held_out.as_ref().map(|claim| &claim.said)
    }

    /// The things that have this phrase, used or held out, the likeliest first. A picture of any of them is right.
    /// Case, articles and plurals do not matter.
    pub fn things(&self, phrase: &str) -> Vec<usize> {
        let said = self.meanings.exactly(phrase).iter().filter(|(_, score)| *score >= SAID);
        said.map(|(thing, _)| *thing).collect()
    }

    /// What a word or phrase could mean, whether training uses it or not: the likeliest first, with a score in 0..=1.
    pub fn meaning(&self, phrase: &str) -> Vec<(usize, f32)> {
        self.meanings.of(phrase)
    }

    /// The thing's emoji, as keyboards write it; empty if it has none.
    pub fn emoji(&self, thing: usize) -> &str {
        &self.things[thing].emoji
    }

    /// What the page learns about a thing: the phrases that contain new words, and only a few, because this file is
    /// part of the first visit.
    pub(super) fn known(&self, thing: usize) -> Known {
        let name = self.name(thing);
        let own = &self.things[thing];
        let mut seen = normal(name.text()).split(' ').map(str::to_owned).collect::<HashSet<_>>();
        let new = |claim: &&Claim| {
            let told = matches!(claim.said.kind, PhraseKind::Synonym | PhraseKind::Verb);
            told && claim.normal.split(' ').filter(|word| !DULL.contains(word)).fold(false, |new, word| {
                let stem = word.strip_suffix('s').unwrap_or(word).to_owned();
                seen.insert(stem) | (new && !seen.contains(word))
            })
        };
        let phrase = |claim: &Claim| match &claim.said.noun {
            Some(noun) => noun.text().to_owned(),
            None => claim.said.phrase.clone(),
        };
        let most = if own.emoji.contains(['♀', '♂']) || own.weight < 1.0 { 1 } else { 3 };
        Known {
            name: name.text().to_owned(),
            one: name.one(&[]),
            also: own.related.clone(),
            says: own.claims.iter().filter(new).take(most).map(phrase).collect(),
            emoji: own.emojis().join(" "),
        }
    }

    /// What the page learns about occasions, and about words that are only suggestive.
    pub(super) fn occasions(&self) -> [Vec<Occasion>; 2] {
        [&self.occasions, &self.suggestive].map(|list| {
            let occasion = |(says, things): &(Vec<String>, Vec<usize>)| (says.clone(), things.clone());
            list.iter().map(occasion).map(|(says, things)| Occasion { says, things }).collect()
        })
    }
}

/// Words that are not worth listing for the page.
const DULL: &[&str] = &[
    "person", "man", "woman", "male", "female", "guy", "girl", "a", "an", "the", "with", "of", "in", "on", "face",
    "little", "cute", "smiley", "its",
];

impl Thing {
    fn nouns(&self) -> impl Iterator<Item = &Noun> {
        self.claims.iter().filter_map(|claim| claim.said.noun.as_ref())
    }

    /// Its emoji, and those of the people that it stands for.
    fn emojis(&self) -> Vec<&str> {
        let all =
            self.claims.iter().filter(|claim| claim.said.kind == PhraseKind::Emoji && !claim.said.phrase.is_ascii());
        let mut found = vec![self.emoji.as_str()];
        for claim in all {
            if found.iter().all(|emoji| plain(emoji) != claim.normal) {
                found.push(&claim.said.phrase);
            }
        }
        found
    }

    /// Every phrase with its score, for looking up meanings: phrases in use, plurals, held-out phrases, and related
    /// words.
    fn scored(&self, number: usize) -> impl Iterator<Item = (usize, &str, f32)> {
        let all = self.claims.iter().chain(&self.held_out);
        let said = all.clone().map(|claim| (claim.normal.as_str(), claim.score));
        let plurals = all.filter_map(|claim| Some((claim.said.noun.as_ref()?.plural()?, SAID + PLURAL * claim.score)));
        let related = self.related.iter().map(|word| (word.as_str(), RELATED));
        said.chain(plurals).chain(related).map(move |(phrase, score)| (number, phrase, score))
    }
}

/// The lowest score of a phrase that is used, not only related.
const SAID: f32 = 0.5;
/// A plural's score is `SAID` plus this share of its singular's, so that plurals come after the phrases that are used.
const PLURAL: f32 = 0.02;
/// The score of a keyword that is not used for the thing.
const RELATED: f32 = 0.2;
