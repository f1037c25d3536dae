"""Trains the base model of Stickers: `train_stickers.py autoencoder | diffusion | sheet | export`.

See tools/stickers/__init__.py for the parts, tools/README.md for the commands in their order.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # the lanes are the threads; must be set before torch is imported

import argparse  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402
from diffusers import AutoencoderTiny  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import CLIPTokenizer  # noqa: E402

from stickers import autoencoder, data, diffusion, evaluate, export  # noqa: E402


def main():
    torch.set_num_threads(1)
    args = arguments().parse_args()
    args.command(args)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("autoencoder", help="train AutoencoderTiny on pictures and plain glyphs")
    command.add_argument("--pictures", required=True, help="folder of `fourstep dataset render --split train`")
    command.add_argument("--glyphs", required=True, help="folder of `--split glyphs`: every glyph of the font")
    command.add_argument("--out", required=True, help="the run's folder; an unfinished run there is resumed")
    command.set_defaults(command=train_autoencoder)

    command = commands.add_parser("diffusion", help="train text encoder and UNet on captioned pictures")
    command.add_argument("--pictures", required=True, help="folder of `fourstep dataset render --split train`")
    command.add_argument("--autoencoder", required=True, help="the autoencoder's run")
    command.add_argument("--tokenizer", required=True, help="folder of `fourstep tokenizer`")
    command.add_argument("--out", required=True, help="the run's folder; an unfinished run there is resumed")
    command.add_argument("--stop-at", type=int, help="stop at this step with a checkpoint")
    command.add_argument("--start-from", help="model folder whose weights to begin with, instead of random ones")
    command.add_argument("--seed", type=int, help="another one than the config's, as a second run should have")
    command.add_argument("--steps", type=int, help="steps in all, instead of the config's")
    command.add_argument("--decay", type=int, help="how many of the last steps the rate falls over")
    command.set_defaults(command=train_diffusion)

    command = commands.add_parser("sheet", help="draw captions, count retrieval, write a contact sheet")
    drawing_arguments(command)
    command.add_argument("--captioned", required=True, help="a rendered folder whose captions are drawn")
    command.add_argument("--glyphs", required=True, help="folder of `--split glyphs --recipe-concepts`")
    command.add_argument("--kind", help="only captions of this kind, e.g. plain or recolour")
    command.add_argument("--count", type=int, default=64, help="how many captions, spread evenly over the folder")
    command.add_argument("--guidance", type=float, default=3.0)
    command.add_argument("--steps", type=int, default=32)
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--out", required=True, help="the sheet, a PNG; the true pictures go beside it")
    command.set_defaults(command=draw_sheet)

    command = commands.add_parser("export", help="write the diffusers folder")
    drawing_arguments(command)
    command.add_argument("--out", required=True, help="the model folder")
    command.set_defaults(command=export_model)
    return parser


def drawing_arguments(command):
    command.add_argument("--autoencoder", required=True, help="the autoencoder's run")
    command.add_argument("--diffusion", required=True, help="the diffusion model's run")
    command.add_argument("--tokenizer", required=True, help="folder of `fourstep tokenizer`")


def train_autoencoder(args):
    autoencoder.train(autoencoder.CONFIG, data.load_images(args.pictures), data.load_images(args.glyphs), args.out)


def train_diffusion(args):
    tokenizer = CLIPTokenizer.from_pretrained(args.tokenizer)
    tokens = diffusion.tokenize(tokenizer, [row["caption"] for row in data.load_rows(args.pictures)])
    empty = diffusion.tokenize(tokenizer, [""])[0]
    cache = Path(args.out) / "latents.safetensors"
    if not cache.exists():
        vae = AutoencoderTiny.from_pretrained(Path(args.autoencoder) / "vae")
        cache.parent.mkdir(parents=True, exist_ok=True)
        pictures = data.load_images(args.pictures)
        save_file({"latents": diffusion.encode_distinct(vae, pictures, diffusion.CONFIG["lanes"])}, cache)
    latents = load_file(cache)["latents"]
    print(f"latents: mean {latents.float().mean((0, 2, 3))} deviation {latents.float().std((0, 2, 3))}", flush=True)
    asked = {name: getattr(args, name) for name in ("start_from", "seed", "steps", "decay")}
    config = diffusion.CONFIG | {name: value for name, value in asked.items() if value is not None}
    diffusion.train(config, latents, tokens, empty, tokenizer, args.out, args.stop_at)


def load_models(args):
    """Autoencoder, averaged diffusion models, their step, tokenizer."""
    tokenizer = CLIPTokenizer.from_pretrained(args.tokenizer)
    vae = AutoencoderTiny.from_pretrained(Path(args.autoencoder) / "vae")
    size = 64 // 2 ** (len(vae.config.block_out_channels) - 1)
    model, step = diffusion.load(diffusion.CONFIG, tokenizer, vae.config.latent_channels, size, args.diffusion)
    return vae, model, step, tokenizer


def draw_sheet(args):
    vae, model, step, tokenizer = load_models(args)
    rows, pictures = data.load_rows(args.captioned), data.load_images(args.captioned)
    chosen = [i for i, row in enumerate(rows) if args.kind in (None, row["kind"])]
    chosen = chosen[:: max(1, len(chosen) // args.count)][: args.count]
    captions = [rows[i]["caption"] for i in chosen]
    tokens, empty = diffusion.tokenize(tokenizer, captions), diffusion.tokenize(tokenizer, [""])
    drawn = evaluate.draw(model, vae, tokens, empty, args.guidance, args.steps, args.seed)
    names = [row["concepts"][0] for row in data.load_rows(args.glyphs)]
    truths = torch.tensor([names.index(rows[i]["concepts"][0]) for i in chosen])
    share, nearest = evaluate.retrieval(drawn, truths, data.load_images(args.glyphs))
    error = (drawn.float() - pictures[chosen].float()).square().mean((1, 2, 3)).sqrt().median()
    print(f"step {step} guidance {args.guidance} {args.steps} steps, {len(chosen)} captions of kind {args.kind}: "
          f"nearest glyph right {share:.3f}, median distance to the true picture {error:.1f} of 255")
    print("wrong:", [(captions[i], names[n]) for i, n in enumerate(nearest) if n != truths[i]][:12])
    evaluate.sheet(drawn, captions, args.out)
    evaluate.sheet(pictures[chosen], captions, Path(args.out).with_suffix(".truth.png"))


def export_model(args):
    vae, model, step, tokenizer = load_models(args)
    runs = {"autoencoder": args.autoencoder, "diffusion": args.diffusion}
    export.export(model, vae, tokenizer, args.tokenizer, runs, args.out)
    export.try_out(args.out, "a fox", seed=1, steps=16, guidance=3.0).save(Path(args.out).with_suffix(".fox.png"))
    print(f"exported step {step} to {args.out}")


if __name__ == "__main__":
    main()
