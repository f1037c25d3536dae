//! The checkpoints of a run: everything that the next step depends on.
//!
//! A checkpoint is a folder `checkpoints/step-NNNNNNNN` with the weights, their average and the optimizer's moments,
//! each a safetensors file with the usual keys, and `state.json`. It is written under another name and renamed when it
//! is complete; only then are older ones removed. So there is always a complete one, even on a full disk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use serde::{Deserialize, Serialize};

use super::optim::{Optimizer, OptimizerConfig};
use super::values::Values;
use crate::weights::{self, Checkpoint, Precision};
use crate::{Error, Result};

/// A model in training.
pub struct TrainState<M> {
    /// The model, with autodiff.
    pub model: M,
    /// The moving average of its weights, without autodiff.
    pub average: M,
    /// AdamW's moments.
    pub optimizer: Optimizer,
    /// How far the run is.
    pub position: Position,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Steps taken, over all stages; also the number of the next batch.
    pub step: u64,
    /// The stage, from 0.
    pub stage: u32,
    /// Steps taken in this stage.
    pub stage_step: u64,
}

impl<M: Module> TrainState<M> {
    /// The state at the start of a stage: moments are zero, and the average is the model.
    pub fn start(model: M, optimizer: &OptimizerConfig, position: Position) -> Self {
        let average = model.valid();
        Self { model, average, optimizer: Optimizer::new(optimizer), position }
    }
}

const FOLDER: &str = "checkpoints";
const UNFINISHED: &str = "checkpoints/unfinished";
const STATE: &str = "state.json";

/// Writes a checkpoint into the run's `folder` and removes the earlier ones.
///
/// # Errors
/// [`Error::Io`], also for a full disk; then the earlier checkpoint still exists.
pub fn save<M: Module>(folder: &Path, state: &TrainState<M>) -> Result<()> {
    let complete = folder.join(name(state.position.step));
    if complete.exists() {
        return Ok(());
    }
    let unfinished = folder.join(UNFINISHED);
    let written = remove(&unfinished).and_then(|()| write(&unfinished, state));
    if let Err(error) = written {
        // The disk may be full: free what this attempt used. The first error is the one that matters.
        let _ = remove(&unfinished);
        return Err(error);
    }
    let older = list(folder)?;
    std::fs::rename(&unfinished, &complete).map_err(Error::io(&complete))?;
    older.iter().try_for_each(|(_, path)| remove(path))
}

/// The position of the last checkpoint in `folder`, if there is one.
///
/// # Errors
/// [`Error::Io`]; [`Error::BadFile`].
pub fn position(folder: &Path) -> Result<Option<Position>> {
    let Some((_, path)) = list(folder)?.pop() else { return Ok(None) };
    let path = path.join(STATE);
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
    let bad = |e: serde_json::Error| Error::BadFile { file: path.display().to_string(), reason: e.to_string() };
    serde_json::from_str(&text).map(Some).map_err(bad)
}

/// Reads the last checkpoint into a module with the structure of `model`.
///
/// # Errors
/// [`Error::Io`]; those of [`weights::load`], which name file and tensor.
pub fn load<M: Module>(folder: &Path, model: M, optimizer: &OptimizerConfig) -> Result<TrainState<M>> {
    let missing = || Error::Request(format!("{}: no checkpoint to resume from", folder.display()));
    let (position, (_, path)) = position(folder)?.zip(list(folder)?.pop()).ok_or_else(missing)?;
    let model = read(model, &path.join("weights.safetensors"))?;
    let average = read(model.valid(), &path.join("average.safetensors"))?;
    let mut optimizer = Optimizer::new(optimizer);
    optimizer.moment_1 = Values::of(&read(model.valid(), &path.join("moment_1.safetensors"))?);
    optimizer.moment_2 = Values::of(&read(model.valid(), &path.join("moment_2.safetensors"))?);
    optimizer.time = position.stage_step as usize;
    Ok(TrainState { model, average, optimizer, position })
}

fn write<M: Module>(path: &Path, state: &TrainState<M>) -> Result<()> {
    std::fs::create_dir_all(path).map_err(Error::io(path))?;
    let moment = |values: &Values| values.in_place_of(state.model.valid());
    write_weights(&state.model, &path.join("weights.safetensors"))?;
    write_weights(&state.average, &path.join("average.safetensors"))?;
    write_weights(&moment(&state.optimizer.moment_1), &path.join("moment_1.safetensors"))?;
    write_weights(&moment(&state.optimizer.moment_2), &path.join("moment_2.safetensors"))?;
    let path = path.join(STATE);
    let text = serde_json::to_string_pretty(&state.position).expect("numbers are JSON");
    std::fs::write(&path, text).map_err(Error::io(&path))?;
    settle(&path)
}

fn write_weights<M: Module>(module: &M, path: &Path) -> Result<()> {
    weights::save(module, path, Precision::F32, HashMap::new())?;
    settle(path)
}

/// Flushes the file to the disk.
fn settle(path: &Path) -> Result<()> {
    std::fs::File::open(path).and_then(|file| file.sync_all()).map_err(Error::io(path))
}

fn read<M: Module>(module: M, path: &Path) -> Result<M> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    weights::load(module, &Checkpoint::parse(&path.display().to_string(), &bytes)?)
}

fn name(step: u64) -> PathBuf {
    Path::new(FOLDER).join(format!("step-{step:08}"))
}

/// The complete checkpoints of a run, oldest first.
fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let path = folder.join(FOLDER);
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(path)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io(&path))?;
        let step = entry.file_name().to_str().and_then(|n| n.strip_prefix("step-")?.parse().ok());
        found.extend(step.map(|step| (step, entry.path())));
    }
    found.sort();
    Ok(found)
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::init;
    use super::super::optim::Schedule;
    use super::*;
    use crate::nn::Linear;

    fn config() -> OptimizerConfig {
        OptimizerConfig {
            learning_rate: 0.1,
            warm_up: 1,
            schedule: Schedule::Constant,
            beta_1: 0.9,
            beta_2: 0.9,
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: None,
            muon: None,
        }
    }

    fn state(step: u64) -> TrainState<Linear> {
        let model = init::initialize(Linear::new(3, 2, &Device::flex().autodiff()), step);
        TrainState::start(model, &config(), Position { step, stage: 0, stage_step: step })
    }

    fn weight(state: &TrainState<Linear>) -> Vec<f32> {
        state.model.weight.val().into_data().try_into_vec().unwrap()
    }

    #[test]
    fn the_last_whole_checkpoint_is_read_and_older_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &state(1)).unwrap();
        save(folder.path(), &state(20)).unwrap();
        // The remainder of a killed process is no checkpoint.
        std::fs::create_dir(folder.path().join(UNFINISHED)).unwrap();
        let read = load(folder.path(), Linear::new(3, 2, &Device::flex().autodiff()), &config()).unwrap();
        assert_eq!(read.position, Position { step: 20, stage: 0, stage_step: 20 });
        assert_eq!(weight(&read), weight(&state(20)));
        assert_eq!(list(folder.path()).unwrap().len(), 1);
        save(folder.path(), &state(21)).unwrap();
        assert_eq!(position(folder.path()).unwrap().unwrap().step, 21);
    }

    #[test]
    fn what_cannot_be_written_or_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = |result: Result<()>| result.unwrap_err().to_string();
        let structure = || Linear::new(3, 2, &Device::flex().autodiff());
        assert!(message(load(folder.path(), structure(), &config()).map(|_| ())).contains("no checkpoint"));
        save(folder.path(), &state(1)).unwrap();
        let average = folder.path().join("checkpoints/step-00000001/average.safetensors");
        let bytes = std::fs::read(&average).unwrap();
        std::fs::write(&average, &bytes[..bytes.len() - 3]).unwrap();
        let truncated = message(load(folder.path(), structure(), &config()).map(|_| ()));
        assert!(truncated.contains("average.safetensors") && truncated.contains("truncated"), "{truncated}");
        let blocked = folder.path().join("blocked");
        std::fs::create_dir(&blocked).unwrap();
        std::fs::write(blocked.join(FOLDER), "a file where the folder should be").unwrap();
        assert!(message(save(&blocked, &state(2))).contains(FOLDER));
    }
}
