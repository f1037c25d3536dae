//! From bytes to modules and back: the one way in for weights.
//!
//! A component's weights are a [`Checkpoint`]: a safetensors file or shards, of which one tensor is read at a time, by
//! ranges from [`Files`], put into blocks where that is asked for, and handed to the device before the next is read.
//! A module's own structure says which tensors it wants ([`load`]): its fields are named as in the checkpoint, so the
//! path of a parameter is its key, but for the few old names in `rename`. Adapters ([`Lora`]) are added on the way. A model in
//! one file is [`Files`] too: [`SingleFile`].

mod checkpoint;
mod files;
#[cfg(feature = "native")]
mod floats;
mod gguf;
mod header;
mod inversion;
mod load;
mod lora;
mod matrices;
mod quantization;
#[cfg(feature = "native")]
mod quantize;
mod quantized;
mod rename;
#[cfg(feature = "native")]
mod save;
mod shards;
mod single;
mod wanted;
#[cfg(feature = "native")]
mod write;

pub use checkpoint::Checkpoint;
#[cfg(target_arch = "wasm32")]
pub(crate) use files::cut_off;
pub use files::{DirFiles, Files, MemoryFiles};
#[cfg(feature = "native")]
pub use floats::write_floats;
pub use inversion::TextualInversion;
pub use load::{check, load, load_with};
pub use lora::{Lora, Part, Updates, is_lora_key};
pub use matrices::{Matrix, serialize};
pub use quantization::Quantization;
#[cfg(feature = "native")]
pub use quantize::{QuantizedFile, QuantizedTensor, Rewrite, Written, quantize};
#[cfg(feature = "native")]
pub(crate) use save::write;
#[cfg(feature = "native")]
pub use save::{Precision, save};
pub use single::{Beside, Prediction, SingleFile};
pub use wanted::{Wanted, paths, wanted};
#[cfg(feature = "native")]
pub use write::{Planned, write_sharded};

/// The path of the parameter that is being visited, as a checkpoint key.
#[derive(Default)]
pub(crate) struct KeyPath {
    fields: Vec<String>,
    /// Kind of module that each field is in.
    containers: Vec<String>,
}

impl KeyPath {
    /// Enters a field. An enum's variant is no part of a key.
    pub fn enter(&mut self, name: &str, container: &str) {
        self.fields.push(if container.starts_with("Enum") { String::new() } else { name.to_string() });
        self.containers.push(container.to_string());
    }

    /// Leaves the field that was entered last.
    pub fn exit(&mut self) {
        self.fields.pop();
        self.containers.pop();
    }

    /// `a.b.0.weight`.
    pub fn key(&self) -> String {
        let parts: Vec<&str> = self.fields.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        parts.join(".")
    }

    /// Whether these are the codes of a weight in blocks.
    pub fn is_codes(&self) -> bool {
        self.fields.last().is_some_and(|field| field == "codes")
    }

    /// Whether this is the weight of a [`crate::nn::Linear`] or [`crate::nn::Conv2d`]: those may be quantized.
    pub fn is_layer_weight(&self) -> bool {
        let container = self.containers.last().map(String::as_str);
        self.fields.last().is_some_and(|field| field == "weight")
            && matches!(container, Some("Struct:Linear" | "Struct:Conv2d"))
    }
}
