//! The help for a small world.

use super::super::world::{Known, Occasion, World};
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
        moods: list("sleepy"),
        clauses: list("wearing a hat, in the rain"),
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
    assert!(labels("a yellow duck ").contains(&"in the rain".to_owned()) && !labels("a sleepy ").is_empty());
    assert!(labels("a duck in the rain ").iter().all(|offer| offer.ends_with("background")));
    assert_eq!(labels("a duck wea"), ["wearing a hat"]);
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
