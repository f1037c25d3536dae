//! All errors of the crate. Each names the file, key or value and says what to do about it.

use std::path::PathBuf;

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the library; its message is one clear line. Nothing is silently replaced by a default.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An invalid prompt, number or name in a request.
    #[error("{0}")]
    Request(String),
    /// The folder or set of files is not a model in the diffusers layout.
    #[error("{place} is no model in the diffusers layout: {reason}")]
    NotAModel {
        /// The folder or address.
        place: String,
        /// What is missing or wrong.
        reason: String,
    },
    /// A configuration file with a value that this program does not support.
    #[error("{file}: {reason}")]
    Config {
        /// The file, relative to the model.
        file: String,
        /// Key, value, and the supported values.
        reason: String,
    },
    /// A file that is truncated, corrupted, or not in its format.
    #[error("{file}: {reason}")]
    BadFile {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A weight that the configuration needs and the file lacks.
    #[error("{file}: tensor {name} is missing")]
    MissingTensor {
        /// The weights file.
        file: String,
        /// The checkpoint key.
        name: String,
    },
    /// Weights in the file that the configuration does not have.
    #[error("{file}: {} surplus tensor(s), the first is {}", names.len(), names.first().map_or("?", |n| n.as_str()))]
    SurplusTensors {
        /// The weights file.
        file: String,
        /// The checkpoint keys, sorted.
        names: Vec<String>,
    },
    /// A weight whose shape differs from the configuration's.
    #[error("{file}: tensor {name} has shape {found:?}, the configuration asks for {expected:?}")]
    MisshapenTensor {
        /// The weights file.
        file: String,
        /// The checkpoint key.
        name: String,
        /// The shape by the configuration.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// Latents that are NaN or infinite.
    #[error("the latents are not finite after step {step}: the weights or the settings are broken")]
    NotFinite {
        /// Zero-based index of the step.
        step: usize,
    },
    /// A training run with a loss or weights that are not finite.
    #[error("the loss is not finite before step {step}: lower the learning rate; the last checkpoint is sound")]
    Diverged {
        /// Steps taken.
        step: u64,
    },
    /// The handler of an event asked to stop.
    #[error("stopped after step {step}")]
    Stopped {
        /// Zero-based index of the last finished step.
        step: usize,
    },
    /// The device is not available or cannot do this.
    #[error("device: {0}")]
    Device(String),
    /// A feature of another model family that is not supported yet.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// An error of the file system.
    #[error("{path}: {reason}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's message.
        reason: std::io::Error,
    },
}

impl Error {
    /// Wraps a file-system error with its path.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |reason| Self::Io { path, reason }
    }
}
