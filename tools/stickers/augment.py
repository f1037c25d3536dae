"""Random views of pictures for the autoencoder: premultiplied RGBA f32 [N, 4, H, W] in [0, 1], in and out."""

import math

import torch
import torch.nn.functional as F


def affine(pictures, generator, tilt=15.0, scale=(0.75, 1.05), shift=0.08, stretch=0.03):
    """Mirrored (half of them), turned by up to `tilt` degrees, scaled, moved by a share of the side, stretched."""
    count = len(pictures)

    def between(low, high):
        return low + (high - low) * torch.rand(count, generator=generator)

    angle = between(-tilt, tilt) * math.pi / 180
    # most of them large
    factor = 1 / (scale[1] - (scale[1] - scale[0]) * torch.rand(count, generator=generator) ** 2)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    a = factor * torch.cos(angle) * mirror * (1 + between(-stretch, stretch))
    b, c = -factor * torch.sin(angle), factor * torch.sin(angle) * mirror
    d = factor * torch.cos(angle) * (1 + between(-stretch, stretch))
    x, y = between(-shift, shift) * factor, between(-shift, shift) * factor
    matrix = torch.stack([torch.stack([a, b, x], 1), torch.stack([c, d, y], 1)], 1)
    grid = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, mode="bicubic", padding_mode="zeros", align_corners=False).clamp(0, 1)


def recolour(pictures, generator, share=0.5):
    """A share of them with the hue turned about the grey axis and the lightness scaled by 0.8 to 1.2."""
    count = len(pictures)
    chosen = (torch.rand(count, generator=generator) < share).float()
    angle = (2 * torch.rand(count, generator=generator) - 1) * math.pi * chosen
    cos, sin = torch.cos(angle), torch.sin(angle) * math.sqrt(1 / 3)
    even = (1 - cos) / 3
    rows = [[cos + even, even - sin, even + sin], [even + sin, cos + even, even - sin], [even - sin, even + sin, cos + even]]
    turn = torch.stack([torch.stack(row, 1) for row in rows], 1)
    light = 1 + 0.4 * (torch.rand(count, generator=generator) - 0.5) * chosen
    colour = torch.einsum("nij,njhw->nihw", turn, pictures[:, :3]) * light[:, None, None, None]
    alpha = pictures[:, 3:]
    return torch.cat([colour.clamp_min(0).minimum(alpha), alpha], 1)


def ground(pictures, generator, share=0.25):
    """A share of them on an opaque colour."""
    count = len(pictures)
    chosen = (torch.rand(count, generator=generator) < share).float()[:, None, None, None]
    colour = torch.cat([torch.rand(count, 3, 1, 1, generator=generator), torch.ones(count, 1, 1, 1)], 1)
    return pictures + colour * chosen * (1 - pictures[:, 3:])


def crop(pictures, generator, side, tries=2):
    """Squares of `side` pixels, from places that are multiples of 8; of `tries`, the one with the most edges."""
    places = (pictures.shape[-1] - side) // 8 + 1

    def one(picture):
        best, most = None, -1.0
        for y, x in (8 * torch.randint(places, (tries, 2), generator=generator)).tolist():
            part = picture[:, y:y + side, x:x + side]
            edges = float(part.diff(dim=-1).abs().mean())
            if edges > most:
                best, most = part, edges
        return best

    return torch.stack([one(picture) for picture in pictures])
