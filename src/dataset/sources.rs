//! The packer's other inputs: Unicode's emoji-test.txt, CLDR's English annotations and a colour font, as Debian
//! installs them. Only `dataset pack` needs them; everything after it needs only the pack.

use std::collections::HashMap;
use std::path::Path;

use super::pack::Concept;
use crate::error::{Error, Result};

/// Path of the colour font on Debian.
pub const FONT: &str = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf";
/// Path of Unicode's list of emoji on Debian.
pub const EMOJI_TEST: &str = "/usr/share/unicode/emoji/emoji-test.txt";
/// Path on Debian of CLDR's English names and keywords of single characters and of some sequences.
pub const ANNOTATIONS: &str = "/usr/share/unicode/cldr/common/annotations/en.xml";
/// Path on Debian of CLDR's English names and keywords of the other sequences.
pub const ANNOTATIONS_DERIVED: &str = "/usr/share/unicode/cldr/common/annotationsDerived/en.xml";
/// Path of emojilib's English words as npm installs them.
pub const EMOJILIB: &str = "node_modules/emojilib/dist/emoji-en-US.json";

/// Reads a file that a Debian package installs.
///
/// # Errors
/// [`Error::BadFile`] with the name of the Debian package if the file is missing.
pub fn read(path: &Path, package: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::BadFile {
            file: path.display().to_string(),
            reason: format!("not found; Debian's package {package} has it (apt-get install {package})"),
        },
        _ => Error::io(path)(e),
    })
}

/// Concepts of emoji-test.txt (UTS #51): the fully-qualified emoji in the file's order, without the group of skin tones
/// and hair. Their keywords come from `keywords`, by code points.
///
/// # Errors
/// [`Error::BadFile`] if a line has another format.
pub fn concepts(emoji_test: &str, file: &Path, keywords: &HashMap<String, Vec<String>>) -> Result<Vec<Concept>> {
    let (mut group, mut subgroup) = (String::new(), String::new());
    let mut found = Vec::new();
    for (number, line) in emoji_test.lines().enumerate() {
        if let Some(name) = line.strip_prefix("# group: ") {
            group = name.trim().to_owned();
        } else if let Some(name) = line.strip_prefix("# subgroup: ") {
            subgroup = name.trim().to_owned();
        } else if !line.starts_with('#') && !line.trim().is_empty() && group != "Component" {
            let (points, qualified, name) = emoji_line(line).ok_or_else(|| Error::BadFile {
                file: file.display().to_string(),
                reason: format!("line {} is not 'code points ; status # emoji version name'", number + 1),
            })?;
            if qualified {
                let codepoints = codepoints(points.into_iter());
                let keywords = keywords.get(&codepoints).cloned().unwrap_or_default();
                let (group, subgroup) = (group.clone(), subgroup.clone());
                found.push(Concept { name, codepoints, group, subgroup, keywords, emojilib: Vec::new() });
            }
        }
    }
    if found.is_empty() {
        return Err(Error::BadFile { file: file.display().to_string(), reason: "no emoji in it".into() });
    }
    Ok(found)
}

/// An emoji as [`Concept::codepoints`] writes it.
pub fn codepoints(characters: impl Iterator<Item = char>) -> String {
    let points = characters.filter(|c| *c != PRESENTATION).map(|c| format!("{:x}", c as u32));
    points.collect::<Vec<_>>().join("-")
}

/// Keywords of CLDR's annotations (LDML part 2, `<annotation cp="…">a | b</annotation>`), by [`codepoints`].
pub fn keywords(annotations: &str) -> HashMap<String, Vec<String>> {
    let mut found = HashMap::new();
    for line in annotations.lines() {
        let Some(rest) = line.trim().strip_prefix("<annotation cp=\"") else { continue };
        let Some((characters, rest)) = rest.split_once('"') else { continue };
        // Lines with type="tts" contain the name, which emoji-test.txt has too.
        let Some((text, _)) = rest.strip_prefix('>').and_then(|r| r.split_once("</annotation>")) else { continue };
        let words = text.split('|').map(|w| w.trim().replace("&amp;", "&")).filter(|w| !w.is_empty());
        found.insert(codepoints(characters.chars()), words.collect());
    }
    found
}

/// The PNG file that the font has for a character (CBDT or sbix), if any.
pub fn glyph_png<'a>(face: &'a ttf_parser::Face<'a>, character: char) -> Option<&'a [u8]> {
    let image = face.glyph_raster_image(face.glyph_index(character)?, u16::MAX)?;
    (image.format == ttf_parser::RasterImageFormat::PNG).then_some(image.data)
}

const PRESENTATION: char = '\u{fe0f}';

/// Code points, whether fully qualified, and the name.
fn emoji_line(line: &str) -> Option<(Vec<char>, bool, String)> {
    let (points, rest) = line.split_once(';')?;
    let (status, comment) = rest.split_once('#')?;
    let points = points.split_whitespace().map(|p| char::from_u32(u32::from_str_radix(p, 16).ok()?));
    // After the '#': the emoji itself, the version (E0.6), the name.
    let name = comment.trim().splitn(3, ' ').nth(2)?;
    Some((points.collect::<Option<_>>()?, status.trim() == "fully-qualified", name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: &str = "# group: Animals & Nature\n# subgroup: animal-mammal\n\
        1F98A      ; fully-qualified     # 🦊 E3.0 fox\n\
        1F43F FE0F ; fully-qualified     # 🐿️ E0.7 chipmunk\n\
        1F43F      ; unqualified         # 🐿 E0.7 chipmunk\n\
        1F415 200D 1F9BA ; fully-qualified # 🐕‍🦺 E12.0 service dog\n\
        # group: Component\n# subgroup: skin-tone\n\
        1F3FB      ; component           # 🏻 E1.0 light skin tone\n";

    #[test]
    fn fully_qualified_emoji_are_concepts_with_their_keywords() {
        let xml = "\t<annotation cp=\"🦊\">face | fox</annotation>\n\
            <annotation cp=\"🦊\" type=\"tts\">fox</annotation>\n\
            <annotation cp=\"🐕‍🦺\">assistance | dog</annotation> <!-- 1F415 200D 1F9BA -->\n";
        let found = concepts(TEST, Path::new("t"), &keywords(xml)).unwrap();
        assert_eq!(found.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["fox", "chipmunk", "service dog"]);
        assert_eq!(found[0].keywords, ["face", "fox"]);
        assert_eq!((found[2].codepoints.as_str(), found[2].keywords.len()), ("1f415-200d-1f9ba", 2));
        assert_eq!((found[1].codepoints.as_str(), found[1].subgroup.as_str()), ("1f43f", "animal-mammal"));
    }

    #[test]
    fn a_broken_line_and_a_missing_file_say_where() {
        let broken = concepts("1F98A fox\n", Path::new("list.txt"), &HashMap::new()).unwrap_err().to_string();
        assert!(broken.starts_with("list.txt: line 1 "), "{broken}");
        let missing = read(Path::new("/nowhere/x.ttf"), "fonts-noto-color-emoji").unwrap_err().to_string();
        assert!(missing.contains("/nowhere/x.ttf") && missing.contains("fonts-noto-color-emoji"), "{missing}");
    }
}
