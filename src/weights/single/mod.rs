//! A model in one file (safetensors in the layout of the original code, or GGUF), seen as a folder in the diffusers layout: keys get
//! diffusers' names, configurations are made from shapes and markers, and everything above reads it as any other folder, a
//! tensor at a time.
//!
//! `original` reads the file's header; `layout`, with `unet`, `vae` and `clip`, says which tensor is which; `made` gives the bytes of the
//! weights files that the folder would have; `family` and `config` write its configurations.

mod clip;
mod config;
mod family;
mod hints;
mod layout;
mod made;
mod original;
mod unet;
mod vae;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use config::Inferred;
pub use family::Prediction;
use family::{Family, Generation};
use layout::{Layout, Placed};
use made::Made;
use original::Original;

use super::files::{Files, cut_off};
use super::{Checkpoint, Quantization};
use crate::text::clip::ClipMerges;
use crate::{Error, Result};

const INDEX: &str = "model_index.json";
const SCHEDULER: &str = "scheduler/scheduler_config.json";

/// The folder that a single file would be. What another folder gives, configurations above all, comes first; weights come from the
/// file where it has them.
pub struct SingleFile {
    files: Box<dyn Files>,
    file: String,
    config: Option<Box<dyn Files>>,
    merges: Option<ClipMerges>,
    /// `vocab.json` and `merges.txt`, put together when they are first asked for.
    vocabulary: OnceLock<(Vec<u8>, Vec<u8>)>,
    /// The weights files, by their paths in the folder.
    made: BTreeMap<String, Made>,
    /// The configurations.
    small: BTreeMap<String, Vec<u8>>,
    family: Family,
    stored: String,
    notes: Vec<String>,
}

/// What is known beside the file.
#[derive(Default)]
pub struct Beside {
    /// A folder whose configurations, vocabulary and missing parts are used.
    pub config: Option<Box<dyn Files>>,
    /// What the network predicts, whatever file and folder say.
    pub prediction: Option<Prediction>,
    /// CLIP's vocabulary, where no folder gives one; natively it is the program's own by default.
    pub merges: Option<ClipMerges>,
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
    /// Those of [`Self::open_with`].
    pub fn open(files: Box<dyn Files>, file: &str, config: Option<Box<dyn Files>>) -> Result<Self> {
        Self::open_with(files, file, Beside { config, ..Beside::default() })
    }

    /// As [`Self::open`], with what else is known `beside` the file.
    ///
    /// # Errors
    /// [`Error::BadFile`] for a file of another format, a pickle, something else than a checkpoint, a part that is nowhere, and
    /// sizes that cannot be told; [`Error::Unsupported`] for relatives of Stable Diffusion that are not built.
    pub fn open_with(files: Box<dyn Files>, file: &str, beside: Beside) -> Result<Self> {
        let original = Original::read(files.as_ref(), file)?;
        let mut layout = Layout::of(file, &original)?;
        let told = Family::of(files.as_ref(), file, &original, &layout)?;
        let family = Family { prediction: beside.prediction.unwrap_or(told.prediction), ..told };
        let mut this = Self {
            files,
            file: file.to_string(),
            config: beside.config,
            merges: beside.merges.or_else(own_merges),
            vocabulary: OnceLock::new(),
            made: BTreeMap::new(),
            small: BTreeMap::new(),
            family,
            stored: original.stored(),
            notes: Vec::new(),
        };
        let layers = this.text_layers(&original, &layout, family)?;
        layout.cut_text(layers);
        let inferred = Inferred { file, original: &original, layout: &layout, family };
        let index = this.json(INDEX, || Ok(inferred.index()))?;
        let given = this.config.as_ref().map_or(Ok(None), |config| config.size(SCHEDULER))?;
        let mut scheduler = this.json(SCHEDULER, || Ok(inferred.scheduler()))?;
        if let Some(asked) = beside.prediction {
            scheduler.insert("prediction_type".to_string(), asked.name().into());
            this.keep(SCHEDULER, &scheduler);
        }
        let marked = family.marked || given.is_some();
        this.family = Family { marked, ..family.predicting(scheduler.get("prediction_type")) };
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
    pub fn summary(&self) -> String {
        self.family.words()
    }

    /// The kind of model, in words.
    pub fn kind(&self) -> String {
        self.family.kind()
    }

    /// How most of the file's bytes store numbers: `f16`, `Q8_0`.
    pub fn stored(&self) -> &str {
        &self.stored
    }

    /// What the network is taken to predict.
    pub fn prediction(&self) -> Prediction {
        self.family.prediction
    }

    /// Whether neither a marker nor a folder says what the network predicts, so that another prediction may be the right one.
    pub fn prediction_is_open(&self) -> bool {
        !self.family.marked
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
                    self.notes.push(format!(
                        "the {} is that of the {}, for the file has none",
                        part.name,
                        hints::FOLDER
                    ));
                    return Ok(());
                }
                Some(Err(Error::NotAModel { .. })) => format!("and neither has the {} ({weights})", hints::FOLDER),
                Some(Err(error)) => return Err(error),
                None => hints::part(&weights),
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
        let Some(merges) = &self.merges else { return Ok(None) };
        let (vocab, pairs) = self.vocabulary.get_or_init(|| merges.vocabulary());
        Ok(match name {
            "vocab.json" => Some(vocab),
            "merges.txt" => Some(pairs),
            _ => None,
        })
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

/// The vocabulary that is in the program.
#[cfg(feature = "native")]
fn own_merges() -> Option<ClipMerges> {
    Some(ClipMerges::own())
}

/// The page carries none.
#[cfg(not(feature = "native"))]
fn own_merges() -> Option<ClipMerges> {
    None
}
