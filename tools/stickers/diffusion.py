"""The diffusion model: a CLIP text encoder and a UNet2DConditionModel, trained together to predict v.

Loss: the plain mean square of v (Salimans and Ho 2022, arXiv 2202.00512), timesteps uniform, betas rescaled so that
the last step is pure noise (Lin et al. 2023, arXiv 2305.08891).
"""

import hashlib

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from . import autoencoder, data
from .lanes import Lanes
from .optimizer import Optimizer
from .run import Average, Run, learning_rate, step_generator

CONFIG = {
    "seed": 2, "batch": 64, "lanes": 2,
    "channels": [64, 128, 192], "layers_per_block": 1, "head_width": 32,
    "text_width": 192, "text_layers": 3, "text_head_width": 32,
    "steps": 4000, "decay": 1300, "warm_up": 100, "rate": 1e-3, "muon_rate": 2e-3, "weight_decay": 0.01,
    "caption_dropout": 0.1, "average": 0.995, "start_from": None,
}

SCHEDULER = {
    "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing",
    "clip_sample": False, "set_alpha_to_one": True, "steps_offset": 0,
}


def build(config, tokenizer, latent_channels, latent_size):
    """The two models that are trained together, as nn.ModuleDict {text_encoder, unet}."""
    channels = config["channels"]
    text_encoder = CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), max_position_embeddings=tokenizer.model_max_length,
        hidden_size=config["text_width"], intermediate_size=4 * config["text_width"],
        num_hidden_layers=config["text_layers"], num_attention_heads=config["text_width"] // config["text_head_width"],
        projection_dim=config["text_width"], hidden_act="quick_gelu", bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    ))
    unet = UNet2DConditionModel(
        sample_size=latent_size, in_channels=latent_channels, out_channels=latent_channels,
        block_out_channels=channels, layers_per_block=config["layers_per_block"],
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=config["text_width"], use_linear_projection=True, norm_num_groups=32,
        # diffusers calls the number of heads so
        attention_head_dim=[width // config["head_width"] for width in channels],
    )
    return nn.ModuleDict({"text_encoder": text_encoder, "unet": unet})


def train(config, latents, tokens, empty, tokenizer, folder, stop_at=None):
    """Trains on latents bf16 [N, C, h, w] with token ids i64 [N, L]; `empty` [L] is the empty caption.

    `stop_at` ends the run at that step with a checkpoint, to be resumed. The first weights are those of the model
    folder `config["start_from"]`, where it names one.
    """
    torch.manual_seed(config["seed"])
    model = build(config, tokenizer, latents.shape[1], latents.shape[2]).train()
    if config["start_from"]:
        load_folder(model, config["start_from"])
    average = Average(model, config["average"])
    optimizer = Optimizer(model, config["rate"], config["muon_rate"], config["weight_decay"],
                          outer=("conv_in", "conv_out", "position_embedding"))
    run = Run(folder, config)
    start = run.resume(model=model, average=average, optimizer=optimizer)
    lanes = Lanes(model, config["lanes"])
    end = min(stop_at or config["steps"], config["steps"])
    for step in range(start, end):
        report = lanes.backward(loss, draw_batch(config, latents, tokens, empty, step))
        report["gradient"] = float(nn.utils.clip_grad_norm_(model.parameters(), 1.0))
        optimizer.step(learning_rate(step, 1.0, config["warm_up"], config["decay"], config["steps"]))
        average.update(model)
        run.log(step + 1, config["batch"], report)
        if run.due() or step + 1 == end:
            run.save(step + 1, model=model, average=average, optimizer=optimizer)


def load_folder(model, folder):
    """The weights of a diffusers folder into the two models."""
    for name, file in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        weights = load_file(f"{folder}/{name}/{file}.safetensors")
        model[name].load_state_dict({key.removeprefix("text_model."): v.float() for key, v in weights.items()})


def load(config, tokenizer, latent_channels, latent_size, folder):
    """The averaged model of a run's last checkpoint, and its step."""
    state = torch.load(f"{folder}/checkpoint.pt", map_location="cpu", weights_only=True)
    model = build(config, tokenizer, latent_channels, latent_size)
    model.load_state_dict(state["average"]["model"])
    return model.eval(), state["step"]


def encode_distinct(vae, pictures, lanes):
    """Latents bf16 of u8 pictures; pictures that are equal (the plain glyphs come often) are encoded once."""
    first, index, chosen = {}, [], []
    for i, picture in enumerate(pictures):
        key = hashlib.blake2b(picture.numpy().tobytes(), digest_size=16).digest()
        if key not in first:
            first[key] = len(chosen)
            chosen.append(i)
        index.append(first[key])
    return autoencoder.encode(vae, pictures[chosen], lanes).bfloat16()[index]


def tokenize(tokenizer, captions):
    """Token ids i64 [N, L], padded and truncated as StableDiffusionPipeline does."""
    return tokenizer(captions, padding="max_length", truncation=True, max_length=tokenizer.model_max_length,
                     return_tensors="pt").input_ids


def loss(model, part):
    """Mean square error of v."""
    context = model["text_encoder"](part["tokens"])[0]
    predicted = model["unet"](part["noisy"], part["timesteps"], context, return_dict=False)[0].float()
    value = (predicted - part["target"]).square().mean()
    return value, {"loss": value}


def draw_batch(config, latents, tokens, empty, step):
    """Noisy latents with their timesteps, captions (some dropped) and the v to predict."""
    generator = step_generator(config["seed"], step)
    size = config["batch"]
    chosen = torch.randint(len(latents), (size,), generator=generator)
    clean = latents[chosen].float()
    noise = torch.randn(clean.shape, generator=generator)
    timesteps = torch.randint(SCHEDULER["num_train_timesteps"], (size,), generator=generator)
    dropped = torch.rand(size, generator=generator) < config["caption_dropout"]
    scheduler = DDIMScheduler(**SCHEDULER)
    return {
        "noisy": scheduler.add_noise(clean, noise, timesteps), "timesteps": timesteps,
        "tokens": torch.where(dropped[:, None], empty, tokens[chosen]),
        "target": scheduler.get_velocity(clean, noise, timesteps),
    }
