"""What the view "How it works" shows of the shipped model, by diffusers with hooks: tests/golden/opened.safetensors.

    python tests/reference/opened_golden.py [--model models/stickers] [--out tests/golden/opened.safetensors]

Weights in 8-bit blocks are widened here in numpy. The model reads prompt and negative prompt as one text
(`negative_prompt_in_context`) and takes the guidance scale as an input. Of one run: `token_ids`, `features`, `noise`, and
of each step `v.I`, `latents.I` (after it), `estimate.I`, and the mean over the heads of each cross-attention
`attention.I.LAYER` [tokens, rows, columns], of the first and the last step. The layers are numbered in the order in which
they run. Features and attention are float16, to keep the file small.
"""

import argparse
import json
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from safetensors.numpy import load_file
from safetensors.torch import save_file

PROMPT, NEGATIVE, SEED, STEPS, GUIDANCE = "a green fox", "a red background", 7, 4, 2.5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/stickers")
    parser.add_argument("--out", default="tests/golden/opened.safetensors")
    args = parser.parse_args()
    root = Path(args.model)
    with torch.no_grad():
        tensors = draw(root)
    small = lambda name: torch.float16 if name.startswith(("features", "attention")) else torch.float32
    save_file({name: t.to(small(name)).contiguous() for name, t in tensors.items()}, args.out)
    print(f"{len(tensors)} tensors, {Path(args.out).stat().st_size} bytes")


def draw(root):
    unet = load(diffusers.UNet2DConditionModel, root / "unet", "diffusion_pytorch_model")
    text = load_text(root / "text_encoder")
    tokenizer = transformers.CLIPTokenizer.from_pretrained(root / "tokenizer")
    scheduler = diffusers.DDIMScheduler.from_pretrained(root / "scheduler")
    out = {}
    both = [tokenizer(words, padding="max_length", truncation=True, max_length=tokenizer.model_max_length,
                      return_tensors="pt").input_ids for words in (PROMPT, NEGATIVE)]
    out["token_ids"] = torch.cat(both, 1)
    out["features"] = text(out["token_ids"]).last_hidden_state
    scale = diffusers.LatentConsistencyModelPipeline.get_guidance_scale_embedding(
        None, torch.tensor([GUIDANCE - 1.0]), embedding_dim=unet.config.time_cond_proj_dim)
    size = unet.config.sample_size
    x = out["noise"] = torch.randn((1, unet.config.in_channels, size, size), generator=torch.Generator().manual_seed(SEED))
    scheduler.set_timesteps(STEPS)
    kept = record(unet)
    for i, t in enumerate(scheduler.timesteps):
        kept.clear()
        v = unet(x, t, encoder_hidden_states=out["features"], timestep_cond=scale).sample
        step = scheduler.step(v, t, x)
        out |= {f"v.{i}": v, f"latents.{i}": step.prev_sample, f"estimate.{i}": step.pred_original_sample}
        for layer, weights in enumerate(kept if i in (0, STEPS - 1) else []):
            side = int(len(weights[0, 0]) ** 0.5)
            out[f"attention.{i}.{layer}"] = weights.mean(1)[0].T.reshape(-1, side, side)
        x = step.prev_sample
    return out


def record(unet):
    """Gives each cross-attention a processor that keeps softmax(q k^T / sqrt d), [batch, heads, places, tokens]."""
    kept = []

    class Recorder:
        def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
            context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
            heads = lambda x: x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            q, k, v = heads(attn.to_q(hidden_states)), heads(attn.to_k(context)), heads(attn.to_v(context))
            weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
            if encoder_hidden_states is not None:
                kept.append(weights)
            return attn.to_out[1](attn.to_out[0]((weights @ v).transpose(1, 2).flatten(2)))

    unet.set_attn_processor(Recorder())
    return kept


def load(kind, folder, name):
    config = json.loads((folder / "config.json").read_text())
    config.pop("quantization_config", None)
    model = kind.from_config(config)
    fill(model, folder / f"{name}.safetensors")
    return model.eval()


def load_text(folder):
    config = json.loads((folder / "config.json").read_text())
    config.pop("quantization_config", None)
    model = transformers.CLIPTextModel(transformers.CLIPTextConfig(**config))
    fill(model, folder / "model.safetensors")
    return model.eval()


def fill(model, path):
    tensors = load_file(path)
    wanted = model.state_dict()
    prefix = "" if all(name in tensors for name in wanted if "position_ids" not in name) else "text_model."
    state = {}
    for name, like in wanted.items():
        if "position_ids" in name:
            state[name] = like
            continue
        key = name if name in tensors else prefix + name
        state[name] = torch.from_numpy(widened(tensors[key], tensors.get(f"{key}.scale"), tuple(like.shape)))
    model.load_state_dict(state)


def widened(values, scales, shape):
    """Floats, or blocks of 32 numbers a row with a scale each; a kernel's rows run over kh, kw and then its inputs."""
    if scales is None:
        return values.astype(np.float32).reshape(shape)
    assert values.dtype == np.int8, "blocks of 4 bits are not read here"
    flat = (values.astype(np.float32) * scales[..., None].astype(np.float32)).reshape(len(values), -1)
    out, channels, *kernel = shape
    flat = flat[:, : int(np.prod(shape[1:]))]
    return np.ascontiguousarray(np.moveaxis(flat.reshape(out, *kernel, channels), -1, 1)).reshape(shape)


if __name__ == "__main__":
    main()
