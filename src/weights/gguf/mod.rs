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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::path::Path;

    use super::*;
    use crate::kernels::{BlockFormat, Blocks};
    use crate::weights::Checkpoint;

    fn golden(name: &str) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf").join(name)).unwrap()
    }

    /// What the Python package widens, to the last bit.
    #[test]
    fn every_type_says_what_the_python_package_says() {
        let (file, expected) = (golden("types.gguf"), golden("types.safetensors"));
        let expected = Checkpoint::parse("types.safetensors", &expected).unwrap();
        let range = |offset: u64, length: usize| Ok(Cow::Borrowed(&file[offset as usize..offset as usize + length]));
        let found = read("types.gguf", file.len() as u64, range).unwrap();
        assert_eq!(found.tensors.len(), 13);
        assert_eq!(found.notes["general.architecture"], "sd1");
        for (name, tensor) in &found.tensors {
            let bytes = &file[tensor.offset as usize..(tensor.offset + tensor.length) as usize];
            let values: Vec<f32> = expected.f32(name).unwrap().iter().collect();
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert!(bits(&tensor.kind.widen(bytes)) == bits(&values), "{name}");
            match name.as_str() {
                "q8_0" => assert_eq!(tensor.shape, [2, 32, 2, 4]),
                _ => assert_eq!(tensor.shape, expected.shape(name).unwrap(), "{name}"),
            }
            if let Some(format) = tensor.kind.format() {
                let halves = tensor.kind.scales(bytes);
                let scales = halves.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]])).collect();
                let blocks = Blocks::from_parts(format, &[2, 256], tensor.kind.codes(bytes), scales).unwrap();
                assert!(bits(&blocks.dequantize()) == bits(&values), "{name} as blocks of ours ({format:?})");
            }
        }
        let ours = found.tensors.iter().filter_map(|(_, tensor)| tensor.kind.format());
        assert_eq!(ours.collect::<Vec<_>>(), [BlockFormat::Q4_0, BlockFormat::Q8_0]);
    }
}
