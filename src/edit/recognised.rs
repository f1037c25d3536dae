//! What a safetensors file is that somebody opens in the page: an edit, an adapter, or something else; from its header alone. Those
//! who write the files have their keys from here.

use serde_json::Value;

use crate::weights::{Checkpoint, Files, is_lora_key};

/// Where the settings of an edit stand in the header, as JSON.
pub const IMAGIC: &str = "imagic";
/// What the keys of an edit's tensors begin with that are no adapter's.
pub const IMAGIC_KEYS: &str = "imagic.";
/// Where it stands in the header what an adapter was taught, as JSON.
pub const ADAPT: &str = "adapt";

/// A file of one of the two kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// Of `Imagic::to_bytes`.
    Edit {
        /// What the picture should show.
        prompt: String,
    },
    /// A LoRA of any origin.
    Adapter {
        /// What it was taught, where the file says so.
        prompt: Option<String>,
    },
}

impl Recognised {
    /// Looks at the header of the file at `path`; none for everything else, whole models and broken files too. What it is may
    /// still be refused when all of it is read.
    pub fn from_header(files: &impl Files, path: &str) -> Option<Self> {
        let checkpoint = Checkpoint::open(files, path).ok()?;
        let prompt = |key: &str| {
            let settings: Value = serde_json::from_str(checkpoint.metadata(key)?).ok()?;
            Some(settings["prompt"].as_str()?.to_owned())
        };
        if checkpoint.metadata(IMAGIC).is_some() {
            return Some(Self::Edit { prompt: prompt(IMAGIC).unwrap_or_default() });
        }
        let adapts = checkpoint.keys().any(is_lora_key);
        adapts.then(|| Self::Adapter { prompt: prompt(ADAPT) })
    }
}
