"""Every type of a GGUF file's tensors that Fourstep reads, and what the Python package gguf (0.19 here; pip install gguf) widens it to:
tests/golden/gguf/types.gguf and types.safetensors.

    python3 tests/reference/gguf_golden.py tests/golden/gguf

The blocks are random bytes with finite scales, so that every bit of them counts, also those that no quantizer writes.
"""

import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from safetensors.numpy import save_file

# Type, and the bytes of a block at which an f16 stands.
BLOCKS = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
}  # fmt: skip


def blocks(kind: T, halves: list[int], random: np.random.Generator) -> np.ndarray:
    """Two rows of 256 numbers."""
    size, width = gguf.GGML_QUANT_SIZES[kind]
    raw = random.integers(0, 256, (2 * 256 // size, width), dtype=np.uint8)
    for at in halves:
        scale = random.normal(0, 0.02, len(raw)).astype(np.float16)
        # ggml's own quantizer of Q8_0 writes no scale below zero.
        raw[:, at : at + 2] = (abs(scale) if kind == T.Q8_0 else scale)[:, None].view(np.uint8)
    return raw.reshape(2, -1)


def main(folder: str) -> None:
    random = np.random.default_rng(16)
    writer = gguf.GGUFWriter(str(Path(folder) / "types.gguf"), "sd1")
    writer.add_array("tokenizer.ggml.tokens", ["a", "bc", ""])
    writer.add_array("numbers", [1.5, 2.5, -3.5])
    writer.add_bool("flag", True)
    writer.add_array("comfy.gguf.orig_shape.q8_0", [2, 32, 2, 4])
    expected = {}

    def add(kind: T, raw: np.ndarray) -> None:
        name = kind.name.lower()
        writer.add_tensor(name, raw, raw_dtype=kind)
        expected[name] = gguf.dequantize(raw, kind).reshape(2, -1)

    for kind, halves in BLOCKS.items():
        add(kind, blocks(kind, halves, random))
    floats = random.normal(0, 1, (2, 32)).astype(np.float32)
    for kind in (T.F32, T.F16, T.BF16):
        add(kind, gguf.quantize(floats, kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file({name: np.ascontiguousarray(values, dtype=np.float32) for name, values in expected.items()}, Path(folder) / "types.safetensors")
    print(folder, len(expected), "types")


if __name__ == "__main__":
    main(*sys.argv[1:])
