//! The judges' verdicts on the dataset's own pictures, and on the pictures of other captions. The first are the best
//! that a model can reach; the second are what a model reaches that ignores its prompt.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use super::sample::{Split, Stickers};
use super::scene::{Kind, Scene};
use super::verdict::{Check, Judge};
use crate::error::Result;

/// The judges' verdicts on one kind of scenes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Scores {
    /// Number of scenes.
    pub scenes: usize,
    /// Share whose own picture passes every check.
    pub own: f64,
    /// Share that the picture of another scene of the kind passes.
    pub chance: f64,
    /// The same for each check, among the scenes that it applies to: own, chance.
    pub checks: BTreeMap<Check, (f64, f64)>,
}

/// A scene whose own picture was not recognised.
#[derive(Clone, Debug)]
pub struct Missed {
    /// What was drawn.
    pub scene: Scene,
    /// The checks that it did not pass.
    pub checks: Vec<Check>,
    /// For a plain thing: the nearest thing, and how much nearer it is (as a share of the asked one's distance).
    pub nearest: Option<(String, f32)>,
}

/// Judges samples 0..`count` of a split, with sides of `size` pixels, against their own scenes and against the next
/// scene of the same kind.
///
/// # Errors
/// Those of sampling, drawing and judging.
pub fn scores(
    stickers: &Stickers,
    (seed, split): (u64, Split),
    (count, size): (usize, usize),
) -> Result<(BTreeMap<Kind, Scores>, Vec<Missed>)> {
    let judge = Judge::new(stickers)?;
    let mut by_kind: BTreeMap<Kind, Vec<Scene>> = BTreeMap::new();
    for i in 0..count {
        let scene = stickers.sample(seed, split, i as u64)?;
        by_kind.entry(scene.kind).or_default().push(scene);
    }
    let (mut all, mut missed) = (BTreeMap::new(), Vec::new());
    for (kind, scenes) in by_kind {
        let judged = scenes.par_iter().enumerate().map(|(i, scene)| -> Result<_> {
            let own = judge.judge(scene, &stickers.render_layer(scene, size)?)?;
            let other = &scenes[(i + 1) % scenes.len()];
            Ok((own, judge.judge(scene, &stickers.render_layer(other, size)?)?))
        });
        let judged = judged.collect::<Result<Vec<_>>>()?;
        let mut scores = Scores { scenes: scenes.len(), ..Scores::default() };
        let one = 1.0 / scenes.len() as f64;
        let mut sums: BTreeMap<Check, [f64; 3]> = BTreeMap::new();
        for ((own, other), scene) in judged.iter().zip(&scenes) {
            let wrong = own.iter().filter(|(_, right)| !right).map(|(check, _)| *check).collect::<Vec<_>>();
            scores.own += if wrong.is_empty() { one } else { 0.0 };
            scores.chance += if other.iter().all(|(_, right)| *right) { one } else { 0.0 };
            if !wrong.is_empty() {
                let nearest = nearest(stickers, &judge, scene, size)?;
                missed.push(Missed { scene: scene.clone(), checks: wrong, nearest });
            }
            for (check, own_right) in own {
                let sums = sums.entry(*check).or_insert([0.0; 3]);
                let other_right = other.iter().any(|(other, right)| other == check && *right);
                let passed = [true, *own_right, other_right];
                sums.iter_mut().zip(passed).for_each(|(sum, passed)| *sum += f64::from(u8::from(passed)));
            }
        }
        scores.checks = sums.into_iter().map(|(check, [of, own, other])| (check, (own / of, other / of))).collect();
        all.insert(kind, scores);
    }
    Ok((all, missed))
}

/// For a picture of one thing without attributes: the nearest thing, and its distance as a share of the asked one's.
fn nearest(stickers: &Stickers, judge: &Judge, scene: &Scene, size: usize) -> Result<Option<(String, f32)>> {
    let kinds = [Kind::Plain, Kind::Background, Kind::Recolour, Kind::RecolourBackground, Kind::Size, Kind::Spot];
    if ![&kinds[..], &[Kind::Artist]].concat().contains(&scene.kind) {
        return Ok(None);
    }
    let near = judge.nearest_things(&stickers.render_layer(scene, size)?, scene.colour.as_deref())?;
    let own = near.iter().find(|(name, _)| stickers.names[*name] == scene.concepts[0]);
    Ok(near.first().zip(own).map(|((name, least), (_, own))| (stickers.names[*name].clone(), least / own)))
}
