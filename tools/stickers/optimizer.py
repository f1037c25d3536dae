"""AdamW, and Muon for the weights of convolutions and linear layers.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) replaces a matrix's momentum by the nearest
matrix with equal singular values, found by five Newton-Schulz steps.
"""

from concurrent.futures import ThreadPoolExecutor

import torch


def split_parameters(model, outer=()):
    """Inner matrices for Muon; vectors, embeddings and layers whose name contains one of `outer` for AdamW."""
    inner, rest = [], []
    for name, p in model.named_parameters():
        matrix = p.ndim >= 2 and "embedding.weight" not in name and not any(part in name for part in outer)
        (inner if matrix else rest).append(p)
    return inner, rest


class Optimizer:
    """Muon on the inner matrices, AdamW on the rest; `muon_rate` 0 trains everything by AdamW."""

    def __init__(self, model, rate, muon_rate, weight_decay, betas=(0.9, 0.99), momentum=0.95, outer=(), lanes=2):
        inner, rest = split_parameters(model, outer) if muon_rate else ([], list(model.parameters()))
        self.adam = torch.optim.AdamW(rest, lr=rate, betas=betas, weight_decay=weight_decay, foreach=True)
        self.inner, self.rate, self.muon_rate = inner, rate, muon_rate
        self.weight_decay, self.momentum = weight_decay, momentum
        self.buffers = [torch.zeros_like(p) for p in inner]
        self.pool = ThreadPoolExecutor(lanes)

    @torch.no_grad()
    def step(self, scale):
        """One update at `scale` times the peak rates; clears the gradients."""
        for group in self.adam.param_groups:
            group["lr"] = self.rate * scale
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        list(self.pool.map(lambda p, buffer: self._muon(p, buffer, self.muon_rate * scale), self.inner, self.buffers))

    @torch.no_grad()
    def _muon(self, p, buffer, rate):
        if p.grad is None:  # frozen
            return
        buffer.lerp_(p.grad, 1 - self.momentum)
        update = orthogonalize(p.grad.lerp(buffer, self.momentum).flatten(1)).view_as(p)
        p.mul_(1 - rate * self.weight_decay)
        # Rates then mean the same for every shape, and match AdamW's (Moonlight, arXiv 2502.16982).
        p.add_(update, alpha=-rate * 0.2 * max(p.shape[0], p[0].numel()) ** 0.5)
        p.grad = None

    def state_dict(self):
        return {"adam": self.adam.state_dict(), "buffers": self.buffers}

    def load_state_dict(self, state):
        self.adam.load_state_dict(state["adam"])
        for buffer, saved in zip(self.buffers, state["buffers"], strict=True):
            buffer.copy_(saved)


def orthogonalize(matrix, steps=5):
    """Newton-Schulz iteration: the matrix with its singular values brought close to 1."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)
