//! Repeated halving of the number of steps: Salimans & Ho (2022), algorithm 2, with the guidance scale and the negative
//! prompt as inputs (stage two of Meng et al., 2022, section 3.2).
//!
//! The student of N steps starts as a copy of its teacher and learns to arrive in one step where the teacher of 2 N
//! steps arrives in two. Then it becomes the teacher.

use std::path::{Path, PathBuf};

use burn::tensor::Tensor;

use super::config::{DistillConfig, Weighting};
use super::data::DistillBatch;
use super::folder::ModelFolder;
use super::rotation::{Grid, ddim_step, velocity_between};
use super::run::{self, Bench, guidance_width};
use crate::Result;
use crate::picture::Picture;
use crate::train::checkpoint::{self, Position};
use crate::train::model::DiffusionModel;
use crate::train::run::{Outcome, Settings, Stage, run_stage};
use crate::train::samples::Samples;
use crate::train::task::Task;

/// Distils the guidance-distilled model in `first_teacher` to ever fewer steps, or resumes, in `settings.folder`;
/// writes `student-N/` there for each number of steps N.
///
/// # Errors
/// Those of reading the teacher and the pack, of saving, and [`crate::Error::Diverged`].
pub fn distill(config: &DistillConfig, first_teacher: &Path, settings: &Settings) -> Result<Outcome> {
    let stages = &config.progressive.stages;
    let left = |folder: &Path, index: usize| match index {
        0 => first_teacher.to_owned(),
        _ => student_folder(folder, stages[index - 1].steps),
    };
    let (mut index, mut step) = match checkpoint::position(&settings.folder)? {
        Some(position) => (position.stage as usize, position.step - position.stage_step),
        None => (0, 0),
    };
    let mut outcome = Outcome::Finished;
    while index < stages.len() && outcome == Outcome::Finished {
        let beginning = Position { step, stage: index as u32, stage_step: 0 };
        outcome = climb(config, &left(&settings.folder, index), beginning, settings)?;
        step += stages[index].updates;
        index += 1;
    }
    Ok(outcome)
}

/// The folder of the student of `steps` steps.
pub fn student_folder(run: &Path, steps: usize) -> PathBuf {
    run.join(format!("student-{steps}"))
}

/// Trains one student.
fn climb(config: &DistillConfig, teacher: &Path, beginning: Position, settings: &Settings) -> Result<Outcome> {
    let stage = config.progressive.stages[beginning.stage as usize];
    let training = &config.progressive.training;
    let all_steps = config.progressive.stages.iter().map(|stage| stage.updates).sum();
    let teacher = ModelFolder::read(teacher, &settings.device)?;
    let bench = Bench::open(config, &teacher, settings)?;
    let student = ModelFolder::read(&teacher.folder, &bench.device)?;
    let state = run::state(&settings.folder, student.model.clone(), training, beginning)?;
    let mut batches = bench.batches(config, training, &teacher, settings, state.position.step)?;
    let task = ProgressiveTask {
        grid: Grid::new(&teacher.scheduler, &bench.schedule, 2 * stage.steps)?,
        samples: bench.samples(config, training, &student, stage.steps, settings),
        weighting: config.progressive.weighting,
        width: guidance_width(&teacher)?,
        teacher,
        bench,
    };
    let title = format!("{} steps", stage.steps);
    let run = Stage { training, steps: stage.updates, all_steps, title: &title };
    let (state, outcome) = run_stage(state, &task, &mut batches, &run, settings)?;
    if outcome == Outcome::Finished {
        student.export(&student_folder(&settings.folder, stage.steps), &state.average, &task.bench.encoder)?;
    }
    Ok(outcome)
}

struct ProgressiveTask {
    bench: Bench,
    teacher: ModelFolder,
    /// The teacher's grid; each of the student's steps is a pair of its steps.
    grid: Grid,
    weighting: Weighting,
    /// Number of the guidance scale's sinusoids.
    width: usize,
    samples: Samples,
}

impl Task<DiffusionModel> for ProgressiveTask {
    type Batch = DistillBatch;

    fn loss(&self, student: &DiffusionModel, batch: &DistillBatch) -> Result<Tensor<1>> {
        let inputs = self.bench.inputs(batch);
        let pairs = self.grid.steps() / 2;
        let starts: Vec<usize> = batch.place.iter().map(|place| 2 * (*place as usize % pairs)).collect();
        let after = |k: usize| self.grid.at(&starts.iter().map(|start| start + k).collect::<Vec<_>>());
        let ((t, here), (t_middle, middle), (_, end)) = (after(0), after(1), after(2));

        let z = inputs.noisy(&self.bench.schedule, &t.iter().map(|t| *t as usize).collect::<Vec<_>>())?;
        let target = {
            let teacher = &self.teacher.model;
            let (context, scale) = inputs.conditions(teacher, self.width, &z.device());
            let v = teacher.unet.forward(z.clone(), &t, context.clone(), &scale);
            let z_middle = ddim_step(z.clone(), v, &here, &middle)?;
            let v = teacher.unet.forward(z_middle.clone(), &t_middle, context, &scale);
            let z_end = ddim_step(z_middle, v, &middle, &end)?;
            velocity_between(z.clone(), z_end, &here, &end)?
        };
        let (context, scale) = inputs.conditions(student, self.width, &self.bench.device);
        let v = student.unet.forward(z.autodiff(), &t, context, &scale);
        Ok(run::loss(v, target.autodiff(), &here, self.weighting))
    }

    fn sheet(&self, average: &DiffusionModel) -> Result<Picture> {
        self.samples.draw(average)
    }
}
