//! The hand-written data: things/*.txt and occasions.txt, and the phrases that they give an emoji.
//!
//! A line of things/*.txt is an emoji and its phrases, in sections separated by " | " and " ; ":
//!
//! `🐰 rabbit face, bunny, +bunny ears | hopping ; (\_/)`
//!
//! First come nouns: the thing's name, then its synonyms, the more usual ones first. Then comes what it does or feels,
//! then emoticons. A noun begins with `+` if it is a plural, `~` if it cannot be counted, `=` if it is a name, `!` if
//! it takes "the". `*` follows the word that is counted, if that is not the last one ("person* running"). For people,
//! the line of the neutral emoji serves person, man and woman: `{p}` is that word, `{g}` is "", "male " or "female ",
//! and a phrase that begins with `n:`, `m:` or `f:` is for one of them only.
//!
//! A line of occasions.txt has phrases with the same meaning, " = ", and the emoji that people send with them, the best
//! first.

use std::collections::{HashMap, HashSet};

use super::family;
use super::noun::{Noun, Number};
use crate::error::{Error, Result};
use crate::text::emoji::plain;

/// What the data says about one emoji.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// The emoji as keyboards write it, with its presentation selectors.
    pub emoji: String,
    /// Name and synonyms; empty if the data has no line for it.
    pub nouns: Vec<Noun>,
    /// "running", "crying".
    pub verbs: Vec<String>,
    /// ":-)", and the emoji that it stands for.
    pub emoticons: Vec<String>,
}

impl Entry {
    /// Adds the phrases of another entry that is not drawn.
    fn take_over(&mut self, other: Self) {
        for noun in other.nouns {
            if self.nouns.iter().all(|own| own.text() != noun.text()) {
                self.nouns.push(noun);
            }
        }
        let verbs = other.verbs.into_iter().filter(|verb| !self.verbs.contains(verb)).collect::<Vec<_>>();
        self.verbs.extend(verbs);
        self.emoticons.push(other.emoji);
    }
}

/// Phrases with the same meaning, and the emoji that people send with them (without presentation selectors), the best
/// first.
#[derive(Clone, Debug)]
pub struct Occasion {
    pub says: Vec<String>,
    pub emoji: Vec<String>,
}

/// The parsed data.
pub struct Entries {
    lines: HashMap<String, Line>,
    pub occasions: Vec<Occasion>,
    /// Words that are never used in captions, for suggestions.
    pub related: Vec<Occasion>,
}

/// A line before person, man or woman is inserted.
struct Line {
    emoji: String,
    nouns: Vec<String>,
    verbs: Vec<String>,
    emoticons: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gender {
    Neutral,
    Male,
    Female,
}

const GENDERS: [Gender; 3] = [Gender::Neutral, Gender::Male, Gender::Female];

impl Gender {
    /// The genders that replace this one if it is not drawn.
    fn others(self) -> [Self; 2] {
        match self {
            Self::Neutral => [Self::Male, Self::Female],
            Self::Male => [Self::Neutral, Self::Female],
            Self::Female => [Self::Neutral, Self::Male],
        }
    }

    /// The code points that begin or end the emoji of such a person (UTS #51, 2.3).
    fn signs(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Neutral => None,
            Self::Male => Some(("\u{1f468}", "\u{200d}\u{2642}")),
            Self::Female => Some(("\u{1f469}", "\u{200d}\u{2640}")),
        }
    }
}

const THINGS: [(&str, &str); 6] = [
    ("smileys.txt", include_str!("things/smileys.txt")),
    ("people.txt", include_str!("things/people.txt")),
    ("animals.txt", include_str!("things/animals.txt")),
    ("food.txt", include_str!("things/food.txt")),
    ("places.txt", include_str!("things/places.txt")),
    ("objects.txt", include_str!("things/objects.txt")),
];
const OCCASIONS: (&str, &str) = ("occasions.txt", include_str!("occasions.txt"));
const RELATED: (&str, &str) = ("related.txt", include_str!("related.txt"));

impl Entries {
    /// Parses the compiled-in data.
    ///
    /// # Errors
    /// [`Error::Config`] that names file and line of a format error.
    pub fn new() -> Result<Self> {
        let mut lines = HashMap::new();
        for (file, text) in THINGS {
            for (number, text) in filled(text) {
                let bad = |reason: &str| broken(file, number, reason);
                let line = Line::parse(text).ok_or_else(|| bad("is not 'emoji name, synonym | verb ; emoticon'"))?;
                if lines.insert(plain(&line.emoji), line).is_some() {
                    return Err(bad("has an emoji that another line has"));
                }
            }
        }
        Ok(Self { lines, occasions: occasions(OCCASIONS)?, related: occasions(RELATED)? })
    }

    /// The entry of an emoji (with or without presentation selectors), or of the family with that Unicode name. Forms
    /// of man, woman and person that are not `present` (emoji without selectors; none means that all are) give their
    /// phrases to those that are, so "fireman" stays a word even if only firefighters are drawn.
    pub fn get(&self, emoji: &str, unicode_name: &str, present: Option<&HashSet<String>>) -> Entry {
        let bare = plain(emoji);
        let own = GENDERS.into_iter().find_map(|gender| {
            let line = self.lines.get(&base(&bare, gender)?)?;
            (plain(&line.emoji_of(gender)) == bare).then_some((line, gender))
        });
        let Some((line, gender)) = own else {
            let nouns = family::nouns(unicode_name).unwrap_or_default();
            return Entry { emoji: emoji.to_owned(), nouns, ..Entry::default() };
        };
        let mut entry = line.said(gender);
        let is_there = |gender: Gender| present.is_none_or(|set| set.contains(&plain(&line.emoji_of(gender))));
        for missing in GENDERS.into_iter().filter(|missing| line.gendered() && !is_there(*missing)) {
            if missing.others().into_iter().find(|other| is_there(*other)) == Some(gender) {
                entry.take_over(line.said(missing));
            }
        }
        entry
    }

    /// The emoji that have their own line.
    #[cfg(test)]
    pub fn emoji(&self) -> impl Iterator<Item = &str> {
        self.lines.values().map(|line| line.emoji.as_str())
    }
}

impl Line {
    fn parse(text: &str) -> Option<Self> {
        let (emoji, rest) = text.split_once(' ')?;
        let (rest, emoticons) = rest.split_once(" ; ").unwrap_or((rest, ""));
        let (nouns, verbs) = rest.split_once(" | ").unwrap_or((rest, ""));
        let line =
            Self { emoji: emoji.into(), nouns: listed(nouns), verbs: listed(verbs), emoticons: listed(emoticons) };
        (!emoji.is_ascii() && !line.nouns.is_empty()).then_some(line)
    }

    /// The emoji of a person, man or woman, as keyboards write it.
    fn emoji_of(&self, gender: Gender) -> String {
        match gender.signs() {
            None => self.emoji.clone(),
            Some((person, _)) if self.emoji.starts_with(PERSON_JOINED) => self.emoji.replacen(PERSON, person, 1),
            Some((_, sign)) => format!("{}{sign}\u{fe0f}", self.emoji),
        }
    }

    /// Whether it serves person, man and woman.
    fn gendered(&self) -> bool {
        self.nouns.iter().any(|noun| noun.contains('{'))
    }

    fn said(&self, gender: Gender) -> Entry {
        let (person, prefix, informal) = match gender {
            Gender::Neutral => ("person", "", None),
            Gender::Male => ("man", "male ", Some("guy")),
            Gender::Female => ("woman", "female ", Some("girl")),
        };
        let own = |text: &String| {
            let (marked, rest) = text.split_once(':').unwrap_or(("", text));
            let wanted = match marked {
                "n" => gender == Gender::Neutral,
                "m" => gender == Gender::Male,
                "f" => gender == Gender::Female,
                _ => return Some(text.clone()),
            };
            wanted.then(|| rest.to_owned())
        };
        let templates = self.nouns.iter().filter_map(own).collect::<Vec<_>>();
        // A phrase that is marked for none of person, man and woman names the neutral one, if the others have their own
        // words.
        let of_all = |text: &&String| {
            gender == Gender::Neutral || !self.gendered() || text.contains('{') || !self.nouns.contains(*text)
        };
        let mut texts = templates.iter().filter(of_all).map(|text| filled_in(text, person, prefix)).collect::<Vec<_>>();
        let first = templates.iter().find(|text| text.starts_with("{p}*"));
        texts.extend(informal.and_then(|person| first.map(|text| filled_in(text, person, prefix))));
        let mut nouns: Vec<Noun> = Vec::new();
        for noun in texts.iter().map(|text| marked_noun(text)) {
            if nouns.iter().all(|other| other.text() != noun.text()) {
                nouns.push(noun);
            }
        }
        let verbs = if gender == Gender::Neutral { self.verbs.clone() } else { Vec::new() };
        Entry { emoji: self.emoji_of(gender), nouns, verbs, emoticons: self.emoticons.clone() }
    }
}

/// The lines of a file in the format of occasions.txt.
fn occasions((file, text): (&str, &str)) -> Result<Vec<Occasion>> {
    let occasion = |(number, text): (usize, &str)| {
        let bad = || broken(file, number, "is not 'phrase, phrase = emoji emoji'");
        let (says, emoji) = text.rsplit_once(" = ").ok_or_else(bad)?;
        Ok(Occasion { says: listed(says), emoji: emoji.split_whitespace().map(plain).collect() })
    };
    filled(text).map(occasion).collect()
}

fn filled_in(text: &str, person: &str, prefix: &str) -> String {
    text.replace("{p}", person).replace("{g}", prefix)
}

/// A noun whose number is marked by its first character.
fn marked_noun(text: &str) -> Noun {
    let number = match text.chars().next() {
        Some('+') => Number::Plural,
        Some('~') => Number::Mass,
        Some('=') => Number::Proper,
        Some('!') => Number::The,
        _ => return Noun::new(text, Number::Countable),
    };
    Noun::new(&text[1..], number)
}

/// The neutral emoji of a person, man or woman (without presentation selectors); none for an emoji of another gender.
fn base(bare: &str, gender: Gender) -> Option<String> {
    let Some((person, sign)) = gender.signs() else { return Some(bare.to_owned()) };
    let joined = || Some(format!("{PERSON}{}", bare.strip_prefix(person).filter(|rest| rest.starts_with('\u{200d}'))?));
    bare.strip_suffix(sign).map(str::to_owned).or_else(joined)
}

const PERSON: &str = "\u{1f9d1}";
const PERSON_JOINED: &str = "\u{1f9d1}\u{200d}";

fn listed(text: &str) -> Vec<String> {
    text.split(", ").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// The lines with content, with their numbers.
fn filled(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
}

fn broken(file: &str, line: usize, reason: &str) -> Error {
    Error::Config { file: file.to_owned(), reason: format!("line {line} {reason}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(emoji: &str) -> Vec<String> {
        let entry = Entries::new().unwrap().get(emoji, "", None);
        entry.nouns.iter().map(|noun| noun.text().to_owned()).collect()
    }

    #[test]
    fn every_line_is_in_the_format_and_every_occasion_has_a_thing() {
        let entries = Entries::new().unwrap();
        for occasion in entries.occasions.iter().chain(&entries.related) {
            assert!(!occasion.says.is_empty() && occasion.emoji.len() <= 6, "{occasion:?}");
            for emoji in &occasion.emoji {
                assert!(
                    !entries.get(emoji, "", None).nouns.is_empty(),
                    "{emoji} of {occasion:?} has no line in things/"
                );
            }
        }
        for emoji in entries.emoji() {
            for noun in entries.get(emoji, "", None).nouns {
                let text = noun.text();
                let odd = ["a ", "an ", "the "].iter().any(|article| text.starts_with(article));
                assert!(!odd && !text.contains(['{', '}', '*', '|', ';', ':']), "{emoji} {text}");
                assert_eq!(text, text.trim());
            }
        }
    }

    #[test]
    fn one_line_serves_for_person_man_and_woman() {
        let runner = texts("🏃");
        assert_eq!(runner[0], "person running");
        assert!(runner.contains(&"runner".to_owned()));
        let woman = texts("🏃\u{200d}♀\u{fe0f}");
        assert_eq!(woman[0], "woman running");
        assert!(woman.contains(&"girl running".to_owned()) && woman.contains(&"female runner".to_owned()));
        assert!(!woman.iter().any(|text| text.contains("boy") || text == "runner"), "{woman:?}");
        assert_eq!(texts("👨\u{200d}🍳")[0], "male chef");
        assert_eq!(texts("👩\u{200d}🦰")[0], "woman with red hair");
        assert!(texts("👨\u{200d}🚒").contains(&"fireman".to_owned()));
        assert_eq!(texts("🧜\u{200d}♀")[0], "mermaid");
        let emoji = |bare| Entries::new().unwrap().get(bare, "", None).emoji;
        assert_eq!(emoji("👩\u{200d}⚕"), "👩\u{200d}⚕\u{fe0f}");
        assert_eq!(emoji("🕵\u{200d}♂"), "🕵\u{fe0f}\u{200d}♂\u{fe0f}");
    }

    #[test]
    fn who_is_not_drawn_is_said_by_who_is() {
        let entries = Entries::new().unwrap();
        let present =
            ["🧑\u{200d}🚒", "👩\u{200d}🚒", "👨\u{200d}🦲", "👩\u{200d}🦲"].map(str::to_owned).into_iter().collect();
        let said = |emoji| entries.get(emoji, "", Some(&present));
        let texts = |entry: &Entry| entry.nouns.iter().map(|noun| noun.text().to_owned()).collect::<Vec<_>>();
        let neutral = said("🧑\u{200d}🚒");
        assert_eq!(neutral.nouns[0].text(), "firefighter");
        assert!(texts(&neutral).contains(&"fireman".to_owned()) && neutral.emoticons == ["👨\u{200d}🚒"]);
        assert!(!texts(&said("👩\u{200d}🚒")).contains(&"fireman".to_owned()));
        let bald = texts(&said("👨\u{200d}🦲"));
        assert!(bald[0] == "bald man" && bald.contains(&"bald person".to_owned()), "{bald:?}");
    }

    #[test]
    fn marks_say_how_a_noun_is_counted() {
        let entries = Entries::new().unwrap();
        let find =
            |emoji, text: &str| entries.get(emoji, "", None).nouns.into_iter().find(|n| n.text() == text).unwrap();
        assert_eq!(find("🍇", "grapes").number(), Number::Plural);
        assert_eq!(find("🍞", "bread").number(), Number::Mass);
        assert_eq!(find("🍞", "loaf of bread").many(2, &[]).unwrap(), "two loaves of bread");
        assert_eq!(find("🎅", "Santa Claus").one(&[]), "Santa Claus");
        assert_eq!(find("🌍", "Earth").one(&[]), "the Earth");
        assert_eq!(find("🏊", "person swimming").many(2, &[]).unwrap(), "two people swimming");
    }

    #[test]
    fn what_has_no_line_has_no_nouns() {
        assert!(texts("🈁").is_empty());
    }
}
