//! An edit as one safetensors file: the embeddings and the losses of both stages under keys that begin with `imagic.`, the adapters
//! in diffusers' names, and the settings as JSON in the header.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Imagic, OptimizedEmbedding};
use crate::edit::fit::Ended;
use crate::edit::recognised::{IMAGIC, IMAGIC_KEYS};
use crate::pipeline::MAX_SIZE;
use crate::weights::{Checkpoint, Lora, Matrix, serialize};
use crate::{Error, Result};

const VERSION: u32 = 1;
/// The fitted one, where it began, and the target text's.
const EMBEDDINGS: [&str; 3] = ["imagic.embedding", "imagic.start", "imagic.target"];

/// An edit in a file.
pub struct SavedEdit<'a> {
    /// To be drawn by a pipeline that is loaded with [`Self::lora`].
    pub edit: Imagic,
    /// Its adapters; none where fitting ended before them.
    pub lora: Option<Lora<'a>>,
    /// How its strip was drawn.
    pub drawn: Drawn,
}

/// Settings with which an edit's pictures were drawn. `None` stands for the model's own value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drawn {
    /// Of the random numbers.
    pub seed: u64,
    /// Denoising steps.
    pub steps: Option<usize>,
    /// 1 and below: no guidance.
    pub guidance_scale: Option<f32>,
}

/// The settings in the header.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    prompt: String,
    source_prompt: Option<String>,
    negative_prompt: String,
    width: usize,
    height: usize,
    embedding_ended: Ended,
    adapters_ended: Option<Ended>,
    drawn: Drawn,
}

impl Imagic {
    /// The edit as a file's bytes, with the settings of its pictures.
    pub async fn to_bytes(&self, drawn: &Drawn) -> Vec<u8> {
        let header = Header {
            version: VERSION,
            prompt: self.prompt.clone(),
            source_prompt: self.source_prompt.clone(),
            negative_prompt: self.negative_prompt.clone(),
            width: self.width,
            height: self.height,
            embedding_ended: self.embedding.ended,
            adapters_ended: self.adapters.as_ref().map(|adapters| adapters.ended),
            drawn: drawn.clone(),
        };
        let OptimizedEmbedding { embedding, start, losses, .. } = &self.embedding;
        let mut matrices = vec![Matrix::row("imagic.embedding_losses", losses)];
        for (key, tensor) in EMBEDDINGS.into_iter().zip([embedding, start, &self.target]) {
            matrices.push(Matrix::read(key, tensor.clone()).await);
        }
        if let Some(adapters) = &self.adapters {
            matrices.push(Matrix::row("imagic.adapter_losses", &adapters.losses));
            matrices.extend(adapters.matrices().await);
        }
        let header = serde_json::to_string(&header).expect("text and numbers");
        serialize(&matrices, HashMap::from([(IMAGIC.to_owned(), header)]))
    }
}

impl<'a> SavedEdit<'a> {
    /// Reads a file. `file` is the name to use in messages; the embeddings go to `device`.
    ///
    /// # Errors
    /// [`Error::BadFile`] for a file that is no edit, is truncated, or holds values that are not finite.
    pub fn parse(file: &str, bytes: &'a [u8], device: &Device) -> Result<Self> {
        let checkpoint = Checkpoint::parse(file, bytes)?;
        let header = header(file, &checkpoint)?;
        let [embedding, start, target] = EMBEDDINGS.map(|key| matrix(file, &checkpoint, key, device));
        let (embedding, start, target) = (embedding?, start?, target?);
        if [&start, &target].iter().any(|other| other.dims() != embedding.dims()) {
            return Err(bad(file, "its embeddings differ in shape".into()));
        }
        let losses = checkpoint.f32("imagic.embedding_losses")?.iter::<f32>().collect();
        let lora = match header.adapters_ended {
            Some(_) => Some(Lora::parse_among(file, bytes, 1.0, Some(IMAGIC_KEYS))?),
            None => None,
        };
        let edit = Imagic {
            prompt: header.prompt,
            source_prompt: header.source_prompt,
            negative_prompt: header.negative_prompt,
            width: header.width,
            height: header.height,
            embedding: OptimizedEmbedding { embedding, start, losses, ended: header.embedding_ended },
            target,
            adapters: None,
            warnings: Vec::new(),
            unet: None,
        };
        Ok(Self { edit, lora, drawn: header.drawn })
    }
}

fn header(file: &str, checkpoint: &Checkpoint<'_>) -> Result<Header> {
    let text = checkpoint.metadata(IMAGIC);
    let text = text.ok_or_else(|| bad(file, "it is no saved edit: its header has no settings of Imagic".into()))?;
    let header: Header =
        serde_json::from_str(text).map_err(|error| bad(file, format!("settings of Imagic: {error}")))?;
    let sizes = [header.width, header.height];
    if header.version != VERSION {
        return Err(bad(file, format!("an edit of version {}; this program reads {VERSION}", header.version)));
    }
    if sizes.iter().any(|size| !(1..=MAX_SIZE).contains(size)) {
        return Err(bad(file, format!("an edit of {} x {} pixels", sizes[0], sizes[1])));
    }
    Ok(header)
}

/// Finite numbers.
fn matrix(file: &str, checkpoint: &Checkpoint<'_>, key: &str, device: &Device) -> Result<Tensor<2>> {
    let data = checkpoint.f32(key)?;
    let shape = checkpoint.shape(key).unwrap_or_default();
    if shape.len() != 2 {
        return Err(bad(file, format!("tensor {key} has shape {shape:?}; two dimensions are expected")));
    }
    if !data.iter::<f32>().all(f32::is_finite) {
        return Err(bad(file, format!("tensor {key} holds values that are not finite")));
    }
    Ok(Tensor::from_data(data, device))
}

fn bad(file: &str, reason: String) -> Error {
    Error::BadFile { file: file.to_owned(), reason }
}
