#!/usr/bin/env python3
"""Writes tests/golden/blocks.safetensors: weights, and what GGUF's Q8_0 and Q4_0 make of them, worked out in numpy.

    python tests/reference/blocks_golden.py

For each weight `NAME.values`, and for q8 and q4: `.codes` (bytes), `.scales` (f16), `.widened` (f32). Rows run over kh,
kw and then the input channels; zeros fill a row's last block. Needs numpy and safetensors.
"""
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

BLOCK = 32
F32 = np.float32


def rows(weight):
    """[out, in] or [out, in, kh, kw] as [out, columns], filled up to whole blocks."""
    if weight.ndim == 4:
        weight = weight.transpose(0, 2, 3, 1)
    flat = weight.reshape(len(weight), -1)
    return np.pad(flat, ((0, 0), (0, -flat.shape[1] % BLOCK)))


def unrows(flat, shape):
    out, channels, *kernel = shape
    flat = flat[:, : int(np.prod(shape[1:]))].reshape(out, *kernel, channels)
    return np.ascontiguousarray(np.moveaxis(flat, -1, 1))


def inverse(d):
    with np.errstate(divide="ignore"):
        return np.where(d == 0, F32(0), F32(1) / d)


def q8_0(blocks):
    d = np.abs(blocks).max(axis=-1, keepdims=True) / F32(127)
    x = blocks * inverse(d)
    # Halves away from zero, as C's roundf.
    q = (np.sign(x) * np.floor(np.abs(x).astype(np.float64) + 0.5)).astype(np.int8)
    d = d.astype(np.float16)
    return q.view(np.uint8), d[..., 0], d.astype(F32) * q.astype(F32)


def q4_0(blocks):
    place = np.abs(blocks).argmax(axis=-1, keepdims=True)
    d = np.take_along_axis(blocks, place, axis=-1) / F32(-8)
    q = np.clip(np.trunc(blocks * inverse(d) + F32(8.5)), 0, 15).astype(np.uint8)
    d = d.astype(np.float16)
    return q[..., :16] | q[..., 16:] << 4, d[..., 0], d.astype(F32) * (q.astype(F32) - F32(8))


def weights():
    random = np.random.default_rng(20260)

    def normal(*shape):
        return random.standard_normal(shape).astype(F32)

    edges = normal(4, 64)
    edges[0] = 0  # blocks of zeros
    edges[1, :32] = np.linspace(-1, 1, 32, dtype=F32)  # largest at both ends
    edges[2] = np.tile(np.arange(-8, 8, dtype=F32), 4) / 2  # exact in four bits
    edges[3, :32] = np.where(np.arange(32) % 2 == 0, F32(127), F32(0.5))  # codes that end in one half
    return {
        "linear": normal(5, 96) * F32(0.02),
        "linear_filled": normal(3, 45),
        "convolution": normal(4, 32, 3, 3) * F32(0.1),
        "convolution_filled": normal(3, 5, 3, 3),
        "one": normal(2, 64, 1, 1),
        "tiny": normal(2, 40) * F32(1e-7),  # scales below f16's normal range
        "edges": edges,
    }


def main():
    tensors = {}
    for name, weight in weights().items():
        tensors[f"{name}.values"] = weight
        blocks = rows(weight).reshape(len(weight), -1, BLOCK)
        for kind, quantize in (("q8", q8_0), ("q4", q4_0)):
            codes, scales, widened = quantize(blocks)
            tensors[f"{name}.{kind}.codes"] = np.ascontiguousarray(codes)
            tensors[f"{name}.{kind}.scales"] = scales
            tensors[f"{name}.{kind}.widened"] = unrows(widened.reshape(len(weight), -1), weight.shape)
    root = Path(__file__).resolve().parents[1]
    save_file(tensors, root / "golden/blocks.safetensors")


main()
