//! The one file as it is: safetensors or GGUF, its tensors under its own names.

use std::collections::{BTreeMap, BTreeSet};

use safetensors::Dtype;

use super::hints;
use crate::kernels::BlockFormat;
use crate::weights::files::Files;
use crate::weights::gguf::{self, GgmlType};
use crate::weights::header::Header;
use crate::{Error, Result};

/// How the numbers of a tensor are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One by one.
    Plain(Dtype),
    /// In blocks of ggml's.
    Blocks(GgmlType),
}

impl Kind {
    /// The blocks of ours that these are.
    pub fn format(self) -> Option<BlockFormat> {
        match self {
            Self::Plain(_) => None,
            Self::Blocks(kind) => kind.format(),
        }
    }

    /// Bytes of a number, or of a block.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Plain(dtype) => dtype.bitsize().div_ceil(8) as u64,
            Self::Blocks(kind) => kind.bytes() as u64,
        }
    }
}

/// A tensor of the file.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub kind: Kind,
    pub shape: Vec<usize>,
    /// From the file's first byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// What the file holds.
pub(super) struct Original {
    pub tensors: BTreeMap<String, Tensor>,
    pub notes: BTreeMap<String, String>,
}

impl Original {
    /// Reads the header of `file`.
    ///
    /// # Errors
    /// [`Error::BadFile`] for a file that is neither, one that is cut off, and PyTorch's pickles.
    pub fn read(files: &dyn Files, file: &str) -> Result<Self> {
        let missing = || Error::BadFile { file: file.to_string(), reason: "there is no such file".to_string() };
        let size = files.size(file)?.ok_or_else(missing)?;
        let start = files.range(file, 0, size.min(4) as usize)?;
        if start.starts_with(b"PK\x03\x04") || matches!(*start, [0x80, 2..=5, ..]) {
            return Err(Error::BadFile { file: file.to_string(), reason: pickle(file) });
        }
        let range = |offset, length| files.range(file, offset, length);
        if *start == *gguf::MAGIC {
            let found = gguf::read(file, size, range)?;
            let tensors = found.tensors.into_iter().map(|(name, tensor)| {
                let kind = tensor.kind.dtype().map_or(Kind::Blocks(tensor.kind), Kind::Plain);
                (name, Tensor { kind, shape: tensor.shape, offset: tensor.offset, length: tensor.length })
            });
            return Ok(Self { tensors: tensors.collect(), notes: found.notes });
        }
        let header = Header::read(file, size, range)?;
        let tensors = header.tensors.into_iter().map(|(name, stored)| {
            let kind = Kind::Plain(stored.dtype);
            (name, Tensor { kind, shape: stored.shape, offset: stored.offset, length: stored.length })
        });
        Ok(Self { tensors: tensors.collect(), notes: header.metadata })
    }

    /// The shape of a tensor, if it is there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| tensor.shape.as_slice())
    }

    /// Whether a key begins so.
    pub fn has(&self, prefix: &str) -> bool {
        let next = self.tensors.range(prefix.to_string()..).next();
        next.is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// The numbers of a small tensor, as f32; none if it is not there, not small, or of a dtype that holds no numbers.
    pub fn numbers(&self, files: &dyn Files, file: &str, name: &str) -> Result<Option<Vec<f32>>> {
        let Some(tensor) = self.tensors.get(name).filter(|tensor| tensor.length <= 1 << 20) else { return Ok(None) };
        let kind = match tensor.kind {
            Kind::Blocks(kind) => kind,
            Kind::Plain(dtype) => match ggml(dtype) {
                Some(kind) => kind,
                None => return Ok(None),
            },
        };
        Ok(Some(kind.widen(&files.range(file, tensor.offset, tensor.length as usize)?)))
    }

    /// What the file is instead of a checkpoint of Stable Diffusion, as far as its keys tell.
    pub fn other(&self) -> Option<&'static str> {
        let any = |part: &str| self.tensors.keys().any(|name| name.contains(part));
        let first = |starts: &[&str]| starts.iter().any(|start| self.has(start));
        let small = self.tensors.len() < 8;
        let kinds = [
            (any(".lora_") || any("_lora.") || any(".hada_") || any(".lokr_") || first(&["lora_"]), hints::ADAPTER),
            (any("double_blocks."), "it is a model of the Flux family, which is not supported"),
            (any("joint_blocks."), "it is Stable Diffusion 3, which is not supported"),
            (first(&["control_model.", "controlnet_cond_embedding."]), "it is a ControlNet, no checkpoint"),
            (
                small && first(&["emb_params", "string_to_param", "clip_l", "clip_g"]),
                "it is a textual inversion embedding, no checkpoint",
            ),
            (first(&["down_blocks.", "text_model.", "encoder.down_blocks."]), hints::COMPONENT),
            (first(&["encoder.", "decoder.", "first_stage_model."]), "it is an autoencoder alone"),
            (
                any("transformer_blocks.") || any("adaLN"),
                "it is a transformer of another family, which is not supported",
            ),
        ];
        kinds.into_iter().find_map(|(is, what)| is.then_some(what))
    }

    /// How most of the file's bytes store numbers, in few letters: `f16`, `Q8_0`.
    pub fn stored(&self) -> String {
        let mut bytes = BTreeMap::<String, u64>::new();
        for tensor in self.tensors.values() {
            let name = match tensor.kind {
                Kind::Plain(dtype) => format!("{dtype:?}").to_lowercase(),
                Kind::Blocks(kind) => format!("{kind:?}"),
            };
            *bytes.entry(name).or_default() += tensor.length;
        }
        bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map_or(String::new(), |(name, _)| name)
    }

    /// The types of the blocks in use, each with the number of tensors.
    pub fn blocks(&self) -> BTreeMap<GgmlType, usize> {
        let mut counts = BTreeMap::new();
        for tensor in self.tensors.values() {
            if let Kind::Blocks(kind) = tensor.kind {
                *counts.entry(kind).or_default() += 1;
            }
        }
        counts
    }

    /// The first parts of the keys in `names`, for a message.
    pub fn shown<'n>(names: impl Iterator<Item = &'n str>) -> String {
        let all: BTreeSet<&str> = names.map(|name| name.split('.').next().unwrap_or(name)).collect();
        let shown: Vec<&str> = all.iter().take(4).copied().collect();
        let more = if all.len() > shown.len() { ", ..." } else { "" };
        shown.join(", ") + more
    }
}

fn ggml(dtype: Dtype) -> Option<GgmlType> {
    Some(match dtype {
        Dtype::F32 => GgmlType::F32,
        Dtype::F16 => GgmlType::F16,
        Dtype::BF16 => GgmlType::BF16,
        Dtype::F64 => GgmlType::F64,
        Dtype::I32 => GgmlType::I32,
        Dtype::I64 => GgmlType::I64,
        _ => return None,
    })
}

/// Why a pickle is not read, and what to do.
fn pickle(file: &str) -> String {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    format!(
        "a PyTorch file (.ckpt, .pt, .bin), which can run code when it is opened, so it is not read. Convert it once, in Python: \
         import torch, safetensors.torch as s; w = torch.load({file:?}, map_location=\"cpu\", weights_only=True); \
         w = w.get(\"state_dict\", w); s.save_file({{k: v.contiguous().clone() for k, v in w.items() if hasattr(v, \"contiguous\")}}, \
         \"{stem}.safetensors\")"
    )
}
