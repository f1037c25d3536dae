"""Makes tests/golden/train.json and train.safetensors: what PyTorch's training does to tiny models.

    python tests/reference/train_golden.py tests/golden

A diffusers UNet and a transformers CLIP text encoder are trained together for a few steps on a fixed sequence of
batches, and an AutoencoderTiny for two; AdamW, clipping by the global norm, linear warm-up, and the average of the
weights as in diffusers' EMAModel. All in float32 on the CPU. The file holds the weights before and after, and every
tensor that was drawn at random; the manifest holds settings and losses.
"""

import json
import sys
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import AutoencoderTiny, DDPMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from torch.nn.functional import mse_loss
from transformers import CLIPTextConfig, CLIPTextModel

OPTIMIZER = {"learning_rate": 2e-3, "warm_up": 3, "schedule": "constant", "beta_1": 0.9, "beta_2": 0.99,
             "epsilon": 1e-8, "weight_decay": 0.01, "clip_norm": 0.5}
EMA_DECAY = 0.4
UNET = {
    "_class_name": "UNet2DConditionModel", "sample_size": 4, "in_channels": 4, "out_channels": 4,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"], "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [8, 16], "layers_per_block": 1, "cross_attention_dim": 16, "attention_head_dim": 2,
    "norm_num_groups": 4, "use_linear_projection": True,
}
TEXT = {
    "architectures": ["CLIPTextModel"], "vocab_size": 40, "hidden_size": 16, "intermediate_size": 32,
    "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 8, "hidden_act": "quick_gelu",
    "projection_dim": 16, "bos_token_id": 38, "eos_token_id": 39, "pad_token_id": 39,
}
SCHEDULER = {
    "_class_name": "DDPMScheduler", "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012,
    "beta_schedule": "scaled_linear", "rescale_betas_zero_snr": True, "prediction_type": "v_prediction",
}
VAE = {
    "_class_name": "AutoencoderTiny", "in_channels": 3, "out_channels": 3, "latent_channels": 4, "act_fn": "relu",
    "encoder_block_out_channels": [8, 8, 8], "decoder_block_out_channels": [8, 8, 8],
    "num_encoder_blocks": [0, 1, 1], "num_decoder_blocks": [1, 1, 0], "scaling_factor": 1.0,
}
VAE_LOSS = {"absolute": 1.0, "square": 10.0, "gradient": 0.5, "statistics": 0.01}
BATCH, DIFFUSION_STEPS, VAE_STEPS = 3, 6, 2


class Trainer:
    """AdamW with warm-up, clipping and an average of the weights."""

    def __init__(self, module):
        self.module, self.time = module, 0
        o = OPTIMIZER
        self.adamw = torch.optim.AdamW(module.parameters(), lr=o["learning_rate"], betas=(o["beta_1"], o["beta_2"]),
                                       eps=o["epsilon"], weight_decay=o["weight_decay"])
        warm_up = torch.optim.lr_scheduler.LambdaLR
        self.rate = warm_up(self.adamw, lambda step: min(1.0, (step + 1) / o["warm_up"]))
        self.average = {key: value.detach().clone() for key, value in module.named_parameters()}

    def step(self, loss):
        """One step; the loss and the norm of the gradients before clipping."""
        self.adamw.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.module.parameters(), OPTIMIZER["clip_norm"])
        self.adamw.step()
        self.rate.step()
        decay = min(EMA_DECAY, (1 + self.time) / (10 + self.time))
        self.time += 1
        with torch.no_grad():
            for key, value in self.module.named_parameters():
                self.average[key].lerp_(value, 1 - decay)
        return float(loss.detach()), float(norm)


def prefixed(prefix, tensors):
    return {f"{prefix}.{key}": value.detach().clone().contiguous() for key, value in tensors}


def diffusion(tensors):
    torch.manual_seed(1)
    unet, text = UNet2DConditionModel.from_config(UNET), CLIPTextModel(CLIPTextConfig(**TEXT))
    with torch.no_grad():
        for name, value in text.named_parameters():
            if name.endswith("embedding.weight"):
                value.normal_(0, 0.02)
    model = torch.nn.ModuleDict({"text_encoder": text, "unet": unet}).train()
    assert not any(isinstance(m, torch.nn.Dropout) and m.p > 0 for m in model.modules())
    names = named(model)
    tensors.update(prefixed("diffusion.before", names()))
    schedule, trainer, report = DDPMScheduler.from_config(SCHEDULER), Trainer(model), []
    generator = torch.Generator().manual_seed(2)
    draw = lambda *shape: torch.randn(shape, generator=generator)
    for step in range(DIFFUSION_STEPS):
        latents, noise = draw(BATCH, 4, 4, 4), draw(BATCH, 4, 4, 4)
        timesteps = torch.randint(0, 1000, (BATCH,), generator=generator)
        if step == 0:
            timesteps[0] = 999
        ids = torch.randint(0, 38, (BATCH, 8), generator=generator)
        ids[:, 0], ids[:, 5:] = 38, 39
        context = text(ids).last_hidden_state
        prediction = unet(schedule.add_noise(latents, noise, timesteps), timesteps, context).sample
        loss, norm = trainer.step(mse_loss(prediction, schedule.get_velocity(latents, noise, timesteps)))
        report.append({"loss": loss, "gradient_norm": norm})
        batch = {"latents": latents, "noise": noise, "timesteps": timesteps, "ids": ids}
        tensors.update({f"diffusion.batch.{step}.{key}": value for key, value in batch.items()})
    tensors.update(prefixed("diffusion.after", names()))
    tensors.update(prefixed("diffusion.average", names(trainer.average.items())))
    return {"text_encoder": TEXT, "unet": UNET, "scheduler": SCHEDULER, "steps": report}


def named(model):
    """The parameters under the checkpoint's names: newer transformers drop the prefix of the text model in memory."""
    def names(items=None):
        for key, value in items if items is not None else model.named_parameters():
            if key.startswith("text_encoder.") and not key.startswith("text_encoder.text_model."):
                key = key.replace("text_encoder.", "text_encoder.text_model.", 1)
            yield key, value
    return names


def vae_loss(model, pictures, noise):
    latents = model.encoder(pictures)
    decoded, target = model.decoder(latents + noise) / 2 + 0.5, pictures / 2 + 0.5
    deviation, mean = torch.std_mean(latents, (0, 2, 3))
    parts = {
        "absolute": (decoded - target).abs().mean(),
        "square": (decoded - target).square().mean(),
        "gradient": sum((decoded.diff(dim=d) - target.diff(dim=d)).abs().mean() for d in (2, 3)),
        "statistics": (mean.square() + (deviation - 1).square()).mean(),
    }
    return sum(VAE_LOSS[key] * value for key, value in parts.items())


def autoencoder(tensors):
    torch.manual_seed(3)
    model = AutoencoderTiny.from_config(VAE).train()
    tensors.update(prefixed("autoencoder.before", model.named_parameters()))
    trainer, report, generator = Trainer(model), [], torch.Generator().manual_seed(4)
    for step in range(VAE_STEPS):
        pictures = torch.rand((BATCH, 3, 16, 16), generator=generator) * 2 - 1
        noise = 0.05 * torch.randn((BATCH, 4, 4, 4), generator=generator)
        loss, norm = trainer.step(vae_loss(model, pictures, noise))
        report.append({"loss": loss, "gradient_norm": norm})
        tensors.update({f"autoencoder.batch.{step}.pictures": pictures, f"autoencoder.batch.{step}.noise": noise})
    tensors.update(prefixed("autoencoder.after", model.named_parameters()))
    tensors.update(prefixed("autoencoder.average", trainer.average.items()))
    return {"vae": VAE, "loss": VAE_LOSS, "steps": report}


def main():
    torch.set_num_threads(1)
    folder, tensors = Path(sys.argv[1]), {}
    manifest = {
        "versions": {m.__name__: m.__version__ for m in (torch, diffusers, transformers)},
        "optimizer": OPTIMIZER, "ema_decay": EMA_DECAY,
        "diffusion": diffusion(tensors), "autoencoder": autoencoder(tensors),
    }
    save_file(tensors, folder / "train.safetensors")
    (folder / "train.json").write_text(json.dumps(manifest, indent=2) + "\n")


main()
