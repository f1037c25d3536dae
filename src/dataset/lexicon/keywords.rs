//! Keywords of CLDR and emojilib, normalised, and which of them can be a caption alone.
//!
//! Two lists are kept by hand: `general.txt` has words that fit many things and are only suggested, `unsaid.txt` has
//! words that are dropped.

use std::collections::{BTreeMap, BTreeSet};

use crate::dataset::pack::Concept;
use crate::text::meaning::normal;

/// Keywords of all concepts, and how many concepts have each.
pub struct Keywords {
    /// By concept, in the lists' order, each once.
    pub of: Vec<Vec<String>>,
    counts: BTreeMap<String, usize>,
    general: BTreeSet<String>,
}

impl Keywords {
    /// Collects the keywords of these concepts.
    pub fn new(concepts: &[Concept]) -> Self {
        let general = listed(include_str!("general.txt"));
        let mut unsaid = listed(include_str!("unsaid.txt"));
        unsaid.retain(|word| !general.contains(word));
        let of = concepts.iter().map(|concept| cleaned(concept, &unsaid)).collect::<Vec<_>>();
        let mut counts = BTreeMap::new();
        of.iter().flatten().for_each(|word| *counts.entry(word.clone()).or_insert(0) += 1);
        Self { of, counts, general }
    }

    /// How many concepts have the keyword.
    pub fn count(&self, keyword: &str) -> usize {
        self.counts.get(keyword).copied().unwrap_or(0)
    }

    /// Whether the keyword is specific enough to be used alone.
    pub fn tells(&self, keyword: &str) -> bool {
        keyword.chars().count() >= 3 && !self.general.contains(keyword)
    }
}

/// The words of a list, in their normal form.
fn listed(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(|line| line.split(',')).map(normal).filter(|word| !word.is_empty()).collect()
}

/// A concept's keywords, normalised, without duplicates, without those that are dropped, and without signs and digits.
/// Emojilib's first keyword is its name of the emoji, which Unicode's list has too.
fn cleaned(concept: &Concept, unsaid: &BTreeSet<String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in concept.keywords.iter().chain(&concept.emojilib) {
        let word = normal(&word.replace(['_', '“', '”'], " "));
        let name = normal(&concept.name);
        // A lone "s" is a remainder of "man's", and "kiss woman man" of "kiss: woman, man".
        let broken = word.contains(" s ") || word == name.replace(" with ", " ");
        let letters = word.chars().all(|c| c.is_alphabetic() || matches!(c, ' ' | '\''));
        if !word.is_empty() && letters && word != name && !broken && !unsaid.contains(&word) && !found.contains(&word) {
            found.push(word);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_come_into_one_form_and_general_ones_are_known() {
        let concept = Concept {
            name: "T-Rex".into(),
            codepoints: "1f996".into(),
            group: String::new(),
            subgroup: String::new(),
            keywords: vec!["Tyrannosaurus Rex".into(), "animal".into()],
            emojilib: vec!["t_rex".into(), "animal".into(), "trex".into(), "blue-square".into(), "90s".into()],
        };
        let keywords = Keywords::new(&[concept]);
        assert_eq!(keywords.of[0], ["tyrannosaurus rex", "animal", "trex"]);
        assert_eq!((keywords.count("trex"), keywords.count("fox")), (1, 0));
        let tells = ["trex", "tyrannosaurus rex", "animal", "ok"].map(|word| keywords.tells(word));
        assert_eq!(tells, [true, true, false, false]);
    }
}
