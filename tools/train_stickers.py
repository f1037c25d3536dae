"""Trains the base model of Stickers: `train_stickers.py autoencoder | language | encode | diffusion | distill | sheet | export`.

See tools/stickers/__init__.py for the parts, tools/README.md for the commands in their order.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # the lanes are the threads; must be set before torch is imported

import argparse  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402
from diffusers import AutoencoderTiny  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import CLIPTextModel, CLIPTokenizer  # noqa: E402

from stickers import autoencoder, data, diffusion, distill, evaluate, export, language  # noqa: E402


def main():
    torch.set_num_threads(1)
    args = arguments().parse_args()
    args.command(args)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("autoencoder", help="train AutoencoderTiny on views of plain glyphs")
    command.add_argument("--glyphs", required=True, help="folder of `--split glyphs`: every glyph of every artist")
    command.add_argument("--out", required=True, help="the run's folder; an unfinished run there is resumed")
    overriding_arguments(command)
    command.set_defaults(command=train_autoencoder)

    command = commands.add_parser("language", help="train the text encoder on what captions mean")
    command.add_argument("--pictures", required=True, action="append", help="folder of captioned pictures; repeatable")
    command.add_argument("--glyphs", required=True, help="folder of `--split glyphs`")
    command.add_argument("--tokenizer", required=True, help="folder of `fourstep tokenizer`")
    command.add_argument("--out", required=True, help="the run's folder; an unfinished run there is resumed")
    overriding_arguments(command)
    command.set_defaults(command=train_language)

    command = commands.add_parser("encode", help="write the latents of a folder of pictures beside them")
    command.add_argument("--pictures", required=True, help="folder of captioned pictures")
    command.add_argument("--autoencoder", required=True, help="the autoencoder's run")
    command.set_defaults(command=encode)

    command = commands.add_parser("diffusion", help="train the UNet, and the text encoder on, on captioned pictures")
    command.add_argument("--pictures", required=True, action="append", help="folder with latents.safetensors; repeatable")
    command.add_argument("--language", required=True, help="the language's run")
    command.add_argument("--tokenizer", required=True, help="folder of `fourstep tokenizer`")
    command.add_argument("--out", required=True, help="the run's folder; an unfinished run there is resumed")
    command.add_argument("--stop-at", type=int, help="stop at this step with a checkpoint")
    command.add_argument("--device", default="cpu", help="cpu or cuda")
    overriding_arguments(command)
    command.set_defaults(command=train_diffusion)

    command = commands.add_parser("distill", help="train the student of four steps from the base model")
    command.add_argument("--pictures", required=True, action="append", help="folder with latents.safetensors; repeatable")
    drawing_arguments(command)
    command.add_argument("--out", required=True, help="the run's folder; an unfinished run there is resumed")
    command.add_argument("--stop-at", type=int, help="stop at this step with a checkpoint")
    command.add_argument("--device", default="cpu", help="cpu or cuda")
    overriding_arguments(command)
    command.set_defaults(command=train_student)

    command = commands.add_parser("sheet", help="draw captions, count retrieval, write a contact sheet")
    drawing_arguments(command)
    command.add_argument("--captioned", required=True, help="a rendered folder whose captions are drawn")
    command.add_argument("--glyphs", required=True, help="folder of `--split glyphs`")
    command.add_argument("--prompts", help="a file of prompts, one a line, to draw instead")
    command.add_argument("--kind", help="only captions of this kind, e.g. plain or recolour")
    command.add_argument("--count", type=int, default=64, help="how many captions, spread evenly over the folder")
    command.add_argument("--student", help="the student's run; without it the base model draws")
    command.add_argument("--guidance", type=float, default=2.0)
    command.add_argument("--steps", type=int, default=16)
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--out", required=True, help="the sheet, a PNG; the true pictures go beside it")
    command.set_defaults(command=draw_sheet)

    command = commands.add_parser("export", help="write the diffusers folder")
    drawing_arguments(command)
    command.add_argument("--student", help="the student's run; without it the base model is written")
    command.add_argument("--out", required=True, help="the model folder")
    command.set_defaults(command=export_model)
    return parser


def overriding_arguments(command):
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                         help="a value of the run's config instead of the default one; repeatable")


def drawing_arguments(command):
    command.add_argument("--autoencoder", required=True, help="the autoencoder's run")
    command.add_argument("--language", required=True, help="the language's run")
    command.add_argument("--diffusion", required=True, help="the diffusion model's run")
    command.add_argument("--tokenizer", required=True, help="folder of `fourstep tokenizer`")


def configured(defaults, changes):
    """The defaults with `KEY=VALUE` changes; an unknown key is an error."""
    import json

    config = dict(defaults)
    for change in changes:
        key, _, value = change.partition("=")
        if key not in config:
            raise SystemExit(f"--set {key}: no such key; known are {', '.join(config)}")
        config[key] = json.loads(value)
    return config


def train_autoencoder(args):
    config = configured(autoencoder.CONFIG, args.set)
    glyphs = data.Pictures(args.glyphs)
    autoencoder.train(config, glyphs[: len(glyphs)], args.out)


def train_language(args):
    config = configured(language.CONFIG, args.set)
    tokenizer = CLIPTokenizer.from_pretrained(args.tokenizer)
    rows = [row for folder in args.pictures for row in data.load_rows(folder)]
    small = torch.cat([cached(Path(folder) / "small.safetensors",
                              lambda folder=folder: data.shrink(data.Pictures(folder), 16)) for folder in args.pictures])
    glyph_rows = data.load_rows(args.glyphs)
    artists = sorted({row["artist"] for row in glyph_rows})
    glyphs = data.shrink(data.Pictures(args.glyphs), 32).float() / 255
    codes = language.glyph_codes(glyphs, config["components"])
    things = 1 + max(row["ids"][0] for row in glyph_rows)
    table, mask = language.targets_of(glyph_rows, codes, artists, things)
    tokens = data.tokenize(tokenizer, [row["caption"] for row in rows])
    language.train(config, rows, small, tokens, table, mask, tokenizer, args.out)


def cached(path, make):
    """The tensor in a file, made and written where it is not there yet."""
    if not path.exists():
        save_file({"tensor": make()}, path)
    return load_file(path)["tensor"]


def encode(args):
    vae = AutoencoderTiny.from_pretrained(Path(args.autoencoder) / "vae")
    pictures = data.Pictures(args.pictures)
    parts = (pictures[slice(at, at + 1024)] for at in range(0, len(pictures), 1024))
    latents = torch.cat([autoencoder.encode(vae, part).bfloat16() for part in parts]).contiguous()
    print(f"latents {list(latents.shape)}: mean {latents.float().mean():.3f}, deviation {latents.float().std():.3f}")
    save_file({"latents": latents}, Path(args.pictures) / "latents.safetensors")


def train_diffusion(args):
    config = configured(diffusion.CONFIG, args.set)
    tokenizer = CLIPTokenizer.from_pretrained(args.tokenizer)
    captions, latents = captioned_latents(args.pictures)
    text_encoder = CLIPTextModel.from_pretrained(Path(args.language) / "text_encoder")
    tokens, empty = data.tokenize(tokenizer, captions), data.tokenize(tokenizer, [""])[0]
    diffusion.train(config, latents, tokens, empty, text_encoder, args.out, args.stop_at, args.device)


def captioned_latents(folders):
    """The captions and the latents bf16 [N, C, h, w] of all folders."""
    captions = [row["caption"] for folder in folders for row in data.load_rows(folder)]
    latents = torch.cat([load_file(Path(folder) / "latents.safetensors")["latents"] for folder in folders])
    if len(captions) != len(latents):
        raise SystemExit(f"{len(captions)} captions but {len(latents)} latents: run `encode` again")
    return captions, latents


def train_student(args):
    config = configured(distill.CONFIG, args.set)
    captions, latents = captioned_latents(args.pictures)
    _, teacher, _, tokenizer = load_models(args)
    rows = [row for folder in args.pictures for row in data.load_rows(folder)]
    colours = sorted({row["colour"] for row in rows if row["colour"]} | {
        f"{word}{row['background']} background" for row in rows if row["background"] for word in ("", "a ")})
    tokens, empty = data.tokenize(tokenizer, captions), data.tokenize(tokenizer, [""])[0]
    distill.train(config, latents, tokens, empty, data.tokenize(tokenizer, colours), teacher, args.out, args.stop_at, args.device)


def load_models(args):
    """Autoencoder, averaged diffusion models, their step, tokenizer."""
    import json

    tokenizer = CLIPTokenizer.from_pretrained(args.tokenizer)
    vae = AutoencoderTiny.from_pretrained(Path(args.autoencoder) / "vae")
    config = json.loads((Path(args.diffusion) / "config.json").read_text())
    model, step = diffusion.load(config, Path(args.language) / "text_encoder", vae.config.latent_channels, 16, args.diffusion)
    return vae, model, step, tokenizer


def draw_sheet(args):
    vae, model, step, tokenizer = load_models(args)
    if args.prompts:
        captions = [line.strip() for line in open(args.prompts, encoding="utf-8") if line.strip() and line[0] != "#"]
        rows = None
    else:
        rows = data.load_rows(args.captioned)
        chosen = [i for i, row in enumerate(rows) if args.kind in (None, row["kind"])]
        chosen = chosen[:: max(1, len(chosen) // args.count)][: args.count]
        captions = [rows[i]["caption"] for i in chosen]
    tokens, empty = data.tokenize(tokenizer, captions), data.tokenize(tokenizer, [""])
    if args.student:
        model, step, _ = distill.load(model, args.student)
    predict = (distill.in_one_evaluation if args.student else evaluate.guided)(model, empty, args.guidance)
    drawn = evaluate.draw(predict, model["unet"].config, vae, tokens, args.steps, args.seed)
    evaluate.sheet(drawn, captions, args.out)
    if rows is None:
        return
    glyph_rows, glyphs = data.load_rows(args.glyphs), data.Pictures(args.glyphs)
    small = data.shrink(glyphs, 32)
    nearest = [glyph_rows[n]["ids"][0] for n in evaluate.nearest(drawn, small)]
    right = [n in rows[i]["ids"] for n, i in zip(nearest, chosen)]
    print(f"step {step} guidance {args.guidance} {args.steps} steps, {len(chosen)} captions of kind {args.kind}: "
          f"nearest glyph right {sum(right) / len(right):.3f}")
    evaluate.sheet(data.Pictures(args.captioned)[torch.tensor(chosen)], captions, Path(args.out).with_suffix(".truth.png"))


def export_model(args):
    vae, model, step, tokenizer = load_models(args)
    runs = {"autoencoder": args.autoencoder, "language": args.language, "diffusion": args.diffusion}
    scales = None
    if args.student:
        model, step, config = distill.load(model, args.student)
        runs, scales = runs | {"student": args.student}, config["guidance"]
    export.export(model, vae, tokenizer, args.tokenizer, runs, args.out, scales)
    print(f"exported step {step} to {args.out}")


if __name__ == "__main__":
    main()
