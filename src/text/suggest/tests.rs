//! Tests of the help, with a small vocabulary.

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
    suggestions().next(before).into_iter().map(|offer| offer.label).collect()
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
    let nothing = |prompt: &str| suggestions().advise(prompt, None).nothing;
    assert!(!nothing("a duck and a xyzzy") && !nothing("🦆") && !nothing("teal") && !nothing("") && !nothing(" "));
    assert!(nothing("a xyzzy on a background") && nothing("🪿") && nothing("a"));
}

#[test]
fn a_word_is_completed_by_what_the_model_knows() {
    assert_eq!(labels("a cu"), ["cupcake"]);
    assert_eq!(labels("two folded ha"), ["folded hands"]);
    assert_eq!(labels("tha"), ["thanks", "thank you"]);
    assert_eq!(labels("te"), ["teal"]);
    assert_eq!(labels("x"), Vec::<String>::new());
    let owl = &suggestions().next("a ow")[0];
    assert_eq!((owl.text.as_str(), owl.start), ("an owl", 0));
    let cupcake = &suggestions().next("an cup")[0];
    assert_eq!((cupcake.text.as_str(), cupcake.start), ("a cupcake", 0));
    let hands = &suggestions().next("😀 a fold")[0];
    assert_eq!((hands.text.as_str(), hands.start), ("folded hands", 3));
    assert!(labels("a red").contains(&"red heart".to_owned()), "a whole word goes on with a phrase");
}

#[test]
fn what_comes_next_fits_and_nothing_follows_a_complete_sentence() {
    let names = ["duck", "owl", "folded hands", "cupcake", "bagel", "red heart"];
    for before in ["a yellow duck", "a yellow duck ", "two ducks", "a mallard"] {
        let offered = labels(before);
        assert!(offered.iter().any(|offer| offer.ends_with("background")), "{before}: {offered:?}");
        assert!(offered.contains(&"in the rain".to_owned()) && offered.contains(&"above".to_owned()), "{offered:?}");
    }
    for offer in suggestions().next("a duck") {
        assert_eq!((offer.start, offer.text.chars().next()), (6, Some(' ')), "a space comes before it: {offer:?}");
    }
    for before in ["a yellow ", "a sleepy ", "a tiny"] {
        let offered = labels(before);
        assert!(!offered.is_empty() && offered.iter().all(|offer| names.contains(&offer.as_str())), "{offered:?}");
    }
    assert!(labels("a duck next to ").iter().all(|offer| names.iter().any(|name| offer.ends_with(name))));
    assert!(labels("a duck in the rain").iter().all(|offer| offer.ends_with("background")));
    assert_eq!(labels("a duck wea"), ["wearing a hat"]);
    let complete =
        ["a yellow duck on a teal background", "a yellow duck on a teal background ", "a duck next to an owl"];
    for before in complete.into_iter().chain(["a duck xyzzies", "a duck.", "", "thank you very ", "a duck on a teal"]) {
        assert_eq!(labels(before), Vec::<String>::new(), "{before}");
    }
}

#[test]
fn advice_holds_everything_about_a_prompt() {
    let words = |advice: Advice| advice.unknown.into_iter().map(|unknown| unknown.word).collect::<Vec<_>>();
    assert_eq!(words(suggestions().advise("a baker and a cu", None)), ["baker", "cu"]);
    assert_eq!(words(suggestions().advise("a baker and a cu", Some(16))), ["baker"], "'cu' may become a cupcake");
    assert_eq!(words(suggestions().advise("a bak on white", Some(5))), ["bak"], "no phrase begins like that");
    let json = serde_json::to_string(&suggestions().advise("bakery", None)).unwrap();
    assert!(
        json.contains(r#""why":"never_seen","instead":["cupcake","bagel"]"#) && json.contains(r#""nothing":true"#),
        "{json}"
    );
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
