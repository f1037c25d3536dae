// Complete runs of diffusers, reproduced by the wasm in Chromium, step by step: on WebGPU and on the CPU.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { browserTest, reference } from "./harness.mjs";

const CASES = [
  ["wgpu", "sd15_no_guidance"],
  ["wgpu", "sd15_taesd_decode"],
  ["cpu", "sd15_ddim10_nonsquare"],
  ["cpu", "sd15_euler12"],
];
const PIPELINE_FILES = [
  "model_index.json",
  "scheduler/scheduler_config.json",
  "text_encoder/config.json",
  "text_encoder/model.safetensors",
  "tokenizer/special_tokens_map.json",
  "tokenizer/tokenizer_config.json",
  "unet/config.json",
  "unet/diffusion_pytorch_model.safetensors",
  "vae/config.json",
  "vae/diffusion_pytorch_model.safetensors",
];

for (const [device, name] of CASES) {
  browserTest(`${name} on ${device}`, { timeout: 600_000 }, async ({ inWorker }, context) => {
    const { manifest, tensors } = golden(name);
    const pipeline = `/reference/pipelines/${manifest.pipeline}/`;
    const files = Object.fromEntries(PIPELINE_FILES.map((path) => [path, pipeline + path]));
    for (const path of ["vocab.json", "merges.txt"]) files[`tokenizer/${path}`] = `/reference/tokenizer/${path}`;
    if (manifest.vae) {
      for (const path of ["config.json", "diffusion_pytorch_model.safetensors"])
        files[`vae/${path}`] = `/reference/pipelines/${manifest.vae}/${path}`;
    }
    const request = {
      prompt: manifest.prompt,
      negative_prompt: manifest.negative_prompt ?? "",
      seed: manifest.seed,
      steps: manifest.steps,
      guidance_scale: manifest.guidance_scale,
      scheduler_config: JSON.stringify(manifest.scheduler),
      width: manifest.width,
      height: manifest.height,
      latents: true,
    };
    const again = device === "wgpu"; // a worker takes up its graphics device for each model that it loads
    const { latents, rgba } = await inWorker("golden.worker.mjs", { device, files, request, again });
    const wanted = floats(tensors("latents"));
    const size = wanted.length / latents.length;
    const errors = latents.map((mine, step) => relativeError(mine, wanted.subarray(step * size, (step + 1) * size)));
    context.diagnostic(`relative L2 after each step: ${errors.map((error) => error.toExponential(1)).join(" ")}`);
    assert.ok(errors.every((error) => error <= manifest.tolerance.rel_l2));
    const picture = tensors("image_u8");
    const off = Array.from(picture, (level, i) => Math.abs(level - rgba[Math.floor(i / 3) * 4 + (i % 3)]));
    assert.ok(off.every((levels) => levels <= manifest.tolerance.image_u8_max_abs), "the picture's levels");
  });
}

/** A run's manifest, and its tensors' bytes by name. */
function golden(name) {
  const manifest = JSON.parse(readFileSync(join(reference, "cases", "runs", `${name}.json`)));
  const bytes = readFileSync(join(reference, "cases", manifest.file));
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, start));
  const tensors = (key) => bytes.subarray(start + header[key].data_offsets[0], start + header[key].data_offsets[1]);
  return { manifest, tensors };
}

function floats(bytes) {
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

function relativeError(mine, wanted) {
  assert.equal(mine.length, wanted.length);
  const difference = mine.reduce((sum, value, i) => sum + (value - wanted[i]) ** 2, 0);
  return Math.sqrt(difference / wanted.reduce((sum, value) => sum + value ** 2, 0));
}
