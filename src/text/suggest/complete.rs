//! Completions of a prompt: the rest of a word or phrase, and what fits after it.

use super::{Offer, Suggestions, utf16};
use crate::text::meaning::stems;

/// Greatest number of offers.
const MOST: usize = 6;
/// Offers of each kind at the beginning of a new word.
const CONTINUATIONS: usize = 3;

impl Suggestions {
    /// Completions of the text before the caret, and continuations after a whole word; `before` is the prompt up to the
    /// caret.
    pub fn next(&self, before: &str) -> Vec<Offer> {
        let typed = last_words(before, 4);
        if typed.is_empty() && !before.ends_with(char::is_whitespace) {
            return Vec::new();
        }
        let (phrases, at, open) = self.begun(before, before.len() - typed.len());
        let offers = phrases.into_iter().map(|text| self.placed(text, before, at));
        if open {
            return offers.take(MOST).collect();
        }
        // After a whole word, a space is inserted first; after a space nothing is.
        let spaced = if typed.is_empty() { before.to_owned() } else { format!("{before} ") };
        let further = self.further(&before.trim().to_lowercase());
        let further = further.iter().map(|text| self.placed(text, &spaced, spaced.len())).map(|offer| {
            if offer.start <= utf16(before) {
                return offer;
            }
            Offer { text: format!(" {}", offer.text), start: utf16(before), ..offer }
        });
        offers.chain(further).take(MOST).collect()
    }

    /// The phrases that begin with the longest possible end of `before` (`at`: where the last words start), where that
    /// end starts, and whether it is open: no phrase by itself.
    fn begun(&self, before: &str, mut at: usize) -> (Vec<&str>, usize, bool) {
        while at < before.len() {
            let part = before[at..].to_lowercase();
            let open = !self.phrases.iter().any(|(lower, _)| *lower == part);
            // A whole word is not the beginning of another one: "cat" is continued by "cat face", not "caterpillar".
            let start = if open { part.clone() } else { format!("{part} ") };
            let found = self.phrases.iter().filter(|(lower, _)| lower.starts_with(&start));
            let found = found.map(|(_, phrase)| phrase.as_str()).take(MOST).collect::<Vec<_>>();
            if !found.is_empty() && part.chars().count() > 1 {
                return (found, at, open);
            }
            at = before[at..].find(' ').map_or(before.len(), |space| at + space + 1);
        }
        (Vec::new(), before.len(), false)
    }

    /// After a thing, things that can be beside or behind it; after an article or adjective, a thing. A sentence that
    /// already has a background or place, or that ends in something else, is complete.
    fn further(&self, said: &str) -> Vec<String> {
        let world = &self.world;
        let last = last_words(said, 1);
        let ends = |phrases: &[String]| phrases.iter().any(|phrase| ends_with(said, &phrase.to_lowercase()));
        let has =
            |phrases: &[String]| phrases.iter().any(|phrase| said.contains(&format!(" {} ", phrase.to_lowercase())));
        let turn = |list: &[String], most: usize| {
            let skipped = said.len() % list.len().saturating_sub(most).max(1);
            list.iter().skip(skipped).take(most).cloned().collect::<Vec<_>>()
        };
        let adjectives = [&world.colours, &world.sizes, &world.moods, &world.turns];
        if matches!(last, "a" | "an") {
            return [turn(&world.colours, CONTINUATIONS), self.some_things(said.len())].concat();
        }
        if ends(&world.places) {
            let things = self.some_things(said.len());
            return things.iter().map(|name| format!("{} {name}", article(name))).collect();
        }
        let behind = said.ends_with(&format!("on {} {last}", article(last)));
        if adjectives.iter().any(|list| ends(list)) && !behind {
            return self.some_things(said.len());
        }
        let placed = has(&world.places);
        if said.ends_with("background") || behind || (!self.ends_in_thing(said) && !ends(&world.clauses)) || placed {
            return Vec::new();
        }
        let on = |colour: &String| format!("on {} {colour} background", article(colour));
        let backgrounds = turn(&world.backgrounds, CONTINUATIONS).iter().map(on).collect::<Vec<_>>();
        if ends(&world.clauses) {
            return backgrounds;
        }
        let two = |list: &[String]| turn(list, 2);
        match world.clauses.is_empty() {
            true => [backgrounds, turn(&world.places, CONTINUATIONS)].concat(),
            false => [&backgrounds[..backgrounds.len().min(2)], &two(&world.clauses), &two(&world.places)].concat(),
        }
    }

    /// Things of different kinds with short names; other ones for each `turn`.
    fn some_things(&self, turn: usize) -> Vec<String> {
        let short = self.world.concepts.iter().filter(|known| known.name.split(' ').count() <= 2);
        let short = short.filter(|known| known.one == format!("{} {}", article(&known.name), known.name));
        let short = short.map(|known| known.name.clone()).collect::<Vec<_>>();
        let step = short.len() / CONTINUATIONS + 1;
        (0..CONTINUATIONS).filter_map(|at| short.get(at * step + turn % step)).cloned().collect()
    }

    /// Whether the last words, at most four, are a thing's phrase, or its plural.
    fn ends_in_thing(&self, said: &str) -> bool {
        let last = last_words(said, 4);
        let starts = std::iter::once(0).chain(last.match_indices(' ').map(|(at, _)| at + 1));
        let mut parts = starts.map(|start| &last[start..]);
        parts.any(|part| {
            let forms = std::iter::once(part.to_owned()).chain(stems(part));
            forms.into_iter().any(|form| self.phrases.iter().any(|(lower, _)| *lower == form) && self.is_thing(&form))
        })
    }

    fn is_thing(&self, phrase: &str) -> bool {
        !self.meanings.exactly(phrase).is_empty()
    }

    /// "a" before an owl becomes "an", and vice versa; before grapes it is removed.
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
        if wanted == given.to_lowercase() {
            return plain;
        }
        let start = utf16(&kept[..kept.len() - given.len()]);
        Offer { text: format!("{wanted} {text}").trim_start().to_owned(), start, label: text.to_owned() }
    }
}

fn ends_with(said: &str, phrase: &str) -> bool {
    said == phrase || said.strip_suffix(phrase).is_some_and(|rest| rest.ends_with(' '))
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// Up to `most` words at the end of a text that ends in a word; otherwise nothing.
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
