"""Pictures and captions as `fourstep dataset render` writes them: images.safetensors and captions.jsonl."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file


def load_images(folder):
    """The pictures of a dataset folder: u8 [N, 3, H, W]."""
    path = Path(folder) / "images.safetensors"
    images = load_file(path)["images"]
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"{path}: `images` is {images.dtype} {tuple(images.shape)}, expected uint8 [N, H, W, 3]")
    return images.permute(0, 3, 1, 2).contiguous()


def load_rows(folder):
    """The rows of captions.jsonl, one dict a picture, in the order of the pictures."""
    with open(Path(folder) / "captions.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def as_input(images):
    """u8 pictures -> f32 in [-1, 1], as the autoencoder takes and gives them."""
    return images.float() / 127.5 - 1


def as_bytes(pictures):
    """Pictures in [-1, 1] -> u8."""
    return ((pictures / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
