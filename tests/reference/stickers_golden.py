"""Golden runs of the shipped model, drawn by Python's diffusers: tests/golden/stickers/cases/runs.

    python tests/reference/stickers_golden.py [--model models/stickers-teacher] [--out tests/golden/stickers]

Same layout as the runs of tests/golden/reference (its README, "Tensors of a run"): float32 arithmetic on the widened
weights, every random draw in the file, one manifest a run, and an index. `float64_rerun_rel_l2` is the
reference's own distance from a float64 run on the same draws.
"""

import argparse
import json
from pathlib import Path

import diffusers
import golden_set
import torch
from safetensors.torch import save_file

RUNS = [
    {"name": "stickers_ddim8", "prompt": "a red fox", "negative_prompt": "a blue dog", "seed": 1, "steps": 8,
     "guidance_scale": 3.0, "scheduler": "DDIMScheduler"},
    {"name": "stickers_euler6", "prompt": "a crown above a cat", "negative_prompt": None, "seed": 2, "steps": 6,
     "guidance_scale": 4.0, "scheduler": "EulerDiscreteScheduler"},
    {"name": "stickers_ddim4_unguided", "prompt": "three pizzas on a teal background", "negative_prompt": None,
     "seed": 3, "steps": 4, "guidance_scale": 1.0, "scheduler": "DDIMScheduler"},
]
BOUND = 1e-4


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/stickers-teacher")
    parser.add_argument("--out", default="tests/golden/stickers")
    args = parser.parse_args()
    out = Path(args.out) / "cases" / "runs"
    out.mkdir(parents=True, exist_ok=True)
    index = []
    for run in RUNS:
        tensors, scheduler = draw(args.model, run, torch.float32)
        exact, _ = draw(args.model, run, torch.float64, noise=tensors["noise.0"])
        floor = {name: relative_l2(tensors[name], exact[name]) for name in sorted(exact)
                 if exact[name].dtype == torch.float64}
        manifest = manifest_of(run, tensors, scheduler, floor)
        difference = (tensors["image_u8"].int() - exact["image_u8"].int()).abs().max()
        manifest["float64_rerun_image_u8_max_abs"] = int(difference)
        save_file(tensors, out / f"{run['name']}.safetensors")
        (out / f"{run['name']}.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
        index.append({"name": run["name"], "kind": "text2img", "pipeline": "stickers-teacher", "scheduler": run["scheduler"],
                      "json": f"runs/{run['name']}.json"})
        print(f"{run['name']}: {len(tensors)} tensors, largest float64 difference {max(floor.values()):.1e}")
    (out / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    about = "our own teacher, whose weights are in models/, by stickers_golden.py"
    golden_set.write(args.out, about, pipelines="../../../models", families={"Stickers": "stickers_ddim4_unguided"})


def draw(model, run, dtype, noise=None):
    """One run of the pipeline, everything recorded: the tensors by their names in the layout, and the scheduler."""
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(model, torch_dtype=torch.float32).to(dtype)
    pipe.scheduler = getattr(diffusers, run["scheduler"]).from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    size = pipe.unet.config.sample_size
    if noise is None:
        generator = torch.Generator().manual_seed(run["seed"])
        noise = torch.randn((1, pipe.unet.config.in_channels, size, size), generator=generator)
    steps = {"unet_in": [], "unet_out": [], "unet_timesteps": [], "latents": []}
    once = {"noise.0": noise}
    record(pipe, steps, once)
    result = pipe(
        run["prompt"], negative_prompt=run["negative_prompt"], num_inference_steps=run["steps"],
        guidance_scale=run["guidance_scale"], latents=noise.to(dtype), output_type="np",
        callback_on_step_end=lambda pipe, i, t, kept: (steps["latents"].append(kept["latents"].clone()), {})[1],
    )
    tensors = once | {name: torch.stack(values) for name, values in steps.items()}
    tensors["unet_timesteps"] = tensors["unet_timesteps"].float()
    tensors["image_u8"] = torch.from_numpy((result.images * 255).round().astype("uint8"))
    tensors["timesteps"] = torch.as_tensor(pipe.scheduler.timesteps).float()
    if torch.is_tensor(getattr(pipe.scheduler, "sigmas", None)):
        tensors["sigmas"] = pipe.scheduler.sigmas.float()
    tensors["initial_latents"] = noise.to(dtype) * pipe.scheduler.init_noise_sigma
    tensors["token_ids"] = ids(pipe.tokenizer, run["prompt"])
    tensors["negative_token_ids"] = ids(pipe.tokenizer, run["negative_prompt"] or "")
    return {name: t.detach().clone().contiguous() for name, t in tensors.items()}, pipe.scheduler


def record(pipe, steps, once):
    """Wraps the UNet and the decoder so that what goes in and comes out is kept."""
    unet, decode = pipe.unet.forward, pipe.vae.decode

    def recorded_unet(sample, timestep, *rest, **named):
        result = unet(sample, timestep, *rest, **named)
        once.setdefault("unet_encoder_hidden_states", named["encoder_hidden_states"].clone())
        steps["unet_in"].append(sample.clone())
        steps["unet_timesteps"].append(torch.as_tensor(timestep).reshape(()).float())
        steps["unet_out"].append(result[0].clone())
        return result

    def recorded_decode(latents, *rest, **named):
        result = decode(latents, *rest, **named)
        once["vae_decode_in"], once["decoded"] = latents.clone(), result[0].clone()
        return result

    pipe.unet.forward, pipe.vae.decode = recorded_unet, recorded_decode


def manifest_of(run, tensors, scheduler, floor):
    config = {name: value for name, value in scheduler.config.items() if not name.startswith("_")}
    side = tensors["decoded"].shape[-1]
    worst = max(floor.values())
    return {
        "name": run["name"], "pipeline_class": "StableDiffusionPipeline", "pipeline": "stickers-teacher", "kind": "text2img",
        "prompt": run["prompt"], "negative_prompt": run["negative_prompt"], "seed": run["seed"], "steps": run["steps"],
        "guidance_scale": run["guidance_scale"], "width": side, "height": side, "unet_trace": "all calls",
        "scheduler": {"_class_name": type(scheduler).__name__, **config},
        "noise_draws": [{"tensor": "noise.0", "drawn_in": "prepare_latents"}],
        "file": f"runs/{run['name']}.safetensors",
        "tensors": {name: {"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape)}
                    for name, t in sorted(tensors.items())},
        "tolerance": {"rel_l2": BOUND if worst <= BOUND / 5 else 5 * worst, "image_u8_max_abs": 1},
        "float64_rerun_rel_l2": {name: float(f"{value:.2e}") for name, value in floor.items()},
    }


def ids(tokenizer, text):
    return tokenizer(text, padding="max_length", truncation=True, max_length=tokenizer.model_max_length,
                     return_tensors="pt").input_ids


def relative_l2(mine, exact):
    return float((mine.double() - exact.double()).norm() / exact.double().norm().clamp_min(1e-30))


if __name__ == "__main__":
    main()
