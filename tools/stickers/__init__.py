"""Trains the base model of Stickers with PyTorch and diffusers, into a diffusers folder that the Rust crate reads.

Why this exists beside the Rust trainer: on a machine without a GPU, PyTorch's bf16 convolutions are faster than burn's,
so more training fits into the same time. The base model and its student are made here; evaluation and quantization are
`fourstep` commands. All data comes from `fourstep dataset` and `fourstep tokenizer`.

data         pictures, captions and glyphs as `fourstep dataset render` writes them
augment      random views of pictures for the autoencoder
run          a run's folder: config, curves, checkpoints; learning rate, averaged weights
lanes        one model trained by several single-threaded lanes at once
optimizer    Muon and AdamW
autoencoder  AutoencoderTiny, f8, RGBA, standardised latents
language     the text encoder, on what captions mean
diffusion    the UNet and, later in the run, the text encoder, v-prediction
distill      the student: four steps of one evaluation each
evaluate     drawing, nearest-glyph retrieval, contact sheets
export       the diffusers folder
"""
