//! `--model` and `--config`, which commands share: a folder in the diffusers layout, or one file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;

use crate::pipeline::{LoadOptions, Pipeline};
use crate::weights::{DirFiles, Files, SingleFile};

/// Which model.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// A folder in the diffusers layout, or one .safetensors or .gguf file
    #[arg(long, value_name = "DIR|FILE", default_value = "models/stickers")]
    pub model: PathBuf,
    /// For one file: a diffusers folder whose configurations, vocabulary and missing parts are used
    #[arg(long, value_name = "DIR")]
    pub config: Option<PathBuf>,
}

/// A model that can be read.
pub struct Model {
    /// A folder's, or what one file would be as a folder.
    pub files: Box<dyn Files>,
    /// What stands before an error about a single file's parts.
    context: Option<String>,
}

impl ModelArgs {
    /// Opens the model; says on standard error what a single file holds.
    ///
    /// # Errors
    /// Those of [`open`].
    pub fn open(&self) -> Result<Model> {
        open(&self.model, self.config.as_deref())
    }

    /// The name of the folder or file.
    pub fn name(&self) -> String {
        let whole = self.model.canonicalize();
        let name = whole.ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        name.unwrap_or_else(|| self.model.display().to_string())
    }
}

impl Model {
    /// See [`Pipeline::load`].
    ///
    /// # Errors
    /// Those of [`Pipeline::load`].
    pub fn load(&self, device: &Device) -> Result<Pipeline> {
        self.load_with(&LoadOptions::default(), device)
    }

    /// See [`Pipeline::load_with`].
    ///
    /// # Errors
    /// Those of [`Pipeline::load_with`].
    pub fn load_with(&self, options: &LoadOptions, device: &Device) -> Result<Pipeline> {
        self.told(Pipeline::load_with(&self.files, options, device))
    }

    /// An error with the name of the file before it, where the folder that it speaks of is none on disk.
    ///
    /// # Errors
    /// The one that is given.
    pub fn told<T>(&self, result: crate::Result<T>) -> Result<T> {
        self.within(result.map_err(anyhow::Error::from))
    }

    /// As [`Self::told`].
    ///
    /// # Errors
    /// The one that is given.
    pub fn within<T>(&self, result: Result<T>) -> Result<T> {
        match &self.context {
            Some(context) => result.context(context.clone()),
            None => result,
        }
    }
}

/// Opens the model at `path`, with the configurations in `config`.
///
/// # Errors
/// Those of [`SingleFile::open`]; a `config` beside a folder.
pub fn open(path: &Path, config: Option<&Path>) -> Result<Model> {
    let named =
        |ends: &[&str]| path.extension().is_some_and(|end| ends.iter().any(|known| end.eq_ignore_ascii_case(known)));
    let single = path.is_file() || !path.exists() && named(&["safetensors", "gguf", "ckpt", "pt", "pth", "bin"]);
    if !single {
        ensure!(config.is_none(), "--config: {} is a folder, which has its own configurations", path.display());
        return Ok(Model { files: Box::new(DirFiles::new(path)), context: None });
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{}: its name is no text", path.display()))?;
    let config = match config {
        Some(config) => {
            ensure!(config.is_dir(), "--config {}: is no folder", config.display());
            Some(Box::new(DirFiles::new(config)) as Box<dyn Files>)
        }
        None => None,
    };
    let file = SingleFile::open(Box::new(DirFiles::new(folder)), name, config)?;
    eprintln!("note: {name}: {}", file.summary());
    file.notes().iter().for_each(|note| eprintln!("note: {name}: {note}"));
    Ok(Model { context: Some(format!("{name}, read as a diffusers folder")), files: Box::new(file) })
}
