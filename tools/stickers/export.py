"""The diffusers folder of the finished model: what `StableDiffusionPipeline.from_pretrained` and the crate read."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from .diffusion import SCHEDULER


def export(model, vae, tokenizer, tokenizer_folder, runs, folder, guidance=None):
    """Writes float16 weights, the tokenizer, the scheduler, and the runs' configs and curves, into `folder`.

    `guidance` is the range of scales of a student that takes the scale and the negative prompt as inputs.
    """
    folder = Path(folder)
    pipe = StableDiffusionPipeline(
        vae=vae.half(), text_encoder=model["text_encoder"].half(), tokenizer=tokenizer, unet=model["unet"].half(),
        scheduler=DDIMScheduler(**SCHEDULER), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)
    # the pipeline sets steps_offset to 1 (trailing spacing ignores it); keep ours
    DDIMScheduler(**SCHEDULER).save_pretrained(folder / "scheduler")
    # transformers writes tokenizer.json; the crate reads the original pair
    shutil.rmtree(folder / "tokenizer")
    shutil.copytree(tokenizer_folder, folder / "tokenizer")
    prefix_text_encoder(folder / "text_encoder" / "model.safetensors")
    (folder / "training").mkdir(exist_ok=True)
    for name, run in runs.items():
        for file in ("config.json", "curves.csv", "psnr.csv"):
            if (Path(run) / file).exists():
                shutil.copy(Path(run) / file, folder / "training" / f"{name}-{file}")
    if guidance:
        index = json.loads((folder / "model_index.json").read_text())
        index |= {"guidance_scale_range": guidance, "negative_prompt_in_context": True}
        (folder / "model_index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
    for config in folder.glob("*/config.json"):
        kept = {k: v for k, v in json.loads(config.read_text()).items() if k != "_name_or_path"}
        config.write_text(json.dumps(kept, indent=2) + "\n")
    for file in folder.rglob("*.*"):
        file.chmod(0o644)


def prefix_text_encoder(path):
    """Gives the tensors their published names, `text_model.…`, which newer transformers drop."""
    tensors = load_file(path)
    prefixed = {name if name.startswith("text_model.") else f"text_model.{name}": t for name, t in tensors.items()}
    save_file(prefixed, path, metadata={"format": "pt"})


def try_out(folder, prompt, seed, steps, guidance):
    """Opens the folder as anybody would and draws: a PIL image."""
    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(seed)
    return pipe(prompt, num_inference_steps=steps, guidance_scale=guidance, generator=generator).images[0]
