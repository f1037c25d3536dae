//! Builds the lexicon: combines the hand-written entries and the keywords to phrases, with their shares, for each
//! thing.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::entries::{Entries, Entry, Occasion};
use super::keywords::Keywords;
use super::{Noun, PhraseKind, Said};
use crate::dataset::pack::Concept;
use crate::error::{Error, Result};
use crate::text::emoji::{Symbol, plain, symbols};
use crate::text::meaning::normal;
use crate::text::world::{occasion_score, related_score, synonym_score};

/// A phrase is used for at most this many things, those that it fits best. For the others it is only a related word.
pub const MOST_THINGS: usize = 3;
/// A keyword of more concepts than this is not used.
const MOST_CONCEPTS: usize = 40;
/// The share of things with a phrase that never occurs in training.
const HELD_OUT: f64 = 0.15;

/// One phrase of one thing.
#[derive(Clone, Debug)]
pub struct Claim {
    pub thing: usize,
    pub said: Said,
    /// The phrase in normal form and without article.
    pub normal: String,
    /// How well it fits the thing, as in [`crate::text::world::World::scored`].
    pub score: f32,
    /// Its weight among the thing's phrases of its kind.
    pub weight: f32,
    /// Whether it may be held out, because it is not among the first phrases that people think of.
    spare: bool,
}

/// The phrases of all concepts.
pub struct Built {
    /// For each thing: its claims, the name first, in the order of the data.
    pub claims: Vec<Vec<Claim>>,
    /// For each thing: the phrase that is held out.
    pub held_out: Vec<Option<Claim>>,
    /// For each thing: keywords that are not used for it alone.
    pub related: Vec<Vec<String>>,
    /// Phrases with the same meaning, and the things that people send with them, the best first.
    pub occasions: Occasions,
    /// Words that are never used, and the things that they suggest, the best first.
    pub suggestive: Occasions,
    /// For each thing: its emoji as keyboards write it; empty if it has none.
    pub emoji: Vec<String>,
}

/// Phrases, and the things that they mean, the best first.
pub type Occasions = Vec<(Vec<String>, Vec<usize>)>;

/// Builds the phrases of these concepts.
///
/// # Errors
/// [`Error::Config`] if the data is malformed or two concepts get the same name.
pub fn build(concepts: &[Concept]) -> Result<Built> {
    let entries = Entries::new()?;
    let emoji = concepts.iter().map(|concept| emoji_of(&concept.codepoints)).collect::<Vec<_>>();
    let present = emoji.iter().map(|emoji| plain(emoji)).collect::<HashSet<_>>();
    let found = concepts.iter().zip(&emoji).map(|(concept, emoji)| {
        let entry = entries.get(emoji, &concept.name, Some(&present));
        with_unicode_name(entry, &concept.name)
    });
    let found = found.collect::<Vec<_>>();
    let keywords = Keywords::new(concepts);
    let (occasions, suggestive) = (numbered(&entries.occasions, &found), numbered(&entries.related, &found));
    let mut claims = vec![Vec::new(); concepts.len()];
    occasion_claims(&occasions).for_each(|claim| claims[claim.thing].push(claim));
    for (thing, entry) in found.iter().enumerate() {
        claims[thing].extend(noun_claims(thing, entry));
        claims[thing].extend(other_claims(thing, entry));
    }
    let named = claims.iter().flatten().filter(|claim| claim.said.noun.is_some());
    let named = named.map(|claim| claim.normal.clone()).collect::<HashSet<_>>();
    for (thing, concept) in concepts.iter().enumerate() {
        claims[thing].extend(keyword_claims(thing, &concept.name, &keywords, &named));
    }
    names_differ(concepts, &claims)?;
    for own in &mut claims {
        own.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut seen = Vec::new();
        own.retain(|claim| {
            !seen.contains(&claim.normal) && {
                seen.push(claim.normal.clone());
                true
            }
        });
    }
    keep_the_best(&mut claims);
    let held_out = hold_out(concepts, &mut claims);
    let related = (0..concepts.len()).map(|thing| -> Vec<String> {
        let said = |word: &String| claims[thing].iter().any(|claim| claim.normal == *word);
        keywords.of[thing].iter().filter(|word| !said(word)).cloned().collect()
    });
    let related = related.collect();
    for (thing, entry) in found.iter().enumerate() {
        let combined = combined_claims(thing, entry, &keywords, &claims[thing]);
        claims[thing].extend(combined);
    }
    share(&mut claims);
    let emoji = found.into_iter().map(|entry| entry.emoji).collect();
    Ok(Built { claims, held_out, related, occasions, suggestive, emoji })
}

/// The entry with Unicode's name added: as its name if it has none, otherwise as its last synonym.
fn with_unicode_name(mut entry: Entry, unicode_name: &str) -> Entry {
    let name = spoken(unicode_name);
    let new = entry.nouns.iter().all(|noun| normal(noun.text()) != normal(&name) && noun.plural() != Some(&name));
    if entry.nouns.is_empty() || (new && name == unicode_name && !NO_NOUNS.contains(&name.as_str())) {
        entry.nouns.push(Noun::guessed(&name));
    }
    entry
}

/// Unicode names that are not nouns.
const NO_NOUNS: &[&str] = &[
    "breast-feeding",
    "building construction",
    "cooking",
    "dizzy",
    "foggy",
    "horse racing",
    "hundred points",
    "locked",
    "locked with key",
    "locked with pen",
    "prohibited",
    "radioactive",
    "star-struck",
    "unlocked",
];

/// The emoji with these code points in hexadecimal; empty if they are invalid.
fn emoji_of(codepoints: &str) -> String {
    let points = codepoints.split(['-', ' ', '_']).map(|point| u32::from_str_radix(point, 16).ok());
    let text = points.map(|point| point.and_then(char::from_u32)).collect::<Option<String>>().unwrap_or_default();
    let is_emoji = matches!(symbols(&text).next(), Some(Symbol::Emoji { .. }));
    if is_emoji { text } else { String::new() }
}

/// A Unicode name as people would say it: "flag: Japan" becomes "flag of Japan", and text in brackets is dropped.
fn spoken(name: &str) -> String {
    let plain = name.split(" (").next().unwrap_or(name).replace(['“', '”', '!', '#', '*'], "").replace('’', "'");
    let joined = match plain.split_once(": ") {
        Some(("flag", country)) => format!("flag of {country}"),
        Some(("keycap", sign)) => format!("keycap {sign}"),
        Some((who, what)) => format!("{who} with {what}"),
        None => plain,
    };
    joined.trim().to_owned()
}

fn noun_claims(thing: usize, entry: &Entry) -> Vec<Claim> {
    let claim = |(rank, noun): (usize, &Noun)| Claim {
        thing,
        normal: normal(noun.text()),
        said: Said {
            phrase: noun.one(&[]),
            kind: if rank == 0 { PhraseKind::Name } else { PhraseKind::Synonym },
            noun: Some(noun.clone()),
        },
        score: if rank == 0 { 1.0 } else { synonym_score(rank - 1) },
        weight: 1.0 / (rank.max(1) as f32).sqrt(),
        spare: rank >= 3,
    };
    entry.nouns.iter().enumerate().map(claim).collect()
}

fn other_claims(thing: usize, entry: &Entry) -> Vec<Claim> {
    let verbs = entry.verbs.iter().enumerate().map(|(rank, verb)| (PhraseKind::Verb, rank, verb.clone(), 0.5));
    // With and without presentation selectors, because both are typed.
    let bare = plain(&entry.emoji);
    let emoji = [entry.emoji.clone(), bare].into_iter().filter(|emoji| !emoji.is_empty());
    let emoji = emoji.chain(entry.emoticons.iter().cloned()).enumerate();
    let emoji = emoji.map(|(rank, emoji)| (PhraseKind::Emoji, rank, emoji, 0.69));
    let claim = |(kind, rank, phrase, least): (PhraseKind, usize, String, f32)| Claim {
        thing,
        normal: normal(&phrase),
        said: Said { phrase, kind, noun: None },
        score: least + 0.3 / (rank + 1) as f32,
        weight: 1.0 / (rank + 1) as f32,
        spare: kind == PhraseKind::Verb && rank >= 2,
    };
    verbs.chain(emoji).map(claim).collect()
}

/// The occasions with the numbers of those of their things that are present.
fn numbered(occasions: &[Occasion], found: &[Entry]) -> Occasions {
    let own = |(thing, entry): (usize, &Entry)| {
        let all = entry.emoticons.iter().chain([&entry.emoji]);
        all.map(|emoji| (plain(emoji), thing)).collect::<Vec<_>>()
    };
    let index = found.iter().enumerate().flat_map(own).collect::<HashMap<_, _>>();
    let numbered = occasions.iter().map(|occasion| {
        let things = occasion.emoji.iter().filter_map(|emoji| index.get(emoji).copied());
        (occasion.says.clone(), things.collect::<Vec<_>>())
    });
    numbered.filter(|(_, things)| !things.is_empty()).collect()
}

/// The things' claims to the phrases of occasions.
fn occasion_claims(occasions: &Occasions) -> impl Iterator<Item = Claim> {
    occasions.iter().flat_map(|(says, things)| {
        // Half for the first phrase, the rest for the others; half as much for each further thing.
        let others = says.len().saturating_sub(1).max(1) as f32;
        things.iter().enumerate().flat_map(move |(rank, thing)| {
            says.iter().enumerate().map(move |(at, phrase)| Claim {
                thing: *thing,
                normal: normal(phrase),
                said: Said { phrase: phrase.clone(), kind: PhraseKind::Occasion, noun: None },
                score: occasion_score(rank),
                weight: (if at == 0 { 0.5 } else { 0.5 / others }) / (rank + 1) as f32,
                spare: at >= 3,
            })
        })
    })
}

/// Keywords of few concepts are used alone, except those that name another thing (a seal's "lion") and words of
/// Unicode's own name.
fn keyword_claims(thing: usize, name: &str, keywords: &Keywords, named: &HashSet<String>) -> Vec<Claim> {
    let said = keywords.of[thing].iter().enumerate();
    let said = said.filter(|(_, word)| keywords.tells(word) && keywords.count(word) <= MOST_THINGS);
    let said = said.filter(|(_, word)| !fragment(word, name) && !named.contains(*word));
    let claim = |(rank, word): (usize, &String)| Claim {
        thing,
        normal: word.clone(),
        said: Said { phrase: word.clone(), kind: PhraseKind::Related, noun: None },
        score: related_score(rank),
        weight: 1.0 / keywords.count(word) as f32,
        spare: false,
    };
    said.map(claim).collect()
}

/// Whether a keyword is only a word of Unicode's name: "classical" of "classical building".
fn fragment(keyword: &str, name: &str) -> bool {
    normal(name).split(' ').any(|word| word == keyword)
}

/// Keywords of several concepts are used with the name: "sun, summer".
fn combined_claims(thing: usize, entry: &Entry, keywords: &Keywords, claims: &[Claim]) -> Vec<Claim> {
    let said = |word: &str| claims.iter().any(|claim| claim.normal == word);
    let several = |word: &&String| (MOST_THINGS + 1..=MOST_CONCEPTS).contains(&keywords.count(word));
    let words = keywords.of[thing].iter().filter(several).filter(|word| keywords.tells(word) && !said(word));
    let name = entry.nouns[0].text();
    let new = words.filter(|word| !name.split([' ', '-']).any(|part| part == word.as_str()));
    let claim = |word: &String| {
        let phrase = format!("{name}, {word}");
        let said = Said { phrase: phrase.clone(), kind: PhraseKind::Related, noun: None };
        Claim { thing, normal: normal(&phrase), said, score: related_score(0), weight: 0.25, spare: false }
    };
    new.map(claim).collect()
}

fn names_differ(concepts: &[Concept], claims: &[Vec<Claim>]) -> Result<()> {
    let mut seen = HashMap::new();
    for claim in claims.iter().flatten().filter(|claim| claim.said.kind == PhraseKind::Name) {
        if let Some(other) = seen.insert(&claim.normal, claim.thing) {
            let (a, b) = (&concepts[other], &concepts[claim.thing]);
            let reason = format!(
                "'{}' ({}) and '{}' ({}) are both called '{}'",
                a.name, a.codepoints, b.name, b.codepoints, claim.normal
            );
            return Err(Error::Config { file: "lexicon".into(), reason });
        }
    }
    Ok(())
}

/// Keeps each phrase only for the things that it fits best.
fn keep_the_best(claims: &mut [Vec<Claim>]) {
    let mut by_phrase: HashMap<String, Vec<(f32, usize)>> = HashMap::new();
    for claim in claims.iter().flatten() {
        by_phrase.entry(claim.normal.clone()).or_default().push((claim.score, claim.thing));
    }
    for list in by_phrase.values_mut() {
        list.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        list.truncate(MOST_THINGS);
    }
    for own in claims.iter_mut() {
        own.retain(|claim| by_phrase[&claim.normal].iter().any(|(_, thing)| *thing == claim.thing));
    }
    // A phrase that several things share is used less for each.
    for claim in claims.iter_mut().flatten() {
        claim.weight /= by_phrase[&claim.normal].len() as f32;
    }
}

/// Removes one phrase from some of the things, and from all that share it. Each of its words occurs in other phrases,
/// so that it can be understood; the first phrases in the data stay.
fn hold_out(concepts: &[Concept], claims: &mut [Vec<Claim>]) -> Vec<Option<Claim>> {
    let phrases = claims.iter().flatten().map(|claim| claim.normal.as_str()).collect::<HashSet<_>>();
    let mut words: HashMap<String, usize> = HashMap::new();
    for word in phrases.iter().flat_map(|phrase| phrase.split(' ')) {
        *words.entry(word.to_owned()).or_insert(0) += 1;
    }
    let needed = claims.iter().flatten().filter(|claim| !claim.spare);
    let needed = needed.map(|claim| claim.normal.clone()).collect::<HashSet<_>>();
    let mut held: Vec<Option<Claim>> = vec![None; concepts.len()];
    for thing in 0..concepts.len() {
        if fraction(&["held-out words", &concepts[thing].codepoints, &concepts[thing].name]) >= HELD_OUT {
            continue;
        }
        let name = claims[thing][0].normal.clone();
        let fits = |claim: &&Claim| {
            let parts = claim.normal.split(' ').collect::<Vec<_>>();
            claim.spare
                && !needed.contains(&claim.normal)
                && parts.len() > 1
                && !name.split(' ').all(|part| parts.contains(&part))
                && parts.iter().all(|part| words[*part] > 2)
        };
        let candidates = claims[thing].iter().filter(fits).collect::<Vec<_>>();
        if candidates.is_empty() {
            continue;
        }
        let at = fraction(&["held-out word", &concepts[thing].codepoints]) * candidates.len() as f64;
        let chosen = candidates[at as usize].clone();
        claims.iter_mut().for_each(|own| own.retain(|claim| claim.normal != chosen.normal));
        chosen.normal.split(' ').for_each(|word| *words.get_mut(word).expect("counted above") -= 1);
        held[thing] = Some(chosen);
    }
    held
}

/// Turns the weights among phrases of one kind into shares of all phrases of a thing.
fn share(claims: &mut [Vec<Claim>]) {
    use PhraseKind::{Emoji, Name, Occasion, Related, Synonym, Verb};
    for own in claims {
        let sum = |kind| own.iter().filter(|claim| claim.said.kind == kind).map(|claim| claim.weight).sum::<f32>();
        let sums = [Name, Synonym, Occasion, Verb, Emoji, Related].map(|kind| (kind, sum(kind)));
        let share = |kind, sum: f32| match kind {
            Name => 0.45,
            _ if sum == 0.0 => 0.0,
            Synonym => 0.28,
            // A thing that is sent on many occasions is more often asked for by them.
            Occasion => (0.3 * sum).clamp(0.08, 0.3),
            Verb => 0.08,
            Emoji => 0.06,
            Related => 0.05,
        };
        let total = sums.iter().map(|(kind, sum)| share(*kind, *sum)).sum::<f32>();
        for claim in own.iter_mut() {
            let (_, sum) = sums.iter().find(|(kind, _)| *kind == claim.said.kind).expect("all kinds are listed");
            claim.weight *= share(claim.said.kind, *sum) / (sum * total);
        }
    }
}

/// A number in [0, 1) from the words, the same on every machine and in every version.
fn fraction(words: &[&str]) -> f64 {
    let digest = Sha256::digest(words.join("\n").as_bytes());
    let first = digest.iter().take(6).fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    first as f64 / (1u64 << 48) as f64
}
