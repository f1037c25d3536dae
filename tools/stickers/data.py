"""Pictures and captions as `fourstep dataset render --alpha` writes them: images-*.safetensors and captions.jsonl."""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file


class Pictures:
    """A folder's pictures, premultiplied RGBA u8, mapped from disk: more of them than fit into memory."""

    def __init__(self, folder):
        paths = sorted(Path(folder).glob("images*.safetensors"))
        if not paths:
            raise FileNotFoundError(f"{folder}: no images*.safetensors; `fourstep dataset render --alpha` writes them")
        self.shards = [load_file(path)["images"] for path in paths]
        for path, shard in zip(paths, self.shards):
            if shard.dtype != torch.uint8 or shard.ndim != 4 or shard.shape[3] != 4:
                raise ValueError(f"{path}: `images` is {shard.dtype} {tuple(shard.shape)}, expected uint8 [N, H, W, 4]")
        self.starts = torch.tensor([0] + [len(shard) for shard in self.shards]).cumsum(0)

    def __len__(self):
        return int(self.starts[-1])

    def __getitem__(self, indices):
        """u8 [N, 4, H, W] of a slice or of a tensor of indices."""
        if isinstance(indices, slice):
            indices = torch.arange(len(self))[indices]
        shard = torch.searchsorted(self.starts, indices, right=True) - 1
        rows = [self.shards[s][i - self.starts[s]] for s, i in zip(shard.tolist(), indices.tolist())]
        return torch.stack(rows).permute(0, 3, 1, 2)


def load_rows(folder):
    """The rows of captions.jsonl, one dict a picture, in the order of the pictures."""
    with open(Path(folder) / "captions.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def as_input(images):
    """u8 pictures -> f32 in [-1, 1], as the autoencoder takes and gives them; transparent is -1 in every channel."""
    return images.float() / 127.5 - 1


def as_bytes(pictures):
    """Pictures in [-1, 1] -> u8."""
    return ((pictures / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)


def shrink(pictures, side, part=4096):
    """u8 pictures, area-averaged to `side` x `side`: u8 [N, 4, side, side]."""
    parts = (pictures[slice(at, at + part)] for at in range(0, len(pictures), part))
    return torch.cat([F.adaptive_avg_pool2d(p.float(), side).round().to(torch.uint8) for p in parts]).contiguous()


def tokenize(tokenizer, captions):
    """Token ids i64 [N, L], padded and truncated as StableDiffusionPipeline does."""
    return tokenizer(captions, padding="max_length", truncation=True, max_length=tokenizer.model_max_length,
                     return_tensors="pt").input_ids
