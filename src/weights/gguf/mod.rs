//! GGUF files (ggml's format, as stable-diffusion.cpp and ComfyUI-GGUF write them): where tensors lie, and what their blocks
//! say. Q8_0 and Q4_0 are blocks of ours already; all other blocks are widened to f32.
//!
//! Source: the specification of GGUF, version 3, in ggml's docs/gguf.md; the arithmetic of the blocks is that of the Python package
//! `gguf`, with which `tests/reference/gguf_golden.py` makes the goldens.

mod header;
mod kblocks;
mod types;

pub(crate) use header::{MAGIC, read};
pub(crate) use types::GgmlType;
