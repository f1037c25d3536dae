"""Trains the base model of Stickers with PyTorch and diffusers, into a diffusers folder that the Rust crate reads.

Why this exists beside the Rust trainer: on a machine without a GPU PyTorch's bf16 convolutions train several times
faster than burn's, and the shipped pictures would suffer. Only the base model is made here; distillation, evaluation
and quantization are `fourstep` commands. All data comes from `fourstep dataset` and `fourstep tokenizer`.

data         pictures, captions and glyphs as `fourstep dataset render` writes them
run          a run's folder: config, curves, checkpoints; learning rate, averaged weights
lanes        one model trained by several single-threaded lanes at once
autoencoder  AutoencoderTiny, f4, standardised latents
diffusion    text encoder + UNet, v-prediction
sampling     guided DDIM and decoding
evaluate     nearest-glyph retrieval, contact sheets
export       the diffusers folder
"""
