"""Golden edits without training, by the papers' own equations: tests/golden/edits.

    python tests/reference/edits_golden.py [--out tests/golden/edits]

FlowEdit (Kulikov et al., 2024, algorithm 1) as it is written there, for straight flows: a sample of our models, z = alpha x + sigma
eps, is divided by alpha + sigma to become one of the flow at tau = sigma / (alpha + sigma), and the network's answer is turned into the
velocity eps - x. InfEdit (Xu et al., 2023, algorithm 2, virtual inversion; without attention control) with its two samples, its three
noises and its consistency function. The crate computes both in another form, so the two share no formula.

Pipelines, tokenizers and text encoders are diffusers' and transformers', of the tiny models in tests/golden. Each case runs in
float64 and, for the distance of float32 from it, in float32; the draws of noise are torch's, in float32, a step at a time.

edits.json lists the cases; edits.safetensors has `NAME.image_u8` `[height, width, 3 or 4]` (straight colours), `NAME.latents` and
`NAME.decoded` of each.
"""

import argparse
import json
import shutil
from pathlib import Path

import diffusers
import torch
from families_golden import pictures
from safetensors.torch import save_file
from stickers_golden import relative_l2
from transparent_golden import multiplied, start_picture

GOLDEN = Path(__file__).resolve().parents[2] / "tests/golden"
ZERO_SNR = dict(rescale_betas_zero_snr=True, timestep_spacing="trailing", steps_offset=0, set_alpha_to_one=True)
SHARED = dict(
    source_prompt="a red fox", target_prompt="a blue fox on a crown", negative_prompt="", num_inference_steps=5, strength=1.0,
    source_guidance_scale=1.5, target_guidance_scale=4.0, n_avg=1, n_min=0, width=40, height=32)
CASES = [
    dict(name="flowedit_v", method="flowedit", pipeline="families/tiny-2", seed=1),
    dict(name="flowedit_v_zero_snr", method="flowedit", pipeline="families/tiny-2", seed=2, scheduler=ZERO_SNR,
         num_inference_steps=4, n_avg=3, negative_prompt="a dog"),
    dict(name="flowedit_eps_part", method="flowedit", pipeline="families/tiny", seed=3, strength=0.6, n_min=1,
         source_guidance_scale=1.0),
    dict(name="flowedit_embedded_guidance", method="flowedit", pipeline="families/tiny-lcm", seed=4, num_inference_steps=4),
    dict(name="flowedit_alpha", method="flowedit", pipeline="transparent/rgba", seed=5, n_avg=2, n_min=2, strength=0.8),
    dict(name="infedit_v", method="infedit", pipeline="families/tiny-2", seed=6, strength=0.6),
    dict(name="infedit_v_zero_snr", method="infedit", pipeline="families/tiny-2", seed=7, scheduler=ZERO_SNR,
         num_inference_steps=4),
    dict(name="infedit_eps", method="infedit", pipeline="families/tiny", seed=8, source_prompt="", source_guidance_scale=1.0),
    dict(name="infedit_consistency", method="infedit", pipeline="families/tiny-lcm", seed=9, strength=0.5,
         num_inference_steps=4),
]
TOLERANCE = 1e-4


# ---------------------------------------------------------------- the network
class Model:
    """A pipeline of diffusers, asked for the estimates of x and eps at a sample on the circle."""

    def __init__(self, case, dtype):
        self.case, self.dtype = case, dtype
        self.pipe = diffusers.DiffusionPipeline.from_pretrained(whole(case["pipeline"]), torch_dtype=torch.float32).to(dtype)
        config = dict(self.pipe.scheduler.config) | case.get("scheduler", {})
        own = type(self.pipe.scheduler) if case["method"] == "infedit" else diffusers.DDIMScheduler
        if own is diffusers.LCMScheduler:
            self.scheduler = own.from_config(config)
            self.scheduler.set_timesteps(case["num_inference_steps"], strength=case["strength"])
            self.timesteps = self.scheduler.timesteps
        else:
            if isinstance(self.pipe.scheduler, diffusers.LCMScheduler):
                config |= dict(timestep_spacing="trailing")
            self.scheduler = diffusers.DDIMScheduler.from_config(config)
            self.scheduler.set_timesteps(case["num_inference_steps"])
            taken = int(case["num_inference_steps"] * case["strength"])
            self.timesteps = self.scheduler.timesteps[case["num_inference_steps"] - taken:]
        self.prediction_type = config["prediction_type"]

    def rates(self, i):
        """alpha and sigma of the i-th timestep taken; past the last, of the picture."""
        a = self.scheduler.alphas_cumprod[self.timesteps[i]].double() if i < len(self.timesteps) else torch.tensor(1.0).double()
        return a.sqrt(), (1 - a).sqrt()

    def text(self, prompt):
        ids = self.pipe.tokenizer(prompt, padding="max_length", truncation=True, return_tensors="pt").input_ids
        return self.pipe.text_encoder(ids)[0]

    def answer(self, z, i, prompt, scale):
        """The guided output for samples `[n, c, h, w]` in the noise of step i."""
        n, t, text = len(z), self.timesteps[i], self.text(prompt)
        if (dim := self.pipe.unet.config.time_cond_proj_dim) is not None:
            cond = embedded(torch.full((n,), scale - 1.0, dtype=self.dtype), dim)
            return self.pipe.unet(z, t, text.repeat(n, 1, 1), timestep_cond=cond).sample
        conditional = self.pipe.unet(z, t, text.repeat(n, 1, 1)).sample
        if scale <= 1:
            return conditional
        negative = self.pipe.unet(z, t, self.text(self.case["negative_prompt"]).repeat(n, 1, 1)).sample
        return negative + scale * (conditional - negative)

    def x_and_eps(self, z, i, prompt, scale):
        (alpha, sigma), output = self.rates(i), self.answer(z.to(self.dtype), i, prompt, scale)
        if self.prediction_type == "v_prediction":
            return alpha * z - sigma * output, sigma * z + alpha * output
        return (z - sigma * output) / alpha, output


def embedded(w, dim):
    """`LatentConsistencyModelPipeline.get_guidance_scale_embedding`."""
    half = dim // 2
    rates = torch.exp(torch.arange(half, dtype=w.dtype) * -(torch.log(torch.tensor(10000.0, dtype=w.dtype)) / (half - 1)))
    angles = 1000 * w[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


def whole(name):
    """A copy of a pipeline's folder in which the tokenizer is whole."""
    kind = Path(name).parent
    copy = GOLDEN / ".edits" / name
    if not copy.exists():
        shutil.copytree(GOLDEN / kind / "pipelines" / Path(name).name, copy)
        if (GOLDEN / kind / "tokenizer").is_dir():
            shutil.copytree(GOLDEN / kind / "tokenizer", copy / "tokenizer", dirs_exist_ok=True)
    return copy


# ---------------------------------------------------------------- FlowEdit
def flowedit(model, x_src, draw):
    """Algorithm 1, with the last n_min steps as ordinary sampling, as in the authors' program."""
    case, count = model.case, len(model.timesteps)

    def tau(i):
        alpha, sigma = model.rates(i)
        return sigma / (alpha + sigma)

    def velocity(z, i, prompt, scale):
        x, eps = model.x_and_eps(z * sum(model.rates(i)), i, prompt, scale)
        return eps - x

    source, target = (case["source_prompt"], case["source_guidance_scale"]), (case["target_prompt"], case["target_guidance_scale"])
    z_edit, z_tar = x_src.clone(), None
    for i in range(count):
        if count - i <= case["n_min"]:
            if z_tar is None:
                z_tar = z_edit + (1 - tau(i)) * x_src + tau(i) * draw(1) - x_src
            z_tar = z_tar + (tau(i + 1) - tau(i)) * velocity(z_tar, i, *target)
            continue
        noise, v_delta = draw(case["n_avg"]), 0
        for one in noise.split(1):
            zt_src = (1 - tau(i)) * x_src + tau(i) * one
            zt_tar = z_edit + zt_src - x_src
            v_delta = v_delta + (velocity(zt_tar, i, *target) - velocity(zt_src, i, *source)) / case["n_avg"]
        z_edit = z_edit + (tau(i + 1) - tau(i)) * v_delta
    return z_edit if z_tar is None else z_tar


# ---------------------------------------------------------------- InfEdit
def infedit(model, z0, draw):
    """Algorithm 2. Where there is no signal the quotients have no value: there the estimates of x take their place."""
    case = model.case
    alpha, sigma = model.rates(0)
    noise = draw(1)
    z_src = z_tgt = alpha * z0 + sigma * noise
    for i in range(len(model.timesteps)):
        alpha, sigma = model.rates(i)
        x_src, eps_src = model.x_and_eps(z_src, i, case["source_prompt"], case["source_guidance_scale"])
        x_tgt, eps_tgt = model.x_and_eps(z_tgt, i, case["target_prompt"], case["target_guidance_scale"])
        if alpha > 0:
            eps_cons = (z_src - alpha * z0) / sigma
            f = (z_tgt - sigma * (eps_tgt - eps_src + eps_cons)) / alpha
        else:
            f = z0 + x_tgt - x_src
        if i + 1 < len(model.timesteps):
            alpha, sigma = model.rates(i + 1)
            noise = draw(1)
            z_tgt, z_src = alpha * f + sigma * noise, alpha * z0 + sigma * noise
    return f


# ---------------------------------------------------------------- cases
def edited(case, dtype):
    model, tensors = Model(case, dtype), {}
    vae, four = model.pipe.vae, case["pipeline"] == "transparent/rgba"
    picture = start_picture(case["height"], case["width"]) if four else pictures(case)[0]
    planes = multiplied(picture, dtype) if four else picture.to(dtype).permute(2, 0, 1)[None] / 127.5 - 1
    encoded = vae.encode(planes)
    factor = vae.config.scaling_factor
    x = (encoded.latents if four else encoded.latent_dist.mode()) * factor
    generator = torch.Generator().manual_seed(case["seed"])
    draw = lambda n: torch.randn((n, *x.shape[1:]), generator=generator).to(dtype)  # noqa: E731
    latents = dict(flowedit=flowedit, infedit=infedit)[case["method"]](model, x, draw).to(dtype)
    tensors["image_u8"] = picture
    tensors["latents"], tensors["decoded"] = latents, vae.decode(latents / factor).sample
    return tensors


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=str(GOLDEN / "edits"))
    args = parser.parse_args()
    out, listed, tensors = Path(args.out), [], {}
    out.mkdir(parents=True, exist_ok=True)
    for case in (SHARED | case for case in CASES):
        exact, single = edited(case, torch.float64), edited(case, torch.float32)
        floor = max(relative_l2(single[name], exact[name]) for name in ("latents", "decoded"))
        assert floor < TOLERANCE / 2, (case["name"], floor)
        tensors |= {f"{case['name']}.{name}": value.float().contiguous() if value.is_floating_point() else value.contiguous()
                    for name, value in exact.items()}
        listed.append(case | dict(tolerance=TOLERANCE, float32_rel_l2=float(f"{floor:.1e}")))
        print(f"{case['name']}: float32 is {floor:.1e} from float64")
    save_file(tensors, out / "edits.safetensors")
    (out / "edits.json").write_text(json.dumps(listed, indent=1) + "\n")
    shutil.rmtree(GOLDEN / ".edits", ignore_errors=True)


if __name__ == "__main__":
    main()
