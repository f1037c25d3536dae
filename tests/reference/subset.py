#!/usr/bin/env python3
"""Copies a part of the whole reference set into tests/golden/reference, so that the project stands alone.

    python tests/reference/subset.py REFERENCE [OUT]

Kept: random generators, tokenizer, schedulers at up to 20 steps, and of `sd15` and `taesd` the components, the
adapters, and the runs that differ in what they exercise. Manifests are cut to what is kept; nothing is recomputed. Needs safetensors, numpy.
"""
import json
import shutil
import sys
from pathlib import Path

import golden_set
from safetensors.numpy import load_file, save_file

PIPELINES = ("sd15", "taesd")
MOST_STEPS = 20
SKIPPED_RUNS = ("sd15_pndm20_128", "sd15_pndm50_slim", "sd15_tcd4", "sd15_empty_prompt", "sd15_dpmpp2m_karras12",
                "sd15_img2img_ddim10", "sd15_img2img_euler10", "sd15_img2img_euler_a10", "sd15_img2img_dpmpp2m10",
                "sd15_img2img_strength1", "sd15_inpaint_ddim8", "sd15_inpaint_euler8")
FAMILIES = {"SD 1.x": "sd15_no_guidance", "TAESD": "sd15_taesd_decode", "LoRA": "sd15_lora_diffusers"}
NOTE = """**This folder is a part of the set that this text describes**, copied by tests/reference/subset.py: `sd15` and `taesd`, schedulers
up to 20 steps, and some of the runs. Scripts and cases that are named below but are not here belong to the whole set.
"""
ONE_PICTURE = "the page draws one picture a request"
NOT_IN_PAGE = {"runs/sd15_batch2_one_generator": ONE_PICTURE, "runs/sd15_batch2_two_generators": ONE_PICTURE}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")


def copy(source, out, *paths):
    for path in paths:
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / path, out / path)


def write_readme(source, out):
    title, text = (source / "README.md").read_text().split("\n", 1)
    (out / "README.md").write_text(f"{title}\n\n{NOTE}{text}")


def schedulers(source, out):
    manifest = json.loads((source / "cases/schedulers.json").read_text())
    tensors = load_file(source / "cases/schedulers.safetensors")
    cases = manifest["cases"]
    dropped = {case["name"] for case in cases if case["set_timesteps"].get("num_inference_steps", 0) > MOST_STEPS}
    manifest["cases"] = [case for case in cases if case["name"] not in dropped]
    kept = {key: value for key, value in tensors.items() if key.split("/")[0] not in dropped}
    write_json(out / "cases/schedulers.json", manifest)
    save_file(kept, out / "cases/schedulers.safetensors")


def listed(source, out, folder, wanted):
    index = json.loads((source / f"cases/{folder}/index.json").read_text())
    index = [entry for entry in index if wanted(entry)]
    write_json(out / f"cases/{folder}/index.json", index)
    for entry in index:
        manifest = json.loads((source / "cases" / entry["json"]).read_text())
        copy(source, out, Path("cases") / entry["json"], Path("cases") / manifest["file"])


def main():
    source = Path(sys.argv[1])
    root = Path(__file__).resolve().parents[2]
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else root / "tests/golden/reference"
    shutil.rmtree(out, ignore_errors=True)
    copy(source, out, "versions.json", "cases/tokenizer.json", "cases/rng.json", "cases/rng.safetensors")
    write_readme(source, out)
    schedulers(source, out)
    listed(source, out, "components", lambda e: e["pipeline"] in PIPELINES)
    listed(source, out, "runs", lambda e: e["pipeline"] in PIPELINES and e["name"] not in SKIPPED_RUNS)
    for file in source.glob("loras/*/*.safetensors"):
        copy(source, out, file.relative_to(source))
    for file in (source / "tokenizer").iterdir():
        copy(source, out, file.relative_to(source))
    for file in source.glob("pipelines/*/**/*"):
        relative = file.relative_to(source)
        small = file.suffix == ".json" and file.name != "vocab.json"
        if file.is_file() and (relative.parts[1] in PIPELINES and file.suffix == ".safetensors" or small):
            copy(source, out, relative)
    about = "a part of the whole reference set, by subset.py"
    golden_set.write(out, about, families=FAMILIES, not_in_page=NOT_IN_PAGE)


main()
