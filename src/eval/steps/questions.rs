//! The prompts that every model draws in a comparison, from the same noise.

use serde::{Deserialize, Serialize};

use super::super::Combinations;
use super::super::prompts::{scenes, shuffled};
use super::super::store::Ask;
use crate::Result;
use crate::dataset::{Kind, Scene, Stickers, caption};
use crate::random;

/// The property that a question checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// "a fox": which glyph is nearest?
    Plain,
    /// "a green fox": is it green?
    Colour(Combinations),
    /// "a fox on a blue background": is the border blue?
    Background(Combinations),
    /// "three foxes": are there three? Held-out ones are on a background that the concept never had in training.
    Count(Combinations),
    /// Pairs, sizes, rotations, styles: only part of comparisons of whole sets.
    Other,
}

/// One prompt with its true scene.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The property to check.
    pub group: Group,
    /// The scene to draw.
    pub scene: Scene,
    /// Prompt and seed.
    pub ask: Ask,
}

/// `count` questions, which depend only on `seed`: a tenth each ask for colours, backgrounds and counts, of trained and
/// of held-out combinations; 15 % are of other kinds; the rest are plain. Every caption has the plain wording and names
/// everything.
///
/// # Errors
/// [`crate::Error::Request`] if the recipe lacks such pictures.
pub fn questions(stickers: &Stickers, seed: u64, count: usize) -> Result<Vec<Question>> {
    use Combinations::{HeldOut, Trained};
    let (each, other) = (count / 10, count * 15 / 100);
    let mut chosen: Vec<(Group, Scene)> = Vec::with_capacity(count);
    let order = shuffled(stickers.names.len(), seed);
    let plain = count - 6 * each - other;
    chosen.extend((0..plain).map(|i| (Group::Plain, Scene::plain(&stickers.names[order[i % order.len()]]))));
    type GroupOf = fn(Combinations) -> Group;
    let groups: [(Kind, GroupOf); 3] =
        [(Kind::Recolour, Group::Colour), (Kind::Background, Group::Background), (Kind::Count, Group::Count)];
    for (kind, group) in groups {
        for combinations in [Trained, HeldOut] {
            let scenes = scenes(stickers, seed, (kind, combinations), each)?;
            chosen.extend(scenes.into_iter().map(|scene| (group(combinations), scene)));
        }
    }
    let kinds = [Kind::Pair, Kind::Size, Kind::Rotation, Kind::Style];
    for (i, kind) in kinds.into_iter().enumerate() {
        let share = other / kinds.len() + usize::from(i < other % kinds.len());
        let scenes = scenes(stickers, seed, (kind, Trained), share)?;
        chosen.extend(scenes.into_iter().map(|scene| (Group::Other, scene)));
    }
    let question = |(i, (group, scene)): (usize, (Group, Scene))| {
        let noise = random::stream(seed, "eval.noise", i as u64).next_u32().into();
        Question { group, ask: Ask::plain(&caption(&scene), noise), scene }
    };
    Ok(chosen.into_iter().enumerate().map(question).collect())
}

impl Group {
    /// The kind of combinations, for a group that has two kinds.
    pub fn combinations(self) -> Option<Combinations> {
        match self {
            Self::Colour(c) | Self::Background(c) | Self::Count(c) => Some(c),
            Self::Plain | Self::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::testing;

    #[test]
    fn shares_add_up_and_groups_are_what_they_say() {
        let stickers = testing::stickers();
        for count in [3, 24, 100] {
            let asked = questions(&stickers, 1, count).unwrap();
            assert_eq!(asked.len(), count);
            for question in &asked {
                let held_out = question.group.combinations() == Some(Combinations::HeldOut);
                assert_eq!(stickers.is_held_out(&question.scene), held_out, "{question:?}");
                let scene = &question.scene;
                match question.group {
                    Group::Plain => assert_eq!(*scene, Scene::plain(&scene.concepts[0])),
                    Group::Colour(_) => assert!(scene.colour.is_some()),
                    Group::Background(_) => assert!(scene.background.is_some()),
                    Group::Count(_) => assert!(scene.count > 1),
                    Group::Other => assert!(scene.colour.is_none() && scene.count == 1),
                }
                assert_eq!(question.ask.prompt, caption(scene));
            }
        }
        let all = questions(&stickers, 1, 100).unwrap();
        let of = |group| all.iter().filter(|q| q.group == group).count();
        assert_eq!([of(Group::Plain), of(Group::Other), of(Group::Count(Combinations::HeldOut))], [25, 15, 10]);
        assert_eq!(questions(&stickers, 1, 100).unwrap(), all);
        assert_ne!(questions(&stickers, 2, 100).unwrap(), all);
    }
}
