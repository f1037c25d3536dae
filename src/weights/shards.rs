//! Checkpoints in several files: the index (`*.safetensors.index.json`) as transformers and diffusers write it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// The whole index.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Index {
    #[serde(default)]
    pub metadata: Value,
    /// From a tensor's name to the file beside the index that holds it.
    pub weight_map: BTreeMap<String, String>,
}

/// The map from names to shards.
///
/// # Errors
/// [`Error::BadFile`] for something else than an index, an index of nothing, and files elsewhere than beside it.
pub(super) fn parse_index(file: &str, bytes: &[u8]) -> Result<BTreeMap<String, String>> {
    let bad = |reason: String| Error::BadFile { file: file.to_string(), reason };
    let index: Index = serde_json::from_slice(bytes).map_err(|error| bad(format!("no index of shards ({error})")))?;
    let odd =
        |name: &&String| !name.ends_with(".safetensors") || name.contains(['/', '\\', ':']) || name.starts_with('.');
    match index.weight_map.values().find(odd) {
        Some(name) => Err(bad(format!("the shard {name:?} is no safetensors file beside it"))),
        None if index.weight_map.is_empty() => Err(bad("no index of shards (its weight_map is empty)".to_string())),
        None => Ok(index.weight_map),
    }
}

/// The name of shard `i` (from 0) of `n`: `model.safetensors` is then `model-00001-of-00003.safetensors`.
#[cfg(feature = "native")]
pub(super) fn shard_name(file: &str, i: usize, n: usize) -> String {
    let stem = file.trim_end_matches(".safetensors");
    format!("{stem}-{:05}-of-{n:05}.safetensors", i + 1)
}
