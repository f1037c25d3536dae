"""Drawing from captions while training, and a quick count of how often the right glyph comes out.

`fourstep eval` is the count that is reported; this one steers the training.
"""

import torch
from diffusers import DDIMScheduler
from PIL import Image, ImageDraw

from . import autoencoder
from .diffusion import SCHEDULER
from .lanes import in_lanes


def draw(model, vae, tokens, empty, guidance, steps, seed, lanes=2):
    """u8 pictures [N, 3, H, W] of token ids [N, L], by guided DDIM."""
    config = model["unet"].config
    shape = (len(tokens), config.in_channels, config.sample_size, config.sample_size)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    # in_lanes splits one tensor: the captions' ids travel with the noise
    inputs = torch.cat([noise.flatten(1), tokens.float()], 1)

    def latents(part):
        return denoise(model, part[:, noise[0].numel():].long(), empty, part[:, :noise[0].numel()].view(-1, *shape[1:]),
                       guidance, steps)

    return autoencoder.decode(vae, in_lanes(latents, inputs, lanes, part=16), lanes)


def denoise(model, tokens, empty, latents, guidance, steps):
    """Latents after `steps` DDIM steps with classifier-free guidance."""
    scheduler = DDIMScheduler(**SCHEDULER)
    scheduler.set_timesteps(steps)
    context = model["text_encoder"](torch.cat([empty.expand_as(tokens), tokens]))[0]
    for t in scheduler.timesteps:
        without, given = model["unet"](latents.repeat(2, 1, 1, 1), t, context, return_dict=False)[0].float().chunk(2)
        latents = scheduler.step(without + guidance * (given - without), t, latents).prev_sample
    return latents


def retrieval(pictures, truths, glyphs):
    """Share of pictures whose nearest glyph, by pixel distance, is the true one; and each picture's nearest."""
    distances = torch.cdist(pictures.flatten(1).float(), glyphs.flatten(1).float())
    nearest = distances.argmin(1)
    return float((nearest == truths).float().mean()), nearest


def sheet(pictures, captions, path, columns=8, scale=2):
    """Writes a contact sheet: every picture, doubled in size, over its caption."""
    side = pictures.shape[2] * scale
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * (side + 6), rows * (side + 18)), "white")
    pen = ImageDraw.Draw(page)
    for i, (picture, caption) in enumerate(zip(pictures, captions)):
        x, y = i % columns * (side + 6), i // columns * (side + 18)
        image = Image.fromarray(picture.permute(1, 2, 0).numpy()).resize((side, side), Image.NEAREST)
        page.paste(image, (x, y))
        pen.text((x, y + side), caption[:26], fill="black")
    page.save(path)
