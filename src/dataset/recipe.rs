//! The recipe, a JSON file: the concepts, the kinds of pictures and their shares, the colours, and what is held out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::artist::Artist;
use super::looks::Variation;
use super::pack::{Concept, Pack};
use super::scene::Kind;
use crate::checked;
use crate::error::{Error, Result};

/// What `fourstep dataset` makes; see `recipes/stickers-v0.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Side of the square pictures in pixels.
    pub size: usize,
    /// Whether pictures are cut out. Then things have no background unless the caption names one, their names come from
    /// the lexicon, and properties that the caption leaves open vary. Without alpha, scenes are those of stickers-v0.
    #[serde(default)]
    pub alpha: bool,
    /// With alpha: the artists, the preferred one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artists: Vec<Artist>,
    /// With alpha: how much the properties vary that captions leave open.
    #[serde(default)]
    pub variation: Variation,
    /// The pack's concepts to use.
    pub concepts: Choice,
    /// Relative weights of the kinds; they need not sum to 1. A kind that is not listed is not drawn.
    pub mixture: BTreeMap<Kind, f32>,
    /// Probability that a count, pair, size, rotation or style also gets a coloured background.
    pub extra_background: f32,
    /// Among pictures with a colour or a background, the share whose captions leave it open ("a colourful fox").
    #[serde(default)]
    pub open_captions: f32,
    /// Among them, the share whose captions are only the colour ("green").
    #[serde(default)]
    pub colour_captions: f32,
    /// Among them, the share whose captions do not mention the colour ("a fox" for a green one).
    #[serde(default)]
    pub silent_captions: f32,
    /// Share of (concept, colour), (concept, background) and (concept, concept) combinations that training never sees.
    pub held_out: f32,
    /// The colours.
    pub palette: Vec<Colour>,
}

/// A selection of concepts: whole subgroups of emoji-test.txt and single names, minus some.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Groups and their subgroups; an empty list means all of them.
    pub groups: BTreeMap<String, Vec<String>>,
    /// Single emoji from other groups, by their emoji-test.txt names.
    pub also: Vec<String>,
    /// Emoji of the groups that are excluded.
    pub exclude: Vec<String>,
    /// Names in captions, by emoji-test.txt names.
    pub names: BTreeMap<String, String>,
}

/// A named colour, 8-bit sRGB. At least one of its two uses is present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Colour {
    /// The word in captions.
    pub name: String,
    /// Mean colour of a recoloured glyph; null if the colour is only used for backgrounds.
    pub glyph: Option<[u8; 3]>,
    /// The background's colour; null if the colour is not used for backgrounds.
    pub background: Option<[u8; 3]>,
    /// Other words for it, which captions of recipes with alpha also use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
}

impl Recipe {
    /// Reads a recipe.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Config`] that names the file and the key.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        Self::from_json(&text, &path.display().to_string())
    }

    /// As [`Recipe::read`], from memory; `file` is for messages.
    pub fn from_json(text: &str, file: &str) -> Result<Self> {
        checked::from_json(text, file, Self::check)
    }

    /// The chosen concepts in the pack's order: the name in captions and the index into the pack.
    ///
    /// # Errors
    /// [`Error::Config`] that names a group, subgroup or emoji that the pack lacks, or a caption name that occurs
    /// twice.
    pub fn select(&self, pack: &Pack) -> Result<Vec<(String, usize)>> {
        let config = |reason: String| Error::Config { file: "recipe".into(), reason };
        self.check_names(&pack.concepts).map_err(config)?;
        let mut seen = HashSet::new();
        let mut chosen = Vec::new();
        for (index, concept) in pack.concepts.iter().enumerate() {
            if self.concepts.takes(concept) {
                if self.alpha && !pack.artists(index).any(|artist| self.artists.contains(&artist)) {
                    continue;
                }
                let name = self.concepts.names.get(&concept.name).unwrap_or(&concept.name);
                if !seen.insert(name.clone()) {
                    return Err(config(format!("concepts.names: two concepts are called '{name}'")));
                }
                chosen.push((name.clone(), index));
            }
        }
        if chosen.is_empty() {
            return Err(config("concepts: none chosen".into()));
        }
        Ok(chosen)
    }

    /// Side in pixels at which a pack's drawings are rasterised for pictures of `size`. With alpha it is a quarter more
    /// than the size at which things are drawn, because they are rotated and scaled.
    pub fn raster_side(&self, size: usize) -> usize {
        if self.alpha { (size * 5).div_ceil(4) } else { size }
    }

    /// The palette's colour of that name.
    ///
    /// # Errors
    /// [`Error::Request`] if the palette has no such name.
    pub fn colour(&self, name: &str) -> Result<&Colour> {
        let known = || self.palette.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = self.palette.iter().find(|c| c.name == name);
        found.ok_or_else(|| Error::Request(format!("no colour '{name}' in the palette, which has {}", known())))
    }

    fn check(&self) -> std::result::Result<(), String> {
        let share = |key: &str, value: f32| match (0.0..1.0).contains(&value) {
            true => Ok(()),
            false => Err(format!("{key} = {value}: must be at least 0 and below 1")),
        };
        share("held_out", self.held_out)?;
        share("extra_background", self.extra_background)?;
        share("open_captions", self.open_captions)?;
        share("colour_captions", self.colour_captions)?;
        share("silent_captions", self.silent_captions)?;
        let told = [self.open_captions, self.colour_captions, self.silent_captions];
        share("open_captions + colour_captions + silent_captions", told.iter().sum())?;
        if self.alpha == self.artists.is_empty() {
            return Err("artists: a recipe with alpha needs at least one, a recipe without alpha has none".into());
        }
        self.variation.check()?;
        let beyond = |kind: &&Kind| **kind > Kind::Style;
        if let Some(kind) = self.mixture.keys().find(beyond).filter(|_| !self.alpha) {
            return Err(format!("mixture: {kind:?} needs alpha"));
        }
        if !(8..=1024).contains(&self.size) {
            return Err(format!("size = {}: must be 8 to 1024", self.size));
        }
        let sum: f32 = self.mixture.values().sum();
        if !sum.is_finite() || sum <= 0.0 || self.mixture.values().any(|w| *w < 0.0) {
            return Err("mixture: weights must be at least 0, with a positive sum".into());
        }
        let names = self.palette.iter().map(|c| c.name.as_str()).collect::<HashSet<_>>();
        if names.len() != self.palette.len() {
            return Err("palette: a name occurs twice".into());
        }
        for (used, what) in [
            (self.palette.iter().filter(|c| c.glyph.is_some()).count(), "glyph"),
            (self.palette.iter().filter(|c| c.background.is_some()).count(), "background"),
        ] {
            if used < 2 {
                return Err(format!("palette: at least two colours need '{what}'"));
            }
        }
        Ok(())
    }

    fn check_names(&self, concepts: &[Concept]) -> std::result::Result<(), String> {
        let mut groups: HashMap<&str, HashSet<&str>> = HashMap::new();
        for concept in concepts {
            groups.entry(&concept.group).or_default().insert(&concept.subgroup);
        }
        for (group, subgroups) in &self.concepts.groups {
            let known = groups.get(group.as_str()).ok_or(format!("concepts.groups: no group '{group}' in the pack"))?;
            if let Some(unknown) = subgroups.iter().find(|s| !known.contains(s.as_str())) {
                return Err(format!("concepts.groups: '{group}' has no subgroup '{unknown}' in the pack"));
            }
        }
        let names = concepts.iter().map(|c| c.name.as_str()).collect::<HashSet<_>>();
        let listed = [("also", &self.concepts.also), ("exclude", &self.concepts.exclude)];
        let renamed = self.concepts.names.keys().map(|n| ("names", n));
        for (key, name) in listed.into_iter().flat_map(|(key, list)| list.iter().map(move |n| (key, n))).chain(renamed)
        {
            if !names.contains(name.as_str()) {
                return Err(format!("concepts.{key}: no emoji '{name}' in the pack"));
            }
        }
        Ok(())
    }
}

impl Choice {
    fn takes(&self, concept: &Concept) -> bool {
        let listed = |list: &[String], name: &String| list.contains(name);
        let grouped = self.groups.get(&concept.group);
        let in_group = grouped.is_some_and(|subgroups| subgroups.is_empty() || listed(subgroups, &concept.subgroup));
        (in_group || listed(&self.also, &concept.name)) && !listed(&self.exclude, &concept.name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    fn refused(from: &str, to: &str) -> String {
        let text = testing::RECIPE.replacen(from, to, 1);
        assert_ne!(text, testing::RECIPE);
        let pack = Pack::from_bytes(&testing::pack_bytes(), "t", 64).unwrap();
        let selected = Recipe::from_json(&text, "r.json").and_then(|recipe| recipe.select(&pack));
        selected.unwrap_err().to_string()
    }

    #[test]
    fn mistakes_are_named() {
        assert!(refused("\"held_out\"", "\"heldout\"").contains("heldout"));
        assert!(refused("\"held_out\": 0.3", "\"held_out\": 1.5").contains("held_out = 1.5"));
        assert!(refused("animal-mammal", "animal-mammoth").contains("animal-mammoth"));
        assert!(refused("\"also\": []", "\"also\": [\"foxx\"]").contains("no emoji 'foxx'"));
        assert!(refused("\"names\": {}", "\"names\": {\"pizza\": \"fox\"}").contains("two concepts are called 'fox'"));
        assert!(refused("\"plain\": 1", "\"plain\": -1").contains("mixture"));
        assert!(refused("\"plain\"", "\"plane\"").contains("plane"));
    }

    #[test]
    fn recipes_with_alpha_need_artists_and_others_take_no_kinds_of_theirs() {
        let refused = |from: &str, to: &str| {
            let text = super::super::testing_open::RECIPE.replacen(from, to, 1);
            Recipe::from_json(&text, "r.json").unwrap_err().to_string()
        };
        assert!(refused(r#""artists": ["noto", "fluent"]"#, r#""artists": []"#).contains("artists"));
        assert!(
            refused(r#""alpha": true, "artists": ["noto", "fluent"]"#, r#""alpha": false"#).contains("needs alpha")
        );
        assert!(refused(r#""mirrored": 0.25"#, r#""mirrored": 2"#).contains("variation.mirrored = 2"));
    }

    #[test]
    fn the_repository_recipe_is_valid() {
        for text in [include_str!("../../recipes/stickers.json"), include_str!("../../recipes/stickers-plain.json")] {
            let recipe = Recipe::from_json(text, "stickers").unwrap();
            assert!(recipe.alpha && recipe.artists.len() == 3 && recipe.mixture[&Kind::Plain] > 50.0);
        }
        let recipe = Recipe::from_json(include_str!("../../recipes/stickers-v0.json"), "stickers-v0.json").unwrap();
        assert_eq!(recipe.colour("green").unwrap().name, "green");
        assert!(recipe.colour("mauve").unwrap_err().to_string().contains("teal"));
    }
}
