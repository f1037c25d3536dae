//! Progressive distillation: a student learns to go as far in one step as its teacher goes in two.
//!
//! Sources: Salimans and Ho, "Progressive distillation", 2022, algorithm 2; Meng et al., "On distillation of guided
//! diffusion models", 2023, section 3.1 (the first student also learns the guidance).

use std::f32::consts::FRAC_PI_2;

use super::diffusion::{Guidance, Model, noised, rotate};
use super::points::{Cloud, Label, normal_points};
use crate::random::{Generator, stream};
use crate::{Error, Result};

/// One round: a teacher of 2n steps and its student of n.
pub struct Distillation {
    teacher: Model,
    student: Model,
    steps: usize,
    scale: f32,
}

impl Distillation {
    /// A student for half of the `teacher_steps`, which starts as a copy of its teacher. The teacher predicts with
    /// guidance of `scale`. A student that learned from it contains the guidance, so as a teacher it has scale 1.
    ///
    /// # Errors
    /// [`Error::Request`] for an odd number of steps or fewer than 2, or a scale that is not finite.
    pub fn new(teacher: &Model, teacher_steps: usize, scale: f32) -> Result<Self> {
        if teacher_steps < 2 || !teacher_steps.is_multiple_of(2) {
            return Err(Error::Request(format!("{teacher_steps} steps cannot be halved")));
        }
        if !scale.is_finite() {
            return Err(Error::Request(format!("guidance of {scale}")));
        }
        let steps = teacher_steps / 2;
        let student = teacher.fresh_copy(teacher.seed().wrapping_add(steps as u64));
        Ok(Self { teacher: teacher.clone(), student, steps, scale })
    }

    /// The steps that the student takes.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The student as it is now.
    pub fn student(&self) -> &Model {
        &self.student
    }

    // cell: distill-step
    /// One step of the student's training on `batch` points.
    ///
    /// # Errors
    /// [`Error::Request`] if the loss is no longer a number, because the rate is too high.
    pub fn train_step(&mut self, cloud: &Cloud, batch: usize, rate: f32) -> Result<f64> {
        let mut generator = stream(self.student.seed(), "distillation", self.student.steps());
        let (points, shown) = cloud.draw(&mut generator, batch);
        let noise = normal_points(&mut generator, batch);
        // The student only needs to learn the angles that it visits when it samples.
        let back = FRAC_PI_2 / self.steps as f32;
        let angle = back * (1.0 + (generator.rand(1)[0] * self.steps as f32).floor());
        let (mut rows, mut wanted) = (vec![], vec![]);
        for label in [Label::None, Label::A, Label::B] {
            let mine = |i: &usize| shown[*i] == label;
            let start: Vec<_> = (0..batch).filter(mine).map(|i| noised(points[i], noise[i], angle)).collect();
            let guidance = Guidance { label, scale: self.scale };
            wanted.extend(two_steps(&self.teacher, &start, angle, back, guidance));
            rows.extend(start.into_iter().map(|x| (x, angle, label)));
        }
        self.student.learn(&rows, &wanted, rate)
    }
    // end
}

// cell: distill-target
/// The v with which one step of `back` arrives where the teacher arrives in two steps of half of it:
/// cos(back) x - sin(back) v = x'', solved for v.
pub fn two_steps(teacher: &Model, start: &[[f32; 2]], angle: f32, back: f32, guidance: Guidance) -> Vec<[f32; 2]> {
    let half = back / 2.0;
    let step = |points: &[[f32; 2]], angle| -> Vec<[f32; 2]> {
        let v = teacher.guided(points, angle, guidance);
        points.iter().zip(v).map(|(&x, v)| rotate(x, v, half)).collect()
    };
    let arrived = step(&step(start, angle), angle - half);
    let (sin, cos) = back.sin_cos();
    start.iter().zip(arrived).map(|(x, end)| [0, 1].map(|i| (cos * x[i] - end[i]) / sin)).collect()
}
// end

#[cfg(test)]
mod tests {
    use super::super::{Shape, energy_distance, normal_points, sample};
    use super::*;

    #[test]
    fn the_target_leads_to_the_teachers_place() {
        let teacher = Model::new(2);
        let start = [[0.3, -0.8], [1.5, 0.2]];
        let guidance = Guidance { label: Label::A, scale: 2.0 };
        let (angle, back) = (1.0, 0.4);
        let v = two_steps(&teacher, &start, angle, back, guidance);
        let step = |points: &[[f32; 2]], angle| -> Vec<[f32; 2]> {
            let v = teacher.guided(points, angle, guidance);
            points.iter().zip(v).map(|(&x, v)| rotate(x, v, 0.2)).collect()
        };
        let expected = step(&step(&start, 1.0), 0.8);
        for ((x, v), expected) in start.iter().zip(v).zip(expected) {
            let found = rotate(*x, v, back);
            assert!((0..2).all(|i| (found[i] - expected[i]).abs() < 1e-5), "{found:?} {expected:?}");
        }
    }

    #[test]
    fn four_steps_of_the_student_beat_four_of_the_teacher() {
        let cloud = Cloud::made(Shape::Moons, 600, 1).expect("many points");
        let mut teacher = Model::new(1);
        for _ in 0..800 {
            teacher.train_step(&cloud, 128, 0.003).expect("sound");
        }
        let mut student = teacher.clone();
        for steps in [16, 8] {
            let mut round = Distillation::new(&student, steps, 1.0).expect("even");
            for _ in 0..400 {
                round.train_step(&cloud, 128, 0.002).expect("sound");
            }
            assert_eq!(round.steps(), steps / 2);
            student = round.student().clone();
        }
        let noise = normal_points(&mut stream(1, "noise", 0), 300);
        let guidance = Guidance { label: Label::A, scale: 1.0 };
        let made = |model: &Model, steps| sample(model, &noise, steps, guidance).pop().expect("the end");
        let wanted = made(&teacher, 16);
        let far = |points: &[[f32; 2]]| -> f32 {
            points.iter().zip(&wanted).map(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1])).sum::<f32>() / 300.0
        };
        let (of_student, of_teacher) = (far(&made(&student, 4)), far(&made(&teacher, 4)));
        assert!(of_student < 0.6 * of_teacher, "mean distance from 16 steps: {of_student}, teacher {of_teacher}");
        assert!(energy_distance(&made(&student, 4), &cloud.of(Label::A)) < 0.1);
    }

    #[test]
    fn odd_rounds_are_refused() {
        let model = Model::new(1);
        for steps in [0, 1, 7] {
            let trouble = Distillation::new(&model, steps, 1.0).err().expect("refused");
            assert!(trouble.to_string().contains("cannot be halved"));
        }
        assert!(Distillation::new(&model, 4, f32::NAN).is_err());
    }
}
