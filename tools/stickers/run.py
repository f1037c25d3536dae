"""A training run's folder (config.json, curves.csv, checkpoint.pt), the averaged weights and the learning rate."""

import copy
import csv
import json
import os
import time
from pathlib import Path

import torch


class Run:
    """Keeps a run's config, curves and checkpoint in one folder; resumes where the last checkpoint was written."""

    def __init__(self, folder, config, checkpoint_seconds=180):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = config
        (self.folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        self.checkpoint_seconds = checkpoint_seconds
        self.saved = self.logged = time.monotonic()
        self.sums, self.count, self.samples = {}, 0, 0

    def resume(self, **parts):
        """Loads every part (anything with load_state_dict) from the checkpoint, if there is one; returns the step."""
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return 0
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        print(f"resumed {self.folder} at step {state['step']}", flush=True)
        return state["step"]

    def save(self, step, **parts):
        path = self.folder / "checkpoint.pt"
        torch.save({"step": step, **{name: part.state_dict() for name, part in parts.items()}}, f"{path}.tmp")
        os.replace(f"{path}.tmp", path)
        self.saved = time.monotonic()

    def due(self):
        """Is it time for a checkpoint?"""
        return time.monotonic() - self.saved >= self.checkpoint_seconds

    def log(self, step, samples, report, every=25):
        """Collects a step's numbers; every so many steps writes their means to curves.csv and to the terminal."""
        for name, value in report.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count, self.samples = self.count + 1, self.samples + samples
        if step % every:
            return
        now = time.monotonic()
        row = {"step": step, "samples_per_second": round(self.samples / (now - self.logged), 1)}
        row |= {name: float(f"{total / self.count:.5g}") for name, total in self.sums.items()}
        self.write_row(row)
        self.logged, self.sums, self.count, self.samples = now, {}, 0, 0

    def write_row(self, row, name="curves.csv"):
        path = self.folder / name
        fresh = not path.exists()
        with open(path, "a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        print(time.strftime("%H:%M:%S"), "  ".join(f"{k} {v}" for k, v in row.items()), flush=True)


class Average:
    """Exponential moving average of a model's weights, with a short memory at first."""

    def __init__(self, model, decay):
        self.model, self.decay, self.updates = copy.deepcopy(model).requires_grad_(False), decay, 0

    @torch.no_grad()
    def update(self, model):
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 10))
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1 - decay)

    def state_dict(self):
        return {"model": self.model.state_dict(), "updates": self.updates}

    def load_state_dict(self, state):
        self.model.load_state_dict(state["model"])
        self.updates = state["updates"]


def learning_rate(step, peak, warm_up, decay, steps):
    """Linear warm-up, a plateau, then a linear fall to zero over the last `decay` steps.

    A plateau rather than a cosine: a run can then be lengthened or brought to its end without a new start.
    """
    return peak * min(1.0, (step + 1) / warm_up, max(0.0, steps - step) / decay)


def step_generator(seed, step):
    """The generator of one step's random draws: a resumed run draws what an unbroken one would have drawn."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)
