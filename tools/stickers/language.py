"""Stage one: the text encoder learns what captions mean before a UNet sees it.

A light head reads the text features and predicts, for each caption, which things it names, how each artist draws them
(the principal components of their plain glyphs), and the picture at 16 x 16. A caption costs a tenth of what a UNet's
sample costs, so the language is learned in minutes, and the UNet starts from features that tell a robot from a rose
and already hold the outlines and colours of both.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from .lanes import Lanes
from .optimizer import Optimizer
from .run import Average, Run, learning_rate, step_generator

CONFIG = {
    "seed": 3, "batch": 256, "lanes": 2,
    "width": 256, "layers": 4, "head_width": 32,
    "components": 256, "cells": 8, "things": 2,
    "steps": 620, "decay": 250, "warm_up": 100, "rate": 1e-3, "muon_rate": 2e-3, "weight_decay": 0.01,
    "average": 0.998,
    "loss": {"thing": 0.2, "glyph": 1.0, "picture": 1.0},
}


def build_text_encoder(config, tokenizer):
    """CLIPTextModel as diffusers' pipelines expect it: penultimate layers are not used, so every layer counts."""
    width = config["width"]
    model = CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), max_position_embeddings=tokenizer.model_max_length,
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=config["layers"],
        num_attention_heads=width // config["head_width"], projection_dim=width, hidden_act="quick_gelu",
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    ))
    model.set_attn_implementation("eager")  # with 32 tokens, plain products take a quarter off a CPU's update
    return model


class Head(nn.Module):
    """What is read off the text features [B, L, D]: logits of things, their glyphs' codes, the coarse picture."""

    def __init__(self, width, things, named, artists, codes, cells):
        super().__init__()
        self.query = nn.Parameter(torch.randn(named * artists + cells * cells, width) * width**-0.5)
        self.attention = nn.MultiheadAttention(width, width // 32, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.thing = nn.Linear(width, things)
        self.glyph = nn.Linear(width, codes)
        self.side = 16 // cells
        self.picture = nn.Linear(width, 4 * self.side * self.side)
        self.named, self.artists = named, artists

    def forward(self, features):
        """Logits [B, named, things], codes [B, named, artists, K], premultiplied picture [B, 4, 16, 16]."""
        query = self.query.expand(len(features), -1, -1)
        read = self.norm(self.attention(query, features, features, need_weights=False)[0])
        slots, cells = read.split([self.named * self.artists, read.shape[1] - self.named * self.artists], 1)
        slots = slots.unflatten(1, (self.named, self.artists))
        picture = F.fold(self.picture(cells).transpose(1, 2), (16, 16), self.side, stride=self.side)
        return self.thing(slots[:, :, 0]), self.glyph(slots), picture


def glyph_codes(glyphs, components):
    """Principal components of plain glyphs f32 [N, 4, 32, 32] (premultiplied), whitened as one: [N, components]."""
    flat = glyphs.flatten(1)
    flat = flat - flat.mean(0)
    basis = torch.svd_lowrank(flat, components, niter=4)[2]
    codes = flat @ basis
    return codes / codes.std()


def targets_of(glyph_rows, codes, artists, things):
    """Each thing's codes by every artist [things, artists, K], and 1 where the artist has drawn it [things, artists, 1]."""
    width = codes.shape[1]
    table, mask = torch.zeros(things, len(artists), width), torch.zeros(things, len(artists), 1)
    for row, code in zip(glyph_rows, codes):
        at = row["ids"][0], artists.index(row["artist"])
        table[at], mask[at] = code, 1.0
    return table, mask


def train(config, rows, pictures, tokens, table, mask, tokenizer, folder):
    """Trains on captions' ids i64 [N, L] with their rows and pictures u8 [N, 4, 16, 16]; leaves `folder`/text_encoder.

    `table` and `mask` are those of `targets_of`.
    """
    torch.manual_seed(config["seed"])
    things, artists, codes = table.shape
    model = nn.ModuleDict({
        "text_encoder": build_text_encoder(config, tokenizer),
        "head": Head(config["width"], things, config["things"], artists, codes, config["cells"]),
    }).train()
    average = Average(model, config["average"])
    optimizer = Optimizer(model, config["rate"], config["muon_rate"], config["weight_decay"],
                          outer=("position_embedding", "head."))
    run = Run(folder, config)
    start = run.resume(model=model, average=average, optimizer=optimizer)
    lanes = Lanes(model, config["lanes"])
    named = torch.tensor([(row["ids"] + [-1] * config["things"])[:config["things"]] for row in rows])

    def loss(model, part):
        features = model["text_encoder"](part["tokens"])[0]
        thing, glyph, picture = (out.float() for out in model["head"](features))
        known = part["things"] >= 0
        ids = part["things"].clamp_min(0)
        weight = (part["mask"] * known[..., None, None]).expand_as(glyph)
        report = {
            "thing": F.cross_entropy(thing[known], ids[known]),
            "glyph": ((glyph - part["codes"]).square() * weight).sum() / weight.sum().clamp_min(1),
            "picture": 10 * (picture - part["picture"]).square().mean(),
            "right": (thing[:, 0].argmax(1) == ids[:, 0])[known[:, 0]].float().mean(),
        }
        return sum(config["loss"][name] * report[name] for name in config["loss"]), report

    for step in range(start, config["steps"]):
        generator = step_generator(config["seed"], step)
        chosen = torch.randint(len(tokens), (config["batch"],), generator=generator)
        ids = named[chosen]
        report = lanes.backward(loss, {
            "tokens": tokens[chosen], "things": ids, "picture": pictures[chosen].float() / 255,
            "codes": table[ids.clamp_min(0)], "mask": mask[ids.clamp_min(0)],
        })
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(learning_rate(step, 1.0, config["warm_up"], config["decay"], config["steps"]))
        average.update(model)
        run.log(step + 1, config["batch"], report)
        if run.due() or step + 1 == config["steps"]:
            run.save(step + 1, model=model, average=average, optimizer=optimizer)
            average.model["text_encoder"].save_pretrained(run.folder / "text_encoder")
    average.model["text_encoder"].save_pretrained(run.folder / "text_encoder")
