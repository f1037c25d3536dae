//! The prompts of an evaluation: plain concepts, other colours, backgrounds.

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::dataset::{Kind, Says, Scene, Split, Stickers, caption};
use crate::error::{Error, Result};
use crate::random;

/// The property that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// "a fox": is the nearest glyph a fox?
    Concept,
    /// "a green fox": is it green?
    Colour,
    /// "a fox on a blue background": is the border blue?
    Background,
}

/// Whether training could contain this concept with this colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combinations {
    /// Yes, training could contain it.
    Trained,
    /// No, the recipe keeps the combination out of training.
    HeldOut,
}

/// One prompt with the scene that it describes.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// What the model reads.
    pub text: String,
    /// What it should draw.
    pub scene: Scene,
    /// The property that is checked.
    pub asked: Asked,
    /// Whether the scene's combination could be in training.
    pub combinations: Combinations,
    /// Seed of the noise.
    pub seed: u64,
}

/// The prompts of an evaluation, all drawn from `settings.seed`: `settings.prompts` plain ones (each concept of the
/// recipe once in a shuffled order before any is repeated), then `settings.colour_prompts` that ask for a colour and as
/// many that ask for a background, half of each from held-out combinations. White backgrounds are not asked for,
/// because no background is white too.
///
/// # Errors
/// [`Error::Request`] if the recipe's mixture has no recoloured pictures or no backgrounds, or holds none out.
pub fn prompts(stickers: &Stickers, settings: &Settings) -> Result<Vec<Prompt>> {
    let mut chosen = Vec::new();
    let order = shuffled(stickers.names.len(), settings.seed);
    for i in 0..settings.prompts {
        chosen.push((Scene::plain(&stickers.names[order[i % order.len()]]), Asked::Concept, Combinations::Trained));
    }
    for (kind, asked) in [(Kind::Recolour, Asked::Colour), (Kind::Background, Asked::Background)] {
        let held_out = settings.colour_prompts / 2;
        let shares = [(Combinations::Trained, settings.colour_prompts - held_out), (Combinations::HeldOut, held_out)];
        for (combinations, count) in shares {
            let scenes = scenes(stickers, settings.seed, (kind, combinations), count)?;
            chosen.extend(scenes.into_iter().map(|scene| (scene, asked, combinations)));
        }
    }
    let prompt = |(i, (scene, asked, combinations)): (usize, (Scene, Asked, Combinations))| {
        let seed = random::stream(settings.seed, "eval.noise", i as u64).next_u32().into();
        Prompt { text: caption(&scene), scene, asked, combinations, seed }
    };
    Ok(chosen.into_iter().enumerate().map(prompt).collect())
}

/// The first `count` scenes of a kind, in the plain wording that names their colours.
pub(super) fn scenes(
    stickers: &Stickers,
    seed: u64,
    (kind, combinations): (Kind, Combinations),
    count: usize,
) -> Result<Vec<Scene>> {
    let split = match combinations {
        Combinations::Trained => Split::Train,
        Combinations::HeldOut => Split::HeldOut,
    };
    let mut found = Vec::with_capacity(count);
    let tries = 1000 * count as u64;
    for i in 0..tries {
        if found.len() == count {
            break;
        }
        let scene = stickers.sample(seed, split, i)?;
        if scene.kind == kind && scene.background.as_deref() != Some("white") {
            found.push(Scene { wording: 0, says: Says::All, ..scene });
        }
    }
    match found.len() == count {
        true => Ok(found),
        false => {
            let reason = format!(
                "the recipe gives {} scenes of kind {kind:?} ({combinations:?}) in {tries} draws, {count} are asked for",
                found.len()
            );
            Err(Error::Request(reason))
        }
    }
}

/// 0..n in an order that depends only on the seed (Fisher and Yates).
pub(super) fn shuffled(n: usize, seed: u64) -> Vec<usize> {
    let mut random = random::stream(seed, "eval.order", 0);
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, random.next_u32() as usize % (last + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::testing;

    fn settings(prompts: usize, colour_prompts: usize) -> Settings {
        Settings { prompts, colour_prompts, ..Settings::default() }
    }

    #[test]
    fn every_concept_comes_before_any_comes_again() {
        let stickers = testing::stickers();
        let asked = prompts(&stickers, &settings(10, 0)).unwrap();
        let texts = |range: std::ops::Range<usize>| {
            let mut texts: Vec<&str> = asked[range].iter().map(|prompt| prompt.text.as_str()).collect();
            texts.sort_unstable();
            texts
        };
        assert_eq!(texts(0..5), ["a bat", "a fox", "a pizza", "a sheep", "grapes"]);
        assert_eq!(texts(0..5), texts(5..10));
        assert_ne!(asked[0].seed, asked[5].seed);
        assert_eq!(prompts(&stickers, &settings(10, 0)).unwrap(), asked);
    }

    #[test]
    fn colours_come_half_from_held_out_combinations() {
        let stickers = testing::stickers();
        let asked = prompts(&stickers, &settings(0, 20)).unwrap();
        for (asked_for, combinations) in [
            (Asked::Colour, Combinations::Trained),
            (Asked::Colour, Combinations::HeldOut),
            (Asked::Background, Combinations::Trained),
            (Asked::Background, Combinations::HeldOut),
        ] {
            let these: Vec<&Prompt> =
                asked.iter().filter(|p| (p.asked, p.combinations) == (asked_for, combinations)).collect();
            assert_eq!(these.len(), 10);
            for prompt in these {
                assert_eq!(stickers.is_held_out(&prompt.scene), combinations == Combinations::HeldOut);
                assert_eq!(prompt.scene.colour.is_some(), asked_for == Asked::Colour);
                assert_eq!(prompt.scene.background.is_some(), asked_for == Asked::Background);
                assert_ne!(prompt.scene.background.as_deref(), Some("white"));
            }
        }
    }

    #[test]
    fn a_recipe_without_such_pictures_is_refused() {
        let mut stickers = testing::stickers();
        stickers.recipe.mixture.remove(&Kind::Recolour);
        let message = prompts(&stickers, &settings(0, 2)).unwrap_err().to_string();
        assert!(message.contains("Recolour"), "{message}");
        assert!(prompts(&stickers, &settings(3, 0)).is_ok());
    }
}
