//! From bytes to modules and back: the one way in for weights.
//!
//! A module's own structure says which tensors it wants ([`load`]): its fields are named as in the checkpoint, so the
//! path of a parameter is its key, but for the few old names in [`rename`]. Adapters ([`Lora`]) are added on the way.

mod checkpoint;
mod files;
mod load;
mod lora;
mod rename;
#[cfg(feature = "native")]
mod save;

pub use checkpoint::Checkpoint;
pub use files::{DirFiles, Files, MemoryFiles};
pub use load::{load, load_with, paths};
pub use lora::{Lora, Part, Updates};
#[cfg(feature = "native")]
pub use save::{Precision, save};

/// The path of the parameter that is being visited, as a checkpoint key.
#[derive(Default)]
pub(crate) struct KeyPath(Vec<String>);

impl KeyPath {
    /// Enters a field. An enum's variant is no part of a key.
    pub fn enter(&mut self, name: &str, container: &str) {
        self.0.push(if container.starts_with("Enum") { String::new() } else { name.to_string() });
    }

    /// Leaves the field that was entered last.
    pub fn exit(&mut self) {
        self.0.pop();
    }

    /// `a.b.0.weight`.
    pub fn key(&self) -> String {
        let parts: Vec<&str> = self.0.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        parts.join(".")
    }
}
