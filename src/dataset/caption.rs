//! From a scene to its caption, a sentence that says exactly what the scene contains, in one of a few wordings.

use super::scene::{Place, Says, Scene, Size, Style, Turn};
use super::words;

/// Number of wordings; [`Scene::wording`] is taken modulo this.
pub const WORDINGS: usize = 6;

/// The caption of a scene, for example "two green foxes on a blue background".
pub fn caption(scene: &Scene) -> String {
    match scene.says {
        Says::All => whole(scene),
        Says::Open => whole(&without_colours(scene)),
        Says::Colour => colour_alone(scene),
        Says::Nothing => whole(&Scene { colour: None, background: None, ..scene.clone() }),
    }
}

fn whole(scene: &Scene) -> String {
    let (said, bare) = subject(scene);
    let behind = scene.background.as_deref();
    let on = behind.map(|b| format!(" on {} background", words::with_article(b))).unwrap_or_default();
    match (scene.wording % WORDINGS, behind) {
        (1, _) => format!("a sticker of {said}{on}"),
        (2, _) => format!("{bare}{on}"),
        (3, _) => format!("a picture of {said}{on}"),
        (4, Some(b)) => format!("{bare}, {b} background"),
        (5, Some(b)) => format!("{said} with {} background", words::with_article(b)),
        _ => format!("{said}{on}"),
    }
}

/// The scene with words that leave its colours open, in British or American spelling.
fn without_colours(scene: &Scene) -> Scene {
    let (glyph, behind) =
        if scene.wording.is_multiple_of(2) { ("colourful", "coloured") } else { ("colorful", "colored") };
    Scene {
        colour: scene.colour.as_ref().map(|_| glyph.to_owned()),
        background: scene.background.as_ref().map(|_| behind.to_owned()),
        ..scene.clone()
    }
}

/// "green", or "a green background"; if a scene has both, one of them.
fn colour_alone(scene: &Scene) -> String {
    let one = |colour: &str| words::with_article(colour);
    match (&scene.colour, &scene.background) {
        (Some(colour), behind) if behind.is_none() || scene.wording.is_multiple_of(2) => match scene.wording / 2 % 3 {
            0 => colour.clone(),
            1 => format!("{} thing", one(colour)),
            _ => format!("something {colour}"),
        },
        (_, Some(behind)) => match scene.wording / 2 % 3 {
            0 => format!("{behind} background"),
            1 => format!("{} background", one(behind)),
            _ => format!("on {} background", one(behind)),
        },
        _ => whole(scene),
    }
}

/// The subject, with and without its article.
fn subject(scene: &Scene) -> (String, String) {
    let first = scene.concepts.first().map_or("", String::as_str);
    let adjectives = adjectives(scene);
    let phrase = |name: &str| adjectives.iter().copied().chain([name]).collect::<Vec<_>>().join(" ");
    if let (Some(place), Some(second)) = (scene.place, scene.concepts.get(1)) {
        let second = words::with_article(second);
        let relation = place_words(place);
        let one = words::with_article_for(&phrase(first), first);
        return (format!("{one} {relation} {second}"), format!("{} {relation} {second}", phrase(first)));
    }
    let (said, bare) = match words::number_word(scene.count) {
        Some(number) if scene.count > 1 => {
            let many = format!("{number} {}", phrase(&words::plural(first)));
            (many.clone(), many)
        }
        _ => (words::with_article_for(&phrase(first), first), phrase(first)),
    };
    match scene.style {
        Some(Style::PixelArt) => (format!("pixel art of {said}"), format!("pixel art {bare}")),
        Some(Style::Silhouette) => (format!("a silhouette of {said}"), format!("{bare} silhouette")),
        Some(Style::Outline) => (format!("an outline of {said}"), format!("{bare} outline")),
        _ => (said, bare),
    }
}

fn adjectives(scene: &Scene) -> Vec<&str> {
    let size = scene.size.map(|size| match size {
        Size::Small => "small",
        Size::Tiny => "tiny",
        Size::Huge => "huge",
    });
    let turn = scene.turn.map(|turn| match turn {
        Turn::UpsideDown => "upside-down",
        Turn::Tilted => "tilted",
    });
    let style = match scene.style {
        Some(Style::BlackAndWhite) => Some("black and white"),
        Some(Style::Sepia) => Some("sepia"),
        _ => None,
    };
    [size, turn, style, scene.colour.as_deref()].into_iter().flatten().collect()
}

fn place_words(place: Place) -> &'static str {
    match place {
        Place::NextTo => "next to",
        Place::LeftOf => "to the left of",
        Place::RightOf => "to the right of",
        Place::Above => "above",
        Place::Below => "below",
        Place::And => "and",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(change: impl Fn(&mut Scene)) -> String {
        let mut scene = Scene::plain("fox");
        change(&mut scene);
        caption(&scene)
    }

    #[test]
    fn every_attribute_is_said() {
        assert_eq!(said(|_| ()), "a fox");
        assert_eq!(said(|s| s.wording = 1), "a sticker of a fox");
        assert_eq!(said(|s| s.wording = 2), "fox");
        assert_eq!(said(|s| s.colour = Some("orange".into())), "an orange fox");
        assert_eq!(said(|s| (s.count, s.colour) = (3, Some("green".into()))), "three green foxes");
        assert_eq!(said(|s| s.size = Some(Size::Tiny)), "a tiny fox");
        assert_eq!(said(|s| s.turn = Some(Turn::UpsideDown)), "an upside-down fox");
        assert_eq!(said(|s| s.style = Some(Style::PixelArt)), "pixel art of a fox");
        assert_eq!(said(|s| s.style = Some(Style::BlackAndWhite)), "a black and white fox");
        assert_eq!(said(|s| s.style = Some(Style::Outline)), "an outline of a fox");
    }

    #[test]
    fn captions_may_leave_colours_open_or_name_nothing_else() {
        let green = |says, wording, behind: Option<&str>| {
            said(|s| {
                s.colour = Some("green".into());
                s.background = behind.map(str::to_owned);
                (s.says, s.wording) = (says, wording);
            })
        };
        assert_eq!(green(Says::Open, 0, None), "a colourful fox");
        assert_eq!(green(Says::Open, 1, Some("blue")), "a sticker of a colorful fox on a colored background");
        assert_eq!(green(Says::Open, 4, Some("blue")), "colourful fox, coloured background");
        assert_eq!(green(Says::Colour, 0, None), "green");
        assert_eq!(green(Says::Colour, 2, None), "a green thing");
        assert_eq!(green(Says::Colour, 5, None), "something green");
        assert_eq!(green(Says::Colour, 4, Some("orange")), "something green");
        assert_eq!(green(Says::Colour, 3, Some("orange")), "an orange background");
        assert_eq!(said(|s| s.says = Says::Colour), "a fox", "nothing to name alone");
    }

    #[test]
    fn backgrounds_and_places() {
        let blue = |wording| said(|s| (s.background, s.wording) = (Some("blue".into()), wording));
        assert_eq!(blue(0), "a fox on a blue background");
        assert_eq!(blue(4), "fox, blue background");
        assert_eq!(blue(5), "a fox with a blue background");
        let pair = said(|s| (s.concepts, s.place) = (vec!["crown".into(), "owl".into()], Some(Place::Above)));
        assert_eq!(pair, "a crown above an owl");
    }
}
