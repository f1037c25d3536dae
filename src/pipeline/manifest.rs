//! `fourstep.json`, the manifest beside a model: the files to download, and the settings that suit the model.

use serde::{Deserialize, Serialize};

use super::LatentToRgb;

/// The manifest's name in a model's folder.
pub const MANIFEST: &str = "fourstep.json";

/// The whole manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// For people.
    pub name: String,
    /// Of the weights and of what they were made from.
    pub licence: String,
    /// Everything that a reader of the model needs.
    pub files: Vec<FileEntry>,
    /// What to draw with.
    pub defaults: Defaults,
    /// Prompts that show what the model can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// A file beside the manifest with the words that the model knows, as `fourstep dataset words` writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// What the page offers, where that is not everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offers: Option<Offers>,
    /// What the model takes of a machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Needs>,
    /// How many times as large as the others the pictures of the model's large decoder are, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large: Option<usize>,
    /// For cheap previews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<LatentToRgb>,
}

/// One file of a model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileEntry {
    /// Relative to the manifest, with `/`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Hexadecimal.
    pub sha256: String,
}

/// Settings that suit a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Defaults {
    /// Steps.
    pub steps: usize,
    /// Guidance scale.
    pub guidance_scale: f32,
    /// Least and largest guidance scale of a model that takes the scale as an input, from `model_index.json`: the page
    /// keeps to it before the model is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance_scale_range: Option<[f32; 2]>,
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
}

/// What a model draws well, all of it where a key is absent: the page offers nothing else (a link may ask for it).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Offers {
    /// Width and height of pictures, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizes: Option<Vec<[usize; 2]>>,
    /// The least and the largest strength from a start picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strengths: Option<[f32; 2]>,
    /// How many variations at once; none where other seeds draw nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variations: Option<Vec<usize>>,
}

/// A plan in three numbers, for the manifest: bytes of memory for one picture of the model's own size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// All weights, as they are on the device.
    pub weights: u64,
    /// The largest single buffer.
    pub largest_buffer: u64,
    /// What the layers hold at once beside the weights.
    pub activations: u64,
    /// The same while the large decoder draws, where the model has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_activations: Option<u64>,
}
