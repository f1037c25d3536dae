//! A pack of small drawings by several artists and a recipe with alpha, for the tests of cut-out scenes.

use super::artist::Artist;
use super::pack::{Concept, Pack, serialize, tensor_name};
use super::recipe::Recipe;
use super::sample::Stickers;

/// A recipe with equal weights for all kinds and the shipped recipe's variation.
pub const RECIPE: &str = r#"{
    "size": 64, "alpha": true, "artists": ["noto", "fluent"],
    "variation": { "mirrored": 0.25, "tilted": 0.25, "degrees": 15, "smaller": 0.2, "smallest": 0.65, "hue": 10,
                   "lightness": 0.1, "shadow": 0.05, "warped": 0.2, "warp": 0.05 },
    "concepts": { "groups": { "Smileys & Emotion": [], "Animals & Nature": [], "Food & Drink": [], "Objects": [] },
                  "also": [], "exclude": [], "names": {} },
    "mixture": { "plain": 2, "background": 1, "recolour": 1, "recolour_background": 1, "count": 1, "pair": 1,
                 "two_colours": 1, "size": 1, "rotation": 1, "style": 1, "artist": 1, "spot": 1, "facing": 1,
                 "wearing": 1, "holding": 1, "around": 1, "potted": 1, "mood": 1 },
    "extra_background": 0.15, "open_captions": 0.1, "colour_captions": 0.1, "silent_captions": 0.1, "held_out": 0.1,
    "palette": [
        { "name": "red", "glyph": [222, 40, 42], "background": [236, 84, 80] },
        { "name": "green", "glyph": [50, 165, 55], "background": [115, 200, 105] },
        { "name": "blue", "glyph": [45, 100, 225], "background": [92, 150, 245] },
        { "name": "grey", "glyph": [140, 140, 142], "background": [164, 164, 166], "also": ["gray"] },
        { "name": "white", "glyph": [244, 244, 246], "background": [255, 255, 255] }
    ]
}"#;

/// Name, group, subgroup, and a drawing in a view of 32 x 32 with `MAIN` for the artist's colour.
const DRAWINGS: &[(&str, &str, &str, &str)] = &[
    ("grinning face", "Smileys & Emotion", "face-smiling", FACE),
    ("fox", "Animals & Nature", "animal-mammal", FOX),
    ("fish", "Animals & Nature", "animal-marine", FISH),
    ("tulip", "Animals & Nature", "plant-flower", FLOWER),
    (
        "pizza",
        "Food & Drink",
        "food-prepared",
        r#"<path fill="MAIN" d="M2 4h28L16 30z"/><circle cx="13" cy="12" r="3" fill="hash731"/>"#,
    ),
    (
        "red apple",
        "Food & Drink",
        "food-fruit",
        r#"<circle cx="16" cy="18" r="12" fill="MAIN"/><path fill="hash562" d="M15 1h3v8h-3z"/>"#,
    ),
    ("key", "Objects", "lock", r#"<path fill="MAIN" d="M2 12h10v8H2zm10 3h18v3h-4v6h-3v-6H12z"/>"#),
    ("top hat", "Objects", "clothing", r#"<path fill="hash223" d="M8 4h16v18h6v4H2v-4h6z"/>"#),
    ("crown", "Objects", "clothing", r#"<path fill="hashfc3" d="M2 6l7 9 7-11 7 11 7-9v20H2z"/>"#),
    ("sunglasses", "Objects", "clothing", r#"<path fill="hash111" d="M1 10h30v3h-2v7H18v-7h-4v7H3v-7H1z"/>"#),
    (
        "red heart",
        "Smileys & Emotion",
        "heart",
        r#"<path fill="hashd22" d="M16 29L3 15C-2 6 10 0 16 9 22 0 34 6 29 15z"/>"#,
    ),
    (
        "balloon",
        "Objects",
        "event",
        r#"<ellipse cx="16" cy="11" rx="9" ry="10" fill="hashe34"/><path fill="hash888" d="M15 21h2v11h-2z"/>"#,
    ),
];
const FACE: &str = r#"<circle cx="16" cy="16" r="14" fill="MAIN"/><g fill="hash321"><ellipse cx="11" cy="13" rx="2" ry="3"/>
    <ellipse cx="21" cy="13" rx="2" ry="3"/><path d="M9 20h14l-7 5z"/></g>"#;
const FOX: &str = r#"<path fill="MAIN" d="M3 2l8 6h10l8-6v16L16 30 3 18z"/><g fill="hash111"><circle cx="11" cy="15" r="2"/>
    <circle cx="21" cy="15" r="2"/></g>"#;
const FISH: &str = r#"<path fill="MAIN" d="M1 16C8 6 18 8 24 15l7-6v14l-7-6C18 24 8 26 1 16z"/><circle cx="8" cy="14" r="1" fill="hash111"/>"#;
const FLOWER: &str =
    r#"<path fill="hash3a3" d="M15 14h2v18h-2z"/><path fill="MAIN" d="M7 2l5 5 4-6 4 6 5-5v9c0 9-18 9-18 0z"/>"#;

/// The drawings by Noto in one colour and by Fluent in another; Fluent did not draw the key.
pub fn pack() -> Pack {
    let mut concepts = Vec::new();
    let mut drawings = Vec::new();
    for (i, (name, group, subgroup, body)) in DRAWINGS.iter().enumerate() {
        // Code points for private use, so that the lexicon knows the things only by their names.
        let codepoints = format!("{:x}", 0xf_0000 + i);
        for (artist, turn) in [(Artist::Noto, 0), (Artist::Fluent, 40)] {
            if *name == "key" && artist == Artist::Fluent {
                continue;
            }
            let hue = (i * 47 + turn) % 360;
            let body = body.replace("MAIN", &format!("hsl({hue}, 75%, 55%)")).replace("hash", "#");
            let svg = format!(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{body}</svg>"#);
            drawings.push((tensor_name(artist, &codepoints), svg));
        }
        concepts.push(Concept {
            name: (*name).into(),
            codepoints,
            group: (*group).into(),
            subgroup: (*subgroup).into(),
            keywords: Vec::new(),
            emojilib: Vec::new(),
        });
    }
    let named = drawings.iter().map(|(name, svg)| (name.clone(), svg.as_bytes())).collect::<Vec<_>>();
    Pack::from_bytes(&serialize(&concepts, &named).unwrap(), "test", 80).unwrap()
}

/// The pack with a changed recipe.
pub fn stickers_with(change: impl Fn(&mut Recipe)) -> Stickers {
    let mut recipe = Recipe::from_json(RECIPE, "test").unwrap();
    change(&mut recipe);
    Stickers::new(pack(), recipe).unwrap()
}

/// The pack with the recipe.
pub fn stickers() -> Stickers {
    stickers_with(|_| ())
}
