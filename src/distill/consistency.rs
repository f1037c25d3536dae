//! Multistep consistency: Heek et al. (2024), algorithm 1 with a teacher; guidance scale and negative prompt are
//! inputs.
//!
//! The path from noise to picture is divided into segments. At any point of a segment, the student learns to predict
//! the same end point that it predicts itself one DDIM step of the teacher later. At the segment's end the target is
//! the teacher's own step. So every prediction comes to lead to the end of its segment, and sampling takes one DDIM
//! step for each segment.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Tensor;

use super::config::{ConsistencyConfig, ConsistencyTeacher, DistillConfig};
use super::data::DistillBatch;
use super::folder::ModelFolder;
use super::guidance::guided;
use super::rotation::{Grid, ddim_step, velocity_between};
use super::run::{self, Bench, Inputs, guidance_width};
use crate::Result;
use crate::picture::Picture;
use crate::train::checkpoint::Position;
use crate::train::model::DiffusionModel;
use crate::train::run::{Outcome, Settings, Stage, run_stage};
use crate::train::samples::Samples;
use crate::train::task::Task;

/// Distils the guidance-distilled model in `first` further, or resumes, in `settings.folder`; writes `model/` there.
///
/// # Errors
/// Those of reading the teacher and the pack, of saving, and [`crate::Error::Diverged`].
pub fn distill(config: &DistillConfig, first: &Path, settings: &Settings) -> Result<Outcome> {
    let ConsistencyConfig { training, segments, teacher, .. } = &config.consistency;
    let teacher = match teacher {
        ConsistencyTeacher::Guided => &config.teacher,
        ConsistencyTeacher::Distilled => first,
    };
    let teacher = ModelFolder::read(teacher, &settings.device)?;
    let bench = Bench::open(config, &teacher, settings)?;
    let student = ModelFolder::read(first, &bench.device)?;
    let beginning = Position { step: 0, stage: 0, stage_step: 0 };
    let state = run::state(&settings.folder, student.model.clone(), training, beginning)?;
    let mut batches = bench.batches(config, training, &teacher, settings, state.position.step)?;
    let task = ConsistencyTask {
        samples: bench.samples(config, training, &student, *segments, settings),
        config: config.consistency.clone(),
        width: guidance_width(&student)?,
        teacher,
        bench,
    };
    let stage = Stage { training, steps: training.steps, all_steps: training.steps, title: "consistency" };
    let (state, outcome) = run_stage(state, &task, &mut batches, &stage, settings)?;
    student.export(&settings.folder.join("model"), &state.average, &task.bench.encoder)?;
    Ok(outcome)
}

impl ConsistencyConfig {
    /// Steps of the teacher at update `update`: the number grows, in multiples of the segments.
    fn teacher_steps_at(&self, update: u64) -> usize {
        let [few, many] = self.teacher_steps.map(|steps| steps / self.segments);
        let done = update as f64 / self.training.steps as f64;
        let each = few + (done * (many - few + 1) as f64) as usize;
        self.segments * each.min(many)
    }
}

struct ConsistencyTask {
    bench: Bench,
    teacher: ModelFolder,
    config: ConsistencyConfig,
    /// Number of the guidance scale's sinusoids.
    width: usize,
    samples: Samples,
}

impl Task<DiffusionModel> for ConsistencyTask {
    type Batch = DistillBatch;

    fn loss(&self, student: &DiffusionModel, batch: &DistillBatch) -> Result<Tensor<1>> {
        let inputs = self.bench.inputs(batch);
        let steps = self.config.teacher_steps_at(batch.number / self.config.training.micro_batches);
        let grid = Grid::new(&self.teacher.scheduler, &self.bench.schedule, steps)?;
        let each = steps / self.config.segments;
        let starts: Vec<usize> = batch.place.iter().map(|place| *place as usize % steps).collect();
        let nexts: Vec<usize> = starts.iter().map(|start| start + 1).collect();
        let ends: Vec<usize> = starts.iter().map(|start| (start / each + 1) * each).collect();
        let ((t, here), (t_next, next), (_, end)) = (grid.at(&starts), grid.at(&nexts), grid.at(&ends));

        let z = inputs.noisy(&self.bench.schedule, &t.iter().map(|t| *t as usize).collect::<Vec<_>>())?;
        let target = {
            let v = self.teach(z.clone(), &t, &inputs, batch);
            let z_next = ddim_step(z.clone(), v, &here, &next)?;
            // If the step already ends the segment, this rotates by 0, whatever the student predicts.
            let student = student.valid();
            let (context, scale) = inputs.conditions(&student, self.width, &z.device());
            let v = student.unet.forward(z_next.clone(), &t_next, context, &scale);
            velocity_between(z.clone(), ddim_step(z_next, v, &next, &end)?, &here, &end)?
        };
        let (context, scale) = inputs.conditions(student, self.width, &self.bench.device);
        let v = student.unet.forward(z.autodiff(), &t, context, &scale);
        Ok(run::loss(v, target.autodiff(), &here, self.config.weighting))
    }

    fn sheet(&self, average: &DiffusionModel) -> Result<Picture> {
        self.samples.draw(average)
    }
}

impl ConsistencyTask {
    /// The teacher's velocity at `z`.
    fn teach(&self, z: Tensor<4>, t: &[f32], inputs: &Inputs, batch: &DistillBatch) -> Tensor<4> {
        let teacher = &self.teacher.model;
        match self.config.teacher {
            ConsistencyTeacher::Guided => guided(teacher, z, t, batch),
            ConsistencyTeacher::Distilled => {
                let (context, scale) = inputs.conditions(teacher, self.width, &z.device());
                teacher.unet.forward(z, t, context, &scale)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::DistillConfig;

    #[test]
    fn the_teacher_takes_more_and_more_steps_in_whole_segments() {
        let mut config = DistillConfig::from_json(include_str!("../../recipes/distill.json"), "d").unwrap().consistency;
        (config.segments, config.teacher_steps, config.training.steps) = (4, [8, 16], 300);
        let steps: Vec<usize> = [0, 99, 100, 199, 200, 299, 300].map(|n| config.teacher_steps_at(n)).to_vec();
        assert_eq!(steps, [8, 8, 12, 12, 16, 16, 16]);
    }
}
