//! Questions about one drawing, and the share of all drawings that pass.

use super::gallery::{nearest, rank};
use super::{Asked, ColourShare, Combinations, Distance, Drawing, Gallery, Prompt, Retrieval};
use crate::Result;
use crate::dataset::{ColourJudge, foreground};
use crate::picture::Picture;

/// The record of one drawing. `gallery` has the indices of the recipe's concepts and of the one that was asked for.
pub fn drawing(
    prompt: &Prompt,
    picture: &Picture,
    (gallery, concepts, sought): (&Gallery, &[usize], usize),
    judge: &ColourJudge,
) -> Result<Drawing> {
    let mut record = Drawing::new(prompt);
    match prompt.asked {
        Asked::Concept => {
            for distance in Distance::ALL {
                let distances = gallery.distances(picture, distance);
                record.ranks.push(rank(&distances, sought, 0..distances.len()));
                record.ranks_among_concepts.push(rank(&distances, sought, concepts.iter().copied()));
                if distance == Distance::HEADLINE {
                    record.looks_like = nearest(&distances).map_or(String::new(), |i| gallery.name(i).to_owned());
                    record.found = record.ranks.last() == Some(&1);
                }
            }
        }
        Asked::Colour => {
            let name = colour(prompt);
            let share = judge.colour_share(picture, &foreground(picture), name)?;
            let main = judge.colour_of(picture).unwrap_or("nothing at all");
            record.found = judge.shows_colour(picture, name)?;
            record.looks_like = format!("{main}; {:.0} % of it {name}", 100.0 * share);
        }
        Asked::Background => {
            record.found = judge.shows_background(picture, colour(prompt))?;
            record.looks_like = judge.background_of(picture).unwrap_or("no one colour").to_owned();
        }
    }
    Ok(record)
}

/// How often the asked concept is nearest, among all `glyphs` and among the recipe's `concepts`.
pub fn retrieval(distance: Distance, drawings: &[Drawing], glyphs: usize, concepts: usize) -> Retrieval {
    let place = Distance::ALL.iter().position(|other| *other == distance).unwrap_or(0);
    let plain: Vec<&Drawing> = drawings.iter().filter(|drawing| drawing.asked == Asked::Concept).collect();
    let share = |rank: &dyn Fn(&Drawing) -> usize, within: usize| {
        plain.iter().filter(|drawing| rank(drawing) <= within).count() as f64 / plain.len().max(1) as f64
    };
    let (all, own) = (|d: &Drawing| d.ranks[place], |d: &Drawing| d.ranks_among_concepts[place]);
    Retrieval {
        distance,
        prompts: plain.len(),
        glyphs,
        top_1: share(&all, 1),
        top_5: share(&all, 5),
        concepts,
        top_1_among_concepts: share(&own, 1),
        top_5_among_concepts: share(&own, 5),
    }
}

/// Colour and background, for trained and held-out combinations: how often the asked one is present; how often it is
/// present in pictures drawn for the other colours (chance); and how often in the dataset's own pictures (which shows
/// the judge's mistakes).
///
/// # Errors
/// [`crate::Error::Request`] for a colour that the judge's palette lacks.
pub fn colours(
    prompts: &[Prompt],
    drawn: &[Picture],
    truth: &[Picture],
    judge: &ColourJudge,
) -> Result<Vec<ColourShare>> {
    let mut shares = Vec::new();
    for asked in [Asked::Colour, Asked::Background] {
        let these: Vec<usize> = (0..prompts.len()).filter(|&i| prompts[i].asked == asked).collect();
        let mut chance = Share::default();
        for &i in &these {
            for &j in these.iter().filter(|&&j| colour(&prompts[j]) != colour(&prompts[i])) {
                chance.count(shows(judge, asked, &drawn[j], colour(&prompts[i]))?);
            }
        }
        for combinations in [Combinations::Trained, Combinations::HeldOut] {
            let (mut found, mut in_truth) = (Share::default(), Share::default());
            for &i in these.iter().filter(|&&i| prompts[i].combinations == combinations) {
                found.count(shows(judge, asked, &drawn[i], colour(&prompts[i]))?);
                in_truth.count(shows(judge, asked, &truth[i], colour(&prompts[i]))?);
            }
            let (share, truth, chance) = (found.value(), in_truth.value(), chance.value());
            shares.push(ColourShare { asked, combinations, prompts: found.of, share, chance, truth });
        }
    }
    Ok(shares)
}

/// The colour that a prompt asks for.
fn colour(prompt: &Prompt) -> &str {
    let asked = match prompt.asked {
        Asked::Concept => None,
        Asked::Colour => prompt.scene.colour.as_deref(),
        Asked::Background => prompt.scene.background.as_deref(),
    };
    asked.unwrap_or_default()
}

fn shows(judge: &ColourJudge, asked: Asked, picture: &Picture, name: &str) -> Result<bool> {
    match asked {
        Asked::Background => judge.shows_background(picture, name),
        _ => judge.shows_colour(picture, name),
    }
}

#[derive(Default)]
struct Share {
    hits: usize,
    of: usize,
}

impl Share {
    fn count(&mut self, hit: bool) {
        self.hits += usize::from(hit);
        self.of += 1;
    }

    fn value(&self) -> f64 {
        self.hits as f64 / self.of.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, prompts};
    use super::*;
    use crate::dataset::{Recipe, Stickers, testing};

    fn shipped() -> (Stickers, Vec<Prompt>, Vec<Picture>) {
        let mut stickers = testing::stickers();
        let text = include_str!("../../recipes/stickers-v0.json");
        stickers.recipe.palette = Recipe::from_json(text, "stickers-v0.json").unwrap().palette;
        let settings = Settings { prompts: 5, colour_prompts: 60, ..Settings::default() };
        let asked = prompts(&stickers, &settings).unwrap();
        let truth = asked.iter().map(|prompt| stickers.render(&prompt.scene, 32).unwrap()).collect();
        (stickers, asked, truth)
    }

    #[test]
    fn true_pictures_show_their_colours_and_others_do_not() {
        let (stickers, asked, truth) = shipped();
        let judge = ColourJudge::new(&stickers.recipe);
        for share in colours(&asked, &truth, &truth, &judge).unwrap() {
            assert_eq!((share.prompts, share.share, share.truth), (30, 1.0, 1.0), "{share:?}");
            assert_eq!(share.chance, 0.0, "{share:?}");
        }
        // A model that ignores the colour: each prompt gets its neighbour's picture.
        let wrong: Vec<Picture> = truth.iter().cycle().skip(1).take(truth.len()).cloned().collect();
        for share in colours(&asked, &wrong, &truth, &judge).unwrap() {
            assert!(share.share < 0.3 && share.truth == 1.0, "{share:?}");
        }
        // A model that draws everything in one colour has that colour by chance as often as on request.
        let one: Vec<Picture> = truth.iter().map(|_| truth[5].clone()).collect();
        let share = &colours(&asked, &one, &truth, &judge).unwrap()[0];
        assert!(share.share > 0.0 && (share.share - share.chance).abs() < 0.1, "{share:?}");
    }

    #[test]
    fn true_pictures_are_nearest_to_themselves_and_wrong_ones_say_what_they_are() {
        let (stickers, asked, truth) = shipped();
        let gallery = Gallery::new(&stickers.all_glyphs(32));
        let judge = ColourJudge::new(&stickers.recipe);
        let concepts = [0, 1, 2];
        let record = |i: usize, picture: &Picture| {
            let sought = stickers.concept(&asked[i].scene.concepts[0]).unwrap();
            drawing(&asked[i], picture, (&gallery, &concepts, sought), &judge).unwrap()
        };
        let right: Vec<Drawing> = (0..5).map(|i| record(i, &truth[i])).collect();
        let counted = retrieval(Distance::Shift, &right, 5, 3);
        assert_eq!((counted.top_1, counted.top_1_among_concepts, counted.prompts), (1.0, 1.0, 5));
        let wrong = record(0, &truth[1]);
        assert!(!wrong.found && wrong.ranks[0] > 1, "{wrong:?}");
        assert_eq!(wrong.looks_like, asked[1].scene.concepts[0]);
        let half: Vec<Drawing> = vec![wrong, record(1, &truth[1])];
        assert_eq!(retrieval(Distance::Pixel, &half, 5, 3).top_1, 0.5);
        assert_eq!(retrieval(Distance::Pixel, &half, 5, 3).top_5, 1.0);
        let colour = record(5, &truth[5]);
        assert!(colour.found && colour.looks_like.contains("% of it"), "{colour:?}");
        let blank = record(5, &Picture::filled(32, 32, [255; 3]));
        assert!(!blank.found && blank.looks_like.starts_with("nothing"), "{blank:?}");
    }
}
