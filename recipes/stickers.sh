#!/usr/bin/env bash
# Makes the weights of Stickers in FOLDER: `recipes/stickers.sh FOLDER`. Steps whose result exists are skipped, and a stopped step
# resumes. The dataset has the same bytes each time. `DEVICE=cuda` trains the UNet on a GPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=${1:?usage: recipes/stickers.sh FOLDER}
device=${DEVICE:-cpu}
plain=${PLAIN:-48000}       # pictures of plain things, for the first stage
scenes=${SCENES:-96000}     # pictures of everything, for the second
fourstep=${FOURSTEP:-target/release/fourstep}
vae=${AUTOENCODER:-}        # a trained autoencoder (recipes/stickers-vae) instead of a new one
train() { python3 tools/train_stickers.py "$@"; }

# render NAME RECIPE SPLIT COUNT SEED: a folder of captioned pictures
render() {
  [ -e "$out/data/$1/done" ] && return
  "$fourstep" dataset render --pack "$out/stickers.pack" --recipe "recipes/$2.json" --split "$3" --count "$4" --seed "$5" \
    --alpha --out "$out/data/$1"
  touch "$out/data/$1/done"
}

encode() {
  [ -e "$out/data/$1/latents.safetensors" ] || train encode --pictures "$out/data/$1" --autoencoder "$out/runs/autoencoder"
}

mkdir -p "$out/data" "$out/runs"
[ -e "$out/stickers.pack" ] || "$fourstep" dataset pack --out "$out/stickers.pack"
render glyphs stickers glyphs 100000 1
render plain stickers-plain train "$plain" 1
render scenes stickers train "$scenes" 2
[ -e "$out/data/tokenizer" ] ||
  "$fourstep" tokenizer --captions "$out/data/scenes/captions.jsonl" --size 4000 --max-length 32 --out "$out/data/tokenizer"

if [ -z "$vae" ]; then
  train autoencoder --glyphs "$out/data/glyphs" --out "$out/runs/autoencoder"
elif [ ! -e "$out/runs/autoencoder/vae" ]; then
  mkdir -p "$out/runs/autoencoder"
  cp -r "$vae" "$out/runs/autoencoder/vae"
fi
train language --pictures "$out/data/plain" --pictures "$out/data/scenes" --glyphs "$out/data/glyphs" \
  --tokenizer "$out/data/tokenizer" --out "$out/runs/language"
encode plain
encode scenes

# Plain things first, then everything.
diffusion=(--language "$out/runs/language" --tokenizer "$out/data/tokenizer" --device "$device" --out "$out/runs/diffusion")
train diffusion "${diffusion[@]}" --pictures "$out/data/plain" --stop-at 15000
train diffusion "${diffusion[@]}" --pictures "$out/data/plain" --pictures "$out/data/scenes"

models=(--autoencoder "$out/runs/autoencoder" --language "$out/runs/language" --diffusion "$out/runs/diffusion"
  --tokenizer "$out/data/tokenizer")
train distill "${models[@]}" --pictures "$out/data/plain" --pictures "$out/data/scenes" --device "$device" --out "$out/runs/student"
train export "${models[@]}" --out "$out/stickers-teacher"
train export "${models[@]}" --student "$out/runs/student" --out "$out/stickers-student"
"$fourstep" quantize "$out/stickers-student" --bits 8 --out "$out/stickers"
