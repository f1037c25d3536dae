"""Normalized attention guidance (Chen et al. 2025, arXiv 2505.21179) for diffusers' pipelines, from the paper's equations.

Z+ and Z- are what a cross-attention layer reads from the prompt and from the negative prompt:

    Z~ = Z+ + s (Z+ - Z-)                               (7)     scale = s + 1
    R  = |Z~|_1 / |Z+|_1                                (8)
    Z^ = min(R, tau) / R Z~                             (9)
    Z  = alpha Z^ + (1 - alpha) Z+                      (10)
"""

import torch


class NagProcessor:
    """Attention with NAG for the samples that have the prompt: with classifier-free guidance the second half."""

    def __init__(self, negative, scale, tau, alpha):
        self.negative, self.scale, self.tau, self.alpha = negative, scale, tau, alpha

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
        query = attn.to_q(hidden_states)
        z = attend(attn, query, encoder_hidden_states)
        n = len(self.negative)
        positive, negative = z[-n:], attend(attn, query[-n:], self.negative.to(z.dtype))
        guided = positive + (self.scale - 1) * (positive - negative)
        ratio = guided.abs().sum(-1, keepdim=True) / positive.abs().sum(-1, keepdim=True)
        guided = guided * ratio.clamp(max=self.tau) / ratio
        z = torch.cat([z[:-n], self.alpha * guided + (1 - self.alpha) * positive])
        return attn.to_out[0](z)


def attend(attn, query, text):
    """softmax(q k^T / sqrt(d)) v, head by head."""
    heads = [part.chunk(attn.heads, -1) for part in (query, attn.to_k(text), attn.to_v(text))]
    mixed = [torch.softmax(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, -1) @ v for q, k, v in zip(*heads)]
    return torch.cat(mixed, -1)


def install(pipe, negative_prompt, count, xl, scale, tau=2.5, alpha=0.5):
    """Puts NAG into every cross-attention of the pipeline's UNet, for `count` pictures."""
    given = dict(prompt="", device="cpu", num_images_per_prompt=count, do_classifier_free_guidance=False)
    if xl and not negative_prompt:
        raise ValueError("an empty negative prompt is zeros for Stable Diffusion XL; write one")
    with torch.no_grad():
        negative = pipe.encode_prompt(**(given | dict(prompt=negative_prompt)))[0]
    pipe.unet.set_attn_processor({
        name: NagProcessor(negative, scale, tau, alpha) if ".attn2." in name else processor
        for name, processor in pipe.unet.attn_processors.items()
    })
