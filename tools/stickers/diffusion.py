"""Stage two: a UNet2DConditionModel that predicts v, on the features of a text encoder that knows the language already.

Loss: the plain mean square of v (Salimans and Ho 2022, arXiv 2202.00512), betas rescaled so that the last step is pure
noise (Lin et al. 2023, arXiv 2305.08891). A share of the timesteps is logit-normal (Esser et al. 2024, arXiv 2403.03206:
more of the middle, where a picture takes shape; the ends cost most of the loss and teach little), the rest uniform.
The batch is near the gradient's noise scale (McCandlish et al. 2018, arXiv 1812.06162), which was about 32 after 120,000
samples: with 96 each sample taught less. The text encoder is held still for the first updates,
while the UNet's gradients mean nothing yet, and then learns on; after `text_until_step` it is held still again. While it is held
still, its features come from a table, which makes an update a quarter cheaper.
"""

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import load_file
from torch import nn
from transformers import CLIPTextModel

from .lanes import in_lanes, lanes_on
from .optimizer import Optimizer
from .run import Average, Run, learning_rate, step_generator

CONFIG = {
    "seed": 2, "batch": 48, "lanes": 2,
    "channels": [64, 160, 224], "layers_per_block": 1, "head_width": 32,
    "steps": 30000, "decay": 6000, "warm_up": 100, "rate": 7e-4, "muon_rate": 1.4e-3, "weight_decay": 0.01,
    "text_from_step": 2000, "text_until_step": None,
    "caption_dropout": 0.1, "logit_normal": 0.6, "average": 0.998, "start_from": None,
}

SCHEDULER = {
    "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing",
    "clip_sample": False, "set_alpha_to_one": True, "steps_offset": 0,
}


def build_unet(config, latent_channels, latent_size, text_width):
    channels = config["channels"]
    return UNet2DConditionModel(
        sample_size=latent_size, in_channels=latent_channels, out_channels=latent_channels,
        block_out_channels=channels, layers_per_block=config["layers_per_block"],
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text_width, use_linear_projection=True, norm_num_groups=8,
        # diffusers calls the number of heads so
        attention_head_dim=[width // config["head_width"] for width in channels],
    )


def build(config, text_encoder, latent_channels, latent_size):
    """The two models, as nn.ModuleDict {text_encoder, unet}."""
    unet = build_unet(config, latent_channels, latent_size, text_encoder.config.hidden_size)
    unet.set_attn_processor(AttnProcessor())  # with 64 tokens or fewer, plain products take a quarter off a CPU's update
    text_encoder.set_attn_implementation("eager")
    return nn.ModuleDict({"text_encoder": text_encoder, "unet": unet.to(memory_format=torch.channels_last)})


def train(config, latents, tokens, empty, text_encoder, folder, stop_at=None, device="cpu"):
    """Trains on latents bf16 [N, C, h, w] with token ids i64 [N, L]; `empty` [L] is the empty caption.

    `stop_at` ends the run at that step with a checkpoint, to be resumed. The first weights are those of the model
    folder `config["start_from"]`, where it names one.
    """
    torch.manual_seed(config["seed"])
    model = build(config, text_encoder, latents.shape[1], latents.shape[2]).train()
    if config["start_from"]:
        load_folder(model, config["start_from"])
    model.to(device)
    average = Average(model, config["average"])
    optimizer = Optimizer(model, config["rate"], config["muon_rate"], config["weight_decay"],
                          outer=("conv_in", "conv_out", "position_embedding"))
    run = Run(folder, config)
    start = run.resume(model=model, average=average, optimizer=optimizer)
    lanes = lanes_on(device, model, config["lanes"])
    end = min(stop_at or config["steps"], config["steps"])
    tokens, features = torch.cat([tokens, empty[None]]), None
    for step in range(start, end):
        learns = config["text_from_step"] <= step < (config["text_until_step"] or config["steps"])
        for lane in lanes.models:
            lane["text_encoder"].requires_grad_(learns)
        if learns:
            features = None
        elif features is None:
            features = text_features(model["text_encoder"], tokens, config["lanes"])
        batch = draw_batch(config, latents, step)
        captions = batch.pop("captions")
        batch |= {"tokens": tokens[captions]} if learns else {"context": features[captions]}
        report = lanes.backward(loss, {name: tensor.to(device) for name, tensor in batch.items()})
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


def load(config, text_encoder_folder, latent_channels, latent_size, folder):
    """The averaged model of a run's last checkpoint, and its step."""
    state = torch.load(f"{folder}/checkpoint.pt", map_location="cpu", weights_only=True)
    model = build(config, CLIPTextModel.from_pretrained(text_encoder_folder), latent_channels, latent_size)
    model.load_state_dict(state["average"]["model"])
    return model.eval(), state["step"]


def loss(model, part):
    """Mean square error of v. A part has the captions' tokens, or their features as `context`."""
    context = part["context"] if "context" in part else model["text_encoder"](part["tokens"])[0]
    predicted = model["unet"](part["noisy"], part["timesteps"], context, return_dict=False)[0]
    value = (predicted.float() - part["target"]).square().mean()
    return value, {"loss": value}


def text_features(text_encoder, tokens, lanes):
    """The features bf16 [N, L, width] of captions i64 [N, L], computed on the text encoder's device and kept on the CPU."""
    device = text_encoder.device

    def encode(part):
        return text_encoder(part.to(device))[0].bfloat16().cpu()

    return in_lanes(encode, tokens, lanes if device.type == "cpu" else 1, part=256)


def draw_batch(config, latents, step):
    """Noisy latents with their timesteps, the v to predict, and the captions' numbers; N is the number of the empty caption."""
    generator = step_generator(config["seed"], step)
    size = config["batch"]
    chosen = torch.randint(len(latents), (size,), generator=generator)
    clean = latents[chosen].float()
    noise = torch.randn(clean.shape, generator=generator)
    timesteps = draw_timesteps(size, config["logit_normal"], generator)
    dropped = torch.rand(size, generator=generator) < config["caption_dropout"]
    scheduler = DDIMScheduler(**SCHEDULER)
    return {
        "noisy": scheduler.add_noise(clean, noise, timesteps).contiguous(memory_format=torch.channels_last),
        "timesteps": timesteps, "captions": torch.where(dropped, len(latents), chosen),
        "target": scheduler.get_velocity(clean, noise, timesteps),
    }


def draw_timesteps(size, logit_normal, generator):
    """i64 [size], each logit-normal with probability `logit_normal`, else uniform."""
    count = SCHEDULER["num_train_timesteps"]
    uniform = torch.randint(count, (size,), generator=generator)
    normal = (torch.randn(size, generator=generator).sigmoid() * count).long().clamp(max=count - 1)
    return torch.where(torch.rand(size, generator=generator) < logit_normal, normal, uniform)
