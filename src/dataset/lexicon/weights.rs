//! How often each thing is drawn, relative to the others.

use crate::dataset::pack::Concept;

/// The weight of a concept: 1 is that of an object.
pub fn weight(concept: &Concept) -> f32 {
    let subgroup = concept.subgroup.as_str();
    let starts = |with: &str| subgroup.starts_with(with);
    let by_subgroup = match concept.group.as_str() {
        "Smileys & Emotion" => 3.0,
        "People & Body" if starts("hand") => 2.5,
        "People & Body" if subgroup == "person" => 2.0,
        "People & Body" if starts("person") => 1.5,
        "Animals & Nature" if starts("animal") => 2.0,
        "Food & Drink" => 1.5,
        "Activities" if subgroup == "event" => 2.5,
        "Symbols" | "Flags" => 0.5,
        _ => 1.0,
    };
    // Man, woman and person are three forms of one thing, and families are many forms of one.
    let one_of_many = match () {
        () if concept.name.starts_with("family: ") => 0.15,
        () if gendered(&concept.codepoints) => 0.5,
        () if concept.name.ends_with(" moon") => 0.5,
        () => 1.0,
    };
    by_subgroup * one_of_many
}

/// Whether it is the man's or woman's form of an activity or profession.
fn gendered(codepoints: &str) -> bool {
    let signed = codepoints.contains("-2640") || codepoints.contains("-2642");
    signed || ["1f468-200d", "1f469-200d"].iter().any(|start| codepoints.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smileys_come_first_and_families_last() {
        let of = |name: &str, codepoints: &str, group: &str, subgroup: &str| {
            let (name, codepoints) = (name.to_owned(), codepoints.to_owned());
            let (group, subgroup) = (group.to_owned(), subgroup.to_owned());
            weight(&Concept { name, codepoints, group, subgroup, keywords: vec![], emojilib: vec![] })
        };
        let smiley = of("grinning face", "1f600", "Smileys & Emotion", "face-smiling");
        let cook = of("cook", "1f9d1-200d-1f373", "People & Body", "person-role");
        let man = of("man cook", "1f468-200d-1f373", "People & Body", "person-role");
        let hammer = of("hammer", "1f528", "Objects", "tool");
        let family = of("family: man, boy", "1f468-200d-1f466", "People & Body", "family");
        assert!(smiley > cook && cook > hammer && hammer > man && man > family);
    }
}
