//! A tiny pack and recipe for the tests of this folder.

use super::artist::Artist;
use super::pack::{Concept, Pack, serialize, tensor_name};
use super::recipe::Recipe;
use super::sample::Stickers;

/// Mean colours of the glyphs of [`pack_bytes`]: opaque discs with a darker lower half.
pub const GLYPH_COLOURS: [[u8; 4]; 5] =
    [[230, 120, 40, 255], [240, 240, 240, 255], [40, 40, 40, 255], [230, 200, 60, 255], [120, 60, 160, 255]];

/// A recipe with equal weights for all kinds; holds out 30 %.
pub const RECIPE: &str = r#"{
    "size": 32,
    "concepts": {
        "groups": { "Animals & Nature": ["animal-mammal"], "Food & Drink": [] },
        "also": [], "exclude": [], "names": {}
    },
    "mixture": { "plain": 1, "background": 1, "recolour": 1, "recolour_background": 1, "count": 1, "pair": 1,
                 "size": 1, "rotation": 1, "style": 1 },
    "extra_background": 0.2,
    "held_out": 0.3,
    "palette": [
        { "name": "red", "glyph": [220, 40, 40], "background": [235, 80, 80] },
        { "name": "green", "glyph": [50, 170, 60], "background": [110, 200, 110] },
        { "name": "blue", "glyph": [50, 100, 230], "background": [90, 155, 245] },
        { "name": "white", "glyph": null, "background": [255, 255, 255] }
    ]
}"#;

pub fn concept(name: &str, id: usize) -> Concept {
    let (group, subgroup) = match name {
        "pizza" | "grapes" => ("Food & Drink", "food-prepared"),
        _ => ("Animals & Nature", "animal-mammal"),
    };
    Concept {
        name: name.into(),
        codepoints: format!("{id:x}"),
        group: group.into(),
        subgroup: subgroup.into(),
        keywords: Vec::new(),
        emojilib: Vec::new(),
    }
}

pub fn pack_bytes() -> Vec<u8> {
    let names = ["fox", "sheep", "bat", "pizza", "grapes"];
    let concepts = names.iter().enumerate().map(|(id, name)| concept(name, id)).collect::<Vec<_>>();
    let pngs = GLYPH_COLOURS.map(disc);
    let named = concepts.iter().zip(&pngs).map(|(concept, png)| (concept.codepoints.clone(), png.as_slice()));
    serialize(&concepts, &named.collect::<Vec<_>>()).unwrap()
}

pub fn stickers() -> Stickers {
    let pack = Pack::from_bytes(&pack_bytes(), "test", 32).unwrap();
    Stickers::new(pack, Recipe::from_json(RECIPE, "test").unwrap()).unwrap()
}

/// A fox by three artists and a bat by one, as squares with one colour for each artist.
pub fn drawn() -> Stickers {
    let concepts = [concept("fox", 0), concept("bat", 1)];
    let who = [(0, Artist::Noto), (0, Artist::Fluent), (0, Artist::Twemoji), (1, Artist::Fluent)];
    let colour = |artist| ["#c80000", "#00c800", "#0000c8"][artist as usize];
    let svg = |artist| {
        let (namespace, colour) = ("http://www.w3.org/2000/svg", colour(artist));
        format!(r#"<svg xmlns="{namespace}" viewBox="0 0 8 8"><path fill="{colour}" d="M0 0h8v8H0z"/></svg>"#)
    };
    let drawings =
        who.map(|(at, artist): (usize, Artist)| (tensor_name(artist, &concepts[at].codepoints), svg(artist)));
    let drawings = drawings.iter().map(|(name, svg)| (name.clone(), svg.as_bytes())).collect::<Vec<_>>();
    let pack = Pack::from_bytes(&serialize(&concepts, &drawings).unwrap(), "test", 32).unwrap();
    let mut recipe = Recipe::from_json(RECIPE, "test").unwrap();
    recipe.concepts = pack.everything();
    Stickers::new(pack, recipe).unwrap()
}

/// A PNG of 136 x 128, as in Noto: a disc whose lower half is a quarter darker.
fn disc(colour: [u8; 4]) -> Vec<u8> {
    let mut rgba = Vec::new();
    for y in 0..128i32 {
        for x in 0..136i32 {
            let inside = (x - 68).pow(2) + (y - 64).pow(2) < 56 * 56;
            let shade = |c: u8| if y > 80 { (u16::from(c) * 3 / 4) as u8 } else { c };
            rgba.extend(match inside {
                true => [shade(colour[0]), shade(colour[1]), shade(colour[2]), 255],
                false => [0; 4],
            });
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 136, 128);
    encoder.set_color(png::ColorType::Rgba);
    encoder.write_header().unwrap().write_image_data(&rgba).unwrap();
    bytes
}
