"""The autoencoder: diffusers' AutoencoderTiny at f4, whose latents are standard in every channel as they come.

First everything is trained, with a penalty on the latents' batch statistics. Then the latents' exact mean and
deviation over the training set are folded into the encoder's last convolution, the encoder is frozen, and the decoder
is trained on, with noise on the latents, since the diffusion model's latents will not be exact either.
"""

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from torch import nn

from . import data
from .lanes import Lanes, in_lanes
from .optimizer import Optimizer
from .run import Average, Run, learning_rate, step_generator

CONFIG = {
    "seed": 1, "batch": 16, "lanes": 2,
    "width": 64, "latent_channels": 8, "encoder_blocks": [0, 2, 3], "decoder_blocks": [3, 3, 0],
    "steps": 1300, "decoder_steps": 1100, "warm_up": 30, "rate": 1e-3, "muon_rate": 4e-3, "weight_decay": 0.01,
    "glyph_share": 0.5, "noise": 0.05, "average": 0.99,
    "loss": {"absolute": 1.0, "square": 10.0, "edge": 0.5, "statistics": 0.1},
    "decoder_loss": {"absolute": 1.0, "square": 30.0, "edge": 0.5, "statistics": 0.0},
}


def build(config):
    widths = [config["width"]] * 3
    return AutoencoderTiny(
        encoder_block_out_channels=widths, decoder_block_out_channels=widths,
        num_encoder_blocks=config["encoder_blocks"], num_decoder_blocks=config["decoder_blocks"],
        latent_channels=config["latent_channels"], scaling_factor=1.0,
    )


def train(config, pictures, glyphs, folder):
    """Trains on u8 pictures and plain glyphs [N, 3, 64, 64]; leaves the averaged model in `folder`/vae."""
    torch.manual_seed(config["seed"])
    model = build(config)
    average = Average(model, config["average"])
    optimizer = Optimizer(model, config["rate"], config["muon_rate"], config["weight_decay"],
                          outer=("encoder.layers.0.", "decoder.layers.0."))
    run = Run(folder, config)
    start = run.resume(model=model, average=average, optimizer=optimizer)
    lanes = Lanes(model, config["lanes"])
    for step in range(start, config["steps"] + config["decoder_steps"]):
        decoder_only = step >= config["steps"]
        if step == config["steps"]:
            model.load_state_dict(average.model.state_dict())
            standardise(model, pictures)
            average.model.load_state_dict(model.state_dict())
            average.model.save_pretrained(run.folder / "vae")  # the encoder is final: diffusion can begin
        for lane in lanes.models:
            lane.encoder.requires_grad_(not decoder_only)
        weights = config["decoder_loss" if decoder_only else "loss"]
        batch = draw_batch(config, pictures, glyphs, step)
        report = lanes.backward(lambda model, part: loss(model, part, weights), batch)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(rate_scale(config, step))
        average.update(model)
        run.log(step + 1, config["batch"], report)
        if run.due() or step + 1 in (config["steps"], config["steps"] + config["decoder_steps"]):
            run.save(step + 1, model=model, average=average, optimizer=optimizer)
            run.write_row({"step": step + 1} | psnr(average.model, glyphs[::8]), "psnr.csv")
    average.model.save_pretrained(run.folder / "vae")
    run.write_row({"step": config["steps"] + config["decoder_steps"]} | psnr(average.model, glyphs), "psnr.csv")


def standardise(model, pictures):
    """Makes the latents' mean 0 and deviation 1 per channel over all pictures, by the encoder's last convolution.

    The decoder's first one takes the inverse, which is exact but for its tanh and the padding.
    """
    mean, deviation = statistics(model, pictures)
    last, first = model.encoder.layers[-1], model.decoder.layers[0]
    with torch.no_grad():
        last.weight.div_(deviation[:, None, None, None])
        last.bias.sub_(mean).div_(deviation)
        first.bias.add_(first.weight.sum((2, 3)) @ mean)
        first.weight.mul_(deviation[:, None, None])


def encode(model, pictures, lanes=2):
    """Latents f32 [N, C, h, w] of u8 pictures."""
    return in_lanes(lambda part: model.encode(data.as_input(part)).latents.float(), pictures, lanes)


def decode(model, latents, lanes=2):
    """u8 pictures of latents."""
    return in_lanes(lambda part: data.as_bytes(model.decode(part).sample.float()), latents, lanes)


def statistics(model, pictures):
    """Mean and standard deviation of every latent channel over about 4,096 evenly chosen pictures."""
    latents = encode(model, pictures[:: max(1, len(pictures) // 4096)])
    return latents.mean((0, 2, 3)), latents.std((0, 2, 3))


def psnr(model, glyphs):
    """PSNR in dB of glyphs coded and decoded, in [0, 1] and 8 bits: of the mean error (stricter), and its mean."""
    errors = []
    for part in glyphs.split(256):
        decoded = decode(model, encode(model, part))
        errors.append((decoded / 255 - part / 255).square().mean((1, 2, 3)))
    errors = torch.cat(errors).clamp_min(1e-8)
    values = {"psnr_of_mean": errors.mean(), "mean_psnr": errors.log().mean().exp(), "worst": errors.max()}
    return {name: round(float(-10 * value.log10()), 2) for name, value in values.items()}


def loss(model, part, weights):
    """Absolute, square and edge error of the decoded picture in [0, 1], and the latents' distance from standard."""
    target = part["pictures"] / 2 + 0.5
    latents = model.encoder(part["pictures"]).float()
    decoded = model.decoder(latents + part["noise"]).float() / 2 + 0.5
    deviation, mean = torch.std_mean(latents, (0, 2, 3))
    report = {
        "absolute": (decoded - target).abs().mean(),
        "square": (decoded - target).square().mean(),
        "edge": sum((decoded.diff(dim=d) - target.diff(dim=d)).abs().mean() for d in (2, 3)),
        "statistics": (mean.square() + (deviation - 1).square()).mean(),
    }
    return sum(weights[name] * value for name, value in report.items()), report


def rate_scale(config, step):
    """Each of the two stages warms up and falls to zero by itself; the decoder's at half the rate."""
    first, second = config["steps"], config["decoder_steps"]
    if step < first:
        return learning_rate(step, 1.0, config["warm_up"], first // 2, first)
    return learning_rate(step - first, 0.5, config["warm_up"], second, second)


def draw_batch(config, pictures, glyphs, step):
    """Pictures in [-1, 1], a share of them plain glyphs, some mirrored; and the noise for their latents."""
    generator = step_generator(config["seed"], step)
    plain = round(config["batch"] * config["glyph_share"])
    chosen = torch.cat([
        glyphs[torch.randint(len(glyphs), (plain,), generator=generator)],
        pictures[torch.randint(len(pictures), (config["batch"] - plain,), generator=generator)],
    ])[torch.randperm(config["batch"], generator=generator)]
    shape = (config["batch"], config["latent_channels"], chosen.shape[2] // 4, chosen.shape[3] // 4)
    noise = config["noise"] * torch.randn(shape, generator=generator)
    return {"pictures": data.as_input(chosen), "noise": noise}
