#!/usr/bin/env python3
"""What a set of goldens says of itself: its set.json, to which the golden suite (tests/reference.rs) holds it.

    python tests/reference/golden_set.py FOLDER     prints it for a set that has none

`cases` counts what the suite must find, by kind; `families` names the run that stands for each family of models;
`unsupported` lists the cases that are expected to be refused, and `not_in_page` the runs that the page's requests cannot
ask for, each with the reason. The folders of the models lie in `pipelines`, relative to the set; `weights` has the SHA-256 of
files there that may change.
"""
import json
import sys
from pathlib import Path

from safetensors import safe_open


def counts(folder):
    """The number of cases of each kind that a set's files hold."""
    folder = Path(folder)
    found = {}
    if (folder / "cases/rng.json").exists():
        manifest = read(folder / "cases/rng.json")
        found["rng"] = len(manifest.get("tensors", {})) + len(manifest["wichmann_hill"])
    if (folder / "cases/tokenizer.json").exists():
        pipelines = list(folder.glob("pipelines/*/tokenizer*"))
        found["tokenizer"] = len(pipelines) + (folder / "tokenizer").is_dir()
    if (folder / "cases/schedulers.json").exists():
        manifest = read(folder / "cases/schedulers.json")
        with safe_open(folder / "cases" / manifest["file"], "np") as file:
            tables = [name for name in file.keys() if name.startswith("alphas_cumprod/")]
        found["scheduler"] = len(manifest["cases"]) + len(tables)
    for kind in ("components", "runs"):
        if (folder / f"cases/{kind}/index.json").exists():
            found[kind] = len(read(folder / f"cases/{kind}/index.json"))
    return found


def described(folder, about, *, pipelines=None, families=None, unsupported=None, not_in_page=None, weights=None):
    more = dict(pipelines=pipelines, families=families, unsupported=unsupported, not_in_page=not_in_page, weights=weights)
    return {"about": about, "cases": counts(folder), **{key: value for key, value in more.items() if value}}


def write(folder, about, **more):
    """Writes FOLDER/set.json."""
    text = json.dumps(described(folder, about, **more), indent=1) + "\n"
    (Path(folder) / "set.json").write_text(text)


def read(path):
    return json.loads(path.read_text())


if __name__ == "__main__":
    print(json.dumps(described(sys.argv[1], "the set in another folder"), indent=1))
