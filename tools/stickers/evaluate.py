"""Drawing from captions while training, and a quick count of how often the right thing comes out.

`fourstep eval` is the count that is reported; this one steers the training.
"""

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler
from PIL import Image, ImageDraw

from . import autoencoder
from .diffusion import SCHEDULER
from .lanes import in_lanes


def draw(predict, config, vae, tokens, steps, seed, lanes=2):
    """u8 pictures [N, 4, H, W] of token ids [N, L], by DDIM. `predict` gives v for latents, timestep and ids (`guided`,
    or `distill.in_one_evaluation`); `config` is the UNet's."""
    shape = (len(tokens), config.in_channels, config.sample_size, config.sample_size)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    # in_lanes splits one tensor: the captions' ids travel with the noise
    inputs = torch.cat([noise.flatten(1), tokens.float()], 1)
    count = noise[0].numel()

    def latents(part):
        return denoise(predict, part[:, count:].long(), part[:, :count].view(-1, *shape[1:]), steps)

    return autoencoder.decode(vae, in_lanes(latents, inputs, lanes, part=16), lanes)


def guided(model, empty, guidance):
    """Classifier-free guidance: two evaluations a step."""

    def predict(latents, t, tokens):
        context = model["text_encoder"](torch.cat([empty.expand_as(tokens), tokens]))[0]
        without, given = model["unet"](latents.repeat(2, 1, 1, 1), t, context, return_dict=False)[0].float().chunk(2)
        return without + guidance * (given - without)

    return predict


def denoise(predict, tokens, latents, steps):
    """Latents after `steps` DDIM steps."""
    scheduler = DDIMScheduler(**SCHEDULER)
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        latents = scheduler.step(predict(latents, t, tokens), t, latents).prev_sample
    return latents


def nearest(pictures, glyphs):
    """Index of the glyph u8 [M, 4, 32, 32] nearest to each picture or to its mirror image, by pixel distance."""
    small = F.adaptive_avg_pool2d(pictures.float(), glyphs.shape[-1])
    flat = glyphs.flatten(1).float()
    distances = torch.minimum(torch.cdist(small.flatten(1), flat), torch.cdist(small.flip(3).flatten(1), flat))
    return distances.argmin(1).tolist()


def sheet(pictures, captions, path, columns=10):
    """Writes a contact sheet: every picture on a chequered ground, over its caption."""
    side = pictures.shape[2]
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * (side + 6), rows * (side + 18)), "white")
    pen = ImageDraw.Draw(page)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    chequers = torch.where((x // 8 + y // 8) % 2 == 0, 255.0, 232.0)
    for i, (picture, caption) in enumerate(zip(pictures, captions)):
        x, y = i % columns * (side + 6), i // columns * (side + 18)
        over = picture[:3].float() + chequers * (1 - picture[3:].float() / 255)
        image = Image.fromarray(over.clamp(0, 255).round().to(torch.uint8).permute(1, 2, 0).numpy())
        page.paste(image, (x, y))
        pen.text((x, y + side), caption[:26], fill="black")
    page.save(path)
