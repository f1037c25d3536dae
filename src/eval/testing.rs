//! Tests of the comparisons from end to end, with a model of 16 pixels as teacher and as its own student.

use burn::tensor::Device;

use super::compare::EQUAL_DB;
use super::guidance::{self, Pair, Wording};
use super::steps::{self, Entry};
use super::store::{Model, Store};
use crate::dataset::{Pack, Recipe, Stickers};
use crate::train::classifier::Classifier;
use crate::train::testing::small;

#[test]
fn a_model_is_compared_with_itself_over_steps_and_guidance() {
    let folder = tempfile::tempdir().unwrap();
    let made = small(folder.path());
    let recipe = Recipe::read(&made.recipe).unwrap();
    let stickers = Stickers::new(Pack::read(&made.pack, recipe.size).unwrap(), recipe).unwrap();
    let classifier = Classifier::read(&made.classifier, &Device::flex()).unwrap();
    let load = |name| Model::load(name, &made.model, &Device::flex()).unwrap();
    let models = [load("teacher"), load("student")];
    let store = Store::open(folder.path(), "cpu", 8).unwrap();
    over_steps(&models, (&stickers, &classifier), &store);
    over_guidance(&models, &stickers, &store);
}

fn over_steps(models: &[Model], (stickers, classifier): (&Stickers, &Classifier), store: &Store) {
    let entry = |line: &str, model, sampler: Option<&str>, steps: &[usize]| Entry {
        line: line.into(),
        model,
        sampler: sampler.map(str::to_owned),
        steps: steps.to_vec(),
    };
    let entries = [
        entry("teacher", 0, None, &[1, 3]),
        entry("teacher, dpmpp_2m", 0, Some("dpmpp_2m"), &[2]),
        entry("student", 1, None, &[3]),
    ];
    let settings = steps::Settings {
        pictures: 12,
        guidance_scale: 2.0,
        reference_steps: 3,
        size: 16,
        seed: 5,
        training_pictures: 20,
        training_seed: 1,
        timing_rounds: 1,
        batch: 8,
    };
    let compared = |entries: &[Entry]| {
        let mut drew = Vec::new();
        let mut progress = |what: &str, _: usize, _: usize| {
            if what.ends_with(" steps") && drew.last().is_none_or(|last: &String| last != what) {
                drew.push(what.to_owned());
            }
        };
        let done = steps::compare((models, entries), (stickers, Some(classifier)), &settings, store, &mut progress);
        (done, drew)
    };
    let (first, drew) = compared(&entries);
    let first = first.unwrap();
    assert_eq!(drew, ["teacher, 3 steps", "teacher, 1 steps", "teacher, dpmpp_2m, 2 steps", "student, 3 steps"]);
    let points = &first.report.points;
    // Classifier-free guidance evaluates twice a step.
    assert_eq!(points.iter().map(|point| point.evaluations).collect::<Vec<_>>(), [2.0, 6.0, 4.0, 6.0]);
    assert!(points[1].near.is_none() && points[0].near.unwrap().mean_psnr_db < 60.0);
    assert_eq!(points[3].near.unwrap().mean_psnr_db, EQUAL_DB);
    assert!(points.iter().all(|point| point.measured.frechet.is_some() && point.time.is_some()));
    assert_eq!((first.report.truth.top_1, first.report.truth.count.trained), (Some(1.0), Some(1.0)));
    // An added line is drawn alone, and the numbers of the others stay the same.
    let more = [&entries[..], &[entry("student", 1, None, &[2])]].concat();
    let (second, drew) = compared(&more);
    assert_eq!(drew, ["student, 2 steps"]);
    for (a, b) in points.iter().zip(&second.unwrap().report.points) {
        assert_eq!((&a.measured, a.near), (&b.measured, b.near));
    }
    let twice = [&entries[..], &[entry("student", 0, None, &[3])]].concat();
    let message = compared(&twice).0.map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("student draws 3 steps twice"), "{message}");
}

fn over_guidance(models: &[Model], stickers: &Stickers, store: &Store) {
    let pair = Pair { teacher: &models[0], student: &models[1], student_sampler: None };
    let settings = guidance::Settings {
        pictures: 12,
        scales: vec![1.0, 3.0],
        teacher_steps: 3,
        student_steps: 3,
        guidance_scale: 2.0,
        cases: 2,
        other_cases: 1,
        size: 16,
        seed: 5,
    };
    let rows = guidance::agreement(&pair, stickers, &settings, store, &mut |_, _, _| ()).unwrap();
    assert!(rows.iter().all(|row| row.student_db == EQUAL_DB && row.few_db == EQUAL_DB));
    assert_eq!((rows[0].teacher.moved, rows.len()), (0.0, 2));
    assert!(rows[1].teacher.moved > 0.0 && rows[1].teacher.moved == rows[1].student.moved);
    let negatives = guidance::negatives(&pair, stickers, &settings, store, &mut |_, _, _| ()).unwrap();
    assert_eq!(negatives.len(), 2 * Wording::ALL.len());
    for negative in &negatives {
        assert!(negative.cases.len() <= 2 && negative.candidates <= 8, "{negative:?}");
        assert!(negative.cases.iter().all(|case| case.instead.as_ref() != Some(&case.colour)));
    }
}
