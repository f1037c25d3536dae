"""Targets of progressive distillation by the formulas of Salimans & Ho (2022), algorithm 2, in float64.

Writes tests/golden/distillation.json. Everything goes through x, as in the paper; the crate goes through v and
rotations, so the two share no formula. alphas_cumprod come from diffusers' DDIMScheduler.
"""

import json
from pathlib import Path

import numpy as np
from diffusers import DDIMScheduler

ROOT = Path(__file__).resolve().parents[2]


def main():
    scheduler = DDIMScheduler(
        num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
        rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing="trailing", set_alpha_to_one=True)
    alphas = scheduler.alphas_cumprod.double().numpy()
    random = np.random.default_rng(7)
    cases = []
    for steps in (32, 16, 8, 4, 2, 1):
        grid = np.round(np.arange(1000, 0, -1000 / (2 * steps))).astype(int) - 1
        for i in {0, steps - 1, steps // 2}:
            cases.append(case([rates(alphas, grid, 2 * i + k) for k in range(3)], random))
    text = ",\n".join(json.dumps(c) for c in cases)
    (ROOT / "tests/golden/distillation.json").write_text(f"[\n{text}\n]\n")


def rates(alphas, grid, i):
    a = alphas[grid[i]] if i < len(grid) else 1.0
    return np.sqrt(a), np.sqrt(1 - a)


def case(points, random):
    (alpha, sigma), (alpha1, sigma1), (alpha2, sigma2) = points
    z, x0, x1 = random.normal(size=3)
    z1 = alpha1 * x0 + sigma1 / sigma * (z - alpha * x0)
    z2 = alpha2 * x1 + sigma2 / sigma1 * (z1 - alpha1 * x1)
    ratio = sigma2 / sigma
    student_x = (z2 - ratio * z) / (alpha2 - ratio * alpha)
    velocity = lambda alpha, sigma, z, x: (alpha * z - x) / sigma  # noqa: E731
    return {
        "alpha": [float(p[0]) for p in points], "sigma": [float(p[1]) for p in points], "z": float(z),
        "v": [float(velocity(alpha, sigma, z, x0)), float(velocity(alpha1, sigma1, z1, x1))],
        "z_middle": float(z1), "z_end": float(z2), "student_x": float(student_x),
        "student_v": float(velocity(alpha, sigma, z, student_x)),
    }


if __name__ == "__main__":
    main()
