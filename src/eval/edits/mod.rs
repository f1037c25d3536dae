//! Edits whose true result is known, by every method over its strength.
//!
//! Three things are counted: whether the asked change is there, how far the picture is from the true result, in which nothing else
//! has changed, and, in recipes with alpha, whether the thing is still the same.

mod cases;
mod table;
mod ways;

use serde::Serialize;

pub use cases::{Case, Change, cases};
use ways::Sitting;
pub use ways::Way;

use super::{mean_square_error, psnr, seen};
use crate::Result;
use crate::dataset::{Check, ColourJudge, Judge, Layer, Scene, Stickers};
use crate::edit::fit::StageOptions;
use crate::picture::Picture;
use crate::pipeline::Pipeline;

/// What was asked, of which model, edited how. None stands for the model's and the method's own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// The model's folder.
    pub model: String,
    /// Edits of the half that is looked at.
    pub edits: usize,
    /// Whether the half is the one that is set aside.
    pub set_aside: bool,
    /// Of cases and noise.
    pub seed: u64,
    /// Strengths to try.
    pub strengths: Vec<f64>,
    /// Steps at strength 1.
    pub steps: Option<usize>,
    /// Guidance by the target prompt.
    pub guidance: Option<f32>,
    /// Guidance by the source prompt.
    pub source_guidance: Option<f32>,
    /// Draws of noise in a step.
    pub n_avg: Option<usize>,
    /// Imagic, where it takes part.
    pub imagic: Option<ImagicSettings>,
}

/// How Imagic takes part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImagicSettings {
    /// How far from the picture to the words.
    pub etas: Vec<f64>,
    /// Whether it is told what the picture shows.
    pub source: bool,
    /// The first stage; each case has its own seed.
    pub embedding: StageOptions,
    /// The second stage; each case has its own seed.
    pub adapters: StageOptions,
    /// Of the adapters.
    pub rank: usize,
}

/// One method at one strength, over the cases of a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The method.
    pub way: Way,
    /// For those that have one.
    pub strength: Option<f64>,
    /// What changes in these cases, and whether they are mirrored; none for all cases.
    pub group: Option<String>,
    /// How many cases.
    pub cases: usize,
    /// Share in which the asked change is there.
    pub found: f64,
    /// Share in which the thing is the same; none where no program can tell.
    pub same_thing: Option<f64>,
    /// Of the mean squared distance to the true result, in decibels.
    pub psnr: f64,
    /// Seconds for a picture.
    pub seconds: f64,
}

/// Every number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What was asked.
    pub settings: Settings,
    /// By method and strength; of each all cases first, then the groups.
    pub rows: Vec<Row>,
}

/// The pictures of a case: the input, the true result, and those of each way at the strengths in turn.
pub type Pictures = Vec<(Case, Vec<Picture>)>;

/// Makes every edit in every way and counts. `progress` is told what is being done, and how many of how many are. `tracked` is the
/// same model on a device that keeps gradients, which Imagic needs. The pictures of the cases follow.
///
/// # Errors
/// [`crate::Error::Request`] when the recipe has too few such edits, or for settings that the model does not take; those of
/// [`Pipeline::run`].
pub fn evaluate(
    (pipeline, tracked): (&Pipeline, Option<&Pipeline>),
    stickers: &Stickers,
    settings: Settings,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<(Report, Pictures)> {
    let cases = cases(stickers, settings.seed, settings.edits, settings.set_aside)?;
    let eye = Eye::new(stickers)?;
    let mut sittings = Vec::with_capacity(cases.len());
    for (number, case) in cases.iter().enumerate() {
        let [from, to] = [&case.from, &case.to].map(|scene| shown(pipeline, stickers, scene, case.mirrored));
        sittings.push(Sitting {
            pipeline,
            tracked,
            settings: &settings,
            case,
            says: [stickers.caption(&case.from)?, stickers.caption(&case.to)?],
            known: [from?, to?],
            seed: crate::random::stream(settings.seed, "eval.edit", number as u64).next_u32().into(),
        });
    }
    let mut pictures: Vec<Vec<Picture>> = sittings.iter().map(|sitting| sitting.known.to_vec()).collect();
    let mut rows = Vec::new();
    for way in Way::ALL {
        let strengths = way.strengths(&settings);
        let mut looks: Vec<Vec<Look>> = vec![Vec::new(); strengths.len()];
        for (i, (sitting, pictures)) in sittings.iter().zip(&mut pictures).enumerate() {
            if strengths.is_empty() {
                break;
            }
            progress(way.label(), i, cases.len());
            for ((picture, seconds), looks) in sitting.made(way)?.into_iter().zip(&mut looks) {
                looks.push(eye.look(sitting, &picture, seconds)?);
                pictures.push(picture);
            }
        }
        for (strength, looks) in strengths.into_iter().zip(looks) {
            rows.extend(counted(way, strength, &cases, &looks));
        }
    }
    drop(sittings);
    Ok((Report { settings, rows }, cases.into_iter().zip(pictures).collect()))
}

/// The dataset's own picture, as the model takes it.
fn shown(pipeline: &Pipeline, stickers: &Stickers, scene: &Scene, mirrored: bool) -> Result<Picture> {
    let picture = seen(pipeline, &stickers.render(scene, pipeline.defaults().width)?);
    if mirrored { mirror(&picture) } else { Ok(picture) }
}

fn mirror(picture: &Picture) -> Result<Picture> {
    let rgba = picture.rgba();
    let rows = rgba.chunks_exact(4 * picture.width);
    let mirrored: Vec<u8> = rows.flat_map(|row| row.chunks_exact(4).rev().flatten().copied()).collect();
    Picture::from_rgba(picture.width, picture.height, &mirrored)
}

/// What sees whether an edit is there.
enum Eye<'a> {
    /// Every check, in recipes with alpha.
    All(Box<Judge<'a>>),
    /// Colours alone.
    Colours(ColourJudge),
}

/// What was seen of one picture.
#[derive(Clone, Copy)]
struct Look {
    found: bool,
    same_thing: Option<bool>,
    /// Mean squared distance to the true result.
    error: f64,
    seconds: f64,
}

impl<'a> Eye<'a> {
    fn new(stickers: &'a Stickers) -> Result<Self> {
        Ok(match stickers.recipe.alpha {
            true => Self::All(Box::new(Judge::new(stickers)?)),
            false => Self::Colours(ColourJudge::new(&stickers.recipe)),
        })
    }

    fn look(&self, sitting: &Sitting<'_>, picture: &Picture, seconds: f64) -> Result<Look> {
        let Case { change, to, .. } = sitting.case;
        let error = mean_square_error(&sitting.known[1], picture);
        let (found, same_thing) = match self {
            Self::All(judge) => {
                let verdict = judge.judge(to, &Layer::from(picture))?;
                let right = |check| verdict.iter().any(|(other, right)| *other == check && *right);
                (right(change.check()), Some(right(Check::Thing)))
            }
            Self::Colours(judge) => {
                let found = match (&to.background, &to.colour) {
                    (Some(behind), _) => judge.shows_background(picture, behind)?,
                    (None, colour) => judge.shows_colour(picture, colour.as_deref().unwrap_or_default())?,
                };
                (found, None)
            }
        };
        Ok(Look { found, same_thing, error, seconds })
    }
}

/// A row for all cases, then one for each group.
fn counted(way: Way, strength: Option<f64>, cases: &[Case], looks: &[Look]) -> Vec<Row> {
    let group = |case: &Case| format!("{}{}", case.change.label(), if case.mirrored { ", mirrored" } else { "" });
    let mut groups: Vec<Option<String>> = vec![None];
    for case in cases {
        if !groups.contains(&Some(group(case))) {
            groups.push(Some(group(case)));
        }
    }
    let row = |name: Option<String>| {
        let of_group =
            cases.iter().zip(looks).filter(|(case, _)| name.as_ref().is_none_or(|name| *name == group(case)));
        let looks: Vec<Look> = of_group.map(|(_, look)| *look).collect();
        let mean = |of: &dyn Fn(&Look) -> f64| looks.iter().map(of).sum::<f64>() / looks.len().max(1) as f64;
        let share = |yes: bool| f64::from(u8::from(yes));
        let told = looks.iter().all(|look| look.same_thing.is_some());
        Row {
            way,
            strength,
            cases: looks.len(),
            found: mean(&|look| share(look.found)),
            same_thing: told.then(|| mean(&|look| share(look.same_thing == Some(true)))),
            psnr: psnr(mean(&|look| look.error)),
            seconds: mean(&|look| look.seconds),
            group: name,
        }
    };
    groups.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirrored_picture_is_the_other_way_round() {
        let picture = Picture::opaque(2, 1, vec![1, 2, 3, 4, 5, 6]);
        assert_eq!(mirror(&picture).unwrap().rgb, [4, 5, 6, 1, 2, 3]);
    }
}
