//! An index from phrases to the things that they may mean, the likeliest first. The dataset's lexicon and the page's
//! suggestions both use it.

use std::collections::HashMap;

/// An index of phrases and of the words in them.
#[derive(Debug, Default)]
pub struct Meanings {
    /// For each phrase in normal form: things and scores, best first.
    phrases: HashMap<String, Vec<(usize, f32)>>,
    /// For each word: the things that have it in a phrase, and scores, best first.
    words: HashMap<String, Vec<(usize, f32)>>,
    /// The words of `words`, sorted, for searching by prefix.
    sorted: Vec<String>,
}

impl Meanings {
    /// From (thing, phrase, score in 0..=1). If a thing has a phrase twice, the better score counts.
    pub fn new<'a>(phrases: impl IntoIterator<Item = (usize, &'a str, f32)>) -> Self {
        let mut index = Self::default();
        for (thing, phrase, score) in phrases {
            let normal = normal(phrase);
            if normal.is_empty() {
                continue;
            }
            let content = content(&normal);
            // A word counts less if the phrase has more of them.
            let share = IN_A_PHRASE / (content.len().max(1) as f32).sqrt();
            for word in content {
                raise(index.words.entry(word.to_owned()).or_default(), thing, score * share);
            }
            raise(index.phrases.entry(normal).or_default(), thing, score);
        }
        for list in index.phrases.values_mut().chain(index.words.values_mut()) {
            list.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        }
        index.sorted = index.words.keys().cloned().collect();
        index.sorted.sort_unstable();
        index
    }

    /// The things that have exactly this phrase, ignoring case, articles, hyphens and punctuation.
    pub fn exactly(&self, phrase: &str) -> &[(usize, f32)] {
        self.phrases.get(&normal(phrase)).map_or(&[], Vec::as_slice)
    }

    /// What the phrase could mean: things that have it, then those that have its words or words with the same stem.
    pub fn of(&self, phrase: &str) -> Vec<(usize, f32)> {
        let normal = normal(phrase);
        let mut found = self.exactly(&normal).to_vec();
        let content = content(&normal);
        let mut by_words: Vec<(usize, f32)> = Vec::new();
        for word in &content {
            for (thing, score) in self.of_word(word) {
                match by_words.iter_mut().find(|(other, _)| *other == thing) {
                    Some((_, sum)) => *sum += score / content.len() as f32,
                    None => by_words.push((thing, score / content.len() as f32)),
                }
            }
        }
        by_words.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let known = found.iter().map(|(thing, _)| *thing).collect::<Vec<_>>();
        // Things with the whole phrase come first, however low their score.
        let least = found.last().map_or(1.0, |(_, score)| *score);
        found.extend(by_words.into_iter().filter(|(t, _)| !known.contains(t)).map(|(t, score)| (t, score.min(least))));
        found
    }

    /// Things with this word in a phrase; otherwise with a word of the same stem; otherwise with a word that begins
    /// with it.
    fn of_word(&self, word: &str) -> Vec<(usize, f32)> {
        if let Some(found) = self.words.get(word) {
            return found.clone();
        }
        let stems = stems(word);
        let mut found = Vec::new();
        for stem in &stems {
            for (thing, score) in self.words.get(stem).into_iter().flatten() {
                raise(&mut found, *thing, score * OF_THE_STEM);
            }
        }
        if found.is_empty() && word.chars().count() >= 4 {
            let start = self.sorted.partition_point(|known| known.as_str() < word);
            for known in self.sorted[start..].iter().take_while(|known| known.starts_with(word)) {
                for (thing, score) in &self.words[known] {
                    raise(&mut found, *thing, score * OF_THE_BEGINNING);
                }
            }
        }
        found
    }
}

/// The form in which phrases are compared: lower case, without punctuation, hyphens and a leading article. Emoji stay,
/// without presentation selectors.
pub fn normal(phrase: &str) -> String {
    if emoticon(phrase) {
        return phrase.trim().to_lowercase();
    }
    let kept = |c: char| match c {
        '’' => Some('\''),
        '\u{fe0f}' => None,
        '\'' => Some('\''),
        c if c.is_alphanumeric() || !c.is_ascii() => Some(c),
        _ => Some(' '),
    };
    let text: String = phrase.to_lowercase().chars().filter_map(kept).collect();
    let words = text.split_whitespace().map(|word| word.trim_matches('\'')).filter(|word| !word.is_empty());
    let words = words.collect::<Vec<_>>();
    match &words[..] {
        ["a" | "an" | "the", rest @ ..] if !rest.is_empty() => rest.join(" "),
        _ => words.join(" "),
    }
}

/// Whether it consists of punctuation only: ":-)", "<3", "O:)".
fn emoticon(phrase: &str) -> bool {
    let letters = phrase.as_bytes().windows(2).any(|pair| pair.iter().all(u8::is_ascii_alphanumeric));
    let signs = phrase.chars().any(|c| c.is_ascii_punctuation() && !matches!(c, '.' | ',' | '-' | '\''));
    signs && !letters && phrase.is_ascii()
}

/// Words from which a word may be derived: "bakes" and "baking" from "bake", "rainy" from "rain", "wolves" from "wolf".
pub fn stems(word: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (end, replacements) in ENDINGS {
        let Some(stem) = word.strip_suffix(end).filter(|stem| stem.chars().count() >= 3) else { continue };
        found.extend(replacements.iter().map(|with| format!("{stem}{with}")));
        // "running", "sunny": the doubled letter is removed too.
        let mut last = stem.chars().rev();
        if let (Some(a), Some(b)) = (last.next(), last.next())
            && a == b
            && replacements.contains(&"")
        {
            found.push(stem[..stem.len() - a.len_utf8()].to_owned());
        }
    }
    found
}

const ENDINGS: &[(&str, &[&str])] = &[
    ("ies", &["y"]),
    ("ves", &["f", "fe"]),
    ("es", &["", "e"]),
    ("s", &[""]),
    ("ing", &["", "e"]),
    ("ed", &["", "e"]),
    ("er", &["", "e"]),
    ("ers", &["", "e"]),
    ("y", &["", "e"]),
    ("ly", &[""]),
    ("ful", &["", "s"]),
    ("n't", &[""]),
    ("'s", &[""]),
];

const IN_A_PHRASE: f32 = 0.8;
const OF_THE_STEM: f32 = 0.8;
const OF_THE_BEGINNING: f32 = 0.6;

/// The words that carry meaning; all of them if none does.
fn content(normal: &str) -> Vec<&str> {
    let words = normal.split(' ').collect::<Vec<_>>();
    let kept = words.iter().copied().filter(|word| !STOP.contains(word)).collect::<Vec<_>>();
    if kept.is_empty() { words } else { kept }
}

/// Words that say nothing about a thing.
const STOP: &[&str] = &[
    "a", "an", "the", "of", "with", "in", "on", "at", "to", "for", "and", "or", "its", "it", "is", "my", "your", "you",
    "i", "i'm", "so", "up", "from", "by", "be", "are", "that", "this", "me", "out", "as", "do", "into", "being",
    "having", "his", "her", "their", "having", "very", "some", "we", "all", "it's", "not",
];

fn raise(list: &mut Vec<(usize, f32)>, thing: usize, score: f32) {
    match list.iter_mut().find(|(other, _)| *other == thing) {
        Some((_, best)) => *best = best.max(score),
        None => list.push((thing, score)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Meanings {
        Meanings::new([
            (0, "folded hands", 1.0),
            (0, "thanks", 0.85),
            (0, "thank you", 0.85),
            (1, "cupcake", 1.0),
            (1, "bakery", 0.4),
            (2, "bagel", 1.0),
            (2, "bakery", 0.35),
            (3, "a person running", 1.0),
            (4, "rain cloud", 1.0),
            (5, "😀", 1.0),
        ])
    }

    fn things(phrase: &str) -> Vec<usize> {
        index().of(phrase).into_iter().map(|(thing, _)| thing).collect()
    }

    #[test]
    fn whole_phrases_come_before_their_words() {
        assert_eq!(things("Thank you!"), [0]);
        assert_eq!(things("bakery"), [1, 2], "the better score first");
        assert_eq!(things("a folded-hands sticker"), [0]);
        assert_eq!(things("xyzzy"), Vec::<usize>::new());
        assert_eq!(things("😀\u{fe0f}"), [5]);
        assert!(index().of("bakery")[0].1 <= 0.4);
    }

    #[test]
    fn stems_and_beginnings_are_tried_for_unknown_words() {
        assert_eq!(things("thank"), [0]);
        assert_eq!(things("bagels"), [2]);
        assert_eq!(things("rainy"), [4]);
        assert_eq!(things("runs"), Vec::<usize>::new(), "'runs' is not 'running', and three letters begin too much");
        assert_eq!(stems("running"), ["runn", "runne", "run"]);
        assert!(stems("wolves").contains(&"wolf".to_owned()));
    }

    #[test]
    fn phrases_are_compared_in_their_normal_form() {
        for (given, wanted) in [
            ("The T-Rex", "t rex"),
            ("a", "a"),
            ("don’t worry!", "don't worry"),
            (":-)", ":-)"),
            ("<3", "<3"),
            (":D", ":d"),
        ]
        .into_iter()
        .chain([("❤\u{fe0f}", "❤"), ("100%", "100")])
        {
            assert_eq!(normal(given), wanted);
        }
    }
}
