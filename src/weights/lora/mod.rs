//! LoRA adapters (Hu et al., 2021): low-rank updates, added to the weights while they are loaded.
//!
//! A layer's weight becomes W + weight · alpha / rank · up · down; a convolution's `down` has the layer's kernel, its
//! `up` is 1 x 1. Without an alpha it is the rank. [`names`] finds the layer of an adapter's key.

mod names;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use names::Part;

use super::Checkpoint;
use crate::{Error, Result};

/// Where newer diffusers versions keep an adapter's settings in the file's header.
const METADATA: &str = "lora_adapter_metadata";

/// How keys of a whole model in one file begin.
const CHECKPOINT: [&str; 4] =
    ["model.diffusion_model.", "first_stage_model.", "cond_stage_model.", "conditioner.embedders."];

/// One adapter file with the weight that its user gives it.
pub struct Lora<'a> {
    checkpoint: Checkpoint<'a>,
    bytes: &'a [u8],
    weight: f32,
    layers: BTreeMap<(Part, String), Keys>,
    settings: Value,
}

/// The keys of one adapted layer.
#[derive(Default)]
struct Keys {
    down: Option<String>,
    up: Option<String>,
    alpha: Option<String>,
}

impl<'a> Lora<'a> {
    /// Reads the header of an adapter in the names of diffusers or kohya. `file` is the name to use in messages.
    ///
    /// # Errors
    /// [`Error::BadFile`] for something that is no safetensors file, a key that is none of an adapter (or of a kind of
    /// adapter that is not built: LoHa, LoKr, DoRA), or settings that are not understood; [`Error::Request`] for a weight
    /// that is not finite.
    pub fn parse(file: &str, bytes: &'a [u8], weight: f32) -> Result<Self> {
        Self::parse_among(file, bytes, weight, None)
    }

    /// As [`Self::parse`], for a file that has other tensors too, whose keys begin with `others`.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_among(file: &str, bytes: &'a [u8], weight: f32, others: Option<&str>) -> Result<Self> {
        if !weight.is_finite() {
            return Err(Error::Request(format!("the weight of {file} is {weight}: use a number such as 0.8")));
        }
        let checkpoint = Checkpoint::parse(file, bytes)?;
        if let Some(key) = checkpoint.keys().find(|key| CHECKPOINT.iter().any(|start| key.starts_with(start))) {
            return Err(bad(file, format!("a whole checkpoint ({key}), no LoRA adapter: give it as --model")));
        }
        let mut layers: BTreeMap<(Part, String), Keys> = BTreeMap::new();
        for key in checkpoint.keys().filter(|key| others.is_none_or(|others| !key.starts_with(others))) {
            let (part, layer, role) = names::understood(key).map_err(|reason| bad(file, reason))?;
            let keys = layers.entry((part, layer)).or_default();
            let slot = match role {
                names::Role::Down => &mut keys.down,
                names::Role::Up => &mut keys.up,
                names::Role::Alpha => &mut keys.alpha,
            };
            if let Some(other) = slot.replace(key.to_string()) {
                return Err(bad(file, format!("{key} and {other} are for the same layer")));
            }
        }
        let settings = settings(file, checkpoint.metadata(METADATA))?;
        Ok(Self { checkpoint, bytes, weight, layers, settings })
    }

    /// Its file's name without folder and ending, and the first twelve digits of the SHA-256 of its tensors: `zib: 7c6bad76eb54`, as
    /// A1111 has it in a picture's settings.
    pub fn label(&self) -> String {
        let name = self.checkpoint.file().rsplit(['/', '\\']).next().unwrap_or_default();
        let name = name.strip_suffix(".safetensors").unwrap_or(name);
        let (length, rest) = self.bytes.split_at(8);
        let length = u64::from_le_bytes(length.try_into().expect("eight bytes")) as usize;
        let hash = Sha256::digest(&rest[length..]);
        let digits: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        format!("{name}: {digits}")
    }

    /// The updates of one network, whose weights are `targets` (from [`super::paths`]).
    ///
    /// # Errors
    /// [`Error::BadFile`] names the keys that fit no weight; [`Error::MissingTensor`] the half of a pair.
    pub fn updates<'b>(&'b self, part: Part, targets: &[(String, Vec<usize>)]) -> Result<Updates<'b>> {
        let layers = targets.iter().filter_map(|(key, _)| key.strip_suffix(".weight"));
        let flat: BTreeMap<String, &str> = layers.map(|layer| (layer.replace('.', "_"), layer)).collect();
        let (mut found, mut strange) = (BTreeMap::new(), Vec::new());
        for ((_, layer), keys) in self.layers.iter().filter(|((of, _), _)| *of == part) {
            let target = flat.get(layer).or_else(|| flat.get(&format!("text_model_{layer}")));
            match target {
                Some(target) => drop(found.insert(format!("{target}.weight"), vec![self.update(part, layer, keys)?])),
                None => strange.extend([&keys.down, &keys.up, &keys.alpha].into_iter().flatten().cloned()),
            }
        }
        match strange.first() {
            Some(first) => Err(self.misfit(first, strange.len(), part)),
            None => Ok(Updates(found)),
        }
    }

    /// Refuses updates of networks that the model lacks.
    ///
    /// # Errors
    /// [`Error::BadFile`] names the first key.
    pub fn check_parts(&self, parts: &[Part]) -> Result<()> {
        match self.layers.iter().find(|((part, _), _)| !parts.contains(part)) {
            Some(((part, _), keys)) => {
                let key = [&keys.down, &keys.up, &keys.alpha].into_iter().flatten().next();
                let count = self.layers.keys().filter(|(of, _)| of == part).count();
                Err(self.misfit(key.expect("a layer has a key"), count, *part))
            }
            None => Ok(()),
        }
    }

    fn misfit(&self, key: &str, count: usize, part: Part) -> Error {
        let others = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
        let reason = format!("{key}{others} of the adapter fit no weight of this model's {}", part.folder());
        bad(self.checkpoint.file(), format!("{reason}: is it for another family?"))
    }

    fn update(&self, part: Part, layer: &str, keys: &Keys) -> Result<Update<'_>> {
        let half = |key: &Option<String>, what: &str| {
            let missing = || {
                let file = self.checkpoint.file().to_string();
                Error::MissingTensor { file, name: format!("{what} of {}.{layer}", part.folder()) }
            };
            key.clone().ok_or_else(missing)
        };
        let (down, up) = (half(&keys.down, "lora_down")?, half(&keys.up, "lora_up")?);
        let rank = self.checkpoint.shape(&down).and_then(|shape| shape.first()).copied().unwrap_or(0).max(1) as f32;
        let alpha = match &keys.alpha {
            Some(key) => self.values(key)?.first().copied().unwrap_or(rank),
            None => self.settings[format!("{}.lora_alpha", part.folder())].as_f64().map_or(rank, |alpha| alpha as f32),
        };
        Ok(Update { lora: self, down, up, scale: self.weight * alpha / rank })
    }

    fn values(&self, key: &str) -> Result<Vec<f32>> {
        let values: Vec<f32> = self.checkpoint.f32(key)?.iter::<f32>().collect();
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(bad(self.checkpoint.file(), format!("tensor {key} holds values that are not finite"))),
        }
    }
}

/// Whether a tensor of this name belongs to an adapter.
pub fn is_lora_key(key: &str) -> bool {
    names::understood(key).is_ok()
}

/// What is added to the weights of one network, by the checkpoint's keys.
#[derive(Default)]
pub struct Updates<'a>(BTreeMap<String, Vec<Update<'a>>>);

impl Updates<'_> {
    /// The updates of several adapters of the same network.
    pub fn together(all: impl IntoIterator<Item = Self>) -> Self {
        let mut together = Self::default();
        for Self(updates) in all {
            for (key, mut more) in updates {
                together.0.entry(key).or_default().append(&mut more);
            }
        }
        together
    }

    /// Whether there is something for a weight.
    pub(super) fn touch(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// `weight` of that name with its updates.
    ///
    /// # Errors
    /// [`Error::MisshapenTensor`] for an update of another layer's shape; [`Error::BadFile`] for one that is not finite.
    pub(super) fn apply<const D: usize>(&self, name: &str, weight: Tensor<D>) -> Result<Tensor<D>> {
        let updates = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
        updates.iter().try_fold(weight, |weight, update| {
            let shape = weight.dims();
            let delta = update.product(&shape, &weight.device())?;
            Ok(weight + delta.reshape(shape) * update.scale)
        })
    }
}

struct Update<'a> {
    lora: &'a Lora<'a>,
    down: String,
    up: String,
    scale: f32,
}

impl Update<'_> {
    /// up · down, `[outputs, everything else]` of a weight of `shape`.
    fn product(&self, shape: &[usize], device: &Device) -> Result<Tensor<2>> {
        let of = |key: &str| self.lora.checkpoint.shape(key).unwrap_or_default().to_vec();
        let (down, up) = (of(&self.down), of(&self.up));
        let [rank, outputs] = [down.first(), up.first()].map(|length| length.copied().unwrap_or(0));
        let size = |shape: &[usize]| shape.iter().product::<usize>();
        let rest = size(shape) / shape[0].max(1);
        let misshapen = |name: &str, expected: [usize; 2], found: &[usize]| Error::MisshapenTensor {
            file: self.lora.checkpoint.file().to_string(),
            name: name.to_string(),
            expected: expected.to_vec(),
            found: found.to_vec(),
        };
        if rank == 0 || size(&down) != rank * rest {
            return Err(misshapen(&self.down, [rank, rest], &down));
        }
        if outputs != shape[0] || size(&up) != outputs * rank {
            return Err(misshapen(&self.up, [shape[0], rank], &up));
        }
        let matrix = |key: &str, shape: [usize; 2]| -> Result<Tensor<2>> {
            Ok(Tensor::from_data(TensorData::new(self.lora.values(key)?, shape), device))
        };
        Ok(matrix(&self.up, [outputs, rank])?.matmul(matrix(&self.down, [rank, rest])?))
    }
}

/// The settings in the header, if there are any; refuses those that change the arithmetic in a way that is not built.
fn settings(file: &str, text: Option<&str>) -> Result<Value> {
    let Some(text) = text else { return Ok(Value::Null) };
    let settings: Value = serde_json::from_str(text).map_err(|error| bad(file, format!("{METADATA}: {error}")))?;
    for (key, value) in settings.as_object().into_iter().flatten() {
        let name = key.rsplit('.').next().unwrap_or(key);
        let on = value.as_bool() == Some(true) || value.as_object().is_some_and(|patterns| !patterns.is_empty());
        if on && ["use_dora", "use_rslora", "alpha_pattern", "lora_bias"].contains(&name) {
            return Err(bad(file, format!("{key} = {value} in {METADATA} is not supported")));
        }
    }
    Ok(settings)
}

fn bad(file: &str, reason: String) -> Error {
    Error::BadFile { file: file.to_string(), reason }
}

#[cfg(test)]
mod tests;
