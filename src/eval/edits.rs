//! Edits whose true result is known: the same thing in another colour, or on another background.
//!
//! Input and result are both combinations of thing and colour that training never saw. Half of the pictures are
//! mirrored, and training showed most things only unmirrored. So the score separates a model that redraws its own
//! picture of the thing from one that edits the given picture. Half of all edits are set aside; settings are chosen
//! with the others.
//!
//! Two things are counted: whether the asked colour is there, and how far the picture is from the true result, in which
//! nothing else has changed.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::time::Instant;

use serde::Serialize;

use super::prompts::shuffled;
use super::{Asked, mean_square_error, psnr};
use crate::dataset::{ColourJudge, Kind, Scene, Stickers, caption};
use crate::edit::{self, EditRequest, Method};
use crate::picture::{Picture, WHITE};
use crate::pipeline::{Pipeline, Request, StepEvent};
use crate::{Error, Result};

/// An edit with its true result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// Which part changes: colour or background.
    pub asked: Asked,
    /// What the picture shows.
    pub from: Scene,
    /// What it should show.
    pub to: Scene,
    /// Whether both pictures are mirrored.
    pub mirrored: bool,
    /// Whether it belongs to the half that is set aside.
    pub set_aside: bool,
}

/// A way to make a picture for a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The input, without an edit.
    Nothing,
    /// The true result through the autoencoder, the best that any method can reach.
    Autoencoder,
    /// Text to image with the target prompt.
    TextToImage,
    /// Image to image with the target prompt.
    ImageToImage,
    /// [`Method::FlowEdit`].
    FlowEdit,
    /// [`Method::InfEdit`].
    InfEdit,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Nothing, Self::Autoencoder, Self::TextToImage, Self::ImageToImage, Self::FlowEdit, Self::InfEdit];

    /// The name in tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Nothing => "no edit",
            Self::Autoencoder => "the true result through the autoencoder",
            Self::TextToImage => "text to image",
            Self::ImageToImage => "image to image",
            Self::FlowEdit => "FlowEdit",
            Self::InfEdit => "InfEdit",
        }
    }

    fn has_strength(self) -> bool {
        matches!(self, Self::ImageToImage | Self::FlowEdit | Self::InfEdit)
    }
}

/// The settings of an evaluation of edits. None means the model's or the method's default.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// The model's folder.
    pub model: String,
    /// Edits in the chosen half.
    pub edits: usize,
    /// Whether the chosen half is the one that is set aside.
    pub set_aside: bool,
    /// Seed of cases and noise.
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
}

/// One method at one strength, over some cases.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The way of editing.
    pub way: Way,
    /// The strength, for methods that have one.
    pub strength: Option<f64>,
    /// Whether these are the mirrored cases or the others.
    pub mirrored: bool,
    /// Number of cases.
    pub cases: usize,
    /// Share in which the asked colour is present.
    pub found: f64,
    /// PSNR of the mean squared distance to the true result, in decibels.
    pub psnr: f64,
    /// Seconds for each picture.
    pub seconds: f64,
}

/// All numbers of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The settings.
    pub settings: Settings,
    /// By way, strength and kind of case.
    pub rows: Vec<Row>,
}

/// The first `count` edits of a half, as many recolourings as new backgrounds.
///
/// # Errors
/// [`Error::Request`] if the recipe holds out too few combinations.
pub fn cases(stickers: &Stickers, seed: u64, count: usize, set_aside: bool) -> Result<Vec<Case>> {
    let mut found = Vec::new();
    for asked in [Asked::Colour, Asked::Background] {
        // Four consecutive ones: both halves, unmirrored and mirrored.
        let all = pairs(stickers, seed, asked).into_iter().enumerate().map(|(i, (from, to))| Case {
            asked,
            from,
            to,
            mirrored: i % 2 == 1,
            set_aside: i / 2 % 2 == 1,
        });
        found.push(all.filter(|case| case.set_aside == set_aside).take(count.div_ceil(2)).collect::<Vec<_>>());
    }
    let least = found.iter().map(Vec::len).min().unwrap_or(0);
    if 2 * least < count {
        let reason = format!("{count} edits: the recipe holds out combinations for {} in this half", 2 * least);
        return Err(Error::Request(reason));
    }
    Ok(found.concat())
}

/// Two held-out scenes of each thing that has two, in an order that depends only on the seed.
fn pairs(stickers: &Stickers, seed: u64, asked: Asked) -> Vec<(Scene, Scene)> {
    let scene = |name: &str, colour: &str| {
        let plain = Scene::plain(name);
        match asked {
            Asked::Background => Scene { kind: Kind::Background, background: Some(colour.to_owned()), ..plain },
            _ => Scene { kind: Kind::Recolour, colour: Some(colour.to_owned()), ..plain },
        }
    };
    let drawn = |colour: &&crate::dataset::Colour| match asked {
        Asked::Background => colour.background.is_some() && colour.name != "white",
        _ => colour.glyph.is_some(),
    };
    let of_thing = |thing: usize| {
        let name = &stickers.names[thing];
        let all = stickers.recipe.palette.iter().filter(drawn).map(|colour| scene(name, &colour.name));
        let held: Vec<Scene> = all.filter(|scene| stickers.is_held_out(scene)).collect();
        // Each colour becomes the next.
        let next = held.iter().cycle().skip(1).cloned();
        let pairs = held.iter().cloned().zip(next).take(if held.len() > 1 { held.len() } else { 0 });
        pairs.collect::<Vec<_>>()
    };
    shuffled(stickers.names.len(), seed).into_iter().flat_map(of_thing).collect()
}

/// The pictures of a case: the input, the true result, and those of each way at each strength.
pub type Pictures = Vec<(Case, Vec<Picture>)>;

/// Makes every edit in every way and counts. `progress` gets what is being done, how many are done, and how many there
/// are. Also returns the pictures of the cases.
///
/// # Errors
/// [`Error::Request`] if the recipe has too few such edits, or for settings that the model does not take; those of
/// [`Pipeline::run`].
pub fn evaluate(
    pipeline: &Pipeline,
    stickers: &Stickers,
    settings: Settings,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<(Report, Pictures)> {
    let cases = cases(stickers, settings.seed, settings.edits, settings.set_aside)?;
    let judge = ColourJudge::new(&stickers.recipe);
    let size = pipeline.defaults().width;
    let picture = |scene: &Scene, mirrored: bool| -> Result<Picture> {
        let picture = stickers.render(scene, size)?.over(WHITE).into_owned();
        if mirrored { mirror(&picture) } else { Ok(picture) }
    };
    let mut pictures = Vec::new();
    for case in &cases {
        pictures.push(vec![picture(&case.from, case.mirrored)?, picture(&case.to, case.mirrored)?]);
    }
    let mut rows = Vec::new();
    for way in Way::ALL {
        let strengths = settings.strengths.iter().copied().map(Some).collect();
        for strength in if way.has_strength() { strengths } else { vec![None] } {
            let mut tallies = [Tally::default(), Tally::default()];
            for (i, (case, known)) in cases.iter().zip(&mut pictures).enumerate() {
                progress(way.label(), i, cases.len());
                let started = Instant::now();
                let made = made(pipeline, &settings, (case, i as u64), &known[..2], (way, strength))?;
                let tally = &mut tallies[usize::from(case.mirrored)];
                tally.count(shows(&judge, case, &made)?, mean_square_error(&known[1], &made), started);
                known.push(made);
            }
            rows.extend([false, true].map(|mirrored| tallies[usize::from(mirrored)].row(way, strength, mirrored)));
        }
    }
    Ok((Report { settings, rows }, cases.into_iter().zip(pictures).collect()))
}

/// The picture of a case, from its input and true result.
fn made(
    pipeline: &Pipeline,
    settings: &Settings,
    (case, number): (&Case, u64),
    known: &[Picture],
    (way, strength): (Way, Option<f64>),
) -> Result<Picture> {
    let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
    let (from, to) = (caption(&case.from), caption(&case.to));
    let seed = crate::random::stream(settings.seed, "eval.edit", number).next_u32().into();
    let own = pipeline.request(&to);
    let text_to_image = Request {
        seed,
        num_inference_steps: settings.steps.unwrap_or(own.num_inference_steps),
        guidance_scale: settings.guidance.unwrap_or(own.guidance_scale),
        ..own
    };
    let method = match way {
        Way::Nothing => return Ok(known[0].clone()),
        Way::Autoencoder => {
            let latents = pipeline.encode(known[1].to_tensor(pipeline.channels(), pipeline.device()));
            return Ok(pollster::block_on(Picture::from_tensor(pipeline.decode(latents)))?.swap_remove(0));
        }
        Way::TextToImage | Way::ImageToImage => {
            let image = (way == Way::ImageToImage).then(|| known[0].clone());
            let request = Request { image, strength: strength.unwrap_or(1.0), ..text_to_image };
            return Ok(pollster::block_on(pipeline.generate(&request, &mut on_step))?.0.swap_remove(0));
        }
        Way::FlowEdit => Method::FlowEdit,
        Way::InfEdit => Method::InfEdit,
    };
    let own = EditRequest::new(pipeline, method, known[0].clone(), &from, &to);
    let request = EditRequest {
        seed,
        strength: strength.unwrap_or(own.strength),
        num_inference_steps: settings.steps.unwrap_or(own.num_inference_steps),
        target_guidance_scale: settings.guidance.unwrap_or(own.target_guidance_scale),
        source_guidance_scale: settings.source_guidance.unwrap_or(own.source_guidance_scale),
        n_avg: settings.n_avg.unwrap_or(own.n_avg),
        ..own
    };
    Ok(pollster::block_on(edit::edit(pipeline, &request, &mut on_step))?.0)
}

fn shows(judge: &ColourJudge, case: &Case, picture: &Picture) -> Result<bool> {
    match case.asked {
        Asked::Background => judge.shows_background(picture, case.to.background.as_deref().unwrap_or_default()),
        _ => judge.shows_colour(picture, case.to.colour.as_deref().unwrap_or_default()),
    }
}

fn mirror(picture: &Picture) -> Result<Picture> {
    let rgba = picture.rgba();
    let rows = rgba.chunks_exact(4 * picture.width);
    let mirrored: Vec<u8> = rows.flat_map(|row| row.chunks_exact(4).rev().flatten().copied()).collect();
    Picture::from_rgba(picture.width, picture.height, &mirrored)
}

#[derive(Default)]
struct Tally {
    cases: usize,
    found: usize,
    error: f64,
    seconds: f64,
}

impl Tally {
    fn count(&mut self, found: bool, error: f64, started: Instant) {
        self.cases += 1;
        self.found += usize::from(found);
        self.error += error;
        self.seconds += started.elapsed().as_secs_f64();
    }

    fn row(&self, way: Way, strength: Option<f64>, mirrored: bool) -> Row {
        let n = self.cases.max(1) as f64;
        let (found, psnr, seconds) = (self.found as f64 / n, psnr(self.error / n), self.seconds / n);
        Row { way, strength, mirrored, cases: self.cases, found, psnr, seconds }
    }
}

impl Report {
    /// A table with a line for each way and strength, unmirrored and mirrored pictures beside each other.
    pub fn markdown(&self) -> String {
        let upright: Vec<&Row> = self.rows.iter().filter(|row| !row.mirrored).collect();
        let mirrored: Vec<&Row> = self.rows.iter().filter(|row| row.mirrored).collect();
        let count = |rows: &[&Row]| rows.first().map_or(0, |row| row.cases);
        let (n, m) = (count(&upright), count(&mirrored));
        let mut table = format!(
            "| method | strength | {n} upright: asked colour | PSNR to truth | {m} mirrored: asked colour | PSNR to truth | s |\n\
             |---|---:|---:|---:|---:|---:|---:|\n"
        );
        for (a, b) in upright.iter().zip(&mirrored) {
            let strength = a.strength.map_or(String::new(), |strength| strength.to_string());
            let share = |row: &Row| format!("{:.0} % | {:.1} dB", 100.0 * row.found, row.psnr);
            let label = a.way.label();
            let _ = writeln!(table, "| {label} | {strength} | {} | {} | {:.2} |", share(a), share(b), a.seconds);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::testing;

    #[test]
    fn the_halves_share_no_edit_and_training_saw_neither_end() {
        let mut stickers = testing::stickers();
        stickers.recipe.held_out = 1.0;
        let half = |set_aside| cases(&stickers, 3, 8, set_aside).unwrap();
        let (ours, aside) = (half(false), half(true));
        for (cases, set_aside) in [(&ours, false), (&aside, true)] {
            assert_eq!(cases.len(), 8);
            for case in cases {
                assert!(case.set_aside == set_aside && case.from.concepts == case.to.concepts && case.from != case.to);
                assert!(stickers.is_held_out(&case.from) && stickers.is_held_out(&case.to));
                assert_eq!(case.to.colour.is_some(), case.asked == Asked::Colour);
            }
            assert_eq!(cases.iter().filter(|case| case.mirrored).count(), 4);
        }
        assert!(ours.iter().all(|case| aside.iter().all(|other| (&other.from, &other.to) != (&case.from, &case.to))));
        assert!(cases(&stickers, 3, 10_000, false).unwrap_err().to_string().contains("10000 edits"));
    }

    #[test]
    fn a_mirrored_picture_is_the_other_way_round() {
        let picture = Picture::opaque(2, 1, vec![1, 2, 3, 4, 5, 6]);
        assert_eq!(mirror(&picture).unwrap().rgb, [4, 5, 6, 1, 2, 3]);
    }
}
