//! Builds packs from npm's icon packages, or from a font with colour bitmaps.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::artist::Artist;
use super::icons::{self, Icons};
use super::pack::{Concept, serialize, tensor_name};
use super::{sources, things};
use crate::error::{Error, Result};

/// A pack's file and a summary of it.
pub struct Built {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// The concepts of all glyphs.
    pub concepts: Vec<Concept>,
    /// How many concepts each artist drew.
    pub drawings: Vec<(Artist, usize)>,
}

/// The files with names and words.
pub struct Words {
    /// Unicode's emoji-test.txt.
    pub emoji_test: PathBuf,
    /// CLDR's annotations: en.xml of the folders annotations and annotationsDerived.
    pub annotations: Vec<PathBuf>,
}

/// Builds a pack from the icon packages in the folder `drawings`, with every thing that at least one artist has drawn.
/// `emojilib` is that npm package's list of words for each emoji.
///
/// # Errors
/// [`Error::BadFile`] that names the file and, if it is missing, its package.
pub fn from_icons(drawings: &Path, emojilib: &Path, words: &Words) -> Result<Built> {
    let artists = Artist::ALL.into_par_iter().map(|artist| Icons::read(drawings, artist));
    let artists = artists.collect::<Result<Vec<_>>>()?;
    let lists: HashMap<String, Vec<String>> = icons::json(emojilib, "emojilib")?;
    let mut lists: HashMap<String, Vec<String>> =
        lists.into_iter().map(|(emoji, words)| (sources::codepoints(emoji.chars()), words)).collect();
    let mut concepts = words.concepts()?;
    concepts.retain(things::is_thing);
    for concept in &mut concepts {
        concept.emojilib = lists.remove(&concept.codepoints).unwrap_or_default();
    }
    let drawn = concepts.par_iter().map(|concept| {
        let fit = |icons: &&Icons| things::is_fit(concept, icons.artist);
        let drawing = |icons: &Icons| Some(icons).filter(fit).map_or(Ok(None), |icons| icons.drawing(concept));
        artists.iter().map(drawing).collect::<Result<Vec<Option<String>>>>()
    });
    let drawn = drawn.collect::<Result<Vec<_>>>()?;
    let (concepts, drawn): (Vec<_>, Vec<_>) =
        concepts.into_iter().zip(drawn).filter(|(_, drawn)| drawn.iter().any(Option::is_some)).unzip();
    if concepts.is_empty() {
        let reason = "none of its icons is an emoji of emoji-test.txt".into();
        return Err(Error::BadFile { file: drawings.display().to_string(), reason });
    }
    let mut tensors = Vec::new();
    let mut counts = Vec::new();
    for (i, artist) in Artist::ALL.into_iter().enumerate() {
        let named = concepts.iter().zip(&drawn).filter_map(|(concept, drawn)| Some((concept, drawn[i].as_ref()?)));
        let before = tensors.len();
        tensors.extend(named.map(|(concept, svg)| (tensor_name(artist, &concept.codepoints), svg.as_bytes())));
        counts.push((artist, tensors.len() - before));
    }
    Ok(Built { bytes: serialize(&concepts, &tensors)?, concepts, drawings: counts })
}

/// Builds a pack from a font with colour bitmaps, with every emoji of one code point that the font has.
///
/// # Errors
/// [`Error::BadFile`] that names the file and, if it is missing, the Debian package.
pub fn from_font(font: &Path, words: &Words) -> Result<Built> {
    let font_bytes = sources::read(font, "fonts-noto-color-emoji")?;
    let bad_font = |reason: String| Error::BadFile { file: font.display().to_string(), reason };
    let face = ttf_parser::Face::parse(&font_bytes, 0).map_err(|e| bad_font(e.to_string()))?;
    let mut concepts = words.concepts()?;
    let mut pngs = Vec::new();
    concepts.retain(|concept| {
        let character = u32::from_str_radix(&concept.codepoints, 16).ok().and_then(char::from_u32);
        let png = character.and_then(|c| sources::glyph_png(&face, c));
        pngs.extend(png.map(|png| (concept.codepoints.clone(), png)));
        png.is_some()
    });
    if concepts.is_empty() {
        return Err(bad_font("has no colour bitmaps (CBDT); Debian's package fonts-noto-color-emoji has them".into()));
    }
    let drawings = vec![(Artist::Noto, pngs.len())];
    Ok(Built { bytes: serialize(&concepts, &pngs)?, concepts, drawings })
}

impl Words {
    /// All fully-qualified emoji with CLDR's keywords.
    fn concepts(&self) -> Result<Vec<Concept>> {
        let list = text(&self.emoji_test, "unicode-data")?;
        let mut keywords = HashMap::new();
        for path in &self.annotations {
            keywords.extend(sources::keywords(&text(path, "unicode-cldr-core")?));
        }
        sources::concepts(&list, &self.emoji_test, &keywords)
    }
}

fn text(path: &Path, package: &str) -> Result<String> {
    let bad =
        |e: std::string::FromUtf8Error| Error::BadFile { file: path.display().to_string(), reason: e.to_string() };
    String::from_utf8(sources::read(path, package)?).map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::super::Pack;
    use super::*;

    const EMOJI_TEST: &str = "# group: Smileys & Emotion\n# subgroup: heart\n\
        2764 FE0F ; fully-qualified # ❤️ E0.6 red heart\n\
        2764 FE0F 200D 1F525 ; fully-qualified # ❤️‍🔥 E13.1 heart on fire\n\
        1F49B ; fully-qualified # 💛 E0.6 yellow heart\n\
        # group: Flags\n# subgroup: flag\n\
        1F3C1 ; fully-qualified # 🏁 E0.6 chequered flag\n";
    const ANNOTATIONS: &str = "<annotation cp=\"❤\">heart | love</annotation>\n\
        <annotation cp=\"❤‍🔥\">burn | lust</annotation>\n";
    const EMOJILIB: &str = r#"{ "❤️": ["red_heart", "i_love_you"], "❤️‍🔥": ["heart_on_fire"], "🏁": ["race"] }"#;

    /// Writes the three packages, emojilib and the lists into a folder; only the first artist has the burning heart.
    fn write(folder: &Path) -> Words {
        let body = |colour: &str| format!(r#"{{ "body": "<path fill=\"{colour}\" d=\"M4 8h20v10H4z\"/>" }}"#);
        for (artist, colour) in Artist::ALL.into_iter().zip(["#f00", "#e00", "#d00"]) {
            let place = folder.join(artist.package());
            std::fs::create_dir_all(&place).unwrap();
            let (one, flag) = (body(colour), body("#000"));
            let icons = format!(
                r#"{{ "icons": {{ "red-heart": {one}, "burning": {one}, "flag": {flag} }}, "width": 32, "height": 32 }}"#
            );
            std::fs::write(place.join("icons.json"), icons).unwrap();
            let chars = match artist {
                Artist::Noto => r#"{ "2764": "red-heart", "2764-200d-1f525": "burning", "1f3c1": "flag" }"#,
                _ => r#"{ "2764": "red-heart" }"#,
            };
            std::fs::write(place.join("chars.json"), chars).unwrap();
        }
        let file = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).unwrap();
            folder.join(name)
        };
        file("emojilib.json", EMOJILIB);
        let words = [file("en.xml", ANNOTATIONS), file("derived.xml", "")];
        Words { emoji_test: file("emoji-test.txt", EMOJI_TEST), annotations: words.to_vec() }
    }

    #[test]
    fn a_pack_of_icons_has_each_thing_by_each_artist_with_all_its_words() {
        let folder = tempfile::tempdir().unwrap();
        let words = write(folder.path());
        let build = || from_icons(folder.path(), &folder.path().join("emojilib.json"), &words).unwrap();
        let built = build();
        assert_eq!(built.bytes, build().bytes, "the same bytes each time");
        assert_eq!(built.drawings, [(Artist::Noto, 2), (Artist::Fluent, 1), (Artist::Twemoji, 1)]);
        let names = built.concepts.iter().map(|c| c.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names, ["red heart", "heart on fire"], "no flag, and nothing that nobody drew");
        assert_eq!(built.concepts[0].keywords, ["heart", "love"]);
        assert_eq!(built.concepts[0].emojilib, ["red_heart", "i_love_you"]);
        assert_eq!(
            (&built.concepts[1].keywords[..], built.concepts[1].emojilib.len()),
            (&["burn".into(), "lust".into()][..], 1)
        );
        let pack = Pack::from_bytes(&built.bytes, "t", 32).unwrap();
        assert_eq!(pack.concepts, built.concepts);
        let middle = |concept, artist| pack.glyph(concept, artist).map(|glyph| glyph.pixel(16, 16));
        assert_eq!(middle(0, Artist::Fluent), Some([0xee, 0, 0, 255]));
        assert_eq!((middle(1, Artist::Noto), middle(1, Artist::Twemoji)), (Some([255, 0, 0, 255]), None));
    }

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let folder = tempfile::tempdir().unwrap();
        let words = write(folder.path());
        let refused = |emojilib: &str, words: &Words| {
            let built = from_icons(folder.path(), &folder.path().join(emojilib), words);
            built.map(|_| ()).unwrap_err().to_string()
        };
        let message = refused("nowhere.json", &words);
        assert!(message.contains("nowhere.json") && message.contains("npm's package emojilib"), "{message}");
        let lost = Words { emoji_test: "nowhere.txt".into(), annotations: Vec::new() };
        let message = refused("emojilib.json", &lost);
        assert!(message.contains("nowhere.txt") && message.contains("unicode-data"), "{message}");
        std::fs::remove_dir_all(folder.path().join("twemoji")).unwrap();
        let message = refused("emojilib.json", &words);
        assert!(message.contains("@iconify-json/twemoji"), "{message}");
    }
}
