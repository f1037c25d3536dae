//! Drawings from npm's icon packages (Iconify JSON): SVG bodies by name, and the code points that each name stands for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::artist::Artist;
use super::pack::Concept;
use super::vector;
use crate::error::{Error, Result};

/// Folder in which npm installs the icon packages.
pub const FOLDER: &str = "node_modules/@iconify-json";

/// The drawings of one artist.
pub struct Icons {
    /// The artist.
    pub artist: Artist,
    file: PathBuf,
    set: IconSet,
    /// Names of icons by code points, as in [`Concept::codepoints`].
    chars: HashMap<String, String>,
}

impl Icons {
    /// Reads `icons.json` and `chars.json` of the artist's package in `folder`.
    ///
    /// # Errors
    /// [`Error::BadFile`] that names the file and, if it is missing, the npm package.
    pub fn read(folder: &Path, artist: Artist) -> Result<Self> {
        let package = format!("@iconify-json/{}", artist.package());
        let place = folder.join(artist.package());
        let file = place.join("icons.json");
        let set = json(&file, &package)?;
        let chars = json(&place.join("chars.json"), &package)?;
        Ok(Self { artist, file, set, chars })
    }

    /// The drawing of a concept, cropped to what is drawn (`vector::fitted`); none if the artist has not drawn it.
    ///
    /// # Errors
    /// [`Error::BadFile`] that names the icon if its body is no SVG or its placement is not supported.
    pub fn drawing(&self, concept: &Concept) -> Result<Option<String>> {
        let Some(name) = self.name(concept) else { return Ok(None) };
        let bad = |reason: String| Error::BadFile {
            file: self.file.display().to_string(),
            reason: format!("icon '{name}': {reason}"),
        };
        let (body, view) = self.set.placed(&name).map_err(bad)?;
        let drawing = vector::fitted(&body, view).map_err(bad)?;
        drawing.map(Some).ok_or_else(|| bad("nothing can be seen of it".into()))
    }

    /// The icon of a concept: by its code points, otherwise by its name in Iconify's form.
    fn name(&self, concept: &Concept) -> Option<String> {
        let by_points = self.chars.get(&concept.codepoints).cloned();
        by_points.or_else(|| Some(icon_name(&concept.name)).filter(|name| self.set.has(name)))
    }
}

/// Reads one of an npm package's JSON files.
///
/// # Errors
/// [`Error::BadFile`] with the name of the package if the file is missing.
pub fn json<T: DeserializeOwned>(path: &Path, package: &str) -> Result<T> {
    let bad = |reason: String| Error::BadFile { file: path.display().to_string(), reason };
    let bytes = std::fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => bad(format!("not found; npm's package {package} has it (npm ci)")),
        _ => Error::io(path)(e),
    })?;
    serde_json::from_slice(&bytes).map_err(|e| bad(format!("not as in npm's package {package}: {e}")))
}

/// Iconify's form of an emoji's name: "woman: red hair" is "woman-red-hair".
fn icon_name(name: &str) -> String {
    let plain = name.to_lowercase().replace(['’', '\'', '“', '”', '.', '!'], "").replace('ñ', "n");
    let words = plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// The parts of an Iconify JSON file that place drawings. Sizes are in the units of the bodies.
#[derive(Deserialize)]
struct IconSet {
    icons: HashMap<String, Icon>,
    #[serde(default)]
    aliases: HashMap<String, Icon>,
    #[serde(flatten)]
    all: View,
}

/// An icon has a body, an alias has a parent.
#[derive(Deserialize)]
struct Icon {
    body: Option<String>,
    parent: Option<String>,
    #[serde(flatten)]
    view: View,
    #[serde(default, rename = "hFlip")]
    mirrored: bool,
    #[serde(default, rename = "vFlip")]
    upside_down: bool,
    #[serde(default)]
    rotate: f32,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct View {
    left: Option<f32>,
    top: Option<f32>,
    width: Option<f32>,
    height: Option<f32>,
}

impl View {
    fn or(self, other: Self) -> Self {
        Self {
            left: self.left.or(other.left),
            top: self.top.or(other.top),
            width: self.width.or(other.width),
            height: self.height.or(other.height),
        }
    }
}

impl IconSet {
    fn has(&self, name: &str) -> bool {
        self.icons.contains_key(name) || self.aliases.contains_key(name)
    }

    /// Body and view (left, top, width, height) of an icon or an alias of one.
    fn placed(&self, name: &str) -> std::result::Result<(String, [f32; 4]), String> {
        let entry = |name: &str| self.icons.get(name).or_else(|| self.aliases.get(name));
        let (mut at, mut view, mut flips) = (name, View::default(), (false, false));
        for _ in 0..ALIASES_DEEP {
            let icon = entry(at).ok_or_else(|| format!("the file has no icon '{at}'"))?;
            if icon.rotate != 0.0 {
                return Err("'rotate' is not built".into());
            }
            view = view.or(icon.view);
            flips = (flips.0 ^ icon.mirrored, flips.1 ^ icon.upside_down);
            match (&icon.body, &icon.parent) {
                (Some(body), _) => {
                    let view = view.or(self.all);
                    let side = |side: Option<f32>| side.unwrap_or(DEFAULT_SIDE);
                    let view = [view.left.unwrap_or(0.0), view.top.unwrap_or(0.0), side(view.width), side(view.height)];
                    if !view.iter().all(|v| v.is_finite()) || view[2] <= 0.0 || view[3] <= 0.0 {
                        return Err(format!("its view {view:?} is empty"));
                    }
                    return Ok((flipped(body, view, flips), view));
                }
                (None, Some(parent)) => at = parent,
                (None, None) => return Err(format!("'{at}' has neither 'body' nor 'parent'")),
            }
        }
        Err(format!("is an alias of an alias more than {ALIASES_DEEP} deep"))
    }
}

/// Iconify's width and height where a file has none.
const DEFAULT_SIDE: f32 = 16.0;
/// Longest chain of aliases that is followed. Iconify's own files have chains of one.
const ALIASES_DEEP: usize = 5;

fn flipped(body: &str, [left, top, width, height]: [f32; 4], (mirrored, upside_down): (bool, bool)) -> String {
    if !mirrored && !upside_down {
        return body.to_owned();
    }
    let (x, scale_x) = if mirrored { (2.0 * left + width, -1) } else { (0.0, 1) };
    let (y, scale_y) = if upside_down { (2.0 * top + height, -1) } else { (0.0, 1) };
    format!(r#"<g transform="translate({x} {y}) scale({scale_x} {scale_y})">{body}</g>"#)
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    const ICONS: &str = r##"{ "prefix": "t", "width": 32, "height": 32,
        "icons": {
            "fox": { "body": "<path fill=\"#f00\" d=\"M0 0h8v16H0z\"/>" },
            "broken": { "body": "<path" }, "empty": { "body": "" }, "turned": { "body": "<g/>", "rotate": 1 }
        },
        "aliases": { "left-fox": { "parent": "fox", "hFlip": true }, "lost": { "parent": "nobody" } } }"##;

    fn icons() -> Icons {
        let chars = HashMap::from([("1f98a-200d-2764".to_owned(), "fox".to_owned())]);
        Icons { artist: Artist::Noto, file: "icons.json".into(), set: serde_json::from_str(ICONS).unwrap(), chars }
    }

    fn concept(name: &str, codepoints: &str) -> Concept {
        Concept { codepoints: codepoints.into(), ..testing::concept(name, 0) }
    }

    #[test]
    fn icons_are_found_by_code_points_and_then_by_name() {
        let icons = icons();
        let name = |concept| icons.name(&concept);
        assert_eq!(name(concept("burning fox", "1f98a-200d-2764")).as_deref(), Some("fox"));
        assert_eq!(name(concept("Left: fox!", "1f98b")).as_deref(), Some("left-fox"));
        assert_eq!(name(concept("hen", "1f414")), None);
        assert!(icons.drawing(&concept("hen", "1f414")).unwrap().is_none());
    }

    #[test]
    fn names_take_iconifys_form() {
        for (name, form) in [
            ("woman: red hair", "woman-red-hair"),
            ("face with open eyes and hand over mouth", "face-with-open-eyes-and-hand-over-mouth"),
            ("twelve o’clock", "twelve-oclock"),
            ("piñata", "pinata"),
            ("Mrs. Claus", "mrs-claus"),
            ("A button (blood type)", "a-button-blood-type"),
        ] {
            assert_eq!(icon_name(name), form);
        }
    }

    #[test]
    fn aliases_turn_their_parents_over() {
        let icons = icons();
        let (body, view) = icons.set.placed("left-fox").unwrap();
        assert_eq!(view, [0.0, 0.0, 32.0, 32.0]);
        assert!(body.starts_with(r#"<g transform="translate(32 0) scale(-1 1)"><path"#), "{body}");
    }

    #[test]
    fn bad_icons_are_named() {
        let icons = icons();
        for (name, said) in [("broken", "no SVG"), ("empty", "nothing"), ("turned", "rotate"), ("lost", "'nobody'")] {
            let message = icons.drawing(&concept(name, "1")).unwrap_err().to_string();
            assert!(message.contains(&format!("'{name}'")) && message.contains(said), "{message}");
        }
    }

    #[test]
    fn a_missing_or_broken_file_names_the_npm_package() {
        let folder = tempfile::tempdir().unwrap();
        let refused = || Icons::read(folder.path(), Artist::Fluent).map(|_| ()).unwrap_err().to_string();
        let message = refused();
        assert!(message.contains("icons.json") && message.contains("@iconify-json/fluent-emoji-flat"), "{message}");
        let place = folder.path().join("fluent-emoji-flat");
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("icons.json"), r#"{"prefix": "x"}"#).unwrap();
        let message = refused();
        assert!(message.contains("`icons`") && message.contains("fluent-emoji-flat"), "{message}");
        std::fs::write(place.join("icons.json"), ICONS).unwrap();
        assert!(refused().contains("chars.json"));
    }
}
