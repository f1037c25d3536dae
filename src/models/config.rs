//! Shared by all configuration files: strict reading, and values that may be one number or one for each block.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::weights::Quantization;
use crate::{Error, Result};

/// Parses a `config.json`.
///
/// # Errors
/// [`Error::Config`] with the file, the position and what was expected there.
pub fn parse<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| invalid(file, error.to_string()))
}

/// A value for all blocks, or one for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PerBlock {
    /// The same for all.
    One(usize),
    /// One for each, from the highest resolution down.
    Each(Vec<usize>),
}

impl PerBlock {
    /// The value of block `i`, counted from the highest resolution down.
    pub fn get(&self, i: usize) -> usize {
        match self {
            Self::One(value) => *value,
            Self::Each(values) => values[i],
        }
    }

    /// All values.
    pub(crate) fn values(&self) -> &[usize] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Each(values) => values,
        }
    }

    /// Whether a list has an entry for each of `blocks` blocks.
    pub fn fits(&self, blocks: usize) -> bool {
        matches!(self, Self::One(_)) || matches!(self, Self::Each(values) if values.len() == blocks)
    }
}

/// The greatest number of channels, features, heads or rows that a configuration may have, far above any network of
/// these families. The structure is built before weights are read, so a file must not be able to choose its size
/// freely.
const MAX_WIDTH: usize = 1 << 20;
/// The greatest number of layers of one kind in a row.
const MAX_DEPTH: usize = 64;

/// The greatest number of levels of a network, each of which halves the picture.
pub(crate) const MAX_LEVELS: usize = 16;

/// Refuses unreasonable sizes: `widths` of layers, and `depths`, their numbers.
pub(crate) fn check_sizes(file: &str, widths: &[(&str, &[usize])], depths: &[(&str, &[usize])]) -> Result<()> {
    for (most, all) in [(MAX_WIDTH, widths), (MAX_DEPTH, depths)] {
        for (key, values) in all {
            if let Some(value) = values.iter().find(|value| **value > most) {
                return Err(invalid(file, format!("{key} = {value}: at most {most}")));
            }
            if values.len() > MAX_DEPTH {
                return Err(invalid(file, format!("{key} has {} entries: at most {MAX_DEPTH}", values.len())));
            }
        }
    }
    Ok(())
}

/// An error about a value of a configuration file.
pub(crate) fn invalid(file: &str, reason: impl Into<String>) -> Error {
    Error::Config { file: file.to_string(), reason: reason.into() }
}

/// Refuses settings that would change the arithmetic and are not supported. Every key that the reader has no field for
/// must have its neutral value (from `neutral`), start with `_`, or be in `ignored`. Keys about how the weights are
/// stored are read by [`crate::weights::Quantization`].
pub(crate) fn check_rest<V: AsRef<[Value]>>(
    file: &str,
    rest: &Map<String, Value>,
    neutral: &[(&str, V)],
    ignored: &[&str],
) -> Result<()> {
    for (key, value) in rest {
        if key.starts_with('_') || key == Quantization::KEY || ignored.contains(&key.as_str()) {
            continue;
        }
        match neutral.iter().find(|(name, _)| name == key) {
            Some((_, values)) if values.as_ref().contains(value) => {}
            Some((_, values)) => {
                let known: Vec<String> = values.as_ref().iter().map(Value::to_string).collect();
                return Err(invalid(file, format!("{key} = {value} is not supported, only {}", known.join(" or "))));
            }
            None => return Err(invalid(file, format!("the key {key} (= {value}) is not known"))),
        }
    }
    Ok(())
}

/// Refuses group norms whose groups do not divide the channels.
pub(crate) fn check_groups(file: &str, groups: usize, channels: &[usize]) -> Result<()> {
    match channels.iter().find(|channels| groups == 0 || !channels.is_multiple_of(groups)) {
        Some(channels) => Err(invalid(file, format!("norm_num_groups = {groups} does not divide {channels} channels"))),
        None => Ok(()),
    }
}
