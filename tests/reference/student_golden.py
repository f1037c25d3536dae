"""Golden runs of the shipped student, drawn by Python's diffusers: tests/golden/student.

    python tests/reference/student_golden.py [--model models/stickers] [--out tests/golden/student]
    python tests/reference/student_golden.py --exported DIR     # checks what `fourstep export models/stickers --out DIR` wrote

Nothing of this project's Rust is used. The blocks of the weights are read and widened with numpy; text encoder, UNet and
autoencoder are transformers' and diffusers' own classes; diffusers' stock StableDiffusionPipeline draws. It embeds the
guidance scale by itself (`time_cond_proj_dim`). The features of prompt and negative prompt, which this model reads as one
text, are handed to it as `prompt_embeds`.

Same layout as the runs of tests/golden/reference (its README, "Tensors of a run"). Beside them `set.json` has the number of
cases and the SHA-256 of the weights' files (golden_set.py), and `weights.json` the SHA-256 of every widened tensor (f32, little-endian).
`float64_rerun_rel_l2` is the reference's own distance from a float64 run on the same draws.
"""

import argparse
import hashlib
import json
import shutil
import struct
from pathlib import Path

import diffusers
import golden_set
import numpy
import torch
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

BOUND = 1e-4
BLOCK = 32
PARTS = {
    "text_encoder": "model.safetensors",
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
}
LONG = "a red fox above a green crown on a teal background, two small ducks and one big yellow butterfly turned left, " * 2

RUNS = [
    dict(name="plain", prompt="a green fox", seed=7),
    dict(name="guidance_1", prompt="a purple butterfly", guidance_scale=1.0, seed=1),
    dict(name="guidance_3_5", prompt="a crown on a pink background", guidance_scale=3.5, seed=2),
    dict(name="negative", prompt="a colourful fox", negative_prompt="green", seed=3),
    dict(name="negative_guidance_1", prompt="a colourful teapot", negative_prompt="blue", guidance_scale=1.0, seed=4),
    dict(name="negative_guidance_3_5", prompt="a fox on a coloured background", negative_prompt="a red background",
         guidance_scale=3.5, seed=5),
    dict(name="empty_prompt", prompt="", negative_prompt="a frog", seed=6),
    dict(name="long", prompt=LONG, negative_prompt="not " + LONG, seed=8),
    dict(name="one_step", prompt="four apples", steps=1, seed=9),
    dict(name="euler_8_steps", prompt="a yellow duck on a teal background", negative_prompt="a green background",
         guidance_scale=1.7, steps=8, scheduler="EulerDiscreteScheduler", seed=10),
    dict(name="wide", prompt="Two CAFÉ cups ☕", guidance_scale=2.5, width=96, seed=2**53 - 1),
    dict(name="from_a_picture", prompt="a red apple", negative_prompt="green", kind="img2img", strength=0.75, seed=11),
]
DEFAULTS = dict(kind="text2img", negative_prompt="", guidance_scale=2.0, steps=4, scheduler="DDIMScheduler", width=64, height=64)


# ---------------------------------------------------------------- weights
def read(path):
    """The tensors of a safetensors file, as they are stored."""
    raw = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + length])
    header.pop("__metadata__", None)
    dtypes = {"I8": numpy.int8, "U8": numpy.uint8, "F16": numpy.float16, "F32": numpy.float32}

    def tensor(entry):
        begin, end = entry["data_offsets"]
        return numpy.frombuffer(raw[8 + length + begin:8 + length + end], dtypes[entry["dtype"]]).reshape(entry["shape"])

    return {name: tensor(entry) for name, entry in header.items()}


def widened(stored, shapes):
    """Every tensor in f32, blocks as docs/quantization.md describes them. `shapes` are those of the model's own tensors."""
    return {name: widen(name, stored, shapes[name]) for name in stored if not name.endswith(".weight.scale")}


def widen(name, stored, shape):
    codes = stored[name]
    if codes.dtype not in (numpy.int8, numpy.uint8):
        return codes.astype(numpy.float32)
    if codes.dtype == numpy.uint8:  # Q4_0: the low halves are numbers 0 to 15 of a block, the high halves 16 to 31
        codes = numpy.concatenate([codes & 15, codes >> 4], axis=-1).astype(numpy.int32) - 8
    rows, blocks, block = codes.shape
    assert block == BLOCK, f"{name}: blocks of {block}"
    values = codes.astype(numpy.float32) * stored[f"{name}.scale"].astype(numpy.float32)[:, :, None]
    columns = int(numpy.prod(shape[1:]))
    values = values.reshape(rows, blocks * BLOCK)[:, :columns]
    if len(shape) == 4:  # a row of a convolution runs over kh, kw, in
        out, channels, height, width = shape
        values = values.reshape(out, height, width, channels).transpose(0, 3, 1, 2)
    return numpy.ascontiguousarray(values.reshape(shape))


def structure(model, part):
    """The part without its weights."""
    config = json.loads((model / part / "config.json").read_text())
    assert config.pop("quantization_config")["quant_method"] == "fourstep"
    if part == "text_encoder":
        return CLIPTextModel(CLIPTextConfig(**(config | {"dtype": "float32"})))
    return getattr(diffusers, config["_class_name"]).from_config(config)


def build(model):
    """The stock pipeline with widened weights, and those weights by part and by the names of the files."""
    parts, weights = {}, {}
    for part, file in PARTS.items():
        stored = read(model / part / file)
        module = structure(model, part)
        # transformers 5 leaves out the prefix that its files have.
        keep = any(name.startswith("text_model.") for name in module.state_dict())
        prefix = "text_model." if part == "text_encoder" and not keep else ""
        weights[part] = widened(stored, {prefix + name: tuple(value.shape) for name, value in module.state_dict().items()})
        state = {name.removeprefix(prefix): torch.from_numpy(value.copy()) for name, value in weights[part].items()}
        module.load_state_dict(state, strict=True)
        parts[part] = module.eval()
    scheduler = diffusers.DDIMScheduler.from_pretrained(model / "scheduler")
    tokenizer = CLIPTokenizer.from_pretrained(model / "tokenizer")
    return pipeline("text2img", dict(parts, scheduler=scheduler, tokenizer=tokenizer)), weights


def pipeline(kind, parts):
    name = dict(text2img="StableDiffusionPipeline", img2img="StableDiffusionImg2ImgPipeline")[kind]
    pipe = getattr(diffusers, name)(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


# ---------------------------------------------------------------- runs
def ids(tokenizer, text):
    return tokenizer(text, padding="max_length", truncation=True, max_length=tokenizer.model_max_length,
                     return_tensors="pt").input_ids


def picture(run):
    """A smooth picture to start from."""
    y, x = torch.meshgrid(torch.linspace(0, 1, run["height"]), torch.linspace(0, 1, run["width"]), indexing="ij")
    image = torch.stack([torch.sin(5 * x + 2 * y), torch.cos(4 * y - x), torch.sin(9 * x * y)], -1) * 0.5 + 0.5
    return (image * 255).round().to(torch.uint8)


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


def draw(base, run, dtype, replay=None):
    """One run, everything recorded: the tensors by their names in the layout, and the scheduler."""
    parts = {name: part for name, part in base.components.items() if part is not None}
    parts["scheduler"] = getattr(diffusers, run["scheduler"]).from_config(base.scheduler.config)
    pipe = pipeline(run["kind"], parts).to(dtype)
    prompt, negative = ids(pipe.tokenizer, run["prompt"]), ids(pipe.tokenizer, run["negative_prompt"])
    once = {"token_ids": prompt, "negative_token_ids": negative}
    steps = {"unet_timesteps": [], "latents": []}
    unet = pipe.unet.forward

    def recorded_unet(sample, timestep, *rest, **named):
        result = unet(sample, timestep, *rest, **named)
        once.setdefault("unet_encoder_hidden_states", named["encoder_hidden_states"].clone())
        once.setdefault("unet_timestep_cond", named["timestep_cond"].clone())
        once.setdefault("unet_in", sample.clone()[None])
        once.setdefault("unet_out", result[0].clone()[None])
        steps["unet_timesteps"].append(torch.as_tensor(timestep).reshape(()).float())
        return result

    named = dict(width=run["width"], height=run["height"])
    if run["kind"] == "img2img":
        once["init_image_u8"] = picture(run)
        named = dict(image=(once["init_image_u8"].to(dtype) / 255).permute(2, 0, 1)[None], strength=run["strength"])
    pipe.unet.forward = recorded_unet
    try:
        with Draws(replay) as draws, torch.no_grad():
            features = pipe.text_encoder(torch.cat([prompt, negative], 1)).last_hidden_state
            result = pipe(
                prompt_embeds=features, num_inference_steps=run["steps"], guidance_scale=run["guidance_scale"],
                output_type="np", generator=torch.Generator().manual_seed(run["seed"]), **named,
                callback_on_step_end=lambda pipe, i, t, kept: (steps["latents"].append(kept["latents"].clone()), {})[1])
    finally:
        del pipe.unet.forward
    tensors = once | {name: torch.stack(values) for name, values in steps.items()}
    tensors |= {f"noise.{i}": value for i, value in enumerate(draws.items)}
    tensors["unet_timesteps"] = tensors["unet_timesteps"].float()
    tensors["image_u8"] = torch.from_numpy((result.images * 255).round().astype("uint8"))
    return {name: t.detach().clone().contiguous() for name, t in tensors.items()}, pipe


def relative_l2(mine, exact):
    return float((mine.double() - exact.double()).norm() / exact.double().norm().clamp_min(1e-30))


def manifest_of(run, tensors, pipe, exact):
    floor = {name: relative_l2(tensors[name], exact[name]) for name in sorted(exact) if exact[name].dtype == torch.float64}
    assert max(floor.values()) <= BOUND / 5, floor
    config = {name: value for name, value in pipe.scheduler.config.items() if not name.startswith("_")}
    difference = (tensors["image_u8"].int() - exact["image_u8"].int()).abs().max()
    return {
        **run, "pipeline": "stickers", "pipeline_class": type(pipe).__name__, "unet_trace": "first call",
        "scheduler": {"_class_name": type(pipe.scheduler).__name__, **config}, "file": f"runs/{run['name']}.safetensors",
        "tensors": {name: {"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape)}
                    for name, t in sorted(tensors.items())},
        "tolerance": {"rel_l2": BOUND, "image_u8_max_abs": 1},
        "float64_rerun_rel_l2": {name: float(f"{value:.2e}") for name, value in floor.items()},
        "float64_rerun_image_u8_max_abs": int(difference),
    }


def make(model, out):
    pipe, weights = build(model)
    shutil.rmtree(out, ignore_errors=True)
    runs = out / "cases" / "runs"
    runs.mkdir(parents=True)
    index = []
    for run in RUNS:
        run = DEFAULTS | run
        tensors, drawn = draw(pipe, run, torch.float32)
        noise = [tensors[f"noise.{i}"] for i in range(sum(name.startswith("noise.") for name in tensors))]
        exact, _ = draw(pipe, run, torch.float64, noise)
        pipe.to(torch.float32)
        manifest = manifest_of(run, tensors, drawn, exact)
        save_file(tensors, runs / f"{run['name']}.safetensors")
        (runs / f"{run['name']}.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
        index.append({"name": run["name"], "kind": run["kind"], "pipeline": "stickers", "json": f"runs/{run['name']}.json"})
        print(f"{run['name']}: largest float64 difference {max(manifest['float64_rerun_rel_l2'].values()):.1e}")
    (runs / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    digests = {part: {name: {"shape": list(value.shape), "sha256": sha256(value.astype("<f4").tobytes())}
                      for name, value in sorted(tensors.items())} for part, tensors in weights.items()}
    (out / "weights.json").write_text(json.dumps(digests, indent=1) + "\n")
    files = {f"stickers/{part}/{file}": sha256((model / part / file).read_bytes()) for part, file in PARTS.items()}
    golden_set.write(out, "the shipped student, by student_golden.py", pipelines="../../../models",
                     families={"Stickers in four steps": "negative"}, weights=files)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# ---------------------------------------------------------------- what `fourstep export` writes
def check_exported(model, folder):
    """diffusers and transformers open the folder without missing or surplus weights, every number is that of the widened
    blocks (rounded, where the folder has f16), and the stock pipeline draws from it what it draws from those."""
    own, weights = build(model)
    classes = dict(text_encoder=CLIPTextModel, unet=diffusers.UNet2DConditionModel,
                   vae=getattr(diffusers, json.loads((folder / "vae" / "config.json").read_text())["_class_name"]))
    for part, file in PARTS.items():
        stored = read(folder / part / file)
        assert stored.keys() == weights[part].keys(), f"{part}: {sorted(stored.keys() ^ weights[part].keys())}"
        for name, value in weights[part].items():
            assert stored[name].dtype in (numpy.float32, numpy.float16), f"{part}: {name} is {stored[name].dtype}"
            assert numpy.array_equal(stored[name], value.astype(stored[name].dtype)), f"{part}: {name} differs"
        module, info = classes[part].from_pretrained(folder / part, output_loading_info=True)
        wrong = {what: names for what, names in info.items() if names}
        assert not wrong, f"{part}: {wrong}"
        dtypes = {value.dtype for value in module.state_dict().values()}
        print(f"{part}: {len(stored)} tensors equal, opened in {', '.join(map(str, dtypes))}")
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    half = any(value.dtype == numpy.float16 for value in stored.values())
    for run in RUNS:
        run = DEFAULTS | run
        mine, theirs = (draw(base, run, torch.float32)[0] for base in (pipe, own))
        apart = relative_l2(mine["latents"], theirs["latents"])
        levels = int((mine["image_u8"].int() - theirs["image_u8"].int()).abs().max())
        print(f"{run['name']}: latents {apart:.1e} apart, picture {levels} levels")
        assert half or (apart < BOUND / 10 and levels <= 1), run["name"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default="models/stickers")
    parser.add_argument("--out", type=Path, default="tests/golden/student")
    parser.add_argument("--exported", type=Path, help="check this folder instead of writing goldens")
    args = parser.parse_args()
    diffusers.logging.set_verbosity_error()
    if args.exported:
        check_exported(args.model, args.exported)
    else:
        make(args.model, args.out)


if __name__ == "__main__":
    main()
