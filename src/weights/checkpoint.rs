//! A component's weights as named tensors: one safetensors file or several shards with an index. Only headers are read
//! when it is opened; each tensor is read, checked and converted when it is asked for, so that one is held at a time.

use std::borrow::Cow;
use std::collections::BTreeMap;

use burn::tensor::TensorData;
use half::{bf16, f16};
use safetensors::Dtype;

use super::header::{Header, Stored};
use super::quantization::format_of;
use super::{Files, Quantization, Wanted, rename, shards};
use crate::kernels::BlockFormat;
use crate::{Error, Result};

/// The tensors of one component, widened to f32 one by one as they are asked for.
pub struct Checkpoint<'a> {
    /// The name of the whole, for messages.
    pub(super) file: String,
    source: Source<'a>,
    /// One, or the shards.
    parts: Vec<String>,
    /// By their present names; with the number of the part that holds them.
    pub(super) tensors: BTreeMap<String, (usize, Stored)>,
    metadata: BTreeMap<String, String>,
    /// What the component's `config.json` says about how the weights are stored.
    pub(super) quantization: Option<Quantization>,
    /// Into what layers' weights are put on the way.
    pub(super) quantize: Option<BlockFormat>,
}

enum Source<'a> {
    Bytes(&'a [u8]),
    Files(&'a dyn Files),
}

impl<'a> Checkpoint<'a> {
    /// Reads the header of a file in memory. `file` is the name to use in messages.
    ///
    /// # Errors
    /// [`Error::BadFile`] for a truncated file, overlapping tensors, or something that is no safetensors file.
    pub fn parse(file: &str, bytes: &'a [u8]) -> Result<Self> {
        let mut this = Self::empty(file, Source::Bytes(bytes));
        this.add(file, bytes.len() as u64)?;
        Ok(this)
    }

    /// Reads the headers of a component's weights: of the file at `path` (`unet/diffusion_pytorch_model.safetensors`), or
    /// else of the shards that `path.index.json` lists, or of either with `.fp16` in its name.
    ///
    /// # Errors
    /// [`Error::NotAModel`] if none of them is there; [`Error::BadFile`] as [`Self::parse`], for an index that does not
    /// fit its shards, and for a tensor that stands in two of them.
    pub fn open(files: &'a dyn Files, path: &str) -> Result<Self> {
        let fp16 = path.replace(".safetensors", ".fp16.safetensors");
        let indices = [(path, format!("{path}.index.json")), (&fp16, format!("{path}.index.fp16.json"))];
        for (file, index) in &indices {
            if let Some(size) = files.size(file)? {
                let mut this = Self::empty(file, Source::Files(files));
                this.add(file, size)?;
                return Ok(this);
            }
            if let Some(bytes) = files.get_small(index)? {
                return Self::open_shards(files, path, index, &bytes);
            }
        }
        let reason = format!("{path} is missing, and so is an index of shards, {path}.index.json");
        Err(Error::NotAModel { place: files.place(), reason })
    }

    fn open_shards(files: &'a dyn Files, path: &str, index: &str, bytes: &[u8]) -> Result<Self> {
        let map = shards::parse_index(index, bytes)?;
        let mut this = Self::empty(index, Source::Files(files));
        let folder = path.rfind('/').map_or("", |at| &path[..=at]);
        let mut shards: Vec<&String> = map.values().collect();
        shards.sort();
        shards.dedup();
        // A missing one is told before anything is said of the others.
        let size = |name: &&String| {
            let file = format!("{folder}{name}");
            let reason = format!("{file} is missing, which {index} lists");
            files.size(&file)?.ok_or_else(|| Error::NotAModel { place: files.place(), reason })
        };
        let sizes = shards.iter().map(size).collect::<Result<Vec<_>>>()?;
        for (name, size) in shards.into_iter().zip(sizes) {
            let file = format!("{folder}{name}");
            for found in this.add(&file, size)? {
                if map.get(&found) != Some(name) {
                    return Err(bad(&file, format!("tensor {found}: {index} does not place it here")));
                }
            }
        }
        let is_there =
            |name: &String| rename::is_buffer(name) || this.tensors.contains_key(&rename::present_name(name));
        match map.iter().find(|(name, _)| !is_there(name)) {
            Some((name, shard)) => {
                Err(Error::MissingTensor { file: format!("{folder}{shard}"), name: name.to_string() })
            }
            None => Ok(this),
        }
    }

    fn empty(file: &str, source: Source<'a>) -> Self {
        let (parts, tensors, metadata) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { file: file.to_string(), source, parts, tensors, metadata, quantization: None, quantize: None }
    }

    /// Takes up a file; the names of its tensors, as they stand there.
    fn add(&mut self, file: &str, size: u64) -> Result<Vec<String>> {
        let part = self.parts.len();
        self.parts.push(file.to_string());
        let header = Header::read(file, size, |offset, length| self.range(part, offset, length))?;
        let mut names = Vec::with_capacity(header.tensors.len());
        for (name, stored) in header.tensors {
            let present = rename::present_name(&name);
            if !rename::is_buffer(&name) && self.tensors.insert(present, (part, stored)).is_some() {
                return Err(bad(file, format!("tensor {name} stands in the weights twice")));
            }
            names.push(name);
        }
        self.metadata.extend(header.metadata);
        Ok(names)
    }

    fn range(&self, part: usize, offset: u64, length: usize) -> Result<Cow<'a, [u8]>> {
        match self.source {
            Source::Bytes(bytes) => {
                let range = usize::try_from(offset).ok().and_then(|from| bytes.get(from..from.checked_add(length)?));
                range.map(Cow::Borrowed).ok_or_else(|| bad(&self.parts[part], "truncated".to_string()))
            }
            Source::Files(files) => files.range(&self.parts[part], offset, length),
        }
    }

    /// The file's name, for messages; the index's where there are shards.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The files that hold the weights.
    pub fn parts(&self) -> &[String] {
        &self.parts
    }

    /// The keys, sorted, under their present names.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of a tensor, if it is there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|(_, stored)| stored.shape.as_slice())
    }

    /// How a tensor's numbers are stored, if it is there.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        self.tensors.get(name).map(|(_, stored)| stored.dtype)
    }

    /// Bytes of a tensor as it is stored; 0 if it is not there.
    pub fn length(&self, name: &str) -> u64 {
        self.tensors.get(name).map_or(0, |(_, stored)| stored.length)
    }

    /// The blocks in which a weight is had from here, if it is: as stored, or put into them on the way.
    pub fn format(&self, wanted: &Wanted) -> Option<BlockFormat> {
        match self.dtype(&wanted.name).filter(|_| wanted.layer)? {
            Dtype::I8 => Some(BlockFormat::Q8_0),
            Dtype::U8 => Some(BlockFormat::Q4_0),
            _ => {
                self.quantize.filter(|_| self.comes_in_blocks(&wanted.name)).map(|asked| format_of(&wanted.name, asked))
            }
        }
    }

    /// A note in the header, if it is there.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// The bytes of a tensor as they are stored.
    ///
    /// # Errors
    /// [`Error::MissingTensor`]; those of reading.
    pub fn bytes(&self, name: &str) -> Result<Cow<'a, [u8]>> {
        let (part, stored) = self.stored(name)?;
        let length = usize::try_from(stored.length).map_err(|_| self.bad(name, "too large for this machine"))?;
        self.range(*part, stored.offset, length)
    }

    /// A floating-point tensor as f32.
    ///
    /// # Errors
    /// [`Error::MissingTensor`]; [`Error::BadFile`] for a dtype that holds no weights.
    pub fn f32(&self, name: &str) -> Result<TensorData> {
        let (_, stored) = self.stored(name)?;
        if !matches!(stored.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            return Err(self.bad(name, &format!("dtype {:?}; weights are F32, F16 or BF16", stored.dtype)));
        }
        let bytes = self.bytes(name)?;
        let values: Vec<f32> = match stored.dtype {
            Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            Dtype::F16 => bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            _ => bytes.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        };
        Ok(TensorData::new(values, stored.shape.clone()))
    }

    /// An I64 tensor, as goldens hold them.
    ///
    /// # Errors
    /// [`Error::MissingTensor`]; [`Error::BadFile`] for another dtype.
    pub fn i64(&self, name: &str) -> Result<Vec<i64>> {
        let words = self.of_dtype(name, Dtype::I64)?;
        Ok(words.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().expect("eight bytes"))).collect())
    }

    /// A U8 tensor's bytes, as goldens hold pictures.
    ///
    /// # Errors
    /// [`Error::MissingTensor`]; [`Error::BadFile`] for another dtype.
    pub fn u8(&self, name: &str) -> Result<Cow<'a, [u8]>> {
        self.of_dtype(name, Dtype::U8)
    }

    fn of_dtype(&self, name: &str, expected: Dtype) -> Result<Cow<'a, [u8]>> {
        match self.stored(name)?.1.dtype {
            found if found == expected => self.bytes(name),
            found => Err(self.bad(name, &format!("dtype {found:?}, expected {expected:?}"))),
        }
    }

    pub(super) fn stored(&self, name: &str) -> Result<&(usize, Stored)> {
        let missing = || Error::MissingTensor { file: self.file.clone(), name: name.to_string() };
        self.tensors.get(name).ok_or_else(missing)
    }

    pub(super) fn bad(&self, name: &str, reason: &str) -> Error {
        bad(&self.file, format!("tensor {name}: {reason}"))
    }
}

fn bad(file: &str, reason: String) -> Error {
    Error::BadFile { file: file.to_string(), reason }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

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
}
