"""Golden first stage of Imagic (Kawar et al., 2022, section 3.2, equation 3): tests/golden/imagic.

    python tests/reference/imagic_golden.py [--out tests/golden/imagic]

The embedding of the target text moves, by torch.optim.Adam, so that the model predicts better what noise there is in the picture's
latents; the model itself stays as it is. What is predicted (noise or velocity) is the model's own. Pipelines, tokenizers and text
encoders are diffusers' and transformers', of the tiny models in tests/golden. Each case runs in float64 and, for the distance of
float32 from it, in float32; timesteps and noise are torch's and are in the file.

imagic.json lists the cases with the loss of each step; imagic.safetensors has, of each, `NAME.image_u8` `[height, width, 3 or 4]`
(straight colours), `NAME.timesteps` `[steps, batch]`, `NAME.noise` `[steps, batch, c, h, w]`, and `NAME.embeddings` `[steps + 1, tokens,
features]`: where it begins, and after each step.
"""

import argparse
import json
import shutil
from pathlib import Path

import diffusers
import torch
from edits_golden import GOLDEN, embedded, whole
from families_golden import pictures
from safetensors.torch import save_file
from stickers_golden import relative_l2
from torch.nn.functional import mse_loss
from transparent_golden import multiplied, start_picture

SHARED = dict(prompt="a blue fox on a crown", steps=5, learning_rate=2e-3, batch=3, width=40, height=32)
CASES = [
    dict(name="v", pipeline="families/tiny-2", seed=1),
    dict(name="eps", pipeline="families/tiny", seed=2, learning_rate=1e-2, batch=1),
    dict(name="embedded_guidance", pipeline="families/tiny-lcm", seed=3),
    dict(name="alpha", pipeline="transparent/rgba", seed=4),
]
# Of the way that the embedding has come, not of the embedding, which hardly changes in five steps.
TOLERANCE = 1e-3


def optimized(case, dtype):
    pipe = diffusers.DiffusionPipeline.from_pretrained(whole(case["pipeline"]), torch_dtype=torch.float32).to(dtype)
    unet, vae, alphas, batch = pipe.unet, pipe.vae, pipe.scheduler.alphas_cumprod.double(), case["batch"]
    for part in (unet, vae, pipe.text_encoder):
        part.requires_grad_(False)
    four = case["pipeline"] == "transparent/rgba"
    picture = start_picture(case["height"], case["width"]) if four else pictures(case)[0]
    planes = multiplied(picture, dtype) if four else picture.to(dtype).permute(2, 0, 1)[None] / 127.5 - 1
    encoded = vae.encode(planes)
    x = ((encoded.latents if four else encoded.latent_dist.mode()) * vae.config.scaling_factor).repeat(batch, 1, 1, 1)
    ids = pipe.tokenizer(case["prompt"], padding="max_length", truncation=True, return_tensors="pt").input_ids
    embedding = pipe.text_encoder(ids)[0].clone().requires_grad_()
    scale = unet.config.time_cond_proj_dim
    condition = None if scale is None else embedded(torch.zeros(batch, dtype=dtype), scale)  # guidance scale 1
    adam = torch.optim.Adam([embedding], lr=case["learning_rate"])
    generator = torch.Generator().manual_seed(case["seed"])
    timesteps, noises, losses, embeddings = [], [], [], [embedding.detach()[0].clone()]
    for _ in range(case["steps"]):
        t = torch.randint(0, len(alphas), (batch,), generator=generator)
        noise = torch.randn(x.shape, generator=generator)
        alpha, sigma = (a.to(dtype)[:, None, None, None] for a in (alphas[t].sqrt(), (1 - alphas[t]).sqrt()))
        eps = noise.to(dtype)
        target = alpha * eps - sigma * x if pipe.scheduler.config.prediction_type == "v_prediction" else eps
        answer = unet(alpha * x + sigma * eps, t, embedding.repeat(batch, 1, 1), timestep_cond=condition).sample
        adam.zero_grad()
        loss = mse_loss(answer, target)
        loss.backward()
        adam.step()
        timesteps.append(t), noises.append(noise), losses.append(loss.item()), embeddings.append(embedding.detach()[0].clone())
    return dict(image_u8=picture, timesteps=torch.stack(timesteps), noise=torch.stack(noises), embeddings=torch.stack(embeddings)), losses


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=str(GOLDEN / "imagic"))
    args = parser.parse_args()
    out, listed, tensors = Path(args.out), [], {}
    out.mkdir(parents=True, exist_ok=True)
    for case in (SHARED | case for case in CASES):
        (exact, losses), (single, _) = optimized(case, torch.float64), optimized(case, torch.float32)
        way = lambda run: run["embeddings"][1:] - run["embeddings"][0]  # noqa: E731
        floor = relative_l2(way(single), way(exact))
        print(f"{case['name']}: losses {[round(loss, 4) for loss in losses]}, float32 is {floor:.1e} from float64")
        assert floor < TOLERANCE / 2, (case["name"], floor)
        tensors |= {f"{case['name']}.{name}": value.float().contiguous() if value.is_floating_point() else value.contiguous()
                    for name, value in exact.items()}
        listed.append(case | dict(losses=losses, tolerance=TOLERANCE, float32_rel_l2=float(f"{floor:.1e}")))
    save_file(tensors, out / "imagic.safetensors")
    (out / "imagic.json").write_text(json.dumps(listed, indent=1) + "\n")
    shutil.rmtree(GOLDEN / ".edits", ignore_errors=True)


if __name__ == "__main__":
    main()
