"""Golden runs of a model that draws with alpha, by Python's diffusers: tests/golden/transparent.

    python tests/reference/transparent_golden.py [--vocabulary models/stickers/tokenizer] [--out tests/golden/transparent]

One tiny pipeline with random weights, `rgba`, in the layout of tests/golden/reference (its README): an `AutoencoderTiny` of four
channels (red, green and blue multiplied by alpha, and alpha, all scaled as diffusers scales three), 12 latent channels, and a
second autoencoder `vae_large` whose decoder draws the same latents twice as large. `model_index.json` lists it; diffusers'
pipelines say that they leave it out. Components: both autoencoders. Runs: text to image and image to image, each with
`decoded_large` beside `decoded`.

* diffusers' image-to-image pipelines take every picture of four channels for latents. They get one of three, and their
  autoencoder is handed the four channels in its place.
* `init_image_u8` and `image_u8` are RGBA whose colours are not multiplied by alpha, as PNG files have them.
"""

import argparse
import json
import shutil
from pathlib import Path

import diffusers
import golden_set
import torch
from families_golden import DDIM, Draws, enliven, manifest_of, text_encoder
from safetensors.torch import save_file
from stickers_golden import ids, record, relative_l2
from transformers import CLIPTokenizer

LATENTS = 12
RUNS = [
    dict(name="rgba_text2img", kind="text2img", negative_prompt="a blue dog", guidance_scale=5.0, seed=5),
    dict(name="rgba_img2img", kind="img2img", negative_prompt="", guidance_scale=1.0, seed=6, strength=0.6,
         scheduler="EulerDiscreteScheduler"),
]
SHARED = dict(pipeline="rgba", prompt="a red fox", steps=4, width=40, height=32)


# ---------------------------------------------------------------- the model
def build(folder, vocabulary):
    torch.manual_seed(1)
    tokenizer = CLIPTokenizer.from_pretrained(vocabulary)
    unet = diffusers.UNet2DConditionModel(
        sample_size=4, in_channels=LATENTS, out_channels=LATENTS, block_out_channels=[8, 16], layers_per_block=1,
        norm_num_groups=4, attention_head_dim=4, cross_attention_dim=8,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"], up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"])
    text = text_encoder(tokenizer, 8, 2)
    for model in (unet, text):
        enliven(model)
    pipe = diffusers.StableDiffusionPipeline(
        tokenizer=tokenizer, unet=unet, vae=autoencoder(4, [1, 1, 1, 0]), text_encoder=text,
        scheduler=diffusers.DDIMScheduler(**DDIM), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False)
    pipe.to(torch.float16).save_pretrained(folder)
    autoencoder(5, [1, 1, 0, 0, 0]).to(torch.float16).save_pretrained(folder / "vae_large")
    for path in (folder / "tokenizer").iterdir():
        path.unlink()
    for path in Path(vocabulary).iterdir():
        if path.suffix in (".json", ".txt"):
            shutil.copy(path, folder / "tokenizer" / path.name)
    index = json.loads((folder / "model_index.json").read_text())
    index["vae_large"] = ["diffusers", "AutoencoderTiny"]
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def autoencoder(levels, blocks):
    vae = diffusers.AutoencoderTiny(
        in_channels=4, out_channels=4, latent_channels=LATENTS, encoder_block_out_channels=[8] * 4,
        num_encoder_blocks=[0, 1, 1, 1], decoder_block_out_channels=[8] * levels, num_decoder_blocks=blocks)
    enliven(vae)
    with torch.no_grad():  # pictures whose colours and alpha fill 0 to 1 and go a little beyond, from latents of deviation 1
        smooth = torch.nn.functional.interpolate(torch.rand(4, 4, 8, 8), scale_factor=4, mode="bilinear") * 2 - 1
        latents = vae.encode(smooth).latents
        spread(vae.encoder.layers[-1], latents, 0, 1)
        spread(vae.decoder.layers[-1], vae.decode(torch.randn(4, LATENTS, 4, 4)).sample / 2 + 0.5, 0.5, 0.35)
    return vae


def spread(conv, drawn, mean, deviation):
    """Mean and deviation of each channel that a last convolution gives."""
    old, scale = drawn.mean((0, 2, 3)), deviation / drawn.std((0, 2, 3))
    conv.weight *= scale[:, None, None, None]
    conv.bias.copy_((conv.bias - old) * scale + mean)


# ---------------------------------------------------------------- pictures
def start_picture(height, width):
    """Straight RGBA: smooth colours, seen through a soft ellipse."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    alpha = ((1 - ((y - 0.45) / 0.4) ** 2 - ((x - 0.5) / 0.35) ** 2) * 4).clamp(0, 1)
    colours = [torch.sin(5 * x + 2 * y), torch.cos(4 * y - x), torch.sin(9 * x * y)]
    return (torch.stack([colour / 2 + 0.5 for colour in colours] + [alpha], -1) * 255).round().to(torch.uint8)


def multiplied(picture, dtype):
    """Straight RGBA bytes `[height, width, 4]` to what the encoder takes, `[1, 4, height, width]` in [-1, 1]."""
    levels = picture.to(dtype) / 255
    planes = torch.cat([levels[..., :3] * levels[..., 3:], levels[..., 3:]], -1)
    return planes.permute(2, 0, 1)[None] * 2 - 1


def straight(pictures):
    """What diffusers gives, `[n, height, width, 4]` in [0, 1], to bytes whose colours are not multiplied by alpha."""
    pictures = torch.as_tensor(pictures).double()
    alpha = (pictures[..., 3:] * 255).round()
    share = torch.where(alpha == 255, 1.0, pictures[..., 3:])
    colours = torch.where(alpha == 0, 0.0, (pictures[..., :3] / share.clamp_min(1e-9)).clamp_max(1))
    return torch.cat([(colours * 255).round(), alpha], -1).to(torch.uint8)


# ---------------------------------------------------------------- runs
def draw(folder, run, dtype, replay=None):
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32).to(dtype)
    large = diffusers.AutoencoderTiny.from_pretrained(folder, subfolder="vae_large", torch_dtype=torch.float32).to(dtype)
    if "scheduler" in run:
        pipe.scheduler = getattr(diffusers, run["scheduler"]).from_config(pipe.scheduler.config)
    once, named = {}, dict(width=run["width"], height=run["height"])
    if run["kind"] == "img2img":
        parts = {name: part for name, part in pipe.components.items() if part is not None}
        pipe = diffusers.StableDiffusionImg2ImgPipeline(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
        picture = start_picture(run["height"], run["width"])
        encode, four = pipe.vae.encode, multiplied(picture, dtype)
        pipe.vae.encode = lambda three: encode(four)
        once["init_image_u8"] = picture
        named = dict(image=torch.zeros(1, 3, run["height"], run["width"], dtype=dtype), strength=run["strength"])
    pipe.set_progress_bar_config(disable=True)
    steps = {"unet_in": [], "unet_out": [], "unet_timesteps": [], "latents": []}
    record(pipe, steps, once)
    with Draws(replay) as draws, torch.no_grad():
        result = pipe(
            run["prompt"], negative_prompt=run["negative_prompt"], num_inference_steps=run["steps"],
            guidance_scale=run["guidance_scale"], output_type="np", generator=torch.Generator().manual_seed(run["seed"]),
            callback_on_step_end=lambda pipe, i, t, kept: (steps["latents"].append(kept["latents"].clone()), {})[1],
            **named)
        once["decoded_large"] = large.decode(steps["latents"][-1] / large.config.scaling_factor).sample
    tensors = once | {name: torch.stack(values) for name, values in steps.items()}
    tensors |= {f"noise.{i}": value for i, value in enumerate(draws.items)}
    tensors["unet_timesteps"] = tensors["unet_timesteps"].float()
    tensors["image_u8"] = straight(result.images)
    tensors["token_ids"] = ids(pipe.tokenizer, run["prompt"])
    tensors["negative_token_ids"] = ids(pipe.tokenizer, run["negative_prompt"])
    return {name: t.detach().clone().contiguous() for name, t in tensors.items()}, pipe


def runs(out):
    index, folder = [], out / "pipelines" / "rgba"
    (out / "cases" / "runs").mkdir(parents=True)
    for run in RUNS:
        run = SHARED | run
        tensors, pipe = draw(folder, run, torch.float32)
        noise = [tensors[f"noise.{i}"] for i in range(sum(name.startswith("noise.") for name in tensors))]
        exact, _ = draw(folder, run, torch.float64, noise)
        manifest = manifest_of(run, tensors, pipe, exact)
        write(out, "runs", run["name"], manifest, tensors)
        index.append({"name": run["name"], "kind": run["kind"], "pipeline": "rgba", "json": f"runs/{run['name']}.json"})
        clear = float((tensors["image_u8"][..., 3] < 128).float().mean())
        print(f"{run['name']}: largest float64 difference {max(manifest['float64_rerun_rel_l2'].values()):.1e}, "
              f"{manifest['float64_rerun_image_u8_max_abs']} levels; {clear:.0%} of the picture transparent")
    write_json(out / "cases" / "runs" / "index.json", index)


def components(out):
    index = []
    (out / "cases" / "components").mkdir(parents=True)
    for part in ("vae", "vae_large"):
        name, folder = f"rgba_{part}", out / "pipelines" / "rgba" / part
        generator = torch.Generator().manual_seed(3)
        tensors = {"decode_in.0": torch.randn(2, LATENTS, 3, 5, generator=generator)}
        tensors["encode_in.0"] = multiplied(start_picture(24, 40), torch.float32)

        def outputs(dtype):
            vae = diffusers.AutoencoderTiny.from_pretrained(folder, torch_dtype=torch.float32).to(dtype)
            with torch.no_grad():
                return {"encode_out.0": vae.encode(tensors["encode_in.0"].to(dtype)).latents,
                        "decode_out.0": vae.decode(tensors["decode_in.0"].to(dtype)).sample}

        drawn, exact = outputs(torch.float32), outputs(torch.float64)
        floor = {key: relative_l2(drawn[key], exact[key]) for key in exact}
        assert max(floor.values()) < 2e-5, floor
        manifest = {"name": name, "kind": "autoencoder_tiny", "pipeline": f"rgba/{part}", "file": f"components/{name}.safetensors",
                    "tensors": described(tensors | drawn), "tolerance": {"rel_l2": 1e-4}, "float64_rerun_rel_l2": {key: float(f"{value:.2e}") for key, value in floor.items()}}
        write(out, "components", name, manifest, tensors | drawn)
        index.append({"name": name, "kind": "autoencoder_tiny", "pipeline": f"rgba/{part}", "json": f"components/{name}.json"})
        print(f"{name}: largest float64 difference {max(floor.values()):.1e}")
    write_json(out / "cases" / "components" / "index.json", index)


def write(out, kind, name, manifest, tensors):
    save_file({key: value.contiguous() for key, value in tensors.items()}, out / "cases" / kind / f"{name}.safetensors")
    write_json(out / "cases" / kind / f"{name}.json", manifest)


def described(tensors):
    """What a file holds, as a manifest lists it."""
    return {name: {"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape)} for name, t in tensors.items()}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", default="models/stickers/tokenizer")
    parser.add_argument("--out", default="tests/golden/transparent")
    args = parser.parse_args()
    out = Path(args.out)
    shutil.rmtree(out, ignore_errors=True)
    build(out / "pipelines" / "rgba", args.vocabulary)
    components(out)
    runs(out)
    about = "a tiny pipeline with alpha and a large decoder, by transparent_golden.py"
    golden_set.write(out, about, families={"pictures with alpha": "rgba_img2img"})


if __name__ == "__main__":
    main()
