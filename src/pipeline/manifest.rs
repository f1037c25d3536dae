//! `fourstep.json`, the manifest beside a model: the files to download, and the settings that suit the model.

use serde::{Deserialize, Serialize};

use super::LatentToRgb;

/// The file name of the manifest in a model's folder.
pub const MANIFEST: &str = "fourstep.json";

/// The manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The model's name for people.
    pub name: String,
    /// Licence of the weights and of what they were made from.
    pub licence: String,
    /// All files that a reader of the model needs.
    pub files: Vec<FileEntry>,
    /// The default settings.
    pub defaults: Defaults,
    /// Prompts that show what the model can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// A file beside the manifest with the words that the model knows, as `fourstep dataset words` writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// What the page offers, if it does not offer everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offers: Option<Offers>,
    /// The memory that the model needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Needs>,
    /// How many times larger the pictures of the model's large decoder are, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large: Option<usize>,
    /// The matrix for cheap previews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<LatentToRgb>,
}

/// One file of a model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileEntry {
    /// Path relative to the manifest, with `/`.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Hexadecimal digits.
    pub sha256: String,
}

/// Settings that suit a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Defaults {
    /// Number of denoising steps.
    pub steps: usize,
    /// Guidance scale; no guidance at 1 and below.
    pub guidance_scale: f32,
    /// Smallest and greatest guidance scale of a model that takes the scale as an input, from `model_index.json`. The
    /// page uses it before the model is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance_scale_range: Option<[f32; 2]>,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

/// What a model draws well. A key that is absent means no limit. The page offers nothing else (a link may ask for it).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Offers {
    /// Width and height of pictures, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizes: Option<Vec<[usize; 2]>>,
    /// The smallest and the greatest strength with a start picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strengths: Option<[f32; 2]>,
    /// Numbers of variations; an empty list if other seeds do not change the picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variations: Option<Vec<usize>>,
}

/// A plan in a few numbers, for the manifest: bytes of memory for one picture of the model's own size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// All weights, as stored on the device.
    pub weights: u64,
    /// The largest single buffer.
    pub largest_buffer: u64,
    /// The most that the layers hold besides the weights.
    pub activations: u64,
    /// The same while the large decoder draws, if the model has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_activations: Option<u64>,
}
