//! A safetensors file as named tensors, checked before use.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{Quantization, rename};
use crate::{Error, Result};

/// The tensors of one safetensors file, widened to f32 one by one as they are asked for.
pub struct Checkpoint<'a> {
    pub(super) file: String,
    pub(super) views: BTreeMap<String, TensorView<'a>>,
    pub(super) quantization: Option<Quantization>,
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
        Ok(Self { file: file.to_string(), views, quantization: None })
    }

    /// The file's name, for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The keys, sorted, under their present names.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.views.keys().map(String::as_str)
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

    pub(super) fn view(&self, name: &str) -> Result<&TensorView<'a>> {
        self.views.get(name).ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &str) -> Error {
        Error::MissingTensor { file: self.file.clone(), name: name.to_string() }
    }

    pub(super) fn bad(&self, name: &str, reason: &str) -> Error {
        Error::BadFile { file: self.file.clone(), reason: format!("tensor {name}: {reason}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;

    fn file() -> Vec<u8> {
        let half: Vec<u8> = [1.0f32, -2.5, 65504.0].iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect();
        let single: Vec<u8> = [0.1f32, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let views = [
            ("a.weight", TensorView::new(Dtype::F16, vec![3], &half).unwrap()),
            ("b.bias", TensorView::new(Dtype::F32, vec![1, 2], &single).unwrap()),
        ];
        safetensors::serialize(views, None).unwrap()
    }

    #[test]
    fn halves_and_singles_are_widened() {
        let bytes = file();
        let checkpoint = Checkpoint::parse("x.safetensors", &bytes).unwrap();
        assert_eq!(checkpoint.keys().collect::<Vec<_>>(), ["a.weight", "b.bias"]);
        assert_eq!(checkpoint.f32("a.weight").unwrap().iter::<f32>().collect::<Vec<_>>(), [1.0, -2.5, 65504.0]);
        assert_eq!(checkpoint.shape("b.bias"), Some(&[1, 2][..]));
    }

    #[test]
    fn a_missing_tensor_is_named_with_its_file() {
        let bytes = file();
        let error = Checkpoint::parse("x.safetensors", &bytes).unwrap().f32("c.weight").unwrap_err();
        assert_eq!(error.to_string(), "x.safetensors: tensor c.weight is missing");
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = file();
        for len in 0..bytes.len() {
            let error = Checkpoint::parse("x.safetensors", &bytes[..len]).err().expect("a truncated file");
            assert!(error.to_string().starts_with("x.safetensors: "), "{error}");
        }
    }

    /// Whatever a flipped, inserted or removed byte makes of a file, reading it ends with values or an error.
    #[test]
    fn altered_bytes_never_panic() {
        let whole = file();
        for seed in 0..3000 {
            let mut random = stream(seed, "altered safetensors", 0);
            let mut bytes = whole.clone();
            for _ in 0..=random.next_u32() % 3 {
                let place = random.next_u32() as usize % bytes.len();
                match random.next_u32() % 3 {
                    0 => bytes[place] = random.next_u32() as u8,
                    1 => bytes.insert(place, random.next_u32() as u8),
                    _ => drop(bytes.remove(place)),
                }
            }
            let read = std::panic::catch_unwind(|| {
                if let Ok(checkpoint) = Checkpoint::parse("x.safetensors", &bytes) {
                    let names: Vec<String> = checkpoint.keys().map(str::to_string).collect();
                    names.iter().for_each(|name| drop(checkpoint.f32(name)));
                }
            });
            assert!(read.is_ok(), "seed {seed} panics");
        }
    }
}
