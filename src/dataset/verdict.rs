//! Judges by program whether a picture shows a scene of a recipe with alpha.
//!
//! Most questions are answered in the same way: take all scenes that differ from the asked one in one respect (another
//! thing, another hat, no hat, another number), drawn by every artist. Is the asked one nearest to the picture,
//! ignoring mirroring, slight rotation and shift ([`likeness`](super::likeness))? The things of pairs and numbers are
//! searched for in their own regions. Colours and backgrounds are judged by [`ColourJudge`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use serde::Serialize;

use super::judge::ColourJudge;
use super::likeness::{Descriptor, Gallery, Query, border, drawn_box, part, without_ground};
use super::raster::Layer;
use super::regions::{cells, halves};
use super::sample::Stickers;
use super::scene::{Around, Mood, Scene, Size, Spot, Style, Turn};
use super::studio::Studio;
use super::suits::Suits;
use crate::error::Result;

/// One statement of a scene that can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The thing, or each copy of it in its region, or the first of a pair in its region.
    Thing,
    /// The second of a pair, in its region.
    Second,
    /// The number of copies.
    Count,
    /// The thing's colour; for a pair, both colours.
    Colour,
    /// The background's colour; transparent if the caption names none.
    Background,
    /// What it wears.
    Wearing,
    /// What it holds.
    Holding,
    /// What surrounds it.
    Around,
    /// The pot.
    Potted,
    /// What it feels.
    Mood,
    /// Its size.
    Size,
    /// Its position in the picture.
    Spot,
    /// Its rotation.
    Turn,
    /// The direction in which it faces.
    Facing,
    /// Its style.
    Style,
    /// Its artist.
    Artist,
}

/// The checks, and whether each is passed, in the order of [`Check`].
pub type Verdict = Vec<(Check, bool)>;

/// Judges pictures of a recipe with alpha.
pub struct Judge<'a> {
    stickers: &'a Stickers,
    studio: &'a Studio,
    colours: ColourJudge,
    galleries: Mutex<HashMap<String, Arc<Gallery>>>,
}

/// Greatest unevenness of pixel art, relative to the same scene without that style.
const PIXELATED: f32 = 0.6;
/// Side at which alternatives are drawn before they are reduced to descriptors.
const DRAWN: usize = 96;
impl<'a> Judge<'a> {
    /// A judge of the recipe's scenes.
    ///
    /// # Errors
    /// [`crate::Error::Request`] for a recipe without alpha.
    pub fn new(stickers: &'a Stickers) -> Result<Self> {
        let (studio, colours) = (stickers.studio()?, ColourJudge::new(&stickers.recipe));
        Ok(Self { stickers, studio, colours, galleries: Mutex::default() })
    }

    /// Checks each statement of the scene on a picture (premultiplied, of any size).
    ///
    /// # Errors
    /// Those of drawing the alternatives.
    pub fn judge(&self, scene: &Scene, picture: &Layer) -> Result<Verdict> {
        // A thing larger than the picture hides what is behind it.
        let hidden = scene.size == Some(Size::Huge);
        let mut verdict = Verdict::new();
        if !hidden {
            verdict.push((Check::Background, self.background(scene, picture)?));
        }
        let lone = if hidden { picture.clone() } else { without_ground(picture) };
        let Some(query) = Query::new(&lone) else {
            verdict.insert(0, (Check::Thing, false));
            return Ok(verdict);
        };
        match (scene.concepts.len(), scene.count) {
            (2.., _) => self.pair(scene, &lone, &mut verdict)?,
            (_, 2..) => self.copies(scene, (&lone, &query), &mut verdict)?,
            _ => {
                self.upright(scene, &lone, &query, &mut verdict)?;
                if let Some(colour) = &scene.colour {
                    verdict.push((Check::Colour, self.colours.tinted(&lone, colour)?));
                }
                self.attributes(scene, &query, &mut verdict)?;
                if scene.style == Some(Style::PixelArt) {
                    let smooth = Scene { style: None, background: None, ..scene.clone() };
                    let smooth = unevenness(&self.stickers.render_layer(&smooth, picture.width)?);
                    verdict.push((Check::Style, unevenness(&lone) < PIXELATED * smooth));
                }
                self.placing(scene, picture, &lone, &mut verdict);
            }
        }
        verdict.sort_unstable();
        Ok(verdict)
    }

    /// The things whose drawings are nearest to a picture of one thing, by their indices in [`Stickers::names`], with
    /// their distances. A recoloured thing is compared with things in that colour.
    ///
    /// # Errors
    /// Those of drawing the alternatives.
    pub fn nearest_things(&self, picture: &Layer, colour: Option<&str>) -> Result<Vec<(usize, f32)>> {
        let asked = Scene { colour: colour.map(str::to_owned), ..Scene::plain(&self.stickers.names[0]) };
        let Some(query) = Query::new(&without_ground(picture)) else { return Ok(Vec::new()) };
        let (names, gallery) = self.things(&asked)?;
        let mut found = names.into_iter().zip(gallery.distances(&query)).collect::<Vec<_>>();
        found.sort_by(|a, b| a.1.total_cmp(&b.1));
        Ok(found)
    }

    /// Compares the thing with all things in the same state.
    fn thing(&self, scene: &Scene, query: &Query) -> Result<bool> {
        let (names, gallery) = self.things(scene)?;
        let asked = self.stickers.names.iter().position(|name| *name == scene.concepts[0]);
        let place = asked.and_then(|asked| names.iter().position(|name| *name == asked));
        Ok(place.is_some_and(|place| gallery.nearest(query, place)))
    }

    /// The drawing rotated back if the scene rotates it, and whether it is rotated.
    fn upright(&self, scene: &Scene, lone: &Layer, query: &Query, verdict: &mut Verdict) -> Result<()> {
        let back: &[f32] = match scene.turn {
            None => {
                verdict.push((Check::Thing, self.thing(scene, query)?));
                return Ok(());
            }
            Some(Turn::UpsideDown) => &[180.0],
            Some(Turn::Tilted) => &[28.0, -28.0],
        };
        let plain = self.gallery(format!("{:?}", bare(scene)), vec![bare(scene)])?;
        let (mut thing, mut turned) = (false, f32::MAX);
        for query in Query::turned(lone, back) {
            thing = thing || self.thing(scene, &query)?;
            turned = turned.min(plain.distances(&query)[0]);
        }
        verdict.push((Check::Thing, thing));
        verdict.push((Check::Turn, turned <= plain.distances(query)[0]));
        Ok(())
    }

    /// The indices in `names` of the things that may be in the scene's state, and the gallery of them in it.
    fn things(&self, scene: &Scene) -> Result<(Vec<usize>, Arc<Gallery>)> {
        let fits = |suits: &Suits, own: bool| {
            let more = &scene.more;
            own || (scene.colour.is_none() || suits.colour)
                && (more.wearing.is_none() || suits.wearing)
                && (more.holding.is_none() || suits.holding)
                && (more.mood.is_none() || suits.mood)
                && (!more.potted || suits.potted)
                && (more.around.is_none() || suits.around)
        };
        let state = Scene { concepts: Vec::new(), artist: None, ..bare(scene) };
        let names = (0..self.stickers.names.len()).filter(|&i| {
            let name = &self.stickers.names[i];
            fits(&self.studio.suits[self.stickers.index[name]], *name == scene.concepts[0])
        });
        let names = names.collect::<Vec<_>>();
        let scenes = names.iter().map(|&i| Scene { concepts: vec![self.stickers.names[i].clone()], ..state.clone() });
        let key = format!("things {} {state:?}", names.len());
        Ok((names.clone(), self.gallery(key, scenes.collect())?))
    }

    /// Whether the first of some alternatives is nearest.
    fn first_of(&self, scenes: Vec<Scene>, query: &Query) -> Result<bool> {
        let scenes = scenes.iter().map(bare).collect::<Vec<_>>();
        Ok(self.gallery(format!("{scenes:?}"), scenes)?.nearest(query, 0))
    }

    fn attributes(&self, scene: &Scene, query: &Query, verdict: &mut Verdict) -> Result<()> {
        let others = |set: &dyn Fn(&mut Scene)| {
            let mut other = scene.clone();
            set(&mut other);
            other
        };
        let mut found = Verdict::new();
        let mut ask = |check: Check, alternatives: Vec<Scene>| -> Result<()> {
            let all = [scene.clone()].into_iter().chain(alternatives.into_iter().filter(|other| other != scene));
            found.push((check, self.first_of(all.collect(), query)?));
            Ok(())
        };
        let more = &scene.more;
        if more.wearing.is_some() {
            let words = self.studio.worn.iter().map(|worn| Some(worn.word.to_owned())).chain([None]);
            ask(Check::Wearing, words.map(|word| others(&|s| s.more.wearing.clone_from(&word))).collect())?;
        }
        if more.holding.is_some() {
            let words = self.studio.held.iter().map(|held| Some(held.word.to_owned())).chain([None]);
            ask(Check::Holding, words.map(|word| others(&|s| s.more.holding.clone_from(&word))).collect())?;
        }
        if more.around.is_some() {
            let drawn = |around: &Around| around.concept().is_none_or(|name| self.studio.has(name));
            let all = Around::ALL.into_iter().filter(drawn).map(Some).chain([None]);
            ask(Check::Around, all.map(|around| others(&|s| s.more.around = around)).collect())?;
        }
        if more.potted {
            ask(Check::Potted, vec![others(&|s| s.more.potted = false)])?;
        }
        if more.mood.is_some() {
            let all = Mood::ALL.map(Some).into_iter().chain([None]);
            ask(Check::Mood, all.map(|mood| others(&|s| s.more.mood = mood)).collect())?;
        }
        if more.facing.is_some() {
            // The picture must be nearer unmirrored than mirrored.
            let gallery = self.gallery(format!("{:?}", bare(scene)), vec![bare(scene)])?;
            let [as_it_is, mirrored] = [false, true].map(|flipped| gallery.distances(&query.only(flipped))[0]);
            verdict.push((Check::Facing, as_it_is < mirrored));
        }
        if scene.style.is_some_and(|style| style != Style::PixelArt) {
            let all = Style::ALL.into_iter().filter(|style| *style != Style::PixelArt).map(Some).chain([None]);
            ask(Check::Style, all.map(|style| others(&|s| s.style = style)).collect())?;
        }
        if scene.kind == super::Kind::Artist {
            let concept = self.stickers.concept(&scene.concepts[0])?;
            let all = self.studio.artists(&self.stickers.pack, concept, &super::Artist::ALL);
            ask(Check::Artist, all.map(|artist| others(&|s| s.artist = Some(artist))).collect())?;
        }
        verdict.extend(found);
        Ok(())
    }

    /// Checks size and position in the picture.
    fn placing(&self, scene: &Scene, picture: &Layer, lone: &Layer, verdict: &mut Verdict) {
        let Some([left, top, right, bottom]) = drawn_box(lone) else { return };
        let (width, height) = (picture.width as f32, picture.height as f32);
        let (x, y) = ((left + right) as f32 / 2.0 / width, (top + bottom) as f32 / 2.0 / height);
        let longer = ((right - left) as f32 / width).max((bottom - top) as f32 / height);
        if let Some(size) = scene.size {
            let right = match size {
                Size::Small => (0.42..0.68).contains(&longer),
                Size::Tiny => longer < 0.42,
                Size::Huge => longer > 0.97,
            };
            verdict.push((Check::Size, right));
        }
        if let Some(spot) = scene.more.spot {
            let right = match spot {
                Spot::Left => x < 0.42,
                Spot::Right => x > 0.58,
                Spot::Top => y < 0.42,
                Spot::Bottom => y > 0.58,
            };
            verdict.push((Check::Spot, right));
        }
    }

    fn background(&self, scene: &Scene, picture: &Layer) -> Result<bool> {
        let border = border(picture);
        let clear = border.iter().filter(|p| p[3] < 0.5).count();
        Ok(match &scene.background {
            None => 2 * clear >= border.len(),
            Some(name) => 2 * clear < border.len() && self.colours.lies_on(&border, name)?,
        })
    }

    /// Checks every copy in its region, and that no other number fits as well.
    fn copies(&self, scene: &Scene, (lone, query): (&Layer, &Query), verdict: &mut Verdict) -> Result<()> {
        let one = Scene { count: 1, ..scene.clone() };
        let mut all = true;
        for cell in cells(lone, scene.count) {
            all = all && Query::new(&part(lone, cell)).map_or(Ok(false), |query| self.thing(&one, &query))?;
        }
        verdict.push((Check::Thing, all));
        if let Some(colour) = &scene.colour {
            verdict.push((Check::Colour, self.colours.tinted(lone, colour)?));
        }
        let numbers = (1..=6).filter(|n| *n != scene.count).map(|count| Scene { count, ..scene.clone() });
        verdict.push((Check::Count, self.first_of([scene.clone()].into_iter().chain(numbers).collect(), query)?));
        Ok(())
    }

    /// Checks both things in their regions.
    fn pair(&self, scene: &Scene, lone: &Layer, verdict: &mut Verdict) -> Result<()> {
        let (first, second) = halves(lone, scene.place);
        let colours = [&scene.colour, &scene.more.second_colour];
        let mut tinted = true;
        let sides = scene.concepts.iter().zip(colours).zip([first, second]).zip([Check::Thing, Check::Second]);
        for (((name, colour), half), check) in sides {
            let half = half.map(|half| part(lone, half));
            let asked = Scene { colour: colour.clone(), ..Scene::plain(name) };
            let query = half.as_ref().and_then(Query::new);
            verdict.push((check, query.map_or(Ok(false), |query| self.thing(&asked, &query))?));
            if let (Some(colour), Some(half)) = (colour, &half) {
                tinted = tinted && self.colours.tinted(half, colour)?;
            }
        }
        if scene.colour.is_some() {
            verdict.push((Check::Colour, tinted));
        }
        Ok(())
    }

    fn gallery(&self, key: String, scenes: Vec<Scene>) -> Result<Arc<Gallery>> {
        let held = |judge: &Self| judge.galleries.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(gallery) = held(self) {
            return Ok(gallery);
        }
        let gallery = Arc::new(self.drawn(&scenes)?);
        let mut galleries = self.galleries.lock().unwrap_or_else(PoisonError::into_inner);
        // Small galleries are cheap to redraw.
        if galleries.len() < 400 || scenes.len() > 40 {
            galleries.insert(key, Arc::clone(&gallery));
        }
        Ok(gallery)
    }

    /// Every scene by every artist of the recipe who drew its things.
    fn drawn(&self, scenes: &[Scene]) -> Result<Gallery> {
        let jobs = scenes.iter().enumerate().map(|(owner, scene)| -> Result<Vec<(usize, Scene)>> {
            if scene.artist.is_some() {
                return Ok(vec![(owner, scene.clone())]);
            }
            let concept = self.stickers.concept(&scene.concepts[0])?;
            let artists = self.studio.artists(&self.stickers.pack, concept, &super::Artist::ALL);
            Ok(artists.map(|artist| (owner, Scene { artist: Some(artist), ..scene.clone() })).collect())
        });
        let jobs = jobs.collect::<Result<Vec<_>>>()?.concat();
        let drawn = jobs.par_iter().map(|(owner, scene)| -> Result<Option<(usize, Descriptor)>> {
            let layer = self.stickers.render_layer(scene, DRAWN)?;
            Ok(Descriptor::new(&layer).map(|descriptor| (*owner, descriptor)))
        });
        let drawn = drawn.collect::<Result<Vec<_>>>()?;
        let (owners, descriptors) = drawn.into_iter().flatten().unzip();
        Ok(Gallery { owners, descriptors, alternatives: scenes.len() })
    }
}

/// How far pixels are from the mean of their cell of pixel art: the root of the mean square over the drawing.
fn unevenness(layer: &Layer) -> f32 {
    let cells = super::cutout::CELLS;
    let means = layer.resized(cells, cells);
    let cell = |x: usize, y: usize| means.pixels[y * cells / layer.height * cells + x * cells / layer.width];
    let places = (0..layer.height).flat_map(|y| (0..layer.width).map(move |x| (x, y)));
    let apart = places.map(|(x, y)| {
        let own = layer.pixels[y * layer.width + x];
        own.iter().zip(cell(x, y)).map(|(a, b)| (a - b).powi(2)).sum::<f32>()
    });
    let drawn = layer.pixels.iter().map(|p| p[3]).sum::<f32>().max(1e-3);
    (apart.sum::<f32>() / drawn).sqrt()
}

/// The scene without properties that a caption does not fix, or that are judged by other means.
fn bare(scene: &Scene) -> Scene {
    let size = scene.size.filter(|size| *size == Size::Huge);
    let mut bare = Scene { background: None, size, turn: None, wording: 0, says: super::Says::All, ..scene.clone() };
    bare.kind = super::Kind::Plain;
    bare.more.look = None;
    bare.more.spot = None;
    bare
}

#[cfg(test)]
mod tests {
    use super::super::testing_open;
    use super::super::{Split, scores};
    use super::*;

    #[test]
    fn the_datasets_own_pictures_pass_and_those_of_other_captions_do_not() {
        let stickers = testing_open::stickers();
        let (all, missed) = scores(&stickers, (1, Split::Train), (400, 64)).unwrap();
        assert_eq!(all.len(), 18);
        let of = |value: &dyn Fn(&super::super::Scores) -> f64| {
            all.values().map(|s| value(s) * s.scenes as f64).sum::<f64>() / 400.0
        };
        let (own, chance) = (of(&|s| s.own), of(&|s| s.chance));
        println!("{own:.3} {chance:.3} {all:#?} {missed:#?}");
        assert!(own > 0.95, "own pictures: {own}; {missed:?}");
        // There are few things and few values of each attribute, so a tenth agrees by chance.
        assert!(chance < 0.2, "pictures of other captions: {chance}");
    }

    #[test]
    fn a_wrong_part_is_told_from_a_right_one() {
        let stickers = testing_open::stickers();
        let judge = Judge::new(&stickers).unwrap();
        let scene = |change: &dyn Fn(&mut Scene)| {
            let mut scene = Scene { kind: super::super::Kind::Wearing, ..Scene::plain("fox") };
            scene.more.wearing = Some("crown".into());
            change(&mut scene);
            scene
        };
        let asked = scene(&|_| ());
        let verdict = |drawn: &Scene| {
            let verdict = judge.judge(&asked, &stickers.render_layer(drawn, 64).unwrap()).unwrap();
            let right = |check| verdict.iter().any(|(other, right)| *other == check && *right);
            (right(Check::Thing), right(Check::Wearing), right(Check::Background))
        };
        assert_eq!(verdict(&asked), (true, true, true));
        assert_eq!(verdict(&scene(&|s| s.more.look = Some(4))), (true, true, true));
        assert!(!verdict(&scene(&|s| s.more.wearing = Some("hat".into()))).1);
        assert!(!verdict(&scene(&|s| s.more.wearing = None)).1);
        assert!(!verdict(&scene(&|s| s.concepts = vec!["grinning face".into()])).0);
        assert!(!verdict(&scene(&|s| s.background = Some("red".into()))).2);
        let nothing = judge.judge(&asked, &Layer::clear(32, 32)).unwrap();
        assert_eq!(nothing, [(Check::Thing, false), (Check::Background, true)]);
        let near = judge.nearest_things(&stickers.render_layer(&Scene::plain("pizza"), 64).unwrap(), None).unwrap();
        assert_eq!(stickers.names[near[0].0], "pizza");
    }
}
