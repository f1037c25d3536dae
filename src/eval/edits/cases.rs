//! Edits whose true result the dataset's programs know.
//!
//! Input and result are combinations that training never saw: of a thing with its colour, or with its background, which then stays.
//! Half of all edits are set aside, so that settings can be chosen by the others.

use serde::Serialize;

use crate::dataset::{Check, Colour, Facing, Kind, Scene, Size, Stickers, Style};
use crate::eval::prompts::shuffled;
use crate::{Error, Result};

/// What an edit changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// "a red fox" to "a blue fox".
    Colour,
    /// "a fox on a red background" to "a fox on a blue background".
    Background,
    /// "a fox" to "two foxes" or "three foxes".
    Count,
    /// "a fox" to "a small fox".
    Size,
    /// "a fox facing left" to "a fox facing right".
    Facing,
    /// "a fox" to a black-and-white one, or to pixel art.
    Style,
    /// "a fox" to "an owl", in the same place.
    Thing,
}

impl Change {
    /// Those of recipes with alpha.
    pub const ALL: [Self; 7] =
        [Self::Colour, Self::Background, Self::Count, Self::Size, Self::Facing, Self::Style, Self::Thing];
    /// Those whose result a program can tell in recipes without alpha.
    const OPAQUE: [Self; 2] = [Self::Colour, Self::Background];

    /// Those that the recipe's judges can tell.
    pub fn of(stickers: &Stickers) -> &'static [Self] {
        if stickers.recipe.alpha { &Self::ALL } else { &Self::OPAQUE }
    }

    /// For tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Colour => "colour",
            Self::Background => "background",
            Self::Count => "count",
            Self::Size => "size",
            Self::Facing => "flip",
            Self::Style => "style",
            Self::Thing => "another thing",
        }
    }

    /// By which it is seen.
    pub(super) fn check(self) -> Check {
        match self {
            Self::Colour => Check::Colour,
            Self::Background => Check::Background,
            Self::Count => Check::Count,
            Self::Size => Check::Size,
            Self::Facing => Check::Facing,
            Self::Style => Check::Style,
            Self::Thing => Check::Thing,
        }
    }
}

/// An edit with its truth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// What changes.
    pub change: Change,
    /// What the picture shows.
    pub from: Scene,
    /// What it should show.
    pub to: Scene,
    /// Whether both pictures are mirrored, in recipes without alpha: training never showed most things so, and a model that
    /// redraws its own picture of the thing is told from one that edits this one.
    pub mirrored: bool,
    /// Whether it belongs to the half that is set aside.
    pub set_aside: bool,
}

/// The first `count` edits of a half, as many of each change as of the others.
///
/// # Errors
/// [`Error::Request`] when the recipe holds out too few combinations.
pub fn cases(stickers: &Stickers, seed: u64, count: usize, set_aside: bool) -> Result<Vec<Case>> {
    let changes = Change::of(stickers);
    let each = count.div_ceil(changes.len());
    let mut found = Vec::new();
    for &change in changes {
        // Four in a row: both halves, as they are and mirrored.
        let all = pairs(stickers, seed, change).into_iter().enumerate().map(|(i, (from, to))| Case {
            change,
            from,
            to,
            mirrored: !stickers.recipe.alpha && i % 2 == 1,
            set_aside: i / 2 % 2 == 1,
        });
        let of_half: Vec<Case> = all.filter(|case| case.set_aside == set_aside).take(each).collect();
        if of_half.len() < each {
            let (label, found) = (change.label(), of_half.len());
            let reason =
                format!("{count} edits, {each} of a kind: the recipe holds out {found} for {label} in this half");
            return Err(Error::Request(reason));
        }
        found.extend(of_half);
    }
    Ok(found)
}

/// What pictures show and should show, of each thing that has held-out combinations, in an order that depends on the seed alone.
fn pairs(stickers: &Stickers, seed: u64, change: Change) -> Vec<(Scene, Scene)> {
    let order = shuffled(stickers.names.len(), seed);
    let name = |at: usize| &stickers.names[order[at % order.len()]];
    let of_thing = |at: usize| -> Vec<(Scene, Scene)> {
        match change {
            Change::Colour => turns(&held_out(stickers, name(at), true)),
            Change::Background => turns(&held_out(stickers, name(at), false)),
            Change::Thing => swapped(stickers, (name(at), name(at + 1))),
            _ => held_out(stickers, name(at), false)
                .into_iter()
                .enumerate()
                .filter_map(|(i, scene)| changed(stickers, change, scene, at + i))
                .collect(),
        }
    };
    (0..order.len()).flat_map(of_thing).collect()
}

/// The thing in each colour, or on each background, that training did not see it with.
fn held_out(stickers: &Stickers, name: &str, coloured: bool) -> Vec<Scene> {
    if coloured && !stickers.suits(name).is_none_or(|suits| suits.colour) {
        return Vec::new();
    }
    let scene = |colour: &Colour| {
        let (plain, said) = (Scene::plain(name), Some(colour.name.clone()));
        match coloured {
            true => Scene { kind: Kind::Recolour, colour: said, ..plain },
            false => Scene { kind: Kind::Background, background: said, ..plain },
        }
    };
    let drawn = |colour: &&Colour| match coloured {
        true => colour.glyph.is_some(),
        false => colour.background.is_some() && colour.name != "white",
    };
    let all = stickers.recipe.palette.iter().filter(drawn).map(scene);
    all.filter(|scene| stickers.is_held_out(scene)).collect()
}

/// Each becomes the next.
fn turns(scenes: &[Scene]) -> Vec<(Scene, Scene)> {
    match scenes.len() {
        0 | 1 => Vec::new(),
        n => (0..n).map(|i| (scenes[i].clone(), scenes[(i + 1) % n].clone())).collect(),
    }
}

/// The first thing becomes the second, on backgrounds that training saw neither with.
fn swapped(stickers: &Stickers, (from, to): (&str, &str)) -> Vec<(Scene, Scene)> {
    let swap = |scene: Scene| (scene.clone(), Scene { concepts: vec![to.to_owned()], ..scene });
    held_out(stickers, from, false).into_iter().map(swap).filter(|(_, to)| stickers.is_held_out(to)).collect()
}

/// The scene and what it becomes, where the thing suits that; `i` chooses between several.
fn changed(stickers: &Stickers, change: Change, mut from: Scene, i: usize) -> Option<(Scene, Scene)> {
    let mut to = from.clone();
    match change {
        Change::Count => (to.kind, to.count) = (Kind::Count, 2 + i % 2),
        Change::Size => (to.kind, to.size) = (Kind::Size, Some(Size::Small)),
        Change::Style => {
            (to.kind, to.style) = (Kind::Style, Some([Style::BlackAndWhite, Style::PixelArt][i % 2]));
        }
        Change::Facing => {
            stickers.suits(&from.concepts[0]).filter(|suits| suits.faces_left)?;
            (from.kind, to.kind) = (Kind::Facing, Kind::Facing);
            (from.more.facing, to.more.facing) = (Some(Facing::Left), Some(Facing::Right));
        }
        Change::Colour | Change::Background | Change::Thing => return None,
    }
    Some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{testing, testing_open};

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
                assert_eq!(case.to.colour.is_some(), case.change == Change::Colour);
            }
            assert_eq!(cases.iter().filter(|case| case.mirrored).count(), 4);
        }
        assert!(ours.iter().all(|case| aside.iter().all(|other| (&other.from, &other.to) != (&case.from, &case.to))));
        assert!(cases(&stickers, 3, 10_000, false).unwrap_err().to_string().contains("10000 edits"));
    }

    #[test]
    fn with_alpha_every_change_can_be_drawn_and_said() {
        let mut stickers = testing_open::stickers();
        stickers.recipe.held_out = 1.0;
        let all = cases(&stickers, 1, 14, false).unwrap();
        for change in Change::ALL {
            let of_change: Vec<&Case> = all.iter().filter(|case| case.change == change).collect();
            assert_eq!(of_change.len(), 2, "{change:?}");
            for Case { from, to, mirrored, .. } in of_change {
                let said = |scene| stickers.caption(scene).unwrap();
                assert!(said(from) != said(to) && !mirrored, "{change:?}: {}", said(from));
                assert!(stickers.render(from, 48).unwrap() != stickers.render(to, 48).unwrap(), "{}", said(to));
                assert!(stickers.is_held_out(from) && stickers.is_held_out(to));
            }
        }
    }
}
