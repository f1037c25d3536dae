//! A safetensors file as named tensors, checked before use.

use std::collections::{BTreeMap, HashMap};

use burn::tensor::TensorData;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::rename;
use crate::{Error, Result};

/// The tensors of one safetensors file, widened to f32 one by one as they are asked for.
pub struct Checkpoint<'a> {
    file: String,
    views: BTreeMap<String, TensorView<'a>>,
    metadata: HashMap<String, String>,
}

impl<'a> Checkpoint<'a> {
    /// Reads the header. `file` is the name to use in messages.
    ///
    /// # Errors
    /// [`Error::BadFile`] for a truncated file, overlapping tensors, or something that is no safetensors file.
    pub fn parse(file: &str, bytes: &'a [u8]) -> Result<Self> {
        let bad = |error: safetensors::SafeTensorError| Error::BadFile {
            file: file.to_string(),
            reason: format!("truncated or no safetensors file ({error})"),
        };
        let tensors = SafeTensors::deserialize(bytes).map_err(bad)?;
        let views = tensors.tensors().into_iter().filter(|(key, _)| !rename::is_buffer(key));
        let views = views.map(|(key, view)| (rename::present_name(&key), view)).collect();
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(bad)?;
        Ok(Self { file: file.to_string(), views, metadata: metadata.metadata().clone().unwrap_or_default() })
    }

    /// The file's name, for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The keys, sorted, under their present names.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.views.keys().map(String::as_str)
    }

    /// Free-form strings of the header.
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// The shape of a tensor, if it is there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.views.get(name).map(TensorView::shape)
    }

    /// A floating-point tensor as f32.
    ///
    /// # Errors
    /// [`Error::MissingTensor`]; [`Error::BadFile`] for a dtype that holds no weights.
    pub fn f32(&self, name: &str) -> Result<TensorData> {
        let view = self.view(name)?;
        let bytes = view.data();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            Dtype::F16 => bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            Dtype::BF16 => bytes.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            other => return Err(self.bad(name, &format!("dtype {other:?}; weights are F32, F16 or BF16"))),
        };
        Ok(TensorData::new(values, view.shape().to_vec()))
    }

    /// An I64 tensor.
    ///
    /// # Errors
    /// [`Error::MissingTensor`]; [`Error::BadFile`] for another dtype.
    pub fn i64(&self, name: &str) -> Result<Vec<i64>> {
        let view = self.view(name)?;
        match view.dtype() {
            Dtype::I64 => {
                let words = view.data().chunks_exact(8);
                Ok(words.map(|b| i64::from_le_bytes(b.try_into().expect("eight bytes"))).collect())
            }
            other => Err(self.bad(name, &format!("dtype {other:?}, expected I64"))),
        }
    }

    /// A U8 tensor's bytes.
    ///
    /// # Errors
    /// [`Error::MissingTensor`]; [`Error::BadFile`] for another dtype.
    pub fn u8(&self, name: &str) -> Result<&[u8]> {
        let view = self.views.get(name).ok_or_else(|| self.missing(name))?;
        match view.dtype() {
            Dtype::U8 => Ok(view.data()),
            other => Err(self.bad(name, &format!("dtype {other:?}, expected U8"))),
        }
    }

    fn view(&self, name: &str) -> Result<&TensorView<'a>> {
        self.views.get(name).ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &str) -> Error {
        Error::MissingTensor { file: self.file.clone(), name: name.to_string() }
    }

    fn bad(&self, name: &str, reason: &str) -> Error {
        Error::BadFile { file: self.file.clone(), reason: format!("tensor {name}: {reason}") }
    }
}
