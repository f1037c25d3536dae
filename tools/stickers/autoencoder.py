"""The autoencoder: diffusers' AutoencoderTiny at f8 on premultiplied RGBA, with latents that are standard per channel.

First everything is trained, on crops, with a penalty on the latents' batch statistics. Then the latents' exact mean
and deviation are folded into the encoder's last convolution, the encoder is frozen, and the decoder is trained on,
with noise on the latents, since the diffusion model's latents will not be exact either.
"""

import torch
from diffusers import AutoencoderTiny
from torch import nn

from . import augment, data
from .lanes import Lanes, in_lanes
from .optimizer import Optimizer
from .run import Average, Run, learning_rate, step_generator

CONFIG = {
    "seed": 1, "batch": 32, "lanes": 2, "crop": 64, "whole_batch": 12,
    "width": 64, "latent_channels": 16, "encoder_blocks": [0, 1, 3, 3], "decoder_blocks": [3, 3, 1, 0],
    "steps": 1200, "decoder_steps": 800, "warm_up": 50, "rate": 1e-3, "muon_rate": 4e-3, "weight_decay": 0.01,
    "scale": [0.3, 1.05], "noise": 0.2, "average": 0.995,
    "loss": {"absolute": 1.0, "square": 10.0, "edge": 0.5, "statistics": 0.1},
    "decoder_loss": {"absolute": 1.0, "square": 20.0, "edge": 0.5, "statistics": 0.0},
}


def build(config):
    widths = [config["width"]] * len(config["encoder_blocks"])
    return AutoencoderTiny(
        in_channels=4, out_channels=4, encoder_block_out_channels=widths, decoder_block_out_channels=widths,
        num_encoder_blocks=config["encoder_blocks"], num_decoder_blocks=config["decoder_blocks"],
        latent_channels=config["latent_channels"], scaling_factor=1.0,
    )


def held_out(count, share=0.065, seed=7):
    """Indices of glyphs for training, and of those that the autoencoder never sees."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    kept = round(count * share)
    return order[kept:], order[:kept]


def train(config, glyphs, folder):
    """Trains on u8 glyphs [N, 4, 128, 128]; leaves the averaged model in `folder`/vae."""
    torch.manual_seed(config["seed"])
    model = build(config).to(memory_format=torch.channels_last)
    average = Average(model, config["average"])
    optimizer = Optimizer(model, config["rate"], config["muon_rate"], config["weight_decay"],
                          outer=("encoder.layers.0.", "decoder.layers.0."))
    run = Run(folder, config)
    start = run.resume(model=model, average=average, optimizer=optimizer)
    lanes = Lanes(model, config["lanes"])
    seen, unseen = held_out(len(glyphs))
    last = config["steps"] + config["decoder_steps"]
    for step in range(start, last):
        decoder_only = step >= config["steps"]
        if step == config["steps"]:
            model.load_state_dict(average.model.state_dict())
            standardise(model, glyphs[seen[::2]])
            average.model.load_state_dict(model.state_dict())
            average.model.save_pretrained(run.folder / "vae")  # the encoder is final: diffusion can begin
        for lane in lanes.models:
            lane.encoder.requires_grad_(not decoder_only)
        weights = config["decoder_loss" if decoder_only else "loss"]
        batch = draw_batch(config, glyphs, seen, step)
        report = lanes.backward(lambda model, part: loss(model, part, weights), batch)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(rate_scale(config, step))
        average.update(model)
        run.log(step + 1, len(batch["noise"]), report)
        if run.due() or step + 1 in (config["steps"], last):
            run.save(step + 1, model=model, average=average, optimizer=optimizer)
            run.write_row({"step": step + 1} | quality(average.model, glyphs[unseen[:96]]), "psnr.csv")
    average.model.save_pretrained(run.folder / "vae")
    for name, chosen in (("seen", seen[: len(unseen)]), ("unseen", unseen)):
        print(name, quality(average.model, glyphs[chosen]))


def standardise(model, pictures):
    """Makes the latents' mean 0 and deviation 1 per channel over u8 pictures, by the encoder's last convolution.

    The decoder's first one takes the inverse, which is exact but for its tanh and the padding.
    """
    latents = encode(model, pictures)
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
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


def quality(model, glyphs):
    """Of u8 glyphs coded and decoded: PSNR in dB over mid-grey, of the mean error (stricter) and its mean; alpha IoU."""
    decoded, truth = decode(model, encode(model, glyphs)).float() / 255, glyphs.float() / 255

    def on_grey(pictures):
        return pictures[:, :3] + 0.5 * (1 - pictures[:, 3:])

    errors = (on_grey(decoded) - on_grey(truth)).square().mean((1, 2, 3)).clamp_min(1e-8)
    inside, true = decoded[:, 3] > 0.5, truth[:, 3] > 0.5
    both, either = (inside & true).flatten(1).sum(1), (inside | true).flatten(1).sum(1).clamp_min(1)
    values = {"psnr_of_mean": errors.mean(), "mean_psnr": errors.log().mean().exp(), "worst": errors.max()}
    report = {name: round(float(-10 * value.log10()), 2) for name, value in values.items()}
    return report | {"alpha_iou": round(float((both / either).mean()), 4)}


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
        return learning_rate(step, 1.0, config["warm_up"], first // 3, first)
    return learning_rate(step - first, 0.5, config["warm_up"], second, second)


def draw_batch(config, glyphs, seen, step):
    """Views of glyphs in [-1, 1], and the noise for their latents, of a deviation up to `noise`.

    Small ones stand for scenes of many things. Crops while the encoder learns, which makes batches more varied for the
    same work; whole pictures for the decoder.
    """
    generator = step_generator(config["seed"], step)
    whole = step >= config["steps"]
    count = config["whole_batch"] if whole else config["batch"]
    pictures = glyphs[seen[torch.randint(len(seen), (count,), generator=generator)]].float() / 255
    pictures = augment.affine(pictures, generator, scale=config["scale"])
    pictures = augment.ground(augment.recolour(pictures, generator), generator)
    if not whole:
        pictures = augment.crop(pictures, generator, config["crop"])
    shape = (count, config["latent_channels"], pictures.shape[2] // 8, pictures.shape[3] // 8)
    noise = config["noise"] * torch.rand(count, 1, 1, 1, generator=generator) * torch.randn(shape, generator=generator)
    return {"pictures": (2 * pictures - 1).contiguous(memory_format=torch.channels_last), "noise": noise}
