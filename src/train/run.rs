//! Everything that a training run does around its loss: step, report, save, draw sheets, stop on request.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

use super::checkpoint::{self, TrainState};
use super::config::Training;
use super::curves::{Curves, Row};
use super::data::Prefetch;
use super::ema;
use super::lanes::Lanes;
use super::task::Task;
use crate::picture::Picture;
use crate::{Error, Result};

/// Where a run computes and writes, and when it stops.
pub struct Settings<'a> {
    /// The run's folder, for checkpoints, curves, sheets and the model.
    pub folder: PathBuf,
    /// The device, without autodiff.
    pub device: Device,
    /// Threads that compose batches.
    pub workers: usize,
    /// Set from outside to finish the step, save and stop.
    pub stop: Arc<AtomicBool>,
    /// When the run stops by itself.
    pub deadline: Option<Instant>,
    /// The step after which the run stops, for tests and trials.
    pub stop_at: Option<u64>,
    /// Receives reports.
    pub on_report: &'a dyn Fn(&Report),
}

/// The progress of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Steps taken, over all stages.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Mean loss since the last report.
    pub loss: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Training samples a second since the last report.
    pub samples_per_second: f64,
    /// Remaining time at the speed since the run was started or resumed.
    pub left: Duration,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done and the model is written.
    Finished,
    /// Stopped on request after this many steps; a checkpoint is written.
    Stopped(u64),
}

/// One stage of a run.
pub struct Stage<'a> {
    /// Settings of the run.
    pub training: &'a Training,
    /// Steps of this stage.
    pub steps: u64,
    /// Steps of all stages.
    pub all_steps: u64,
    /// Title of the curves.
    pub title: &'a str,
}

/// Does the remaining steps of a stage. If the run is stopped, the state is saved.
///
/// # Errors
/// Those of the task, of saving, and [`Error::Diverged`].
pub fn run_stage<M: Module + Send, T: Task<M> + Sync>(
    mut state: TrainState<M>,
    task: &T,
    batches: &mut Prefetch<T::Batch>,
    stage: &Stage,
    settings: &Settings,
) -> Result<(TrainState<M>, Outcome)> {
    let mut session = Session::open(stage, settings, state.position.step)?;
    let lanes = Lanes::new(stage.training.micro_batches, &settings.device)?;
    while state.position.stage_step < stage.steps {
        let batches = (0..stage.training.micro_batches).map(|_| batches.next_batch()).collect::<Result<_>>()?;
        let rate = stage.training.optimizer.rate(state.position.stage_step, stage.steps);
        let (loss, gradients) = lanes.gradients(&state.model, task, batches)?;
        update(&mut state, gradients, rate, stage.training.ema_decay);
        session.pending.push(loss);
        let step = state.position.step;
        let due = |every: u64| step.is_multiple_of(every);
        let stop = session.settings.asked_to_stop(step);
        let save = due(stage.training.checkpoint_every) || stop;
        if due(stage.training.report_every) || save {
            session.report(step, rate)?;
        }
        if save {
            checkpoint::save(&settings.folder, &state)?;
            session.curves.draw(stage.title)?;
        }
        if due(stage.training.sheet_every) {
            session.write_sheet(step, &task.sheet(&state.average)?)?;
        }
        if stop && step < stage.all_steps {
            return Ok((state, Outcome::Stopped(step)));
        }
    }
    session.report(state.position.step, stage.training.optimizer.rate(stage.steps.saturating_sub(1), stage.steps))?;
    session.curves.draw(stage.title)?;
    checkpoint::save(&settings.folder, &state)?;
    Ok((state, Outcome::Finished))
}

/// One step along `gradients`.
pub fn update<M: Module>(state: &mut TrainState<M>, gradients: GradientsParams, rate: f64, ema_decay: f64) {
    state.model = state.optimizer.step(rate, state.model.clone(), gradients);
    let decay = ema::decay(state.position.stage_step, ema_decay);
    state.average = ema::update(state.average.clone(), &state.model, decay);
    state.position.step += 1;
    state.position.stage_step += 1;
}

impl Settings<'_> {
    fn asked_to_stop(&self, step: u64) -> bool {
        self.stop.load(Ordering::Relaxed)
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
            || self.stop_at.is_some_and(|last| step >= last)
    }
}

struct Session<'a> {
    settings: &'a Settings<'a>,
    stage: &'a Stage<'a>,
    curves: Curves,
    /// Losses that are still on the device, because reading each immediately would block it.
    pending: Vec<Tensor<1>>,
    started: (Instant, u64),
    reported: (Instant, u64),
}

impl<'a> Session<'a> {
    fn open(stage: &'a Stage, settings: &'a Settings, step: u64) -> Result<Self> {
        let curves = Curves::open(&settings.folder, step)?;
        let now = (Instant::now(), step);
        Ok(Self { settings, stage, curves, pending: Vec::new(), started: now, reported: now })
    }

    fn report(&mut self, step: u64, learning_rate: f64) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let losses = Tensor::cat(std::mem::take(&mut self.pending), 0).into_data();
        let losses: Vec<f64> = losses.iter::<f64>().collect();
        let loss = losses.iter().sum::<f64>() / losses.len() as f64;
        if !loss.is_finite() {
            return Err(Error::Diverged { step });
        }
        let speed = |(instant, from): (Instant, u64)| (step - from) as f64 / instant.elapsed().as_secs_f64().max(1e-9);
        let samples_per_second = speed(self.reported) * self.stage.training.samples() as f64;
        let left = (self.stage.all_steps.saturating_sub(step)) as f64 / speed(self.started).max(1e-9);
        self.reported = (Instant::now(), step);
        self.curves.push(Row { step, loss, learning_rate, samples_per_second })?;
        (self.settings.on_report)(&Report {
            step,
            steps: self.stage.all_steps,
            loss,
            learning_rate,
            samples_per_second,
            left: Duration::from_secs_f64(left.min(1e9)),
        });
        Ok(())
    }

    fn write_sheet(&self, step: u64, sheet: &Picture) -> Result<()> {
        let folder = self.settings.folder.join("sheets");
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        sheet.write_png(&folder.join(format!("step-{step:08}.png")))
    }
}
