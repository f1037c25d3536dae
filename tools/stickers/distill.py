"""Stage three: four steps of one evaluation each, learned from the guided teacher.

Multistep consistency (Heek et al. 2024, arXiv 2403.06807, algorithm 1 with a teacher): the path from noise to picture is
divided into as many segments as the student takes steps. At a point of a segment the teacher takes one small DDIM step
with classifier-free guidance; the student learns to predict, before the step, the same end of the segment that it
predicts after it. The guidance scale and the negative prompt are inputs of the student, in the form that
docs/DISTILLATION.md describes and `fourstep distill` trains: sinusoids of 1000 (s - 1) through `time_embedding.cond_proj`
(Meng et al. 2022, arXiv 2210.03142), and both prompts as one text of twice the length.

With cos φ = α and sin φ = σ, a DDIM step is a rotation by the difference of two angles (src/distill/rotation.rs), so
everything here is written with angles.
"""

import copy
import json
import math
from pathlib import Path

import torch
from diffusers import DDIMScheduler
from torch import nn

from .diffusion import SCHEDULER, text_features
from .lanes import lanes_on
from .optimizer import Optimizer
from .run import Average, Run, learning_rate, step_generator

CONFIG = {
    "seed": 3, "batch": 48, "lanes": 2,
    "steps": 1600, "warm_up": 30, "rate": 3e-4, "muon_rate": 6e-4, "weight_decay": 0.0, "average": 0.98,
    "segments": 4, "teacher_steps": 16, "guidance": [1.0, 3.5], "cond_dim": 64,
    "caption_dropout": 0.05, "negative_colours": 0.4, "negative_captions": 0.1,
}


def student_of(teacher, config):
    """A copy of the teacher with the two inputs: scale projection 0, second half of the positions with a mark."""
    student = copy.deepcopy(teacher)
    unet, text = student["unet"], student["text_encoder"]
    channels = unet.config.block_out_channels[0]
    unet.time_embedding.cond_proj = nn.Linear(config["cond_dim"], channels, bias=False)
    nn.init.zeros_(unet.time_embedding.cond_proj.weight)
    unet.register_to_config(time_cond_proj_dim=config["cond_dim"])

    inner = getattr(text, "text_model", text)
    places = inner.embeddings.position_embedding.weight.data
    mark = torch.randn(places.shape[1], generator=torch.Generator().manual_seed(config["seed"]))
    marked = places + mark * places.square().mean().sqrt()
    count = 2 * len(places)
    inner.embeddings.position_embedding = nn.Embedding.from_pretrained(torch.cat([places, marked]), freeze=False)
    inner.embeddings.register_buffer("position_ids", torch.arange(count)[None], persistent=False)
    text.config.max_position_embeddings = count
    return student.requires_grad_(True)


def scale_embedding(scale, width):
    """f32 [N, width]: diffusers' `get_guidance_scale_embedding` of s - 1."""
    half = width // 2
    rates = torch.exp(torch.arange(half) * (-math.log(10000.0) / (half - 1)))
    angles = 1000 * (scale.float() - 1)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


def grid(steps):
    """Timesteps i64 [steps + 1] of `trailing` spacing, ending with 0, and their angles f64 [steps + 1], ending with 0."""
    scheduler = DDIMScheduler(**SCHEDULER)
    scheduler.set_timesteps(steps)
    alpha = scheduler.alphas_cumprod[scheduler.timesteps].double().sqrt()
    end = torch.zeros(1)
    return torch.cat([scheduler.timesteps, end.long()]), torch.cat([alpha.acos(), end.double()])


def turn(z, v, angle):
    """The DDIM step that rotates z [N, C, h, w] back by an angle [N]."""
    angle = angle[:, None, None, None]
    return (angle.cos() * z - angle.sin() * v).float()


def velocity_between(z, end, angle):
    """The v with which one step by `angle` leads from z to `end`."""
    angle = angle[:, None, None, None]
    return ((angle.cos() * z - end) / angle.sin()).float()


def train(config, latents, tokens, empty, colours, teacher, folder, stop_at=None, device="cpu"):
    """Trains on latents bf16 [N, C, h, w] with token ids i64 [N, L].

    `colours` i64 [M, L] are the captions of colours and backgrounds that serve as negative prompts; `teacher` is the
    nn.ModuleDict of diffusion.build, with its weights. Writes the run's folder, as diffusion.train does.
    """
    torch.manual_seed(config["seed"])
    teacher = teacher.eval().requires_grad_(False).to(device)
    model = student_of(teacher, config).train().to(device)
    tokens = torch.cat([tokens, colours, empty[None]])
    features = text_features(teacher["text_encoder"], tokens, config["lanes"])
    average = Average(model, config["average"])
    optimizer = Optimizer(model, config["rate"], config["muon_rate"], config["weight_decay"],
                          outer=("conv_in", "conv_out", "position_embedding", "cond_proj"))
    run = Run(folder, config)
    start = run.resume(model=model, average=average, optimizer=optimizer)
    lanes = lanes_on(device, model, config["lanes"])
    end = min(stop_at or config["steps"], config["steps"])
    for step in range(start, end):
        batch = draw_batch(config, latents, len(colours), step)
        prompt, negative = batch.pop("prompt"), batch.pop("negative")
        batch |= {"tokens": torch.cat([tokens[prompt], tokens[negative]], 1),
                  "given": features[prompt], "without": features[negative]}
        report = lanes.backward(lambda model, part: loss(model, teacher, part, config["cond_dim"]),
                                {name: tensor.to(device) for name, tensor in batch.items()})
        report["gradient"] = float(nn.utils.clip_grad_norm_(model.parameters(), 1.0))
        optimizer.step(learning_rate(step, 1.0, config["warm_up"], config["steps"] - config["warm_up"], config["steps"]))
        average.update(model)
        run.log(step + 1, config["batch"], report)
        if run.due() or step + 1 == end:
            run.save(step + 1, model=model, average=average, optimizer=optimizer)


def load(teacher, folder):
    """The averaged student of a run's last checkpoint, its step and its config."""
    config = json.loads((Path(folder) / "config.json").read_text())
    state = torch.load(f"{folder}/checkpoint.pt", map_location="cpu", weights_only=True)
    model = student_of(teacher, config)
    model.load_state_dict(state["average"]["model"])
    return model.eval(), state["step"], config


def loss(model, teacher, part, width):
    """Mean square error of v, which weights the error of the segment's end by SNR + 1."""
    z, here, onward, end = part["noisy"], part["angle"], part["next_angle"], part["end_angle"]
    condition = scale_embedding(part["scale"].cpu(), width).to(z.device)
    with torch.no_grad():
        pair = torch.cat([part["without"], part["given"]])
        without, given = teacher["unet"](z.repeat(2, 1, 1, 1), part["timestep"].repeat(2), pair,
                                         return_dict=False)[0].float().chunk(2)
        v = without + part["scale"][:, None, None, None] * (given - without)
        onto = turn(z, v, here - onward).contiguous(memory_format=torch.channels_last)
        v = predict(model, onto, part["next_timestep"], part["tokens"], condition)
        target = velocity_between(z, turn(onto, v, onward - end), here - end)
    value = (predict(model, z, part["timestep"], part["tokens"], condition) - target).square().mean()
    return value, {"loss": value}


def predict(model, z, timestep, tokens, condition):
    """The student's v [N, C, h, w] for the tokens of both prompts [N, 2L] and the embedded scale."""
    context = model["text_encoder"](tokens)[0]
    return model["unet"](z, timestep, context, timestep_cond=condition, return_dict=False)[0].float()


def in_one_evaluation(model, empty, guidance):
    """What `evaluate.draw` takes: the student's v, for an empty negative prompt."""
    width = model["unet"].config.time_cond_proj_dim

    def predict_v(latents, t, tokens):
        condition = scale_embedding(torch.full((len(latents),), guidance), width)
        return predict(model, latents, t, torch.cat([tokens, empty.expand_as(tokens)], 1), condition)

    return predict_v


def draw_batch(config, latents, colours, step):
    """Noisy latents at the start of a small step, timesteps and angles of its start and end and of the segment's end,
    the scale, and the numbers of the prompt and of the negative prompt among captions, `colours` and the empty one."""
    generator = step_generator(config["seed"], step)
    size, steps = config["batch"], config["teacher_steps"]
    timesteps, angles = grid(steps)
    chosen = torch.randint(len(latents), (size,), generator=generator)
    clean = latents[chosen].float()
    noise = torch.randn(clean.shape, generator=generator)
    place = torch.randint(steps, (size,), generator=generator)
    each = steps // config["segments"]
    least, largest = config["guidance"]
    scale = least + torch.rand(size, generator=generator) * (largest - least)
    none = len(latents) + colours
    kind = torch.rand(size, generator=generator)
    colour = len(latents) + torch.randint(colours, (size,), generator=generator)
    other = torch.randint(len(latents), (size,), generator=generator)
    negative = torch.where(kind < config["negative_colours"], colour, none)
    negative = torch.where(kind > 1 - config["negative_captions"], other, negative)
    dropped = torch.rand(size, generator=generator) < config["caption_dropout"]
    # z at an angle: the turn from the clean picture (angle 0) forward, whose v is the noise there.
    noisy = turn(clean, noise, -angles[place]).contiguous(memory_format=torch.channels_last)
    return {
        "noisy": noisy, "scale": scale, "prompt": torch.where(dropped, none, chosen), "negative": negative,
        "timestep": timesteps[place], "next_timestep": timesteps[place + 1],
        "angle": angles[place], "next_angle": angles[place + 1], "end_angle": angles[(place // each + 1) * each],
    }
