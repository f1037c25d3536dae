//! Draws a random scene for recipes with alpha: the thing, what happens to it, and the numbers that decide wording and
//! look.

use super::artist::Artist;
use super::sample::{Stickers, below, pick};
use super::scene::{Around, Facing, Kind, Mood, Place, Says, Scene, Size, Spot, Style, Turn};
use super::studio::Studio;
use super::suits::Suits;
use crate::random::Mt19937;

/// Attempts to draw a suitable thing. Of the rarest kind (things to pot), one in twelve suits.
const TRIES: usize = 400;

impl Stickers {
    pub(super) fn draw_open(&self, studio: &Studio, random: &mut Mt19937) -> Scene {
        let kind = self.draw_kind(random);
        let suited = |fits: fn(&Suits) -> bool, random: &mut Mt19937| self.draw_thing(studio, fits, random);
        let thing = match kind {
            Kind::Recolour | Kind::RecolourBackground | Kind::TwoColours => suited(|s| s.colour, random),
            Kind::Wearing => suited(|s| s.wearing, random),
            Kind::Holding => suited(|s| s.holding, random),
            Kind::Around => suited(|s| s.around, random),
            Kind::Potted => suited(|s| s.potted, random),
            Kind::Mood => self.draw_roomy(studio, random),
            Kind::Facing => suited(|s| s.faces_left, random),
            Kind::Count => self.draw_countable(studio, random),
            _ => suited(|_| true, random),
        };
        let mut scene = Scene { kind, ..Scene::plain(&self.names[thing]) };
        scene.wording = random.next_u32() as usize;
        scene.more.look = Some(u64::from(random.next_u32()) << 32 | u64::from(random.next_u32()));
        match kind {
            Kind::Plain => {}
            Kind::Background => scene.background = Some(self.draw_background(random, None)),
            Kind::Recolour => scene.colour = Some(self.draw_colour(random)),
            Kind::RecolourBackground => {
                let colour = self.draw_colour(random);
                scene.background = Some(self.draw_background(random, Some(&colour)));
                scene.colour = Some(colour);
            }
            Kind::Count => scene.count = 2 + below(random, 5),
            Kind::Pair | Kind::TwoColours => self.draw_pair(studio, &mut scene, random),
            Kind::Size => scene.size = Some(*pick(random, &Size::ALL)),
            Kind::Rotation => scene.turn = Some(*pick(random, &Turn::ALL)),
            Kind::Style => {
                // The silhouette of a smiley is a disc.
                let smiley = studio.suits[self.index[&self.names[thing]]].skin;
                let usable = |style: &&Style| !smiley || **style != Style::Silhouette;
                scene.style = Some(**pick(random, &Style::ALL.iter().filter(usable).collect::<Vec<_>>()));
            }
            Kind::Artist => scene.artist = self.draw_artist(studio, thing, random),
            Kind::Spot => scene.more.spot = Some(*pick(random, &Spot::ALL)),
            Kind::Facing => scene.more.facing = Some(*pick(random, &[Facing::Left, Facing::Right])),
            Kind::Wearing => scene.more.wearing = draw_word(random, studio.worn.iter().map(|w| w.word)),
            Kind::Holding => scene.more.holding = draw_word(random, studio.held.iter().map(|h| h.word)),
            Kind::Around => scene.more.around = draw_around(studio, random),
            Kind::Potted => scene.more.potted = true,
            Kind::Mood => scene.more.mood = Some(*pick(random, &Mood::ALL)),
        }
        self.draw_extras(studio, thing, &mut scene, random);
        if matches!(kind, Kind::Background | Kind::Recolour | Kind::RecolourBackground) {
            scene.says = self.draw_says(random);
            // Scenes that no caption asks for have no background, and grey and brown are not colourful.
            let grey = ["black", "white", "grey", "brown"].iter().any(|name| scene.colour.as_deref() == Some(name));
            if scene.says == Says::Nothing && scene.background.is_some() || scene.says == Says::Open && grey {
                scene.says = Says::All;
            }
        }
        scene
    }

    /// Draws an index into `names` among the things that fit, with the lexicon's weights.
    fn draw_thing(&self, studio: &Studio, fits: fn(&Suits) -> bool, random: &mut Mt19937) -> usize {
        let mut thing = 0;
        for _ in 0..TRIES {
            let at = random.uniform() * self.weights.last().copied().unwrap_or(1.0);
            thing = self.weights.partition_point(|sum| *sum <= at).min(self.names.len() - 1);
            if fits(&studio.suits[self.index[&self.names[thing]]]) {
                break;
            }
        }
        thing
    }

    fn draw_countable(&self, studio: &Studio, random: &mut Mt19937) -> usize {
        let mut thing = 0;
        for _ in 0..TRIES {
            thing = self.draw_thing(studio, |_| true, random);
            if studio.lexicon.name(self.index[&self.names[thing]]).countable() {
                break;
            }
        }
        thing
    }

    /// Draws a thing that has a face, or room for one in every artist's drawing.
    fn draw_roomy(&self, studio: &Studio, random: &mut Mt19937) -> usize {
        let mut thing = 0;
        for _ in 0..TRIES {
            thing = self.draw_thing(studio, |s| s.mood, random);
            if studio.has_room(&self.pack, self.index[&self.names[thing]]) {
                break;
            }
        }
        thing
    }

    fn draw_pair(&self, studio: &Studio, scene: &mut Scene, random: &mut Mt19937) {
        let coloured = scene.kind == Kind::TwoColours;
        let fits: fn(&Suits) -> bool = if coloured { |s| s.colour } else { |_| true };
        let mut other = self.draw_thing(studio, fits, random);
        if self.names[other] == scene.concepts[0] {
            other = (other + 1) % self.names.len();
        }
        scene.concepts.push(self.names[other].clone());
        scene.place = Some(match below(random, 6) {
            5 => Place::And,
            i => Place::ALL[i],
        });
        if coloured {
            let colour = self.draw_colour(random);
            let others =
                self.recipe.palette.iter().filter(|c| c.glyph.is_some() && c.name != colour).collect::<Vec<_>>();
            scene.more.second_colour = Some(pick(random, &others).name.clone());
            scene.colour = Some(colour);
        }
    }

    fn draw_artist(&self, studio: &Studio, thing: usize, random: &mut Mt19937) -> Option<Artist> {
        let concept = self.index[&self.names[thing]];
        let drawn = studio.artists(&self.pack, concept, &Artist::ALL).collect::<Vec<_>>();
        Some(*pick(random, &drawn))
    }

    /// Sometimes adds a second attribute.
    fn draw_extras(&self, studio: &Studio, thing: usize, scene: &mut Scene, random: &mut Mt19937) {
        let more = random.uniform() < self.recipe.extra_background;
        let background = self.draw_background(random, scene.colour.as_deref());
        let around = draw_around(studio, random);
        let (coloured, colour) = (random.uniform() < 0.5, self.draw_colour(random));
        let dark = matches!(scene.style, Some(Style::Silhouette | Style::Outline));
        let suits = studio.suits[self.index[&self.names[thing]]];
        match scene.kind {
            _ if !more || dark || scene.size == Some(Size::Huge) => {}
            Kind::Mood | Kind::Wearing | Kind::Holding if suits.around && scene.wording.is_multiple_of(2) => {
                scene.more.around = around;
            }
            Kind::Plain | Kind::Background | Kind::Recolour | Kind::RecolourBackground => {}
            Kind::Count | Kind::Size | Kind::Spot | Kind::Facing | Kind::Artist if suits.colour && coloured => {
                scene.colour = Some(colour);
            }
            _ => scene.background = Some(background),
        }
    }

    pub(super) fn draw_says(&self, random: &mut Mt19937) -> Says {
        let recipe = &self.recipe;
        let told = [recipe.open_captions, recipe.colour_captions, recipe.silent_captions];
        match random.uniform() {
            u if u < told[0] => Says::Open,
            u if u < told[0] + told[1] => Says::Colour,
            u if u < told[0] + told[1] + told[2] => Says::Nothing,
            _ => Says::All,
        }
    }
}

fn draw_word<'a>(random: &mut Mt19937, words: impl Iterator<Item = &'a str>) -> Option<String> {
    let words = words.collect::<Vec<_>>();
    (!words.is_empty()).then(|| (*pick(random, &words)).to_owned())
}

/// Rain, snow and hearts are more frequent than the others.
fn draw_around(studio: &Studio, random: &mut Mt19937) -> Option<Around> {
    let all = [Around::Rain, Around::Rain, Around::Snow, Around::Snow, Around::Hearts, Around::Hearts]
        .into_iter()
        .chain(Around::ALL)
        .filter(|around| around.concept().is_none_or(|name| studio.has(name)))
        .collect::<Vec<_>>();
    Some(*pick(random, &all))
}
