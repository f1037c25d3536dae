//! What could come next in a prompt: the rest of a word or phrase that is begun, or what fits after it.

use super::{Offer, Suggestions, utf16};

/// Offers to complete what is begun.
const MOST: usize = 6;
/// Offers of each sort, where a new word begins.
const CONTINUATIONS: usize = 3;

impl Suggestions {
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
        let adjectives = [&world.colours, &world.sizes, &world.moods, &world.turns, &world.styles];
        let texts = if said.is_empty() {
            some(&ones)
        } else if ends("a") || ends("an") {
            [some(&world.colours), some(&names)].concat()
        } else if world.counts.iter().any(|count| ends(count)) {
            some(&world.colours)
        } else if world.places.iter().any(|place| ends(&place.to_lowercase())) {
            some(&ones)
        } else if self.ends_in_thing(&said) || world.clauses.iter().any(|clause| ends(&clause.to_lowercase())) {
            let behind = some(&world.backgrounds);
            let behind = behind.into_iter().map(|colour| format!("on {} {colour} background", article(&colour)));
            let beside = [some(&world.clauses), some(&world.places)].concat();
            match (said.contains("background"), has(&world.places) || has(&world.clauses)) {
                (true, _) => Vec::new(),
                (false, true) => behind.collect(),
                (false, false) => behind.chain(beside).collect(),
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
