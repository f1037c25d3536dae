//! The pack: every drawing and its concept in one safetensors file. Training needs no other file.
//!
//! Drawings are SVG texts in tensors `artist/codepoints`, which are rasterised when the pack is read. Packs made from a
//! font have PNG files in tensors `codepoints`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rayon::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::artist::Artist;
use super::raster::Glyph;
use super::recipe::Choice;
use super::vector;
use crate::error::{Error, Result};

/// One emoji, as Unicode and CLDR describe it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concept {
    /// The name in emoji-test.txt.
    pub name: String,
    /// Code points in lower-case hexadecimal, joined by hyphens, without the emoji presentation selector (FE0F); also in
    /// the name of the drawing's tensor.
    pub codepoints: String,
    /// Group of emoji-test.txt.
    pub group: String,
    /// Subgroup of emoji-test.txt.
    pub subgroup: String,
    /// CLDR's English keywords.
    pub keywords: Vec<String>,
    /// emojilib's English keywords as it has them, with underscores for spaces; the first is its name of the emoji.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emojilib: Vec<String>,
}

/// Concepts and their glyphs, in emoji-test.txt's order.
pub struct Pack {
    /// What each glyph shows.
    pub concepts: Vec<Concept>,
    /// The glyphs of the concept at the same index, in the order of [`Artist::ALL`]; at least one is present.
    glyphs: Vec<[Option<Glyph>; Artist::ALL.len()]>,
}

impl Pack {
    /// Reads a pack, with its drawings as glyphs of `side` x `side` pixels. The bitmaps of a font keep their own size.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BadFile`] if it is no pack or a drawing is neither SVG nor PNG; [`Error::MissingTensor`]
    /// if a concept has no drawing.
    pub fn read(path: &Path, side: usize) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        Self::from_bytes(&bytes, &path.display().to_string(), side)
    }

    /// As [`Pack::read`], from memory; `file` is for messages.
    pub fn from_bytes(bytes: &[u8], file: &str, side: usize) -> Result<Self> {
        let bad = |reason: String| Error::BadFile { file: file.to_owned(), reason };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| bad(format!("no safetensors file: {e}")))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| bad(format!("no safetensors file: {e}")))?;
        let listed = header.metadata().as_ref().and_then(|m| m.get(CONCEPTS));
        let listed = listed.ok_or_else(|| bad(format!("no pack of stickers: its header has no '{CONCEPTS}'")))?;
        let concepts: Vec<Concept> = serde_json::from_str(listed).map_err(|e| bad(format!("'{CONCEPTS}': {e}")))?;
        let glyphs = concepts.par_iter().map(|concept| {
            let points = &concept.codepoints;
            let decoded = |name: String| match tensors.tensor(&name) {
                Err(_) => Ok(None),
                Ok(tensor) => glyph(tensor.data(), side)
                    .map(Some)
                    .map_err(|e| bad(format!("drawing {name} ({}): {e}", concept.name))),
            };
            let drawn = Artist::ALL.map(|artist| decoded(tensor_name(artist, points)));
            let [noto, fluent, twemoji] = drawn;
            let noto = noto?.map_or_else(|| decoded(points.clone()), |glyph| Ok(Some(glyph)))?;
            let all = [noto, fluent?, twemoji?];
            match all.iter().any(Option::is_some) {
                true => Ok(all),
                false => Err(Error::MissingTensor { file: file.to_owned(), name: points.clone() }),
            }
        });
        let glyphs = glyphs.collect::<Result<Vec<_>>>()?;
        Ok(Self { concepts, glyphs })
    }

    /// The concept's glyph by an artist; none if the artist did not draw it. Panics if there is no such concept.
    pub fn glyph(&self, concept: usize, artist: Artist) -> Option<&Glyph> {
        self.glyphs[concept][artist as usize].as_ref()
    }

    /// The artists who drew the concept, in the order of [`Artist::ALL`]; never empty. Panics if there is no such
    /// concept.
    pub fn artists(&self, concept: usize) -> impl Iterator<Item = Artist> + '_ {
        Artist::ALL.into_iter().filter(move |artist| self.glyph(concept, *artist).is_some())
    }

    /// The concept's glyph by the first artist who drew it. Panics if there is no such concept.
    pub fn first(&self, concept: usize) -> &Glyph {
        let first = self.glyphs[concept].iter().flatten().next();
        first.expect("a pack is not read when nobody drew a concept")
    }

    /// All concepts, under their own names.
    pub fn everything(&self) -> Choice {
        let groups = self.concepts.iter().map(|c| (c.group.clone(), Vec::new())).collect();
        Choice { groups, also: Vec::new(), exclude: Vec::new(), names: BTreeMap::new() }
    }
}

/// The name of a drawing's tensor in a pack.
pub(super) fn tensor_name(artist: Artist, codepoints: &str) -> String {
    format!("{}/{codepoints}", artist.key())
}

/// The bytes of a pack, from the concepts and the drawings (SVG or PNG) with the names of their tensors.
///
/// # Errors
/// [`Error::BadFile`] if a name occurs twice.
pub fn serialize(concepts: &[Concept], drawings: &[(String, &[u8])]) -> Result<Vec<u8>> {
    let broken = |e: String| Error::BadFile { file: "pack".into(), reason: e };
    let mut views = Vec::with_capacity(drawings.len());
    for (name, bytes) in drawings {
        let view = TensorView::new(Dtype::U8, vec![bytes.len()], bytes).map_err(|e| broken(e.to_string()))?;
        views.push((name.as_str(), view));
    }
    let listed = serde_json::to_string(concepts).map_err(|e| broken(e.to_string()))?;
    let header = HashMap::from([(CONCEPTS.to_owned(), listed)]);
    safetensors::serialize(views, Some(header)).map_err(|e| broken(e.to_string()))
}

/// The header's key for the list of concepts.
const CONCEPTS: &str = "concepts";

/// The glyph of a drawing. PNG files start with the byte 0x89, which no text does.
fn glyph(drawing: &[u8], side: usize) -> std::result::Result<Glyph, String> {
    match drawing.first() {
        Some(0x89) => Glyph::from_png(drawing),
        _ => vector::rasterised(std::str::from_utf8(drawing).map_err(|e| e.to_string())?, side),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn a_pack_survives_the_way_to_bytes_and_back() {
        let pack = Pack::from_bytes(&testing::pack_bytes(), "t", 64).unwrap();
        assert_eq!(pack.concepts[0].name, "fox");
        assert_eq!(pack.first(0).pixel(64, 64), testing::GLYPH_COLOURS[0]);
        assert_eq!(pack.artists(0).collect::<Vec<_>>(), [Artist::Noto], "a font's pictures are Noto's");
    }

    #[test]
    fn what_is_no_pack_is_refused_by_name() {
        let truncated = &testing::pack_bytes()[..200];
        for bytes in [&b"nothing"[..], truncated] {
            let message = Pack::from_bytes(bytes, "x.pack", 64).map(|_| ()).unwrap_err().to_string();
            assert!(message.starts_with("x.pack: "), "{message}");
        }
        let concept = Concept { codepoints: "1f98a".into(), ..testing::concept("fox", 0) };
        let refused = |drawings: &[(String, &[u8])]| {
            let bytes = serialize(std::slice::from_ref(&concept), drawings).unwrap();
            Pack::from_bytes(&bytes, "x.pack", 64).map(|_| ()).unwrap_err().to_string()
        };
        let message = refused(&[("1f98a".to_owned(), b"not a drawing")]);
        assert!(message.contains("1f98a (fox)"), "{message}");
        let message = refused(&[("fluent/1f98a".to_owned(), b"<svg")]);
        assert!(message.contains("fluent/1f98a (fox)"), "{message}");
        assert!(refused(&[]).contains("1f98a"), "nobody drew it");
    }

    #[test]
    fn drawings_are_rasterised_at_the_asked_side_under_their_artist() {
        let svg =
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path fill="#f00" d="M0 0h4v8H0z"/></svg>"##;
        let concept = Concept { codepoints: "1f98a-200d-2764".into(), ..testing::concept("fox", 0) };
        let name = tensor_name(Artist::Twemoji, &concept.codepoints);
        let bytes = serialize(&[concept], &[(name, svg.as_bytes())]).unwrap();
        for side in [16, 50] {
            let pack = Pack::from_bytes(&bytes, "t", side).unwrap();
            assert_eq!(pack.artists(0).collect::<Vec<_>>(), [Artist::Twemoji]);
            assert!(pack.glyph(0, Artist::Noto).is_none());
            let glyph = pack.glyph(0, Artist::Twemoji).unwrap();
            assert_eq!((glyph.width, glyph.height), (side, side));
            assert_eq!((glyph.pixel(1, 1), glyph.pixel(side - 2, 1)), ([255, 0, 0, 255], [0; 4]));
        }
    }
}
