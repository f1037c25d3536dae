//! Classifier-free guidance in one evaluation: stage one of Meng et al. (2022, section 3.1).
//!
//! The student takes the guidance scale s = 1 + w as an input and learns, over the whole noise schedule, v = v(∅) + s
//! (v(c) - v(∅)), that is (1 + w) v(c) - w v(∅). Unlike in the paper, it also takes the negative prompt: ∅ is drawn at
//! random, so one pass of the student replaces two of the teacher.

use burn::tensor::{Tensor, TensorData};

use super::config::{DistillConfig, Weighting};
use super::data::DistillBatch;
use super::folder::ModelFolder;
use super::run::{self, Bench};
use crate::Result;
use crate::models::AddedConditions;
use crate::picture::Picture;
use crate::train::checkpoint::Position;
use crate::train::model::DiffusionModel;
use crate::train::run::{Outcome, Settings, Stage, run_stage};
use crate::train::samples::Samples;
use crate::train::task::Task;

/// Distils `config.teacher`, or resumes, in `settings.folder`; writes `model/` there.
///
/// # Errors
/// Those of reading the teacher and the pack, of saving, and [`crate::Error::Diverged`].
pub fn distill(config: &DistillConfig, settings: &Settings) -> Result<Outcome> {
    let teacher = ModelFolder::read(&config.teacher, &settings.device)?;
    let bench = Bench::open(config, &teacher, settings)?;
    let (training, width) = (&config.guidance.training, config.guidance.time_cond_proj_dim);
    let scales = config.inputs.guidance_scale;
    let student = ModelFolder::read(&config.teacher, &bench.device)?;
    let student = student.into_student(width, scales, training.seed, &bench.device)?;
    let beginning = Position { step: 0, stage: 0, stage_step: 0 };
    let state = run::state(&settings.folder, student.model.clone(), training, beginning)?;
    let mut batches = bench.batches(config, training, &teacher, settings, state.position.step)?;
    let samples = bench.samples(config, training, &student, config.sheet.steps, settings);
    let stage = Stage { training, steps: training.steps, all_steps: training.steps, title: "guidance" };
    let task = GuidanceTask { bench, teacher, width, samples };
    let (state, outcome) = run_stage(state, &task, &mut batches, &stage, settings)?;
    student.export(&settings.folder.join("model"), &state.average, &task.bench.encoder)?;
    Ok(outcome)
}

struct GuidanceTask {
    bench: Bench,
    teacher: ModelFolder,
    /// Number of the guidance scale's sinusoids.
    width: usize,
    samples: Samples,
}

impl Task<DiffusionModel> for GuidanceTask {
    type Batch = DistillBatch;

    fn loss(&self, student: &DiffusionModel, batch: &DistillBatch) -> Result<Tensor<1>> {
        let Bench { schedule, device, .. } = &self.bench;
        let inputs = self.bench.inputs(batch);
        let times: Vec<f32> = batch.captioned.timesteps.iter().map(|t| *t as f32).collect();
        let z = inputs.noisy(schedule, &batch.captioned.timesteps)?;
        let target = guided(&self.teacher.model, z.clone(), &times, batch);
        let (context, scale) = inputs.conditions(student, self.width, device);
        let v = student.unet.forward(z.autodiff(), &times, context, &scale);
        Ok(run::loss(v, target.autodiff(), &[], Weighting::SnrPlusOne))
    }

    fn sheet(&self, average: &DiffusionModel) -> Result<Picture> {
        self.samples.draw(average)
    }
}

/// The teacher's velocity for `z` at `times`, guided by each sample's scale and negative prompt.
pub fn guided(teacher: &DiffusionModel, z: Tensor<4>, times: &[f32], batch: &DistillBatch) -> Tensor<4> {
    let device = z.device();
    let ids: Vec<Vec<i64>> = batch.negative.iter().chain(&batch.captioned.ids).cloned().collect();
    let context = teacher.text_encoder.encode(&ids, &device);
    let v = teacher.unet.forward(z.repeat_dim(0, 2), &times.repeat(2), context, &AddedConditions::default());
    let [negative, prompt] = v.chunk(2, 0).try_into().expect("two halves");
    let scale = TensorData::new(batch.guidance_scale.clone(), [times.len(), 1, 1, 1]);
    negative.clone() + (prompt - negative) * Tensor::from_data(scale, &device)
}
