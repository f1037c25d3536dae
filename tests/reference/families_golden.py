"""Golden runs of what the whole reference set lacks, drawn by Python's diffusers: tests/golden/families.

    python tests/reference/families_golden.py [--vocabulary models/stickers/tokenizer] [--out tests/golden/families]
                                              [--only REGEX]

Tiny pipelines with random weights and runs of them (families_plan.py lists both), in the layout of
tests/golden/reference (its README). `--only` draws the runs that match and keeps the others: another version of torch
changes the last bits of all of them. Three kinds of runs are not diffusers' own:

* `prompt_syntax` "weighted": contexts of weighted and long prompts, computed here from transformers' text encoder by
  the rule of AUTOMATIC1111's web UI, from the chunks written out in `CHUNKS`, and handed to diffusers as embeddings.
* the negative prompt of `tiny_xl` runs without one is zeros, diffusers' `None`.
* runs with `nag_scale` have nag.py's processors in their cross-attentions.

`cases/rng.json` holds Wichmann and Hill's generator after Python integers of any size and sign.
"""

import argparse
import json
import re
import shutil
from pathlib import Path

import diffusers
import golden_set
import nag
import torch
from families_plan import CHUNKS, CONTROLNETS, EMBEDDINGS, DDIM, DEFAULTS, FAMILIES, INTEGER_SEEDS, NOT_IN_PAGE, PIPELINES, RUNS
from safetensors.torch import load_file, save_file
from stickers_golden import ids, record, relative_l2
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

BOUND = 1e-4


# ---------------------------------------------------------------- models
def build(out, vocabulary):
    """The tokenizer, and the pipelines that are not there yet."""
    files = [path for path in Path(vocabulary).iterdir() if path.suffix in (".json", ".txt")]
    for path in files:
        copy(path, out / "tokenizer" / path.name)
    for name, plan in PIPELINES.items():
        if not (out / "pipelines" / name).exists():
            build_pipeline(out / "pipelines" / name, plan, vocabulary, files)


    for name, plan in CONTROLNETS.items():
        if not (out / "controlnets" / name).exists():
            torch.manual_seed(len(name))
            build_controlnet(plan).to(torch.float16).save_pretrained(out / "controlnets" / name)


    (out / "embeddings").mkdir(exist_ok=True)
    for name, (count, widths) in EMBEDDINGS.items():
        generator = torch.Generator().manual_seed(len(name))
        vectors = {key: torch.randn(count, width, generator=generator) for key, width in widths.items()}
        save_file(vectors, out / "embeddings" / f"{name}.safetensors")


def learn(pipe, name, file):
    """Loads a learned word; a file for Stable Diffusion XL has one tensor for each text encoder."""
    vectors = load_file(file)
    if "clip_l" not in vectors:
        return pipe.load_textual_inversion(file)
    for key, tokenizer, encoder in (("clip_l", "tokenizer", "text_encoder"), ("clip_g", "tokenizer_2", "text_encoder_2")):
        pipe.load_textual_inversion(vectors[key], token=name, tokenizer=getattr(pipe, tokenizer),
                                    text_encoder=getattr(pipe, encoder))


def build_controlnet(plan):
    """Random where a new ControlNet is zero, so that it changes something."""
    network = diffusers.ControlNetModel(**dict(dict(in_channels=4, norm_num_groups=4), **plan))
    enliven(network)
    generator = torch.Generator().manual_seed(8)
    for value in network.parameters():
        if value.ndim > 1 and not value.any():
            value.data = torch.randn(value.shape, generator=generator) * 0.2
    return network


def build_pipeline(folder, plan, vocabulary, files):
    torch.manual_seed(len(folder.name))
    xl = plan.get("xl", False)
    tokenizer = CLIPTokenizer.from_pretrained(vocabulary, **({"pad_token": plan["pad"]} if "pad" in plan else {}))
    config = dict(plan.get("scheduler", dict(_class_name="DDIMScheduler", **DDIM)))
    scheduler = getattr(diffusers, config.pop("_class_name"))(**config)
    parts = dict(tokenizer=tokenizer, unet=unet(plan["unet"]), vae=vae(),
                 text_encoder=text_encoder(tokenizer, 12, 3, **plan.get("text", {})), scheduler=scheduler)
    if xl:
        parts |= dict(tokenizer_2=tokenizer, text_encoder_2=text_encoder(tokenizer, 20, 3, projection=12))
        pipe = diffusers.StableDiffusionXLPipeline(**parts, add_watermarker=False)
    else:
        kind = getattr(diffusers, plan.get("pipeline_class", "StableDiffusionPipeline"))
        pipe = kind(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        if part in parts:
            enliven(parts[part])
    pipe.to(torch.float16).save_pretrained(folder)
    for part in (path for path in folder.glob("tokenizer*") if path.is_dir()):
        for file in part.iterdir():
            file.unlink()
        for path in files:
            if path.name not in ("vocab.json", "merges.txt"):
                copy(path, part / path.name)
                if "pad" in plan:
                    content = json.loads(path.read_text()) | dict(pad_token=plan["pad"])
                    (part / path.name).write_text(json.dumps(content, indent=2) + "\n")


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def enliven(model):
    """Random biases and norms: the initial values of both would hide mistakes."""
    generator = torch.Generator().manual_seed(7)
    for name, value in model.named_parameters():
        if value.ndim == 1:
            value.data += torch.randn(value.shape, generator=generator) * 0.1
        elif "embedding" in name and "text" in type(model).__name__.lower():
            value.data = torch.randn(value.shape, generator=generator)


def unet(plan):
    return diffusers.UNet2DConditionModel(
        **dict(dict(sample_size=16, in_channels=4, out_channels=4, norm_num_groups=4), **plan))


def vae():
    return diffusers.AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=[8, 8, 8], layers_per_block=1,
        norm_num_groups=4, down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3)


def text_encoder(tokenizer, width, layers, projection=None, **more):
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
        num_attention_heads=2, max_position_embeddings=tokenizer.model_max_length, projection_dim=projection or width,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, **more)
    return CLIPTextModelWithProjection(config) if projection else CLIPTextModel(config)


# ---------------------------------------------------------------- weighted prompts
def weighted_context(pipe, prompt, count):
    """The web UI's rule: features of each chunk times the weights of its tokens, then times what brings the chunk's mean
    back; chunks one after the other. A shorter prompt is filled up with empty chunks."""
    room = pipe.tokenizer.model_max_length - 2
    chunks = []
    for pieces in CHUNKS[prompt] or [[(prompt, 1.0)]]:
        tokens = [(token, weight) for words, weight in pieces
                  for token in pipe.tokenizer(words, add_special_tokens=False).input_ids]
        chunks += [tokens[i:i + room] for i in range(0, max(len(tokens), 1), room)]
    features = []
    for tokens in chunks + [[]] * (count - len(chunks)):
        padding = room - len(tokens)
        row = [pipe.tokenizer.bos_token_id] + [token for token, _ in tokens]
        row += [pipe.tokenizer.eos_token_id] + [pipe.tokenizer.pad_token_id] * padding
        weights = torch.tensor([1.0] + [weight for _, weight in tokens] + [1.0] * (1 + padding))
        plain = pipe.text_encoder(torch.tensor([row])).last_hidden_state
        scaled = plain * weights.to(plain.dtype)[None, :, None]
        features.append(scaled * (plain.mean() / scaled.mean()))
    return torch.cat(features, 1), len(chunks)


# ---------------------------------------------------------------- runs
class Draws:
    """Records what torch.randn gives in float32, or gives it again in the order of the calls."""

    def __init__(self, replay=None):
        self.items, self.replay, self.original = [], replay, torch.randn

    def __enter__(self):
        torch.randn = self.draw
        return self

    def __exit__(self, *_):
        torch.randn = self.original

    def draw(self, *size, generator=None, dtype=None, **_):
        size = size[0] if isinstance(size[0], (tuple, list, torch.Size)) else size
        value = self.replay[len(self.items)] if self.replay else self.original(size, generator=generator)
        self.items.append(value)
        return value.to(dtype)


def pictures(run):
    """A smooth picture and an ellipse with a ramp beneath."""
    height, width = run["height"], run["width"]
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    image = torch.stack([torch.sin(5 * x + 2 * y), torch.cos(4 * y - x), torch.sin(9 * x * y)], -1) * 0.5 + 0.5
    inside = ((y - 0.45) / 0.3) ** 2 + ((x - 0.5) / 0.25) ** 2 < 1
    mask = torch.where(y > 0.85, x, inside.float())
    return (image * 255).round().to(torch.uint8), (mask * 255).round().to(torch.uint8)


def control_images(run):
    """One for each ControlNet: lines, and a ramp with a disc."""
    y, x = torch.meshgrid(torch.linspace(0, 1, run["height"]), torch.linspace(0, 1, run["width"]), indexing="ij")
    lines = ((x * 4).frac() < 0.2) | ((y - x).abs() < 0.08)
    disc = torch.where((x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.06, 0.9, y * 0.7)
    images = [lines.float()[..., None].expand(-1, -1, 3), torch.stack([disc, disc, 1 - disc], -1)]
    return [(image * 255).round().to(torch.uint8) for image in images[:len(run["controlnets"])]]


def draw(folder, run, dtype, replay=None):
    kind = dict(text2img="", img2img="Img2Img", inpaint="Inpaint")[run["kind"]]
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32).to(dtype)
    family = type(pipe).__name__.removesuffix("Pipeline")
    if "scheduler" in run:
        config = dict(run["scheduler"])
        pipe.scheduler = getattr(diffusers, config.pop("_class_name")).from_config(pipe.scheduler.config, **config)
    for name in run.get("embeddings", []):
        learn(pipe, name, folder / "embeddings" / f"{name}.safetensors")
    networks = [diffusers.ControlNetModel.from_pretrained(folder / "controlnets" / name).to(dtype)
                for name in run.get("controlnets", [])]
    if kind or networks:
        parts = {name: part for name, part in pipe.components.items() if part is not None}
        xl = family == "StableDiffusionXL"
        none = {} if xl else dict(safety_checker=None, feature_extractor=None, requires_safety_checker=False)
        if networks:
            kind = f"ControlNet{kind}"
            parts["controlnet"] = networks if len(networks) > 1 else networks[0]
        pipe = getattr(diffusers, f"{family}{kind}Pipeline")(**parts, **none)
    pipe.set_progress_bar_config(disable=True)
    once, named = {}, dict(width=run["width"], height=run["height"])
    if run["kind"] != "text2img":
        image, mask = pictures(run)
        once["init_image_u8"] = image
        named = dict(image=(image.to(dtype) / 255).permute(2, 0, 1)[None], strength=run["strength"])
        if run["kind"] == "inpaint":
            once["mask_u8"] = mask
            named |= dict(mask_image=(mask.to(dtype) / 255)[None, None], width=run["width"], height=run["height"])
    if networks:
        images = control_images(run)
        once |= {f"control_image_u8.{i}": image for i, image in enumerate(images)}
        images = [(image.to(dtype) / 255).permute(2, 0, 1)[None] for image in images]
        name = "image" if run["kind"] == "text2img" else "control_image"
        named[name] = images if len(images) > 1 else images[0]
    if run["prompt"] in CHUNKS:
        count = max(weighted_context(pipe, run[text], 0)[1] for text in ("prompt", "negative_prompt"))
        named["prompt_embeds"] = weighted_context(pipe, run["prompt"], count)[0]
        named["negative_prompt_embeds"] = weighted_context(pipe, run["negative_prompt"], count)[0]
    else:
        named["prompt"] = run["prompt"]
        # Pipelines of consistency models have no such argument.
        if run["negative_prompt"] is not None and not family.startswith("LatentConsistency"):
            named["negative_prompt"] = run["negative_prompt"]
    extra = {name: value for name, value in run.get("extra", {}).items() if name != "prompt_syntax"}
    settings = {name.removeprefix("nag_"): extra.pop(name) for name in list(extra) if name.startswith("nag_")}
    if settings:
        nag.install(pipe, run["negative_prompt"], run.get("num_images_per_prompt", 1), "XL" in family, **settings)
    for name in [name for name in extra if name.startswith("control")]:
        values = extra.pop(name)
        named[name] = values if len(values) > 1 else values[0]
    named |= {name: tuple(value) if isinstance(value, list) else value for name, value in extra.items()}
    steps = {"unet_in": [], "unet_out": [], "unet_timesteps": [], "latents": []}
    record(pipe, steps, once)
    recorded = pipe.unet.forward

    def with_conditions(*rest, **conditions):
        given = dict(conditions.get("added_cond_kwargs") or {}, timestep_cond=conditions.get("timestep_cond"))
        for name, value in given.items():
            if value is not None:
                once.setdefault(f"unet_{name}", value.clone())
        return recorded(*rest, **conditions)

    pipe.unet.forward = with_conditions
    with Draws(replay) as draws, torch.no_grad():
        result = pipe(
            num_inference_steps=run["steps"], guidance_scale=run["guidance_scale"], output_type="np",
            num_images_per_prompt=run.get("num_images_per_prompt", 1),
            generator=torch.Generator().manual_seed(run["seed"]), **named,
            callback_on_step_end=lambda pipe, i, t, kept: (steps["latents"].append(kept["latents"].clone()), {})[1])
    tensors = once | {name: torch.stack(values) for name, values in steps.items()}
    tensors |= {f"noise.{i}": value for i, value in enumerate(draws.items)}
    tensors["unet_timesteps"] = tensors["unet_timesteps"].float()
    tensors["image_u8"] = torch.from_numpy((result.images * 255).round().astype("uint8"))
    if run["prompt"] not in CHUNKS:
        for name, text in (("token_ids", run["prompt"]), ("negative_token_ids", run["negative_prompt"] or "")):
            if "embeddings" in run:  # writes the further words of a learned one into the text
                text = pipe.maybe_convert_prompt(text, pipe.tokenizer)
            tensors[name] = ids(pipe.tokenizer, text)
    return {name: t.detach().clone().contiguous() for name, t in tensors.items()}, pipe


def manifest_of(run, tensors, pipe, exact):
    floor = {name: relative_l2(tensors[name], exact[name]) for name in sorted(exact)
             if exact[name].dtype == torch.float64}
    worst = max(floor.values())
    config = {name: value for name, value in pipe.scheduler.config.items() if not name.startswith("_")}
    difference = (tensors["image_u8"].int() - exact["image_u8"].int()).abs().max()
    run = {name: value for name, value in run.items() if name != "scheduler"}
    return {
        **run, "pipeline_class": type(pipe).__name__, "unet_trace": "all calls",
        "scheduler": {"_class_name": type(pipe.scheduler).__name__, **config}, "file": f"runs/{run['name']}.safetensors",
        "tensors": {name: {"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape)}
                    for name, t in sorted(tensors.items())},
        "tolerance": {"rel_l2": BOUND if worst <= BOUND / 5 else 5 * worst, "image_u8_max_abs": 1},
        "float64_rerun_rel_l2": {name: float(f"{value:.2e}") for name, value in floor.items()},
        "float64_rerun_image_u8_max_abs": int(difference),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", default="models/stickers/tokenizer")
    parser.add_argument("--out", default="tests/golden/families")
    parser.add_argument("--only", metavar="REGEX", help="draws these runs alone and keeps the others")
    args = parser.parse_args()
    out = Path(args.out)
    if args.only is None:
        shutil.rmtree(out, ignore_errors=True)
    build(out, args.vocabulary)
    index = []
    (out / "cases" / "runs").mkdir(parents=True, exist_ok=True)
    for run in RUNS:
        run = DEFAULTS | run
        index.append({"name": run["name"], "kind": run["kind"], "pipeline": run["pipeline"],
                      "json": f"runs/{run['name']}.json"})
        if args.only is not None and not re.search(args.only, run["name"]):
            continue
        if run["prompt"] in CHUNKS:
            run["extra"] = dict(prompt_syntax="weighted")
        folder = out / "pipelines" / run["pipeline"]
        tensors, pipe = draw(with_vocabulary(folder, out), run, torch.float32)
        noise = [tensors[f"noise.{i}"] for i in range(sum(name.startswith("noise.") for name in tensors))]
        exact, _ = draw(with_vocabulary(folder, out), run, torch.float64, noise)
        manifest = manifest_of(run, tensors, pipe, exact)
        json_file = f"runs/{run['name']}.json"
        save_file(tensors, out / "cases" / manifest["file"])
        (out / "cases" / json_file).write_text(json.dumps(manifest, indent=1) + "\n")
        print(f"{run['name']}: largest float64 difference {max(manifest['float64_rerun_rel_l2'].values()):.1e}")
    (out / "cases" / "runs" / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    (out / "cases" / "rng.json").write_text(json.dumps(wichmann_hill(), indent=1) + "\n")
    about = "tiny pipelines of every family that the copy in tests/golden/reference lacks, by families_golden.py"
    golden_set.write(out, about, families=FAMILIES, not_in_page=NOT_IN_PAGE)
    shutil.rmtree(out.parent / ".families", ignore_errors=True)


def wichmann_hill():
    """Wichmann and Hill's generator after integers, seeded as Python's random.WichmannHill did it until version 2.7."""
    cases = []
    for seed in INTEGER_SEEDS:
        rest, x = divmod(seed, 30268)
        rest, y = divmod(rest, 30306)
        rest, z = divmod(rest, 30322)
        x, y, z = first = x + 1, y + 1, z + 1
        values = []
        for _ in range(20):
            x, y, z = 171 * x % 30269, 172 * y % 30307, 170 * z % 30323
            values.append((x / 30269.0 + y / 30307.0 + z / 30323.0) % 1.0)
        cases.append({"integer_seed": seed, "state": first, "values": values, "state_after": [x, y, z]})
    return {"tolerance": {"wichmann_hill": "max abs 1e-15"}, "wichmann_hill": cases}


def with_vocabulary(folder, out):
    """A copy of a pipeline's folder in which the tokenizers are whole."""
    whole = out.parent / ".families" / folder.name
    shutil.rmtree(whole.parent, ignore_errors=True)
    shutil.copytree(folder, whole)
    for name in ("controlnets", "embeddings"):
        shutil.copytree(out / name, whole / name)
    for part in whole.glob("tokenizer*"):
        for name in ("vocab.json", "merges.txt"):
            shutil.copy(out / "tokenizer" / name, part / name)
    return whole


if __name__ == "__main__":
    main()
