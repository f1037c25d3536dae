//! Help with prompts, from the words that a model learned: which words of a prompt it has never seen, what they could
//! mean, and what could come next.
//!
//! The page shows this help, but nothing here depends on the page. Positions in texts count UTF-16 code units, as
//! JavaScript does.

mod complete;
mod spelling;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde::Serialize;

use self::spelling::distance;
use super::emoji::{self, Symbol};
use super::meaning::Meanings;
use super::world::World;
use crate::checked;
use crate::error::Result;

/// A part of a prompt that the model has never seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// The text as written.
    pub word: String,
    /// Where it begins, in UTF-16 code units.
    pub start: usize,
    /// Where it ends, in UTF-16 code units.
    pub end: usize,
    /// Why it is unknown.
    pub why: Why,
    /// What it could mean, the likeliest first.
    pub instead: Vec<String>,
}

/// Reasons why a part of a prompt is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A word or emoji that no caption has.
    NeverSeen,
    /// A flag; no flags were drawn.
    Flag,
    /// A known emoji with a skin tone; it is known without the tone.
    SkinTone,
    /// A letter, digit or sign in a box; none were drawn.
    Letter,
}

/// A completion: `text` replaces the prompt from `start` to the caret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// The text to insert.
    pub text: String,
    /// Where the replaced part begins, in UTF-16 code units.
    pub start: usize,
    /// The text to show.
    pub label: String,
}

/// Advice about a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// The parts that the model has never seen.
    pub unknown: Vec<Unknown>,
    /// Whether a prompt that is not empty has no known word that names something to draw.
    pub nothing: bool,
    /// Completions.
    pub next: Vec<Offer>,
}

/// Suggestions from a [`World`].
pub struct Suggestions {
    world: World,
    words: HashSet<String>,
    /// All phrases that can be offered, in lower case and as written; things come first.
    phrases: Vec<(String, String)>,
    meanings: Meanings,
}

impl Suggestions {
    /// Reads a `words.json`; `file` is for messages.
    ///
    /// # Errors
    /// [`crate::Error::Config`] that names the file and the reason.
    pub fn from_json(text: &str, file: &str) -> Result<Self> {
        let world: World = checked::from_json(text, file, |world: &World| {
            let last = world.occasions.iter().chain(&world.related).flat_map(|occasion| &occasion.things).max();
            match last.filter(|last| **last >= world.concepts.len()) {
                Some(last) => Err(format!("occasions: thing {last} of {}", world.concepts.len())),
                None => Ok(()),
            }
        })?;
        Ok(Self::new(world))
    }

    /// Suggestions for this world.
    pub fn new(world: World) -> Self {
        let mut seen = HashSet::new();
        let adjectives = [&world.colours, &world.counts, &world.sizes, &world.moods, &world.turns, &world.styles];
        let sorts = adjectives.into_iter().chain([&world.places, &world.clauses]).flatten();
        // Short names are the common ones: "cat" comes before "cat with tears of joy".
        let mut names = world.concepts.iter().map(|known| &known.name).collect::<Vec<_>>();
        names.sort_by_key(|name| name.chars().count());
        let occasions = world.occasions.iter().flat_map(|occasion| &occasion.says);
        let synonyms = world.concepts.iter().flat_map(|known| &known.says);
        let all = sorts.chain(names).chain(occasions).chain(synonyms);
        let phrases = all.map(|phrase| (phrase.to_lowercase(), phrase.clone()));
        let phrases = phrases.filter(|(lower, _)| seen.insert(lower.clone())).collect();
        let meanings = Meanings::new(world.scored());
        Self { words: world.words.iter().cloned().collect(), phrases, meanings, world }
    }

    /// Advice about a prompt; `caret` is the position of the caret, none if nobody is typing.
    pub fn advise(&self, prompt: &str, caret: Option<usize>) -> Advice {
        let next = caret.map(|caret| self.next(&prompt[..byte_of(prompt, caret)])).unwrap_or_default();
        let mut unknown = self.unknown(prompt);
        // A word that is being typed and may become a known one is not reported yet.
        unknown.retain(|unknown| next.is_empty() || Some(unknown.end) != caret);
        Advice { unknown, nothing: !prompt.trim().is_empty() && !self.knows_any(prompt), next }
    }

    /// The parts of a prompt that the model has never seen, each once, with what they could mean. Small words are
    /// ignored.
    pub fn unknown(&self, prompt: &str) -> Vec<Unknown> {
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for symbol in emoji::symbols(prompt) {
            let (start, text) = match &symbol {
                Symbol::Word { start, text } | Symbol::Emoji { start, text } => (*start, *text),
            };
            let lower = text.to_lowercase();
            if SMALL.contains(&lower.as_str()) || !seen.insert(lower) {
                continue;
            }
            let Some((why, instead)) = self.trouble(&symbol) else { continue };
            let begin = utf16(&prompt[..start]);
            found.push(Unknown { word: text.to_owned(), start: begin, end: begin + utf16(text), why, instead });
        }
        found
    }

    /// Whether the model knows a word of the prompt that names something to draw.
    pub fn knows_any(&self, prompt: &str) -> bool {
        emoji::symbols(prompt).any(|symbol| match symbol {
            Symbol::Word { text, .. } => !SMALL.contains(&text.to_lowercase().as_str()) && self.knows(text),
            Symbol::Emoji { text, .. } => self.knows_emoji(&emoji::plain(text)),
        })
    }

    /// What an unknown word could mean: things by their meaning; if there are none, known words with similar spelling.
    pub fn suggest(&self, given: &str, most: usize) -> Vec<String> {
        let word = given.to_lowercase();
        let number = word.parse::<usize>().ok().and_then(|number| self.world.counts.get(number.checked_sub(2)?));
        if let Some(count) = number {
            return vec![count.clone()];
        }
        let meant = self.meanings.of(&word);
        let named = meant.iter().map(|(thing, _)| self.world.concepts[*thing].name.clone());
        let found = named.filter(|name| *name != word).take(most).collect::<Vec<_>>();
        if found.is_empty() { self.spelled(&word).into_iter().take(most).collect() } else { found }
    }

    /// A caption for the model; `random` in 0..1 selects it.
    pub fn surprise(&self, random: f64) -> Option<&str> {
        let from = &self.world.surprises;
        let at = |count: usize| ((random * count as f64) as usize).min(count.saturating_sub(1));
        match from.get(at(from.len())) {
            Some(caption) => Some(caption),
            None => self.world.concepts.get(at(self.world.concepts.len())).map(|known| known.one.as_str()),
        }
    }

    fn trouble(&self, symbol: &Symbol) -> Option<(Why, Vec<String>)> {
        match symbol {
            Symbol::Word { text, .. } if self.knows(text) => None,
            Symbol::Word { text, .. } => {
                let flag = matches!(text.to_lowercase().as_str(), "flag" | "flags");
                Some((if flag { Why::Flag } else { Why::NeverSeen }, self.suggest(text, MOST_INSTEAD)))
            }
            Symbol::Emoji { text, .. } => {
                let plain = emoji::plain(text);
                let toneless = emoji::toneless(&plain);
                if self.knows_emoji(&plain) {
                    None
                } else if toneless != plain && self.knows_emoji(&toneless) {
                    Some((Why::SkinTone, vec![toneless]))
                } else if emoji::is_flag(&plain) {
                    Some((Why::Flag, Vec::new()))
                } else if emoji::is_letter(&plain) {
                    Some((Why::Letter, Vec::new()))
                } else {
                    Some((Why::NeverSeen, Vec::new()))
                }
            }
        }
    }

    fn knows_emoji(&self, plain: &str) -> bool {
        let mut all = self.world.concepts.iter().flat_map(|known| known.emoji.split(' '));
        all.any(|emoji| emoji::plain(emoji) == plain)
    }

    /// A word is known by itself, or by its parts ("dog-shaped", "fox's").
    fn knows(&self, word: &str) -> bool {
        let word = word.to_lowercase();
        if self.words.contains(&word) {
            return true;
        }
        let parts = word.split(['\'', '’', '-']).collect::<Vec<_>>();
        parts.len() > 1 && parts.iter().all(|part| self.words.contains(*part) || *part == "s")
    }

    /// Known words with similar spelling, the nearest first, with the same first letter. People rarely mistype the
    /// first letter, and without this rule unrelated words are near.
    fn spelled(&self, word: &str) -> Vec<String> {
        let allowed = match word.chars().count() {
            0..=2 => return Vec::new(),
            3..=7 => 1,
            _ => 2,
        };
        let same_start = |known: &&String| known.chars().count() > 2 && known.chars().next() == word.chars().next();
        let near = self.world.words.iter().filter(same_start);
        let near = near.filter_map(|known| Some((distance(word, known, allowed)?, known.len(), known)));
        let mut near = near.collect::<Vec<_>>();
        near.sort();
        near.into_iter().map(|(.., known)| known.clone()).collect()
    }
}

const MOST_INSTEAD: usize = 3;

/// Words that say nothing about what is in the picture.
const SMALL: &[&str] = &[
    "a",
    "an",
    "the",
    "and",
    "or",
    "of",
    "with",
    "without",
    "in",
    "on",
    "at",
    "to",
    "for",
    "by",
    "from",
    "as",
    "is",
    "are",
    "it",
    "its",
    "i",
    "me",
    "you",
    "my",
    "your",
    "our",
    "his",
    "her",
    "their",
    "this",
    "that",
    "these",
    "those",
    "some",
    "very",
    "sticker",
    "picture",
    "emoji",
    "background",
    "says",
];

fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The byte position of a UTF-16 position; the end of the text for positions beyond it.
fn byte_of(text: &str, position: usize) -> usize {
    let mut units = 0;
    for (at, c) in text.char_indices() {
        if units >= position {
            return at;
        }
        units += c.len_utf16();
    }
    text.len()
}
