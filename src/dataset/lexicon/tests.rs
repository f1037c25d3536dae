//! Properties of the whole lexicon, tested on an excerpt of the real lists: the concepts of `tests/concepts.json`.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::random;

/// A few hundred concepts as `dataset pack` finds them in emoji-test.txt, CLDR and emojilib. If `FOURSTEP_CONCEPTS` is
/// set, those of that file: the list in a pack's header.
fn concepts() -> Vec<Concept> {
    let text = match std::env::var("FOURSTEP_CONCEPTS") {
        Ok(path) => std::fs::read_to_string(path).unwrap(),
        Err(_) => include_str!("tests/concepts.json").to_owned(),
    };
    serde_json::from_str(&text).unwrap()
}

struct Real {
    concepts: Vec<Concept>,
    lexicon: Lexicon,
}

fn real() -> Real {
    of(concepts())
}

/// The excerpt, regardless of the environment.
fn excerpt() -> Real {
    of(serde_json::from_str(include_str!("tests/concepts.json")).unwrap())
}

fn of(concepts: Vec<Concept>) -> Real {
    let lexicon = Lexicon::new(&concepts).unwrap();
    Real { concepts, lexicon }
}

impl Real {
    fn thing(&self, emoji: &str) -> usize {
        let bare = emoji.replace('\u{fe0f}', "");
        let found = (0..self.concepts.len()).find(|thing| self.lexicon.emoji(*thing).replace('\u{fe0f}', "") == bare);
        found.unwrap_or_else(|| panic!("{emoji} is not in the excerpt"))
    }

    fn best(&self, phrase: &str) -> &str {
        let meant = self.lexicon.meaning(phrase);
        self.lexicon.emoji(meant.first().unwrap_or_else(|| panic!("{phrase} means nothing")).0)
    }
}

#[test]
fn every_phrase_leads_back_to_its_thing() {
    let Real { concepts, lexicon } = real();
    for (thing, concept) in concepts.iter().enumerate() {
        let held_out = lexicon.held_out(thing).into_iter();
        for said in lexicon.phrases(thing).map(|(said, _)| said).chain(held_out) {
            let meant = lexicon.meaning(&said.phrase);
            let place = meant.iter().position(|(other, _)| *other == thing);
            assert!(place.is_some_and(|place| place < 3), "{said:?} of {} is at {place:?}", concept.name);
            if said.kind != PhraseKind::Related {
                assert!(lexicon.things(&said.phrase).contains(&thing), "{said:?}");
            }
        }
    }
}

#[test]
fn no_phrase_is_said_twice_of_a_thing_or_of_more_than_three() {
    let Real { concepts, lexicon } = real();
    let mut things: HashMap<String, HashSet<usize>> = HashMap::new();
    for (thing, concept) in concepts.iter().enumerate() {
        let mut seen = HashSet::new();
        let mut sum = 0.0;
        for (said, share) in lexicon.phrases(thing) {
            let bare = said.noun.as_ref().map_or(said.phrase.clone(), |noun| noun.text().to_owned());
            assert!(seen.insert(bare.to_lowercase()), "{bare} twice of {}", concept.name);
            assert!(share > 0.0 && share <= 1.0, "{said:?} {share}");
            assert!(!said.phrase.contains("  ") && said.phrase.trim() == said.phrase, "{said:?}");
            things.entry(crate::text::meaning::normal(&said.phrase)).or_default().insert(thing);
            sum += share;
        }
        assert!((sum - 1.0).abs() < 1e-3, "shares of {} sum to {sum}", concept.name);
    }
    for (phrase, things) in things {
        assert!(things.len() <= 3, "{phrase} of {things:?}");
    }
}

#[test]
fn general_words_are_names_or_not_said_alone() {
    let Real { concepts, lexicon } = real();
    let general = [
        "face",
        "woman",
        "man",
        "person",
        "animal",
        "food",
        "hand",
        "body",
        "symbol",
        "sign",
        "object",
        "thing",
        "tool",
        "vehicle",
        "clothing",
        "fruit",
        "vegetable",
        "weather",
        "sport",
        "gesture",
        "emotion",
        "red",
        "two",
        "left",
        "open",
    ];
    for (thing, concept) in concepts.iter().enumerate() {
        for (said, _) in lexicon.phrases(thing).filter(|(said, _)| said.kind != PhraseKind::Name) {
            let bare = said.noun.as_ref().map_or(said.phrase.as_str(), |noun| noun.text());
            assert!(!general.contains(&bare.to_lowercase().as_str()), "{bare} of {}", concept.name);
        }
    }
}

#[test]
fn what_people_say_means_what_they_mean() {
    let real = excerpt();
    let pairs = [
        ("thank you", "🙏"),
        ("thank", "🙏"),
        ("happy birthday", "🎂"),
        ("I love you!", "❤️"),
        ("lol", "😂"),
        ("bunny", "🐰"),
        ("rabbit", "🐇"),
        ("a puppy", "🐶"),
        ("good night", "😴"),
        ("congratulations", "🎉"),
        ("good luck", "🤞"),
        ("merry christmas", "🎄"),
        ("a woman with red hair", "👩‍🦰"),
        ("fireman", "👨‍🚒"),
        ("a girl running", "🏃‍♀️"),
        ("someone crying", "😢"),
        ("finger pointing up", "👆"),
        ("mom", "👩"),
        ("coffee", "☕"),
        ("loo", "🚽"),
        (":)", "🙂"),
        ("<3", "❤️"),
        ("🐰", "🐰"),
    ];
    for (phrase, emoji) in pairs {
        assert_eq!(real.best(phrase).replace('\u{fe0f}', ""), emoji.replace('\u{fe0f}', ""), "{phrase}");
    }
    let bakery = real.lexicon.meaning("bakery").into_iter().map(|(thing, _)| thing).collect::<Vec<_>>();
    assert!(bakery[0] == real.thing("🧁") && bakery.contains(&real.thing("🥯")), "{bakery:?}");
}

#[test]
fn the_name_is_said_about_half_of_the_time_and_all_kinds_come() {
    let real = real();
    let mut random = random::stream(7, "lexicon", 0);
    let mut counts = HashMap::new();
    for thing in 0..real.concepts.len() {
        for _ in 0..40 {
            let said = real.lexicon.say(thing, &mut random);
            assert_eq!(said.noun.is_some(), matches!(said.kind, PhraseKind::Name | PhraseKind::Synonym));
            *counts.entry(said.kind).or_insert(0) += 1;
        }
    }
    let total = 40.0 * real.concepts.len() as f32;
    let share = |kind| counts[&kind] as f32 / total;
    assert!((0.4..0.65).contains(&share(PhraseKind::Name)), "{counts:?}");
    assert!((0.15..0.4).contains(&share(PhraseKind::Synonym)), "{counts:?}");
    for kind in [PhraseKind::Occasion, PhraseKind::Verb, PhraseKind::Emoji, PhraseKind::Related] {
        assert!(share(kind) > 0.01, "{kind:?} of {counts:?}");
    }
}

#[test]
fn nouns_fit_the_adjectives_that_are_asked_for() {
    let real = real();
    let mut random = random::stream(8, "lexicon", 0);
    for _ in 0..200 {
        let noun = |emoji, adjectives: &[&str], counted, random: &mut _| {
            real.lexicon.noun_with(real.thing(emoji), adjectives, counted, random).map(|noun| noun.one(adjectives))
        };
        let heart = noun("❤️", &["blue"], true, &mut random).unwrap();
        assert!(!heart.contains("red"), "{heart}");
        assert_eq!(noun("💚", &["blue"], false, &mut random).filter(|noun| noun.contains("green")), None);
        let face = noun("😀", &["sad"], false, &mut random).unwrap();
        assert!(!face.contains("happy") && !face.contains("grinning"), "{face}");
        let rabbit = real.lexicon.countable(real.thing("🐰"), &mut random).unwrap();
        assert!(rabbit.many(3, &[]).is_some());
        let noun = real.lexicon.noun_with(real.thing("🍞"), &[], true, &mut random).unwrap();
        assert!(noun.countable(), "bread is counted in loaves: {noun:?}");
    }
}

#[test]
fn held_out_phrases_are_never_said_and_all_their_words_are() {
    let Real { concepts, lexicon } = real();
    let said = (0..concepts.len()).flat_map(|thing| lexicon.phrases(thing));
    let said = said.map(|(said, _)| crate::text::meaning::normal(&said.phrase)).collect::<HashSet<_>>();
    let words = said.iter().flat_map(|phrase| phrase.split(' ')).collect::<HashSet<_>>();
    let held = (0..concepts.len()).filter_map(|thing| lexicon.held_out(thing)).collect::<Vec<_>>();
    let share = held.len() as f32 / concepts.len() as f32;
    assert!((0.06..0.2).contains(&share), "{share} of things");
    for phrase in held {
        let normal = crate::text::meaning::normal(&phrase.phrase);
        assert!(!said.contains(&normal), "{normal}");
        assert!(normal.split(' ').all(|word| words.contains(word)), "{normal}");
    }
    let again = Lexicon::new(&concepts).unwrap();
    assert!((0..concepts.len()).all(|thing| lexicon.held_out(thing) == again.held_out(thing)));
}

#[test]
fn what_the_data_does_not_list_has_its_unicode_name() {
    let concept = |name: &str, codepoints: &str| Concept {
        name: name.into(),
        codepoints: codepoints.into(),
        group: "Symbols".into(),
        subgroup: "x".into(),
        keywords: vec![],
        emojilib: vec![],
    };
    let odd = [
        concept("flag: Japan", "1f1ef-1f1f5"),
        concept("O button (blood type)", "1f17e"),
        concept("Japanese “here” button", "1f201"),
        concept("keycap: 1", "31-20e3"),
        concept("person: red hair", "f0000"),
    ];
    let lexicon = Lexicon::new(&odd).unwrap();
    let names = (0..odd.len()).map(|thing| lexicon.name(thing).one(&[])).collect::<Vec<_>>();
    let wanted = ["a flag of Japan", "an O button", "a Japanese here button", "a keycap 1", "a person with red hair"];
    assert_eq!(names, wanted);
    assert_eq!(lexicon.emoji(0), "🇯🇵");
    assert_eq!(lexicon.emoji(4), "", "private use is no emoji");
}

#[test]
fn things_that_are_not_chosen_leave_their_phrases_to_others() {
    let Real { concepts, lexicon } = excerpt();
    let runner = |lexicon: &Lexicon, emoji: &str| {
        let thing = (0..concepts.len()).find(|thing| lexicon.emoji(*thing) == emoji).unwrap();
        (thing, lexicon.things("a man running").contains(&thing), lexicon.things(emoji).contains(&thing))
    };
    assert!(!runner(&lexicon, "🏃").1);
    let without = |name: &str| (0..concepts.len()).filter(|thing| concepts[*thing].name != name).collect::<Vec<_>>();
    let chosen = Lexicon::of(&concepts, &without("man running")).unwrap();
    assert_eq!(runner(&chosen, "🏃"), (runner(&lexicon, "🏃").0, true, true), "numbers stay");
    assert_eq!(chosen.things("🏃\u{200d}♂\u{fe0f}"), [runner(&chosen, "🏃").0]);
    let birthday = Lexicon::of(&concepts, &without("birthday cake")).unwrap();
    assert_eq!(concepts[birthday.things("happy birthday")[0]].name, "party popper");
}

#[test]
fn two_things_with_one_name_are_refused() {
    let concepts = concepts();
    let twice = [concepts[0].clone(), concepts[0].clone()];
    let message = Lexicon::new(&twice).map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("both called") && message.contains(&concepts[0].codepoints), "{message}");
}

/// Prints captions for a reader: `FOURSTEP_CONCEPTS=FILE cargo test --release --lib read_the_captions -- --ignored
/// --nocapture`.
#[test]
#[ignore = "prints captions for a reader"]
fn read_the_captions() {
    let real = real();
    let seed = std::env::var("FOURSTEP_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let mut random = random::stream(seed, "read", 0);
    for thing in 0..real.concepts.len() {
        let said = real.lexicon.say(thing, &mut random);
        println!("{} {:?}: {}", real.lexicon.emoji(thing), said.kind, said.phrase);
    }
    if std::env::var("FOURSTEP_ALL").is_ok() {
        for thing in 0..real.concepts.len() {
            let all = real.lexicon.phrases(thing).map(|(said, share)| format!("{} {:.1}", said.phrase, 100.0 * share));
            let held = real.lexicon.held_out(thing).map(|said| said.phrase.as_str());
            println!("= {} {} HELD {held:?}", real.lexicon.emoji(thing), all.collect::<Vec<_>>().join(" | "));
        }
    }
}

/// As [`read_the_captions`], for plurals.
#[test]
#[ignore = "prints plurals for a reader"]
fn read_the_plurals() {
    let real = real();
    for thing in 0..real.concepts.len() {
        let nouns = real.lexicon.phrases(thing).filter_map(|(said, _)| said.noun.clone());
        nouns.filter_map(|noun| noun.plural().map(str::to_owned)).for_each(|plural| println!("P {plural}"));
    }
}
