//! The pack: every glyph's PNG bytes with its concept in one safetensors file, so that a training machine needs no font.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::raster::Glyph;
use super::recipe::Choice;
use super::sources;
use crate::error::{Error, Result};

/// One emoji, as Unicode and CLDR describe it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concept {
    /// The name in emoji-test.txt.
    pub name: String,
    /// Code point in lower-case hexadecimal; also the name of the glyph's tensor.
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

/// Concepts and their decoded glyphs, in emoji-test.txt's order.
pub struct Pack {
    /// What each glyph shows.
    pub concepts: Vec<Concept>,
    /// The glyph of the concept at the same index.
    pub glyphs: Vec<Glyph>,
}

impl Pack {
    /// Reads a pack and decodes its glyphs.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BadFile`] when it is no pack or a glyph is no PNG; [`Error::MissingTensor`].
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        Self::from_bytes(&bytes, &path.display().to_string())
    }

    /// As [`Pack::read`], from memory; `file` is for messages.
    pub fn from_bytes(bytes: &[u8], file: &str) -> Result<Self> {
        let bad = |reason: String| Error::BadFile { file: file.to_owned(), reason };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| bad(format!("no safetensors file: {e}")))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| bad(format!("no safetensors file: {e}")))?;
        let listed = header.metadata().as_ref().and_then(|m| m.get(CONCEPTS));
        let listed = listed.ok_or_else(|| bad(format!("no pack of stickers: its header has no '{CONCEPTS}'")))?;
        let concepts: Vec<Concept> = serde_json::from_str(listed).map_err(|e| bad(format!("'{CONCEPTS}': {e}")))?;
        let mut glyphs = Vec::with_capacity(concepts.len());
        for concept in &concepts {
            let name = &concept.codepoints;
            let missing = |_| Error::MissingTensor { file: file.to_owned(), name: name.clone() };
            let png = tensors.tensor(name).map_err(missing)?;
            let glyph =
                Glyph::from_png(png.data()).map_err(|e| bad(format!("glyph {name} ({}): {e}", concept.name)))?;
            glyphs.push(glyph);
        }
        Ok(Self { concepts, glyphs })
    }

    /// The choice of all concepts, under their own names.
    pub fn everything(&self) -> Choice {
        let groups = self.concepts.iter().map(|c| (c.group.clone(), Vec::new())).collect();
        Choice { groups, also: Vec::new(), exclude: Vec::new(), names: BTreeMap::new() }
    }
}

/// Builds a pack from the font and the two lists: the file's bytes, and its concepts (those that the font has).
///
/// # Errors
/// [`Error::BadFile`] naming the file and, when it is missing, the Debian package.
pub fn build(font: &Path, emoji_test: &Path, annotations: &Path) -> Result<(Vec<u8>, Vec<Concept>)> {
    let font_bytes = sources::read(font, "fonts-noto-color-emoji")?;
    let list = text(emoji_test, sources::read(emoji_test, "unicode-data")?)?;
    let xml = text(annotations, sources::read(annotations, "unicode-cldr-core")?)?;
    let bad_font = |reason: String| Error::BadFile { file: font.display().to_string(), reason };
    let face = ttf_parser::Face::parse(&font_bytes, 0).map_err(|e| bad_font(e.to_string()))?;
    let mut concepts = sources::concepts(&list, emoji_test, &sources::keywords(&xml))?;
    let mut pngs = Vec::new();
    concepts.retain(|concept| {
        let character = u32::from_str_radix(&concept.codepoints, 16).ok().and_then(char::from_u32);
        let png = character.and_then(|c| sources::glyph_png(&face, c));
        pngs.extend(png);
        png.is_some()
    });
    if concepts.is_empty() {
        return Err(bad_font("has no colour bitmaps (CBDT); Debian's package fonts-noto-color-emoji has them".into()));
    }
    Ok((serialize(&concepts, &pngs)?, concepts))
}

/// The pack's bytes; `pngs` in the order of `concepts`.
pub fn serialize(concepts: &[Concept], pngs: &[&[u8]]) -> Result<Vec<u8>> {
    let broken = |e: String| Error::BadFile { file: "pack".into(), reason: e };
    let mut views = Vec::with_capacity(concepts.len());
    for (concept, png) in concepts.iter().zip(pngs) {
        let view = TensorView::new(Dtype::U8, vec![png.len()], png).map_err(|e| broken(e.to_string()))?;
        views.push((concept.codepoints.as_str(), view));
    }
    let listed = serde_json::to_string(concepts).map_err(|e| broken(e.to_string()))?;
    let header = HashMap::from([(CONCEPTS.to_owned(), listed)]);
    safetensors::serialize(views, Some(header)).map_err(|e| broken(e.to_string()))
}

/// The header's key of the list of concepts.
const CONCEPTS: &str = "concepts";

fn text(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|e| Error::BadFile { file: path.display().to_string(), reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn a_pack_survives_the_way_to_bytes_and_back() {
        let pack = Pack::from_bytes(&testing::pack_bytes(), "t").unwrap();
        assert_eq!(pack.concepts[0].name, "fox");
        assert_eq!(pack.glyphs.len(), pack.concepts.len());
        assert_eq!(pack.glyphs[0].pixel(64, 64), testing::GLYPH_COLOURS[0]);
    }

    #[test]
    fn what_is_no_pack_is_refused_by_name() {
        let truncated = &testing::pack_bytes()[..200];
        for bytes in [&b"nothing"[..], truncated] {
            let message = Pack::from_bytes(bytes, "x.pack").map(|_| ()).unwrap_err().to_string();
            assert!(message.starts_with("x.pack: "), "{message}");
        }
        let concept = Concept { codepoints: "1f98a".into(), ..testing::concept("fox", 0) };
        let no_png = serialize(&[concept], &[b"not a png"]).unwrap();
        let message = Pack::from_bytes(&no_png, "x.pack").map(|_| ()).unwrap_err().to_string();
        assert!(message.contains("1f98a (fox)"), "{message}");
    }
}
