// Models in one file, made of the goldens' tiny pipeline: under the keys of the original code, as model sites have them, and as GGUF.
// Its widths are too small to be told from a file, so there is also a wider one, of random weights.
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { tinyModel } from "./models.mjs";

const goldens = resolve(dirname(fileURLToPath(import.meta.url)), "../golden");
const UNET = "unet/diffusion_pytorch_model.safetensors";
const VAE = "vae/diffusion_pytorch_model.safetensors";
const TEXT = "text_encoder/model.safetensors";
const LAYERS = 2; // residual blocks of a level of the tiny pipeline's UNet
const CROSS_UP = [true, false]; // its levels with attention, on the way up
const VAE_LEVELS = 3;

/** @typedef {{name: string, dtype: string, shape: number[], bytes: Buffer}} Tensor */
/** @typedef {Map<string, Buffer>} Folder by paths */

/** The goldens' tiny pipeline. @returns {Folder} */
export function tinyFolder() {
  return tinyModel({ name: "Tiny" }).files;
}

/** The same network with the published models' groups, heads and vocabulary, of random weights: 256 x 256 pixels. @returns {Folder} */
export function widerFolder() {
  const folder = tinyFolder();
  const draw = uniform(7);
  const shapes = [
    [UNET, { 12: 64, 16: 32, 24: 64, 32: 64, 40: 96, 48: 128, 64: 128, 96: 256, 192: 512 }],
    [VAE, { 8: 32 }],
    [TEXT, { 12: 64, 24: 128, 32: 77, 2000: 49408 }],
  ];
  for (const [path, wider] of shapes) {
    const widened = ({ name, shape }) => {
      const latents = /quant_conv|^encoder\.conv_out\.bias/.test(name); // two numbers for each channel of a latent stay
      const sides = shape.map((side, at) => (latents || (name === "encoder.conv_out.weight" && at === 0) ? side : (wider[side] ?? side)));
      return random(name, sides, draw);
    };
    folder.set(path, safetensors(read(folder.get(path)).map(widened)));
  }
  change(folder, "unet/config.json", {
    block_out_channels: [32, 64],
    attention_head_dim: 8,
    cross_attention_dim: 64,
    norm_num_groups: 32,
    sample_size: 64,
  });
  change(folder, "vae/config.json", { block_out_channels: [32, 32, 32], norm_num_groups: 32 });
  const text = {
    hidden_act: "gelu",
    hidden_size: 64,
    intermediate_size: 128,
    num_attention_heads: 1,
    vocab_size: 49408,
    max_position_embeddings: 77,
  };
  change(folder, "text_encoder/config.json", { ...text, bos_token_id: 49406, eos_token_id: 49407, pad_token_id: 49407 });
  change(folder, "tokenizer/tokenizer_config.json", { model_max_length: 77 });
  change(folder, "scheduler/scheduler_config.json", { _class_name: "PNDMScheduler", skip_prk_steps: true });
  for (const name of ["vocab.json", "merges.txt"])
    folder.set(`tokenizer/${name}`, readFileSync(join(goldens, "reference/tokenizer", name)));
  return folder;
}

/** A folder of this kind as the tensors of one file, under the keys of CompVis' code. @param {Folder} folder @returns {Tensor[]} */
export function original(folder) {
  const under = (path, rename) => read(folder.get(path)).map((tensor) => ({ ...tensor, ...rename(tensor) }));
  return [
    ...under(UNET, ({ name }) => ({ name: `model.diffusion_model.${ofUnet(name)}` })),
    ...under(VAE, ({ name, shape }) => {
      const known = ofVae(name);
      return { name: `first_stage_model.${known}`, shape: /attn_1/.test(known) && shape.length === 2 ? [...shape, 1, 1] : shape };
    }),
    ...under(TEXT, ({ name }) => ({ name: `cond_stage_model.transformer.text_model.${name}` })),
  ];
}

/** @param {Tensor[]} tensors @param {Record<string, string>} [notes] */
export function safetensors(tensors, notes) {
  let end = 0;
  const header = notes ? { __metadata__: notes } : {};
  for (const { name, dtype, shape, bytes } of tensors) header[name] = { dtype, shape, data_offsets: [end, (end += bytes.length)] };
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...tensors.map(({ bytes }) => bytes)]);
}

/** A GGUF file, version 3, of tensors in f16; those whose name `block` takes are random blocks of Q5_0.
 *  @param {Tensor[]} tensors @param {(tensor: Tensor) => boolean} block */
export function gguf(tensors, block = () => false) {
  const draw = uniform(3);
  const number = (value, bytes) => {
    const buffer = Buffer.alloc(bytes);
    if (bytes === 8) buffer.writeBigUInt64LE(BigInt(value));
    else buffer.writeUInt32LE(value);
    return buffer;
  };
  const string = (text) => [number(Buffer.byteLength(text), 8), Buffer.from(text)];
  const [F16, Q5_0, TEXT_VALUE, ALIGNMENT] = [1, 6, 8, 32];
  const head = [Buffer.from("GGUF"), number(3, 4), number(tensors.length, 8), number(1, 8)];
  head.push(...string("general.architecture"), number(TEXT_VALUE, 4), ...string("sd1"));
  const data = [];
  let end = 0;
  for (const tensor of tensors) {
    const isBlock = block(tensor);
    const bytes = isBlock ? blocks(tensor.shape, draw) : tensor.bytes;
    const sides = [...tensor.shape].reverse().map((side) => number(side, 8));
    head.push(...string(tensor.name), number(sides.length, 4), ...sides, number(isBlock ? Q5_0 : F16, 4), number(end, 8));
    const padded = Math.ceil(bytes.length / ALIGNMENT) * ALIGNMENT;
    data.push(bytes, Buffer.alloc(padded - bytes.length));
    end += padded;
  }
  const before = Buffer.concat(head);
  return Buffer.concat([before, Buffer.alloc((ALIGNMENT - (before.length % ALIGNMENT)) % ALIGNMENT), ...data]);
}

/** @param {Buffer} file @returns {Tensor[]} */
function read(file) {
  const start = 8 + Number(file.readBigUInt64LE(0));
  const { __metadata__, ...header } = JSON.parse(file.subarray(8, start).toString());
  const tensor = ([
    name,
    {
      dtype,
      shape,
      data_offsets: [from, to],
    },
  ]) => ({ name, dtype, shape, bytes: file.subarray(start + from, start + to) });
  return Object.entries(header).map(tensor);
}

function change(folder, path, values) {
  folder.set(path, Buffer.from(JSON.stringify({ ...JSON.parse(folder.get(path)), ...values })));
}

function ofUnet(name) {
  const parts = name.split(".");
  const rest = (from) => parts.slice(from).join(".");
  const embedding = () => rest(1).replace("linear_1", "0").replace("linear_2", "2");
  const head = { conv_in: `input_blocks.0.0.${rest(1)}`, conv_norm_out: `out.0.${rest(1)}`, conv_out: `out.2.${rest(1)}` };
  if (parts[0] in head) return head[parts[0]];
  if (parts[0] === "time_embedding") return `time_embed.${embedding()}`;
  if (parts[0] === "mid_block") {
    if (parts[1] === "attentions") return `middle_block.1.${rest(3)}`;
    return `middle_block.${2 * Number(parts[2])}.${residual(rest(3))}`;
  }
  const [level, layer] = [Number(parts[1]), Number(parts[3])];
  const block = (LAYERS + 1) * level + layer;
  const [side, first] = parts[0] === "down_blocks" ? ["input_blocks", block + 1] : ["output_blocks", block];
  if (parts[2] === "resnets") return `${side}.${first}.0.${residual(rest(4))}`;
  if (parts[2] === "attentions") return `${side}.${first}.1.${rest(4)}`;
  if (parts[2] === "downsamplers") return `input_blocks.${(LAYERS + 1) * (level + 1)}.0.op.${rest(5)}`;
  return `output_blocks.${block + LAYERS}.${CROSS_UP[level] ? 2 : 1}.${rest(4)}`;
}

function residual(name) {
  const names = [
    ["norm1", "in_layers.0"],
    ["conv1", "in_layers.2"],
    ["time_emb_proj", "emb_layers.1"],
    ["norm2", "out_layers.0"],
    ["conv2", "out_layers.3"],
    ["conv_shortcut", "skip_connection"],
  ];
  return names.reduce((known, [from, to]) => known.replace(from, to), name);
}

function ofVae(name) {
  const names = [
    ["down_blocks.", "down."],
    [".resnets.", ".block."],
    [".downsamplers.0.", ".downsample."],
    [".upsamplers.0.", ".upsample."],
    ["mid_block.block.0.", "mid.block_1."],
    ["mid_block.block.1.", "mid.block_2."],
    ["mid_block.attentions.0.group_norm", "mid.attn_1.norm"],
    ["mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out"],
    ["mid_block.attentions.0.to_", "mid.attn_1."],
    ["conv_norm_out", "norm_out"],
    ["conv_shortcut", "nin_shortcut"],
  ];
  const turned = name.replace(/up_blocks\.(\d+)\./, (_, level) => `up.${VAE_LEVELS - 1 - level}.`);
  return names.reduce((known, [from, to]) => known.replace(from, to), turned);
}

/** A tensor of f16: norms are 1, biases 0, the rest is even around 0. */
function random(name, shape, draw) {
  const count = shape.reduce((all, side) => all * side, 1);
  const reach = Math.sqrt(3 / shape.slice(1).reduce((all, side) => all * side, 1));
  const value = shape.length > 1 ? () => half((2 * draw() - 1) * reach) : () => (/bias$/.test(name) ? 0 : 0x3c00);
  const bytes = Buffer.alloc(2 * count);
  for (let at = 0; at < count; at++) bytes.writeUInt16LE(value(), 2 * at);
  return { name, dtype: "F16", shape, bytes };
}

/** Q5_0: for 32 numbers a scale, the fifth bits, the other four. */
function blocks(shape, draw) {
  const count = shape.reduce((all, side) => all * side, 1) / 32;
  const bytes = Buffer.from(Uint8Array.from({ length: 22 * count }, () => 256 * draw()));
  for (let at = 0; at < count; at++) bytes.writeUInt16LE(half(0.005), 22 * at);
  return bytes;
}

/** The bits of a small number as f16, cut off. */
function half(value) {
  const sign = value < 0 ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size < 2 ** -14) return sign;
  const exponent = Math.floor(Math.log2(size));
  return sign | ((exponent + 15) << 10) | Math.floor((size / 2 ** exponent - 1) * 1024);
}

/** Numbers from 0 to 1 that are the same each time (mulberry32). */
function uniform(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
