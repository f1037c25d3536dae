//! Everything that is counted over the pictures of all questions.

use serde::Serialize;

use super::super::compare::{Memory, median};
use super::super::frechet::Gaussian;
use super::super::gallery::rank;
use super::super::{Combinations, Distance, Gallery};
use super::questions::{Group, Question};
use crate::Result;
use crate::dataset::{ColourJudge, Stickers, count_of};
use crate::picture::Picture;
use crate::train::classifier::Classifier;

/// Numbers of one set of pictures; a share or distance is none if nothing was asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Measured {
    /// Share of plain prompts whose nearest glyph of all is the asked one, in 0..1.
    pub top_1: Option<f64>,
    /// Share with the asked one among the five nearest.
    pub top_5: Option<f64>,
    /// Share that shows the asked colour.
    pub colour: Split,
    /// Share that shows the asked background.
    pub background: Split,
    /// Share with the asked count.
    pub count: Split,
    /// Fréchet distance to other pictures of the dataset.
    pub frechet: Option<f64>,
    /// Median distance of held-out combinations to the nearest training picture (root of the mean square at half size,
    /// in levels of 0 to 255).
    pub nearest_training: Option<f64>,
    /// Share of held-out combinations that are nearer to a training picture than to the true picture of their caption.
    pub nearer_training: Option<f64>,
}

/// A share for combinations that training saw, and for held-out ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Split {
    /// Share for combinations that training saw.
    pub trained: Option<f64>,
    /// Share for held-out combinations.
    pub held_out: Option<f64>,
}

/// Everything that is needed to judge pictures.
pub struct Measure<'a> {
    stickers: &'a Stickers,
    questions: &'a [Question],
    truth: &'a [Picture],
    judge: ColourJudge,
    gallery: Gallery,
    features: Option<(&'a Classifier, Gaussian)>,
    memory: Memory,
}

impl<'a> Measure<'a> {
    /// `truth` are the dataset's own pictures of the questions, `reference` those of other, similar questions;
    /// `training` are pictures of the training split.
    ///
    /// # Errors
    /// Those of the classifier, and for too few pictures.
    pub fn new(
        stickers: &'a Stickers,
        (questions, truth): (&'a [Question], &'a [Picture]),
        (classifier, reference): (Option<&'a Classifier>, &[Picture]),
        training: Memory,
        size: usize,
    ) -> Result<Self> {
        let of = |classifier: &'a Classifier| -> Result<(&'a Classifier, Gaussian)> {
            Ok((classifier, Gaussian::new(&classifier.features(reference)?)?))
        };
        Ok(Self {
            stickers,
            questions,
            truth,
            judge: ColourJudge::new(&stickers.recipe),
            gallery: Gallery::new(&stickers.all_glyphs(size)),
            features: classifier.map(of).transpose()?,
            memory: training,
        })
    }

    /// Judges one picture for each question.
    ///
    /// # Errors
    /// Those of the judges.
    pub fn of(&self, pictures: &[Picture]) -> Result<Measured> {
        let (top_1, top_5) = self.retrieval(pictures)?;
        let (nearest_training, nearer_training) = self.memorised(pictures);
        let frechet = match &self.features {
            Some((classifier, reference)) => Some(Gaussian::new(&classifier.features(pictures)?)?.distance(reference)),
            None => None,
        };
        let split = |group: fn(Combinations) -> Group| -> Result<Split> {
            Ok(Split {
                trained: self.share(pictures, group(Combinations::Trained))?,
                held_out: self.share(pictures, group(Combinations::HeldOut))?,
            })
        };
        Ok(Measured {
            top_1,
            top_5,
            colour: split(Group::Colour)?,
            background: split(Group::Background)?,
            count: split(Group::Count)?,
            frechet,
            nearest_training,
            nearer_training,
        })
    }

    fn retrieval(&self, pictures: &[Picture]) -> Result<(Option<f64>, Option<f64>)> {
        let mut ranks = Vec::new();
        for (question, picture) in self.questions.iter().zip(pictures).filter(|(q, _)| q.group == Group::Plain) {
            let distances = self.gallery.distances(picture, Distance::HEADLINE);
            ranks.push(rank(&distances, self.stickers.concept(&question.scene.concepts[0])?, 0..distances.len()));
        }
        let within = |k: usize| ranks.iter().filter(|rank| **rank <= k).count() as f64 / ranks.len() as f64;
        Ok(if ranks.is_empty() { (None, None) } else { (Some(within(1)), Some(within(5))) })
    }

    /// Share of the pictures of a group that show what was asked.
    fn share(&self, pictures: &[Picture], group: Group) -> Result<Option<f64>> {
        let (mut hits, mut of) = (0usize, 0usize);
        for (question, picture) in self.questions.iter().zip(pictures).filter(|(q, _)| q.group == group) {
            let scene = &question.scene;
            let asked = |colour: &'_ Option<String>| colour.clone().unwrap_or_default();
            let hit = match group {
                Group::Colour(_) => self.judge.shows_colour(picture, &asked(&scene.colour))?,
                Group::Background(_) => self.judge.shows_background(picture, &asked(&scene.background))?,
                _ => count_of(picture) == scene.count,
            };
            (hits, of) = (hits + usize::from(hit), of + 1);
        }
        Ok((of > 0).then(|| hits as f64 / of as f64))
    }

    fn memorised(&self, pictures: &[Picture]) -> (Option<f64>, Option<f64>) {
        if self.memory.is_empty() {
            return (None, None);
        }
        let held_out = |question: &Question| question.group.combinations() == Some(Combinations::HeldOut);
        let (mut distances, mut nearer) = (Vec::new(), 0usize);
        for ((question, picture), truth) in self.questions.iter().zip(pictures).zip(self.truth) {
            if held_out(question) {
                let distance = self.memory.distance(picture);
                nearer += usize::from(distance < Memory::between(picture, truth));
                distances.push(distance);
            }
        }
        let share = (!distances.is_empty()).then(|| nearer as f64 / distances.len() as f64);
        (median(&distances), share)
    }
}

#[cfg(test)]
mod tests {
    use super::super::questions::questions;
    use super::*;
    use crate::dataset::{Recipe, testing};

    /// Sixty questions to the test glyphs under the shipped palette.
    fn asked() -> (Stickers, Vec<Question>, Vec<Picture>) {
        let mut stickers = testing::stickers();
        let text = include_str!("../../../recipes/stickers-v0.json");
        stickers.recipe.palette = Recipe::from_json(text, "stickers-v0.json").unwrap().palette;
        let asked = questions(&stickers, 3, 60).unwrap();
        let truth = asked.iter().map(|q| stickers.render(&q.scene, 32).unwrap()).collect();
        (stickers, asked, truth)
    }

    #[test]
    fn the_truth_is_right_and_other_pictures_are_not() {
        let (stickers, asked, truth) = asked();
        let copies = Memory::new([truth[0].clone()]);
        let measure = Measure::new(&stickers, (&asked, &truth), (None, &[]), copies, 32).unwrap();
        let right = measure.of(&truth).unwrap();
        let all = Split { trained: Some(1.0), held_out: Some(1.0) };
        assert_eq!((right.top_1, right.top_5, right.frechet), (Some(1.0), Some(1.0), None));
        assert_eq!((right.colour, right.background, right.count), (all, all, all));
        assert!(right.nearest_training > Some(1.0) && right.nearer_training == Some(0.0), "{right:?}");
        // One training picture for everything: nothing is as asked, and all is nearest to training.
        let wrong: Vec<Picture> = truth.iter().map(|_| truth[0].clone()).collect();
        let wrong = measure.of(&wrong).unwrap();
        assert!(wrong.top_1 < Some(0.5) && wrong.count.trained == Some(0.0), "{wrong:?}");
        assert_eq!((wrong.background.held_out, wrong.nearest_training), (Some(0.0), Some(0.0)));
        assert_eq!(wrong.nearer_training, Some(1.0));
    }

    #[test]
    fn nothing_asked_is_no_share() {
        let (stickers, asked, truth) = asked();
        let plain = asked.iter().filter(|q| q.group == Group::Plain).count();
        let (few, pictures) = (&asked[..plain], &truth[..plain]);
        let measure = Measure::new(&stickers, (few, pictures), (None, &[]), Memory::new([]), 32).unwrap();
        let counted = measure.of(pictures).unwrap();
        assert_eq!((counted.top_1, counted.colour, counted.nearest_training), (Some(1.0), Split::default(), None));
    }
}
