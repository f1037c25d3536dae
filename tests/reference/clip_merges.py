"""CLIP's merges as pairs of token ids, for models in one file: src/text/clip/merges.bin.

    python3 tests/reference/clip_merges.py tests/golden/reference/tokenizer/merges.txt src/text/clip/merges.bin

A merge joins two tokens that are there already: two little-endian u16 each, 196 kB instead of the text's 525 kB. The vocabulary
follows from them: 256 bytes, the same at the end of a word, one token a merge, begin and end of a text.
"""

import struct
import sys


def alphabet() -> list[str]:
    """The characters that stand for bytes in GPT-2's and CLIP's files, in the order of CLIP's ids."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) for byte in shown] + [chr(256 + i) for i in range(len(hidden))]


def main(source: str, target: str) -> None:
    tokens = alphabet()
    tokens += [token + "</w>" for token in tokens]
    ids = {token: i for i, token in enumerate(tokens)}
    pairs = []
    with open(source, encoding="utf-8") as file:
        lines = [line for line in file.read().split("\n") if line and not line.startswith("#version")]
    for line in lines:
        left, right = line.split(" ")
        pairs.append((ids[left], ids[right]))
        ids[left + right] = len(ids)
    assert len(ids) == 512 + len(pairs), "a merge stands there twice"
    with open(target, "wb") as file:
        file.writelines(struct.pack("<HH", *pair) for pair in pairs)
    print(target, len(pairs), "merges")


if __name__ == "__main__":
    main(*sys.argv[1:])
