//! Help with prompts, from the words that a model learned: which of a prompt's words it has never seen, what they could
//! have meant, and what could come next.
//!
//! The page shows it; nothing in here knows the page. Positions in texts count UTF-16 code units, as JavaScript does.

use std::collections::HashSet;

use serde::Serialize;

use super::emoji::{self, Symbol};
use super::meaning::Meanings;
use super::world::World;
use crate::checked;
use crate::error::Result;

/// A part of a prompt that the model has never seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// As it is written.
    pub word: String,
    /// Where it begins and ends.
    pub start: usize,
    /// See `start`.
    pub end: usize,
    /// Why it is unknown.
    pub why: Why,
    /// What it could have meant, the likeliest first.
    pub instead: Vec<String>,
}

/// Reasons why a part of a prompt is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A word or emoji that no caption had.
    NeverSeen,
    /// A flag: none was drawn.
    Flag,
    /// A known emoji with a skin tone; without it it is known.
    SkinTone,
    /// A letter, digit or sign in a box: none was drawn.
    Letter,
}

/// What could stand before the caret: `text` replaces the prompt from `start` to the caret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// What to write.
    pub text: String,
    /// Where the replaced part begins.
    pub start: usize,
    /// What to show.
    pub label: String,
}

/// Everything about one prompt, for one look at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Look {
    /// What the model has never seen.
    pub unknown: Vec<Unknown>,
    /// What could come next.
    pub offers: Vec<Offer>,
    /// Whether a word that says what to draw is known; an empty prompt has none.
    pub known: bool,
}

/// A [`World`] that can be asked.
pub struct Suggestions {
    world: World,
    words: HashSet<String>,
    /// All that can be offered, in lower case and as it is written; things first.
    phrases: Vec<(String, String)>,
    meanings: Meanings,
}

impl Suggestions {
    /// Reads a `words.json`; `file` is for messages.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming the file and what is wrong with it.
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

    /// Of this world.
    pub fn new(world: World) -> Self {
        let mut seen = HashSet::new();
        let names = world.concepts.iter().map(|known| &known.name);
        let sorts = [&world.colours, &world.counts, &world.sizes, &world.turns, &world.styles, &world.places];
        let occasions = world.occasions.iter().flat_map(|occasion| &occasion.says);
        let synonyms = world.concepts.iter().flat_map(|known| &known.says);
        let all = names.chain(sorts.into_iter().flatten()).chain(occasions).chain(synonyms);
        let phrases = all.map(|phrase| (phrase.to_lowercase(), phrase.clone()));
        let phrases = phrases.filter(|(lower, _)| seen.insert(lower.clone())).collect();
        let meanings = Meanings::new(world.scored());
        Self { words: world.words.iter().cloned().collect(), phrases, meanings, world }
    }

    /// Everything about a prompt whose caret stands at `caret`.
    pub fn look(&self, prompt: &str, caret: usize) -> Look {
        let before = &prompt[..byte_of(prompt, caret)];
        Look { unknown: self.unknown(prompt), offers: self.complete(before), known: self.knows_any(prompt) }
    }

    /// The parts of a prompt that the model has never seen, each once, with what they could have meant.
    pub fn unknown(&self, prompt: &str) -> Vec<Unknown> {
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for symbol in emoji::symbols(prompt) {
            let (start, text) = match &symbol {
                Symbol::Word { start, text } | Symbol::Emoji { start, text } => (*start, *text),
            };
            if !seen.insert(text.to_lowercase()) {
                continue;
            }
            let Some((why, instead)) = self.trouble(&symbol) else { continue };
            let begin = utf16(&prompt[..start]);
            found.push(Unknown { word: text.to_owned(), start: begin, end: begin + utf16(text), why, instead });
        }
        found.sort_by_key(|unknown| unknown.start);
        found
    }

    /// Whether the model knows a word of the prompt that says what to draw.
    pub fn knows_any(&self, prompt: &str) -> bool {
        emoji::symbols(prompt).any(|symbol| match symbol {
            Symbol::Word { text, .. } => !EMPTY.contains(&text.to_lowercase().as_str()) && self.knows(text),
            Symbol::Emoji { text, .. } => self.knows_emoji(&emoji::plain(text)),
        })
    }

    /// What an unknown word could have meant: things by its meaning; where it has none, known words of nearly the same
    /// letters.
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

    /// What could stand before the caret; `before` is the prompt up to it.
    pub fn complete(&self, before: &str) -> Vec<Offer> {
        let typed = last_words(before, 4);
        let mut at = before.len() - typed.len();
        if typed.is_empty() {
            return self.next(before);
        }
        loop {
            let part = before[at..].to_lowercase();
            let found = self.phrases.iter().filter(|(lower, _)| lower.starts_with(&part) && *lower != part);
            let found = found.take(MOST).map(|(_, phrase)| self.placed(phrase, before, at)).collect::<Vec<_>>();
            if !found.is_empty() && part.chars().count() > 1 {
                return found;
            }
            match before[at..].find(' ') {
                Some(space) => at += space + 1,
                None => return Vec::new(),
            }
        }
    }

    /// A caption that works; `random` in 0..1 chooses it.
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
        self.world.concepts.iter().any(|known| emoji::plain(&known.emoji) == plain)
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

    /// Known words of nearly the same letters, the nearest first. Short words are too near to others to guess.
    fn spelled(&self, word: &str) -> Vec<String> {
        let allowed = match word.chars().count() {
            0..=3 => return Vec::new(),
            4..=6 => 1,
            _ => 2,
        };
        let near = self.world.words.iter().filter(|known| known.chars().count() > 2);
        let near = near.filter_map(|known| Some((distance(word, known, allowed)?, known)));
        // The first letter is seldom wrong.
        let other_start = |known: &str| known.chars().next() != word.chars().next();
        let mut near = near.map(|(edits, known)| (edits, other_start(known), known.len(), known)).collect::<Vec<_>>();
        near.sort();
        near.into_iter().map(|(.., known)| known.clone()).collect()
    }

    /// Where a new word begins: after a thing what can stand beside it, after an article or adjective things, and nothing
    /// after a sentence that is complete.
    fn next(&self, before: &str) -> Vec<Offer> {
        let world = &self.world;
        let said = before.trim().to_lowercase();
        let ends = |with: &str| said == with || said.ends_with(&format!(" {with}"));
        let has = |phrases: &[String]| phrases.iter().any(|p| format!(" {said} ").contains(&format!(" {p} ")));
        let turn = |count: usize| said.len() % count.saturating_sub(CONTINUATIONS).max(1);
        let some =
            |list: &[String]| list.iter().skip(turn(list.len())).take(CONTINUATIONS).cloned().collect::<Vec<_>>();
        let names = world.concepts.iter().map(|known| known.name.clone()).collect::<Vec<_>>();
        let ones = world.concepts.iter().map(|known| known.one.clone()).collect::<Vec<_>>();
        let adjectives = [&world.colours, &world.sizes, &world.turns, &world.styles];
        let texts = if said.is_empty() {
            some(&ones)
        } else if ends("a") || ends("an") {
            [some(&world.colours), some(&names)].concat()
        } else if world.counts.iter().any(|count| ends(count)) {
            some(&world.colours)
        } else if world.places.iter().any(|place| ends(&place.to_lowercase())) {
            some(&ones)
        } else if self.ends_in_thing(&said) {
            let behind = some(&world.backgrounds);
            let behind = behind.into_iter().map(|colour| format!("on {} {colour} background", article(&colour)));
            match (said.contains("background"), has(&world.places)) {
                (true, _) => Vec::new(),
                (false, true) => behind.collect(),
                (false, false) => behind.chain(some(&world.places)).collect(),
            }
        } else if adjectives.iter().any(|list| list.iter().any(|adjective| ends(&adjective.to_lowercase()))) {
            some(&names)
        } else {
            Vec::new()
        };
        texts.iter().map(|text| self.placed(text, before, before.len())).collect()
    }

    fn ends_in_thing(&self, said: &str) -> bool {
        let starts = std::iter::once(0).chain(said.match_indices(' ').map(|(at, _)| at + 1));
        starts.into_iter().any(|start| {
            let last = &said[start..];
            self.phrases.iter().any(|(lower, _)| lower == last) && !self.meanings.exactly(last).is_empty()
        })
    }

    /// "a" before an owl becomes "an", and the other way about.
    fn placed(&self, text: &str, before: &str, at: usize) -> Offer {
        let plain = Offer { text: text.to_owned(), start: utf16(&before[..at]), label: text.to_owned() };
        let kept = before[..at].trim_end();
        let given = last_words(kept, 1);
        if !matches!(given.to_lowercase().as_str(), "a" | "an") || kept.len() == at {
            return plain;
        }
        let thing = self.world.concepts.iter().find(|known| known.name == text);
        let wanted = match thing {
            Some(known) => known.one.strip_suffix(text).unwrap_or_default().trim(),
            None => article(text),
        };
        if wanted.is_empty() || wanted == given.to_lowercase() {
            return plain;
        }
        let start = utf16(&kept[..kept.len() - given.len()]);
        Offer { text: format!("{wanted} {text}"), start, label: text.to_owned() }
    }
}

const MOST: usize = 6;
const MOST_INSTEAD: usize = 3;
/// Of each sort, where a new word begins.
const CONTINUATIONS: usize = 3;

/// Words that say nothing of what to draw.
const EMPTY: &[&str] = &[
    "a",
    "an",
    "the",
    "of",
    "with",
    "on",
    "in",
    "and",
    "to",
    "sticker",
    "picture",
    "emoji",
    "background",
    "for",
    "that",
    "says",
    "at",
    "is",
    "it",
    "my",
    "your",
    "i",
    "you",
    "me",
];

/// Edits that make one word another: a letter more, less, changed, or two exchanged. None when more than `most`.
pub fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b) = (a.chars().collect::<Vec<_>>(), b.chars().collect::<Vec<_>>());
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let mut older = Vec::new();
    let mut old = (0..=b.len()).collect::<Vec<_>>();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = old[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(old[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(older_at(&older, j - 2) + 1);
            }
            row.push(least);
        }
        older = std::mem::replace(&mut old, row);
    }
    old.last().copied().filter(|edits| *edits <= most)
}

fn older_at(row: &[usize], at: usize) -> usize {
    row.get(at).copied().unwrap_or(usize::MAX / 2)
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// Up to `most` words at the end of a text that ends in a word; nothing where it ends otherwise.
fn last_words(text: &str, most: usize) -> &str {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '\'' | '’' | '-');
    let mut start = text.trim_end_matches(inside).len();
    if start == text.len() {
        return "";
    }
    for _ in 1..most {
        let Some(before) = text[..start].strip_suffix(' ') else { break };
        let from = before.trim_end_matches(inside).len();
        if from == before.len() {
            break;
        }
        start = from;
    }
    &text[start..]
}

fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The byte at which the character at a UTF-16 position begins; the end of the text for positions past it.
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

#[cfg(test)]
mod tests {
    use super::super::world::{Known, Occasion};
    use super::*;

    fn known(name: &str, one: &str, says: &[&str], also: &[&str], emoji: &str) -> Known {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Known { name: name.into(), one: one.into(), says: owned(says), also: owned(also), emoji: emoji.into() }
    }

    fn suggestions() -> Suggestions {
        let list = |text: &str| text.split(", ").map(str::to_owned).collect::<Vec<_>>();
        Suggestions::new(World {
            concepts: vec![
                known("duck", "a duck", &["mallard"], &["bird"], "🦆"),
                known("owl", "an owl", &["night owl"], &["wise", "bird"], "🦉"),
                known("folded hands", "folded hands", &["praying hands"], &["namaste"], "🙏"),
                known("cupcake", "a cupcake", &["muffin"], &["bakery", "party"], "🧁"),
                known("bagel", "a bagel", &[], &["breakfast", "bakery"], "🥯"),
                known("red heart", "a red heart", &["heart"], &["love"], "❤\u{fe0f}"),
            ],
            colours: list("yellow, teal, orange, pink"),
            backgrounds: list("white, blue, teal, orange"),
            counts: list("two, three, four"),
            places: list("next to, above"),
            sizes: list("tiny"),
            turns: list("upside-down"),
            styles: list("pixel art"),
            words: list(
                "a, above, an, background, bagel, blue, cupcake, duck, folded, hands, heart, mallard, muffin, next, \
                 night, on, orange, owl, pink, praying, red, teal, thank, three, tiny, to, two, white, yellow, you",
            ),
            surprises: list("a yellow duck, two pink owls"),
            occasions: vec![Occasion { says: list("thanks, thank you"), things: vec![2] }],
            related: vec![Occasion { says: list("fruitcake"), things: vec![3] }],
        })
    }

    fn instead(prompt: &str) -> Vec<(String, Vec<String>)> {
        suggestions().unknown(prompt).into_iter().map(|u| (u.word, u.instead)).collect()
    }

    fn labels(before: &str) -> Vec<String> {
        suggestions().complete(before).into_iter().map(|offer| offer.label).collect()
    }

    #[test]
    fn unknown_words_are_suggested_by_meaning_then_by_spelling() {
        assert_eq!(instead("a yellow duck"), []);
        assert_eq!(instead("a bakery"), [("bakery".to_owned(), vec!["cupcake".to_owned(), "bagel".to_owned()])]);
        assert_eq!(suggestions().suggest("thanking", 2)[0], "folded hands");
        assert_eq!(suggestions().suggest("love", 2)[0], "red heart");
        assert_eq!(suggestions().suggest("fruitcakes", 2), ["cupcake"]);
        assert_eq!(suggestions().suggest("dcuk", 1), ["duck"], "two letters exchanged");
        assert_eq!(suggestions().suggest("3", 3), ["three"]);
        assert_eq!(suggestions().suggest("xyzzy", 3), Vec::<String>::new());
        let unknown = suggestions().unknown("😀 two bakery");
        assert_eq!((unknown[0].start, unknown[0].end), (0, 2), "an emoji is two UTF-16 units");
        assert_eq!((unknown[1].start, unknown[1].end), (7, 13));
        assert_eq!(instead("Bakery bakery").len(), 1, "each once");
    }

    #[test]
    fn emoji_without_a_drawing_say_why() {
        let why = |prompt: &str| suggestions().unknown(prompt).into_iter().map(|u| (u.why, u.instead)).next();
        assert_eq!(why("🦆❤"), None);
        assert_eq!(why("🙏🏽"), Some((Why::SkinTone, vec!["🙏".to_owned()])));
        assert_eq!(why("🇫🇷"), Some((Why::Flag, vec![])));
        assert_eq!(why("1️⃣"), Some((Why::Letter, vec![])));
        assert_eq!(why("🪿"), Some((Why::NeverSeen, vec![])));
        assert_eq!(why("flag").unwrap().0, Why::Flag);
    }

    #[test]
    fn a_prompt_of_which_nothing_is_known_is_found() {
        let knows = |prompt: &str| suggestions().knows_any(prompt);
        assert!(knows("a duck and a xyzzy") && knows("🦆") && knows("teal"));
        assert!(!knows("") && !knows("a xyzzy on a background") && !knows("🪿"));
    }

    #[test]
    fn a_word_is_completed_by_what_the_model_knows() {
        assert_eq!(labels("a cu"), ["cupcake"]);
        assert_eq!(labels("two folded ha"), ["folded hands"]);
        assert_eq!(labels("tha"), ["thanks", "thank you"]);
        assert_eq!(labels("x"), Vec::<String>::new(), "one letter is too little");
        let owl = &suggestions().complete("a ow")[0];
        assert_eq!((owl.text.as_str(), owl.start), ("an owl", 0));
        let cupcake = &suggestions().complete("an cup")[0];
        assert_eq!((cupcake.text.as_str(), cupcake.start), ("a cupcake", 0));
        let hands = &suggestions().complete("😀 a fold")[0];
        assert_eq!((hands.text.as_str(), hands.start), ("folded hands", 5));
    }

    #[test]
    fn what_comes_next_fits_and_nothing_follows_a_complete_sentence() {
        assert!(labels("a yellow duck ").contains(&"next to".to_owned()));
        assert!(labels("a yellow duck ").iter().any(|offer| offer.ends_with("background")));
        assert_eq!(labels("a yellow duck on a teal background "), Vec::<String>::new());
        assert!(labels("a duck next to an owl ").iter().all(|offer| offer.ends_with("background")));
        assert!(labels("a duck next to ").iter().all(|offer| {
            ["a duck", "an owl", "folded hands", "a cupcake", "a bagel", "a red heart"].contains(&offer.as_str())
        }));
        assert!(labels("a yellow ").iter().all(|offer| !offer.contains("yellow")));
        assert_eq!(labels("thank you very "), Vec::<String>::new());
        assert!(!labels("a ").is_empty() && !labels(" ").is_empty());
    }

    #[test]
    fn one_look_holds_everything() {
        let look = suggestions().look("a bak on white", 5);
        assert_eq!(look.unknown[0].word, "bak");
        assert!(look.known && look.offers.is_empty(), "no caption has a phrase that begins with 'bak'");
        let json = serde_json::to_string(&look).unwrap();
        assert!(json.contains("\"why\":\"never_seen\""), "{json}");
        assert_eq!(suggestions().surprise(0.99), Some("two pink owls"));
        assert_eq!(Suggestions::new(World::default()).surprise(0.5), None);
    }

    #[test]
    fn a_list_that_points_nowhere_is_refused() {
        let world = World { occasions: vec![Occasion { says: vec!["x".into()], things: vec![3] }], ..World::default() };
        let json = serde_json::to_string(&world).unwrap();
        let message = Suggestions::from_json(&json, "words.json").map(|_| ()).unwrap_err().to_string();
        assert!(message.contains("words.json") && message.contains("thing 3 of 0"), "{message}");
    }

    #[test]
    fn distances_count_edits() {
        for (a, b, edits) in [("fox", "fox", 0), ("fox", "box", 1), ("owl", "owls", 1), ("dcuk", "duck", 1)] {
            assert_eq!(distance(a, b, 2), Some(edits), "{a} {b}");
        }
        assert_eq!(distance("fox", "elephant", 2), None);
        assert_eq!(distance("kitten", "sitting", 3), Some(3));
    }
}
