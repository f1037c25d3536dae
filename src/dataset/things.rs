//! Decides which emoji a sticker can show: no flags, keycaps, letters, clock faces, signs or skin tones.

use super::artist::Artist;
use super::pack::Concept;

/// Whether the emoji belongs in a pack of drawings.
pub fn is_thing(concept: &Concept) -> bool {
    let name = concept.name.as_str();
    let toned = concept.codepoints.split('-').any(|point| SKIN_TONES.contains(&point));
    let clock = name.ends_with("o’clock") || name.ends_with("-thirty");
    // "family", "family: man, woman, boy" and so on: all artists draw them as signs with silhouettes.
    let family = name == "family" || name.starts_with("family:");
    match concept.group.as_str() {
        "Flags" | "Component" => false,
        "Symbols" => SYMBOLS.contains(&name),
        _ => !toned && !clock && !family,
    }
}

/// Whether the artist's drawing of a thing can be used for stickers.
pub fn is_fit(concept: &Concept, artist: Artist) -> bool {
    !UNFIT.contains(&(concept.name.as_str(), artist))
}

/// In the npm package this drawing lost the clip paths of its clouds.
const UNFIT: &[(&str, Artist)] = &[("face in clouds", Artist::Fluent)];

/// The modifiers of UTS #51, 1.4.4.
const SKIN_TONES: [&str; 5] = ["1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"];

/// The emoji of the group Symbols that people send. (Hearts, "dizzy", "collision" and "hundred points" are in other
/// groups.)
const SYMBOLS: &[&str] = &[
    "atom symbol",
    "biohazard",
    "check mark",
    "check mark button",
    "cross mark",
    "double exclamation mark",
    "exclamation question mark",
    "fleur-de-lis",
    "heavy dollar sign",
    "infinity",
    "menorah",
    "no entry",
    "peace symbol",
    "prohibited",
    "radioactive",
    "recycling symbol",
    "red exclamation mark",
    "red question mark",
    "star of David",
    "trident emblem",
    "warning",
    "yin yang",
];

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn things_stay_and_signs_go() {
        let thing = |group: &str, name: &str, codepoints: &str| {
            let concept = testing::concept(name, 0);
            is_thing(&Concept { group: group.into(), codepoints: codepoints.into(), ..concept })
        };
        for (group, name, points) in [
            ("Smileys & Emotion", "red heart", "2764"),
            ("People & Body", "woman: red hair", "1f469-200d-1f9b0"),
            ("Travel & Places", "alarm clock", "23f0"),
            ("Symbols", "check mark", "2714"),
        ] {
            assert!(thing(group, name, points), "{name}");
        }
        for (group, name, points) in [
            ("Flags", "pirate flag", "1f3f4-200d-2620"),
            ("Symbols", "keycap: 1", "31-20e3"),
            ("Symbols", "COOL button", "1f192"),
            ("Symbols", "up arrow", "2b06"),
            ("Travel & Places", "one o’clock", "1f550"),
            ("Travel & Places", "one-thirty", "1f55c"),
            ("People & Body", "waving hand: dark skin tone", "1f44b-1f3ff"),
            ("People & Body", "family", "1f46a"),
            ("People & Body", "family: man, woman, boy", "1f468-200d-1f469-200d-1f466"),
        ] {
            assert!(!thing(group, name, points), "{name}");
        }
    }
}
