//! From a scene to its caption, for recipes with alpha: a sentence as people type it, in one of many wordings. The
//! scene's `wording` is the seed of the choice; 0 is the plainest complete wording.

use super::caption;
use super::lexicon::Noun;
use super::props;
use super::sample::{Stickers, pick};
use super::scene::{Around, Facing, Kind, Mood, Place, Says, Scene, Size, Spot, Style, Turn};
use super::studio::Studio;
use super::words;
use crate::error::Result;
use crate::random::{self, Mt19937};

impl Stickers {
    /// The caption of a scene. Recipes without alpha use [`caption::caption`].
    ///
    /// # Errors
    /// [`crate::Error::Request`] that names a concept that the recipe lacks.
    pub fn caption(&self, scene: &Scene) -> Result<String> {
        let Some(studio) = &self.studio else { return Ok(caption::caption(scene)) };
        let mut speaker = Speaker { stickers: self, studio, random: wording(scene) };
        match scene.says {
            Says::Colour => Ok(speaker.colour_alone(scene)),
            Says::Nothing => {
                let silent = Scene { colour: None, background: None, ..scene.clone() };
                speaker.say(&Scene { kind: Kind::Plain, ..silent })
            }
            Says::All | Says::Open => speaker.say(scene),
        }
    }
}

/// The generator of a wording; none for the plainest one.
fn wording(scene: &Scene) -> Option<Mt19937> {
    (scene.wording > 0).then(|| random::stream(scene.wording as u64, "dataset.wording", 0))
}

struct Speaker<'a> {
    stickers: &'a Stickers,
    studio: &'a Studio,
    random: Option<Mt19937>,
}

impl Speaker<'_> {
    /// One of several variants; the first in plain wordings.
    fn one<'b>(&mut self, ways: &[&'b str]) -> &'b str {
        self.random.as_mut().map_or(ways[0], |random| *pick(random, ways))
    }

    /// Whether something happens that happens in this share of wordings.
    fn chance(&mut self, share: f32) -> bool {
        self.random.as_mut().is_some_and(|random| random.uniform() < share)
    }

    /// A noun that the adjectives do not contradict; the thing's name if they contradict all.
    fn noun(&mut self, name: &str, adjectives: &[String], counted: bool) -> Result<Noun> {
        let thing = self.stickers.concept(name)?;
        let lexicon = &self.studio.lexicon;
        let adjectives = adjectives.iter().map(String::as_str).collect::<Vec<_>>();
        let drawn = self.random.as_mut().and_then(|random| lexicon.noun_with(thing, &adjectives, counted, random));
        Ok(drawn.unwrap_or(lexicon.name(thing)).clone())
    }

    fn say(&mut self, scene: &Scene) -> Result<String> {
        if scene.kind == Kind::Plain
            && let Some(random) = &mut self.random
        {
            let thing = self.stickers.concept(&scene.concepts[0])?;
            let said = self.studio.lexicon.say(thing, random);
            return Ok(match said.noun {
                Some(noun) if self.chance(0.35) => self.framed(&noun, Vec::new(), String::new()),
                _ => said.phrase,
            });
        }
        if scene.concepts.len() > 1 {
            return self.pair(scene);
        }
        if scene.count > 1 {
            return self.copies(scene);
        }
        let adjectives = self.adjectives(scene);
        let noun = self.noun(&scene.concepts[0], &adjectives, false)?;
        let clauses = self.clauses(scene);
        Ok(self.framed(&noun, adjectives, clauses))
    }

    /// "a cute green fox on a blue background", "sticker of a green fox on a blue background".
    fn framed(&mut self, noun: &Noun, mut adjectives: Vec<String>, rest: String) -> String {
        if self.chance(0.22) {
            let filler = self.one(&["cute", "little", "cute little", "adorable", "sweet", "lovely", "nice", "funny"]);
            adjectives.insert(0, filler.to_owned());
        }
        let adjectives = adjectives.iter().map(String::as_str).collect::<Vec<_>>();
        let one = noun.one(&adjectives);
        let bare = noun.bare(&adjectives);
        if self.chance(0.3) {
            return format!("{bare}{rest}");
        }
        if self.chance(0.2) {
            let frame =
                self.one(&["a sticker of ", "sticker of ", "a picture of ", "an emoji of ", "a drawing of ", "draw "]);
            return format!("{frame}{one}{rest}");
        }
        match self.chance(0.06) {
            true if rest.is_empty() => format!("{bare} sticker"),
            _ => format!("{one}{rest}"),
        }
    }

    fn adjectives(&mut self, scene: &Scene) -> Vec<String> {
        let mut all = Vec::new();
        let mut add = |word: &str| all.push(word.to_owned());
        match scene.size {
            Some(Size::Small) => add(self.one(&["small"])),
            Some(Size::Tiny) => add(self.one(&["tiny", "very small"])),
            Some(Size::Huge) => add(self.one(&["huge", "giant"])),
            None => {}
        }
        match scene.turn {
            Some(Turn::UpsideDown) => add(self.one(&["upside-down", "upside down"])),
            Some(Turn::Tilted) => add("tilted"),
            None => {}
        }
        match scene.more.mood {
            Some(Mood::Happy) => add(self.one(&["happy", "smiling", "cheerful"])),
            Some(Mood::Sad) => add(self.one(&["sad", "crying", "unhappy"])),
            Some(Mood::Angry) => add(self.one(&["angry", "mad"])),
            Some(Mood::Sleepy) => add(self.one(&["sleepy", "sleeping", "tired"])),
            Some(Mood::InLove) => add(self.one(&["loving", "lovestruck"])),
            Some(Mood::Surprised) => add(self.one(&["surprised", "shocked"])),
            None => {}
        }
        match scene.style {
            Some(Style::BlackAndWhite) => add(self.one(&["black and white"])),
            Some(Style::Sepia) => add("sepia"),
            Some(Style::PixelArt) => add(self.one(&["pixel art", "pixelated", "8-bit"])),
            _ => {}
        }
        if let (Kind::Artist, Some(artist)) = (scene.kind, scene.artist) {
            add(props::manner(artist));
        }
        if let Some(colour) = &scene.colour {
            let said = self.colour(colour, scene.says);
            all.push(said);
        }
        all
    }

    /// A colour's word: "grey" or "gray"; "colourful" if the caption leaves it open.
    fn colour(&mut self, name: &str, says: Says) -> String {
        if says == Says::Open {
            return self.one(&["colourful", "colorful"]).to_owned();
        }
        self.other_word(name)
    }

    fn other_word(&mut self, name: &str) -> String {
        let also = self.stickers.recipe.colour(name).map(|c| c.also.clone()).unwrap_or_default();
        match also.is_empty() || !self.chance(0.3) {
            true => name.to_owned(),
            false => {
                let all = also.iter().map(String::as_str).collect::<Vec<_>>();
                self.one(&all).to_owned()
            }
        }
    }

    /// The words after the noun, with a space or comma before them.
    fn clauses(&mut self, scene: &Scene) -> String {
        let mut said = String::new();
        if let Some(word) = &scene.more.wearing {
            let one = props::WORN.iter().find(|w| w.word == word).map_or(word.as_str(), |w| w.one);
            let how = self.one(&["wearing", "wearing", "with", "in"]);
            said += &format!(" {how} {one}");
        }
        if let Some(word) = &scene.more.holding {
            let one = props::HELD.iter().find(|h| h.word == word).map_or(word.as_str(), |h| h.one);
            let how = self.one(&["holding", "holding", "with"]);
            said += &format!(" {how} {one}");
        }
        if scene.more.potted {
            said += self.one(&[" in a pot", " in a pot", " in a flower pot", " in a flowerpot"]);
        }
        said += match scene.more.around {
            Some(Around::Rain) => {
                self.one(&[" in the rain", " in the rain", " in rain", " under a rain cloud", " on a rainy day"])
            }
            Some(Around::Snow) => {
                self.one(&[" in the snow", " in the snow", " in snow", " with snowflakes", " on a snowy day"])
            }
            Some(Around::Hearts) => self.one(&[
                " with hearts",
                " with hearts",
                " surrounded by hearts",
                " with hearts around it",
                " with little hearts",
            ]),
            Some(Around::Stars) => {
                self.one(&[" with stars", " with stars", " surrounded by stars", " with stars around it"])
            }
            Some(Around::Flowers) => self.one(&[" with flowers", " with flowers", " surrounded by flowers"]),
            Some(Around::Music) => {
                self.one(&[" with music", " with music notes", " listening to music", " with musical notes"])
            }
            None => "",
        };
        said += match scene.style {
            Some(Style::Silhouette) => self.one(&[" as a silhouette", ", silhouette"]),
            Some(Style::Outline) => self.one(&[" as an outline", ", outline", ", line art"]),
            _ => "",
        };
        said += match scene.more.facing {
            Some(Facing::Left) => self.one(&[" facing left", " facing left", " looking left", " facing to the left"]),
            Some(Facing::Right) => {
                self.one(&[" facing right", " facing right", " looking right", " facing to the right"])
            }
            None => "",
        };
        said += match scene.more.spot {
            Some(Spot::Left) => self.one(&[" on the left", " on the left side", " at the left"]),
            Some(Spot::Right) => self.one(&[" on the right", " on the right side", " at the right"]),
            Some(Spot::Top) => self.one(&[" at the top", " on top"]),
            Some(Spot::Bottom) => self.one(&[" at the bottom"]),
            None => "",
        };
        if let Some(behind) = &scene.background {
            said += &self.behind(behind, scene.says);
        }
        said
    }

    fn behind(&mut self, name: &str, says: Says) -> String {
        let word = match says {
            Says::Open => self.one(&["coloured", "colored"]).to_owned(),
            _ => self.other_word(name),
        };
        let one = format!("{} {word}", words::article(&word));
        match self.random.as_mut().map_or(0, |random| random.next_u32() % 8) {
            0..=3 => format!(" on {one} background"),
            4 => format!(", {word} background"),
            5 => format!(" with {one} background"),
            6 => format!(" on {one} background"),
            _ if says == Says::Open => format!(" on {one} background"),
            _ => format!(" on {word}"),
        }
    }

    fn copies(&mut self, scene: &Scene) -> Result<String> {
        let mut adjectives = self.adjectives(scene);
        let noun = self.noun(&scene.concepts[0], &adjectives, true)?;
        if self.chance(0.12) {
            adjectives.insert(0, self.one(&["cute", "little"]).to_owned());
        }
        let adjectives = adjectives.iter().map(String::as_str).collect::<Vec<_>>();
        let clauses = self.clauses(scene);
        let many = noun.many(scene.count, &adjectives).unwrap_or_else(|| noun.one(&adjectives));
        let many = match words::number_word(scene.count) {
            // As digits, which people often type.
            Some(word) if self.chance(0.15) => many.replacen(word, &scene.count.to_string(), 1),
            _ => many,
        };
        Ok(format!("{many}{clauses}"))
    }

    fn pair(&mut self, scene: &Scene) -> Result<String> {
        let colour = |speaker: &mut Self, name: &Option<String>| {
            name.iter().map(|name| speaker.colour(name, scene.says)).collect::<Vec<_>>()
        };
        let one = colour(self, &scene.colour);
        let two = colour(self, &scene.more.second_colour);
        let first = self.noun(&scene.concepts[0], &one, false)?;
        let second = self.noun(&scene.concepts[1], &two, false)?;
        let one = first.one(&one.iter().map(String::as_str).collect::<Vec<_>>());
        let two = second.one(&two.iter().map(String::as_str).collect::<Vec<_>>());
        let how = match scene.place {
            Some(Place::NextTo) => self.one(&["next to", "beside", "by"]),
            Some(Place::LeftOf) => self.one(&["to the left of", "left of", "on the left of"]),
            Some(Place::RightOf) => self.one(&["to the right of", "right of", "on the right of"]),
            Some(Place::Above) => self.one(&["above", "over", "on top of"]),
            Some(Place::Below) => self.one(&["below", "under", "underneath"]),
            Some(Place::And) | None => self.one(&["and", "and", "with"]),
        };
        let behind = scene.background.as_ref().map(|name| self.behind(name, scene.says)).unwrap_or_default();
        Ok(format!("{one} {how} {two}{behind}"))
    }

    /// "green", or "a green background", as negative prompts say it.
    fn colour_alone(&mut self, scene: &Scene) -> String {
        let background = match (&scene.colour, &scene.background) {
            (Some(_), Some(_)) => self.chance(0.5),
            (_, background) => background.is_some(),
        };
        let name = if background { &scene.background } else { &scene.colour };
        let word = self.other_word(name.as_deref().unwrap_or_default());
        let one = format!("{} {word}", words::article(&word));
        match (background, self.one(&["0", "1", "2"])) {
            (true, "0") => format!("{word} background"),
            (true, "1") => format!("{one} background"),
            (true, _) => format!("on {one} background"),
            (false, "0") => word,
            (false, "1") => format!("{one} thing"),
            (false, _) => format!("something {word}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Artist;
    use super::super::testing_open;
    use super::*;

    fn said(change: impl Fn(&mut Scene)) -> String {
        let mut scene = Scene::plain("fox");
        change(&mut scene);
        testing_open::stickers().caption(&scene).unwrap()
    }

    #[test]
    fn the_plainest_wording_says_everything() {
        assert_eq!(said(|_| ()), "a fox");
        let full = said(|s| {
            (s.colour, s.background) = (Some("grey".into()), Some("blue".into()));
            (s.more.wearing, s.more.mood) = (Some("hat".into()), Some(Mood::Sad));
            s.more.around = Some(Around::Rain);
        });
        assert_eq!(full, "a sad grey fox wearing a hat in the rain on a blue background");
        assert_eq!(said(|s| (s.count, s.size) = (5, Some(Size::Small))), "five small foxes");
        assert_eq!(said(|s| s.more.holding = Some("flower".into())), "a fox holding a flower");
        assert_eq!(said(|s| s.more.potted = true), "a fox in a pot");
        assert_eq!(said(|s| s.style = Some(Style::PixelArt)), "a pixel art fox");
        assert_eq!(said(|s| s.style = Some(Style::Silhouette)), "a fox as a silhouette");
        assert_eq!(said(|s| s.more.spot = Some(Spot::Left)), "a fox on the left");
        assert_eq!(said(|s| s.more.facing = Some(Facing::Right)), "a fox facing right");
        assert_eq!(said(|s| (s.kind, s.artist) = (Kind::Artist, Some(Artist::Twemoji))), "a bold fox");
        assert_eq!(said(|s| s.artist = Some(Artist::Twemoji)), "a fox");
        let pair = said(|s| {
            (s.concepts, s.place) = (vec!["fox".into(), "fish".into()], Some(Place::And));
            (s.colour, s.more.second_colour) = (Some("red".into()), Some("blue".into()));
        });
        assert_eq!(pair, "a red fox and a blue fish");
    }

    #[test]
    fn captions_tell_as_much_as_they_are_asked_to() {
        for wording in 0..40 {
            let green = |says, behind: Option<&str>| {
                said(|s| {
                    (s.kind, s.says, s.wording) = (Kind::Recolour, says, wording);
                    (s.colour, s.background) = (Some("green".into()), behind.map(str::to_owned));
                })
            };
            assert!(green(Says::All, None).contains("green fox"));
            let open = green(Says::Open, None);
            assert!(open.contains("colo") && !open.contains("green"), "{open}");
            assert!(!green(Says::Nothing, None).contains("green"));
            let alone = green(Says::Colour, None);
            assert!(alone.contains("green") && !alone.contains("fox"), "{alone}");
            let alone = green(Says::Colour, Some("grey"));
            assert!(alone.contains("green") != (alone.contains("gr") && alone.contains("y background")), "{alone}");
        }
    }

    #[test]
    fn every_wording_says_what_is_drawn() {
        let stickers = testing_open::stickers();
        let mut seen = std::collections::HashSet::new();
        for i in 0..1500 {
            let scene = stickers.sample(5, super::super::Split::Train, i).unwrap();
            let caption = stickers.caption(&scene).unwrap();
            assert_eq!(caption, stickers.caption(&scene).unwrap());
            assert!(!caption.contains("  ") && caption.trim() == caption && !caption.is_empty(), "{caption:?}");
            if let Some(word) = &scene.more.wearing {
                assert!(caption.contains(word.as_str()), "{caption}");
            }
            if let (Some(word), Says::All) = (&scene.background, scene.says) {
                assert!(caption.contains(word.as_str()) || word == "grey" && caption.contains("gray"), "{caption}");
            }
            seen.insert(caption);
        }
        assert!(seen.len() > 900, "{}", seen.len());
    }
}
