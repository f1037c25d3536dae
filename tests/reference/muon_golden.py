"""Two steps of Muon in float64, with numpy alone. Writes tests/golden/muon.json."""

import json
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
RATE, MOMENTUM, DECAY = 0.02, 0.95, 0.1


def orthogonalize(m):
    x = m if m.shape[0] <= m.shape[1] else m.T
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x if m.shape[0] <= m.shape[1] else x.T


def case(shape, random):
    weight, momentum, steps = random.normal(size=shape) / 4, np.zeros(shape), []
    first = weight
    for _ in range(2):
        gradient = random.normal(size=shape)
        momentum = MOMENTUM * momentum + (1 - MOMENTUM) * gradient
        ahead = (1 - MOMENTUM) * gradient + MOMENTUM * momentum
        flat = orthogonalize(ahead.reshape(shape[0], -1))
        size = 0.2 * np.sqrt(max(flat.shape))
        weight = weight * (1 - RATE * DECAY) - RATE * size * flat.reshape(shape)
        steps.append({"gradient": rounded(gradient), "momentum": rounded(momentum), "weight": rounded(weight)})
    return {"shape": list(shape), "weight": rounded(first), "steps": steps}


def rounded(values):
    return [float(f"{v:.9g}") for v in values.ravel()]


if __name__ == "__main__":
    random = np.random.default_rng(3)
    cases = [case(shape, random) for shape in [(3, 5, 1, 1), (6, 4, 1, 1), (4, 2, 3, 3)]]
    (ROOT / "tests/golden/muon.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
