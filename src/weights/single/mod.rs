//! A model in one file (safetensors in the layout of the original code, or GGUF), seen as a folder in the diffusers layout: keys get
//! diffusers' names, configurations are made from shapes and markers, and everything above reads it as any other folder, a
//! tensor at a time.
//!
//! `original` reads the file's header; `layout`, with `unet`, `vae` and `clip`, says which tensor is which; `made` gives the bytes of the
//! weights files that the folder would have; `family` and `config` write its configurations.

mod clip;
mod config;
mod family;
mod layout;
mod made;
mod original;
mod unet;
mod vae;

use std::borrow::Cow;
use std::collections::BTreeMap;
#[cfg(feature = "native")]
use std::sync::OnceLock;

use serde_json::{Map, Value};

use config::Inferred;
use family::{Family, Generation};
use layout::{Layout, Placed};
use made::Made;
use original::Original;

use super::files::{Files, cut_off};
use super::{Checkpoint, Quantization};
use crate::{Error, Result};

const INDEX: &str = "model_index.json";
const SCHEDULER: &str = "scheduler/scheduler_config.json";

/// The folder that a single file would be. What another folder gives, configurations above all, comes first; weights come from the
/// file where it has them.
pub struct SingleFile {
    files: Box<dyn Files>,
    file: String,
    config: Option<Box<dyn Files>>,
    /// The weights files, by their paths in the folder.
    made: BTreeMap<String, Made>,
    /// The configurations.
    small: BTreeMap<String, Vec<u8>>,
    summary: String,
    notes: Vec<String>,
}

/// A part of the model.
struct Part<'l> {
    folder: &'static str,
    weights: &'static str,
    /// For messages.
    name: &'static str,
    keys: &'static str,
    tensors: &'l [Placed],
}

impl SingleFile {
    /// Reads the header of `file`, which is one of `files`. `config` is a folder whose configurations, vocabulary and missing parts are used.
    ///
    /// # Errors
    /// [`Error::BadFile`] for a file of another format, a pickle, something else than a checkpoint, a part that is nowhere, and
    /// sizes that cannot be told; [`Error::Unsupported`] for relatives of Stable Diffusion that are not built.
    pub fn open(files: Box<dyn Files>, file: &str, config: Option<Box<dyn Files>>) -> Result<Self> {
        let original = Original::read(files.as_ref(), file)?;
        let mut layout = Layout::of(file, &original)?;
        let family = Family::of(files.as_ref(), file, &original, &layout)?;
        let mut this = Self {
            files,
            file: file.to_string(),
            config,
            made: BTreeMap::new(),
            small: BTreeMap::new(),
            summary: String::new(),
            notes: Vec::new(),
        };
        let layers = this.text_layers(&original, &layout, family)?;
        layout.cut_text(layers);
        let inferred = Inferred { file, original: &original, layout: &layout, family };
        let index = this.json(INDEX, || Ok(inferred.index()))?;
        let scheduler = this.json(SCHEDULER, || Ok(inferred.scheduler()))?;
        this.summary = family.predicting(scheduler.get("prediction_type")).words();
        let two = index.get("text_encoder_2").is_some_and(|class| !class[1].is_null());
        for part in parts(&layout).iter().filter(|part| two || part.folder != "text_encoder_2") {
            this.add(part, &inferred)?;
        }
        for (which, folder) in ["tokenizer", "tokenizer_2"].into_iter().enumerate().take(1 + usize::from(two)) {
            this.json(&format!("{folder}/tokenizer_config.json"), || Ok(inferred.tokenizer(which)))?;
        }
        this.note(&original, &layout);
        Ok(this)
    }

    /// What the file holds, in words.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// What a user should know of how it is read, a line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Layers of the first text encoder that are read.
    fn text_layers(&self, original: &Original, layout: &Layout, family: Family) -> Result<usize> {
        let path = "text_encoder/config.json";
        let given = match &self.config {
            Some(config) => config.get_small(path)?,
            None => None,
        };
        let inferred = Inferred { file: &self.file, original, layout, family };
        let layers = layout.text_layers(0);
        Ok(match given {
            // The one more than its configuration says that OpenCLIP's encoder has in the original files.
            Some(bytes) if family.generation == Generation::Two => {
                let wanted = object(path, &bytes)?["num_hidden_layers"].as_u64().unwrap_or(0) as usize;
                if wanted.checked_add(1) == Some(layers) { wanted } else { layers }
            }
            Some(_) => layers,
            None => inferred.text_layers(0),
        })
    }

    /// A configuration: the folder's, or else made.
    fn json(&mut self, path: &str, make: impl FnOnce() -> Result<Value>) -> Result<Map<String, Value>> {
        let given = match &self.config {
            Some(config) => config.get_small(path)?,
            None => None,
        };
        let value = match given {
            Some(bytes) => object(path, &bytes)?,
            None => match make()? {
                Value::Object(value) => value,
                _ => Map::new(),
            },
        };
        self.keep(path, &value);
        Ok(value)
    }

    fn keep(&mut self, path: &str, value: &Map<String, Value>) {
        let text = serde_json::to_string_pretty(value).expect("JSON from JSON") + "\n";
        self.small.insert(path.to_string(), text.into_bytes());
    }

    /// Weights and configuration of a part: the file's, or else the folder's, as they are.
    fn add(&mut self, part: &Part, inferred: &Inferred) -> Result<()> {
        let (path, weights) = (format!("{}/config.json", part.folder), format!("{}/{}", part.folder, part.weights));
        if part.tensors.is_empty() {
            let why = match self.config.as_deref().map(|config| Checkpoint::open(config, &weights).map(drop)) {
                Some(Ok(())) => {
                    self.notes.push(format!("the {} is that of the --config folder, for the file has none", part.name));
                    return Ok(());
                }
                Some(Err(Error::NotAModel { .. })) => format!("and neither has the --config folder ({weights})"),
                Some(Err(error)) => return Err(error),
                None => format!("give a folder that has one ({weights}) as --config"),
            };
            let reason = format!("the file has no {} (no tensor {}): {why}", part.name, part.keys);
            return Err(Error::BadFile { file: self.file.clone(), reason });
        }
        let mut config = self.json(&path, || match part.folder {
            "unet" => inferred.unet(),
            "vae" => inferred.vae(),
            "text_encoder" => inferred.text(0),
            _ => inferred.text(1),
        })?;
        let tensors = part.tensors.iter().map(|(key, renamed)| (renamed.clone(), &inferred.original.tensors[key]));
        let made = Made::new(&self.file, &tensors.collect::<Vec<_>>())?;
        // How the weights are stored is the file's matter, whatever the folder's weights were.
        config.remove(Quantization::KEY);
        if let Some(format) = made.format() {
            let announced = serde_json::to_value(Quantization::new(format)).expect("plain numbers and text");
            config.insert(Quantization::KEY.to_string(), announced);
        }
        self.keep(&path, &config);
        self.made.insert(weights, made);
        Ok(())
    }

    fn note(&mut self, original: &Original, layout: &Layout) {
        for (kind, count) in original.blocks() {
            let how = if kind.format().is_some() { "read as they are" } else { "widened to 32-bit floats" };
            self.notes.push(format!("{count} tensor(s) in {kind:?} are {how}"));
        }
        if layout.averages > 0 {
            self.notes.push(format!("{} running averages of the weights (model_ema) are not read", layout.averages));
        }
        if !layout.strange.is_empty() {
            let shown = Original::shown(layout.strange.iter().map(String::as_str));
            self.notes.push(format!(
                "{} tensor(s) that are no part of the model are not read ({shown})",
                layout.strange.len()
            ));
        }
    }

    fn given(&self, path: &str) -> Result<Option<Cow<'_, [u8]>>> {
        match &self.config {
            Some(config) => config.get(path),
            None => Ok(None),
        }
    }

    /// CLIP's own vocabulary, where no folder gives one.
    fn vocabulary(&self, path: &str) -> Result<Option<&[u8]>> {
        let Some((folder, name)) = path.split_once('/').filter(|(folder, _)| folder.starts_with("tokenizer")) else {
            return Ok(None);
        };
        if let Some(config) = &self.config {
            for other in ["vocab.json", "tokenizer.json"] {
                if config.size(&format!("{folder}/{other}"))?.is_some() {
                    return Ok(None);
                }
            }
        }
        Ok(own_vocabulary(name))
    }
}

impl Files for SingleFile {
    fn place(&self) -> String {
        self.file.clone()
    }

    fn get(&self, path: &str) -> Result<Option<Cow<'_, [u8]>>> {
        if let Some(bytes) = self.small.get(path) {
            return Ok(Some(Cow::Borrowed(bytes)));
        }
        if let Some(made) = self.made.get(path) {
            return made
                .range(self.files.as_ref(), &self.file, 0, made.size() as usize)
                .map(|bytes| Some(bytes.into()));
        }
        match self.vocabulary(path)? {
            Some(bytes) => Ok(Some(Cow::Borrowed(bytes))),
            None => self.given(path),
        }
    }

    fn size(&self, path: &str) -> Result<Option<u64>> {
        if let Some(bytes) = self.small.get(path) {
            return Ok(Some(bytes.len() as u64));
        }
        if let Some(made) = self.made.get(path) {
            return Ok(Some(made.size()));
        }
        match (self.vocabulary(path)?, &self.config) {
            (Some(bytes), _) => Ok(Some(bytes.len() as u64)),
            (None, Some(config)) => config.size(path),
            (None, None) => Ok(None),
        }
    }

    fn range(&self, path: &str, offset: u64, length: usize) -> Result<Cow<'_, [u8]>> {
        if let Some(made) = self.made.get(path) {
            return match offset.checked_add(length as u64).is_some_and(|end| end <= made.size()) {
                true => Ok(made.range(self.files.as_ref(), &self.file, offset, length)?.into()),
                false => Err(cut_off(path, offset, length)),
            };
        }
        match &self.config {
            Some(config) if !self.small.contains_key(path) => config.range(path, offset, length),
            _ => {
                let reason = format!("{path} is missing");
                Err(Error::NotAModel { place: self.place(), reason })
            }
        }
    }
}

fn parts(layout: &Layout) -> [Part<'_>; 4] {
    const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
    const TEXT: &str = "model.safetensors";
    [
        Part { folder: "unet", weights: WEIGHTS, name: "UNet", keys: "model.diffusion_model.*", tensors: &layout.unet },
        Part {
            folder: "vae",
            weights: WEIGHTS,
            name: "autoencoder",
            keys: "first_stage_model.*",
            tensors: &layout.vae,
        },
        Part {
            folder: "text_encoder",
            weights: TEXT,
            name: "text encoder",
            keys: "cond_stage_model.* or conditioner.embedders.0.*",
            tensors: &layout.text[0],
        },
        Part {
            folder: "text_encoder_2",
            weights: TEXT,
            name: "second text encoder",
            keys: "conditioner.embedders.1.*",
            tensors: &layout.text[1],
        },
    ]
}

fn object(path: &str, bytes: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(bytes).map_err(|error| Error::Config { file: path.to_string(), reason: error.to_string() })
}

/// A file of CLIP's vocabulary, put together when it is first asked for.
#[cfg(feature = "native")]
fn own_vocabulary(name: &str) -> Option<&'static [u8]> {
    static VOCABULARY: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    let (vocab, merges) = match name {
        "vocab.json" | "merges.txt" => VOCABULARY.get_or_init(crate::text::clip::vocabulary),
        _ => return None,
    };
    Some(if name == "vocab.json" { vocab } else { merges })
}

/// The page carries none.
#[cfg(not(feature = "native"))]
fn own_vocabulary(_name: &str) -> Option<&'static [u8]> {
    None
}
