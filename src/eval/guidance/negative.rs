//! Counts the effect of negative prompts: of pictures that show a colour, how many no longer show it with that colour
//! as negative prompt and the same noise?

use serde::Serialize;

use super::super::Combinations;
use super::super::prompts::{scenes, shuffled};
use super::super::store::{Ask, Model, Store, Way};
use super::{Pair, Settings};
use crate::dataset::{ColourJudge, Kind, Says, Scene, Stickers, caption};
use crate::picture::Picture;
use crate::random;
use crate::{Error, Result};

/// How the prompt treats the colour that the negative prompt excludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wording {
    /// "a colourful fox": the colour is open.
    OpenColour,
    /// "a fox on a coloured background": the background's colour is open.
    OpenBackground,
    /// "a green fox": prompt and negative prompt contradict each other.
    Named,
    /// "a frog", which is green in the dataset.
    Implied,
}

/// A picture that showed a colour, and the picture with a negative prompt.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// Prompt and seed of both pictures, with the negative prompt of the second.
    pub ask: Ask,
    /// The judge's colour of the first picture.
    pub colour: String,
    /// Whether the second no longer shows it.
    pub gone: bool,
    /// The second picture's colour, if it is clearly another one of the palette.
    pub instead: Option<String>,
    /// Whether the colour is also gone if the negative prompt is another colour. This is the control.
    pub gone_with_other: bool,
}

/// Pictures without and with the negative prompt.
pub type Pairs = Vec<(Picture, Picture)>;

/// All cases of a model and a wording.
#[derive(Clone, Debug, Serialize)]
pub struct Negative {
    /// "teacher" or "student".
    pub model: String,
    /// Denoising steps.
    pub steps: usize,
    /// How the prompt speaks of the colour.
    pub wording: Wording,
    /// Number of prompts drawn to find the cases.
    pub candidates: usize,
    /// In the order in which they were found.
    pub cases: Vec<Case>,
    /// The pictures of the first cases.
    #[serde(skip)]
    pub pictures: Pairs,
}

impl Wording {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OpenColour, Self::OpenBackground, Self::Named, Self::Implied];
}

/// Finds cases and redraws them, separately for student and teacher. `progress` gets what is being done, how many are
/// done, and how many there are.
///
/// # Errors
/// [`Error::Request`] for a recipe without colours; those of drawing and of the store.
pub fn negatives(
    pair: &Pair,
    stickers: &Stickers,
    settings: &Settings,
    store: &Store,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Vec<Negative>> {
    let judge = ColourJudge::new(&stickers.recipe);
    let scale = settings.guidance_scale;
    let mut all = Vec::new();
    for wording in Wording::ALL {
        for (model, way) in
            [(pair.student, pair.student_way(settings, scale)), (pair.teacher, pair.teacher_way(settings, scale))]
        {
            let hunt = Hunt { model, way, wording, stickers, judge: &judge, settings, store };
            all.push(hunt.run(progress)?);
        }
    }
    Ok(all)
}

/// Prompts that are drawn together to find cases.
const CHUNK: usize = 32;
/// Greatest number of prompts drawn for each case that is wanted, because a model may not show colours at all.
const PATIENCE: usize = 4;
/// Pictures that are kept for people to look at.
const SHOWN: usize = 32;

struct Hunt<'a> {
    model: &'a Model,
    way: Way,
    wording: Wording,
    stickers: &'a Stickers,
    judge: &'a ColourJudge,
    settings: &'a Settings,
    store: &'a Store,
}

impl Hunt<'_> {
    fn run(&self, progress: &mut dyn FnMut(&str, usize, usize)) -> Result<Negative> {
        let wanted = match self.wording {
            Wording::OpenColour | Wording::OpenBackground => self.settings.cases,
            Wording::Named | Wording::Implied => self.settings.other_cases,
        };
        let candidates = self.candidates(PATIENCE * wanted)?;
        let mut found: Vec<(Ask, String, Picture)> = Vec::new();
        let mut tried = 0;
        for some in candidates.chunks(CHUNK) {
            if found.len() >= wanted {
                break;
            }
            let asks: Vec<Ask> = some.iter().map(|(ask, _)| ask.clone()).collect();
            let what = format!("{}, {:?}, looking", self.model.name, self.wording);
            progress(&what, found.len(), wanted);
            let drawn = self.store.draw(self.model, &self.way, &asks, &mut |_| ())?;
            for ((ask, named), picture) in some.iter().zip(drawn.pictures) {
                let shown = self.shown(&picture)?.filter(|shown| named.as_ref().is_none_or(|named| named == shown));
                found.extend(shown.map(|colour| (ask.clone(), colour, picture)));
            }
            tried += some.len();
        }
        found.truncate(wanted);
        let (cases, pictures) = self.again(found, progress)?;
        let (model, steps) = (self.model.name.clone(), self.way.steps);
        Ok(Negative { model, steps, wording: self.wording, candidates: tried, cases, pictures })
    }

    /// Redraws the found pictures with their colour and with another colour as negative prompt.
    fn again(
        &self,
        found: Vec<(Ask, String, Picture)>,
        progress: &mut dyn FnMut(&str, usize, usize),
    ) -> Result<(Vec<Case>, Pairs)> {
        if found.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let with = |negative: &dyn Fn(&str) -> String| -> Vec<Ask> {
            let ask =
                |(ask, colour, _): &(Ask, String, Picture)| Ask { negative_prompt: negative(colour), ..ask.clone() };
            found.iter().map(ask).collect()
        };
        let asks = with(&|colour| self.exclude(colour));
        let others = with(&|colour| self.exclude(&self.other(colour)));
        let mut draw = |what: &str, asks: &[Ask]| -> Result<Vec<Picture>> {
            let what = format!("{}, {:?}, {what}", self.model.name, self.wording);
            let mut said = |done: usize| progress(&what, done, asks.len());
            Ok(self.store.draw(self.model, &self.way, asks, &mut said)?.pictures)
        };
        let (drawn, control) = (draw("excluding", &asks)?, draw("excluding another", &others)?);
        let mut cases = Vec::with_capacity(found.len());
        let mut pictures = Vec::new();
        for (i, (_, colour, before)) in found.into_iter().enumerate() {
            cases.push(Case {
                ask: asks[i].clone(),
                gone: !self.shows(&drawn[i], &colour)?,
                instead: self.shown(&drawn[i])?.filter(|shown| *shown != colour),
                gone_with_other: !self.shows(&control[i], &colour)?,
                colour,
            });
            if i < SHOWN {
                pictures.push((before, drawn[i].clone()));
            }
        }
        Ok((cases, pictures))
    }

    /// Prompts with seeds, and the colour that the first picture must show if the prompt names it.
    fn candidates(&self, count: usize) -> Result<Vec<(Ask, Option<String>)>> {
        let (stickers, seed) = (self.stickers, self.settings.seed);
        let open = |colour: Option<String>, background: Option<String>, name: &String| Scene {
            colour,
            background,
            says: Says::Open,
            ..Scene::plain(name)
        };
        let scenes: Vec<Scene> = match self.wording {
            Wording::Named => scenes(stickers, seed, (Kind::Recolour, Combinations::Trained), count)?,
            _ => {
                let names = self.names()?;
                let order = shuffled(names.len(), seed);
                let any = self.palette()?.swap_remove(0);
                let scene = |i: usize| match self.wording {
                    Wording::OpenColour => open(Some(any.clone()), None, &names[order[i % order.len()]]),
                    Wording::OpenBackground => open(None, Some(any.clone()), &names[order[i % order.len()]]),
                    _ => Scene::plain(&names[order[i % order.len()]]),
                };
                (0..if names.is_empty() { 0 } else { count }).map(scene).collect()
            }
        };
        let ask = |(i, scene): (usize, Scene)| {
            let noise = random::stream(seed, "eval.negative", i as u64).next_u32().into();
            let named = if self.wording == Wording::Named { scene.colour.clone() } else { None };
            (Ask::plain(&caption(&scene), noise), named)
        };
        Ok(scenes.into_iter().enumerate().map(ask).collect())
    }

    /// The concepts to ask for; for [`Wording::Implied`], those whose glyphs have a colour.
    fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for name in &self.stickers.names {
            let taken = match self.wording {
                Wording::Implied => self.shown(&self.stickers.glyph(name, self.way.size)?)?.is_some(),
                _ => true,
            };
            if taken {
                names.push(name.clone());
            }
        }
        Ok(names)
    }

    /// The colours that can be shown and excluded.
    fn palette(&self) -> Result<Vec<String>> {
        let behind = self.wording == Wording::OpenBackground;
        let usable = self.stickers.recipe.palette.iter().filter(|colour| match behind {
            true => colour.background.is_some() && colour.name != "white",
            false => colour.glyph.is_some(),
        });
        let names: Vec<String> = usable.map(|colour| colour.name.clone()).collect();
        match names.len() {
            0 | 1 => Err(Error::Request("the recipe's palette has no two colours to exclude".into())),
            _ => Ok(names),
        }
    }

    /// The judge's colour of the picture; a white background counts as none.
    fn shown(&self, picture: &Picture) -> Result<Option<String>> {
        let main = match self.wording {
            Wording::OpenBackground => self.judge.background_of(picture).filter(|name| *name != "white"),
            _ => self.judge.colour_of(picture),
        };
        let main = main.map(str::to_owned);
        Ok(match main {
            Some(name) if self.shows(picture, &name)? => Some(name),
            _ => None,
        })
    }

    fn shows(&self, picture: &Picture, colour: &str) -> Result<bool> {
        match self.wording {
            Wording::OpenBackground => self.judge.shows_background(picture, colour),
            _ => self.judge.shows_colour(picture, colour),
        }
    }

    /// The negative prompt against a colour, as in the dataset's captions: "green", or "a green background".
    fn exclude(&self, colour: &str) -> String {
        let colour = Some(colour.to_owned());
        let plain = Scene::plain("");
        caption(&match self.wording {
            Wording::OpenBackground => Scene { background: colour, says: Says::Colour, wording: 2, ..plain },
            _ => Scene { colour, says: Says::Colour, ..plain },
        })
    }

    /// Another colour, far from it in the palette.
    fn other(&self, colour: &str) -> String {
        let palette = self.palette().unwrap_or_default();
        let at = palette.iter().position(|name| name == colour).unwrap_or(0);
        palette.get((at + palette.len() / 2) % palette.len().max(1)).cloned().unwrap_or_default()
    }
}
