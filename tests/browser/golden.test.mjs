// The runs of every set of goldens, reproduced by the wasm in Chromium step by step: all of them on the CPU, and on WebGPU the
// one that stands for each family of models.
import assert from "node:assert/strict";
import test from "node:test";
import { golden, pageFiles, pageRequest, sets } from "./goldens.mjs";
import { launch } from "./harness.mjs";

const LIMIT = 28 * 60_000;
/** As in `Request::finished`: where a mask is at least this light, the picture is redrawn. */
const REDRAWN = 128;

for (const set of sets()) {
  const [ran, excused] = [set.runs.filter((run) => !run.reason), set.runs.filter((run) => run.reason)];
  test(`${set.name}: every run is drawn, or the set says why the page cannot ask for it`, () => {
    assert.equal(set.runs.length, set.cases.runs ?? 0, "set.json states another number of runs");
    for (const run of ran) assert.deepEqual(pageRequest(run.manifest).beyond, [], `${run.name} is not in not_in_page`);
    for (const run of excused) {
      assert.notDeepEqual(pageRequest(run.manifest).beyond, [], `${run.name} is in not_in_page, and the page can ask for it`);
    }
    assert.deepEqual(set.unknown, [], "names in set.json that are no runs");
  });
  compare(set, "cpu", ran);
  compare(
    set,
    "wgpu",
    ran.filter((run) => Object.values(set.families).includes(run.name)),
  );
}

/** Declares one test a device with one Chromium and one worker, in which each run is a test of its own. */
function compare(set, device, runs) {
  if (runs.length === 0) return;
  test(`${set.name} on ${device}`, { timeout: LIMIT }, async (context) => {
    const session = await launch({ mounts: set.mounts });
    try {
      await session.page.goto(`${session.origin}/tests/blank.html`);
      for (const run of runs) {
        await context.test(`${run.name} on ${device}`, (context) => reproduced(session, set, run, device, context));
      }
    } finally {
      await session.close();
    }
    assert.deepEqual(session.problems, []);
  });
}

async function reproduced(session, set, run, device, context) {
  const { manifest } = run;
  const tensors = golden(set, manifest);
  const message = {
    device,
    files: pageFiles(set, manifest),
    loras: manifest.lora ? [{ name: manifest.lora, address: set.lora(manifest.lora), weight: manifest.lora_scale }] : [],
    request: pageRequest(manifest).request,
    picture: pixels(tensors, "init_image_u8"),
    mask: pixels(tensors, "mask_u8"),
  };
  const { latents, rgba } = await session.page.evaluate(askWorker, message);
  compareLatents(latents, tensors, manifest, context);
  comparePicture(rgba, tensors, manifest);
}

/** Runs in the page. One worker draws all runs of a set, model after model, so that it compiles its kernels once. */
function askWorker(message) {
  return new Promise((done, fail) => {
    const worker = (globalThis.drawing ??= new Worker("/tests/golden.worker.mjs", { type: "module" }));
    const ended = (reason) => {
      worker.terminate();
      globalThis.drawing = undefined;
      fail(new Error(reason));
    };
    worker.onmessage = ({ data }) => (data.error ? ended(data.error) : done(data));
    worker.onerror = (event) => ended(event.message ?? "the worker could not be loaded");
    worker.postMessage(message);
  });
}

/** After each step; where the sampler asks the network more often than it finishes a step, at the end. */
function compareLatents(latents, tensors, manifest, context) {
  const [wanted, [steps]] = [floats(tensors.bytes("latents")), tensors.shape("latents")];
  const size = wanted.length / steps;
  const mine = steps === latents.length ? latents : latents.slice(-1);
  const offset = (steps - mine.length) * size;
  const golden = (step) => wanted.subarray(offset + step * size, offset + (step + 1) * size);
  const errors = mine.map((latents, step) => relativeError(latents, golden(step)));
  context.diagnostic(`relative L2 after each step: ${errors.map((error) => error.toExponential(1)).join(" ")}`);
  assert.ok(errors.length > 0 && errors.every((error) => error <= manifest.tolerance.rel_l2), "the latents");
}

/** Where a mask keeps the picture, the page shows the picture itself; the golden is the decoder's output. */
function comparePicture(rgba, tensors, manifest) {
  const [wanted, channels] = [tensors.bytes("image_u8"), tensors.shape("image_u8").at(-1)];
  const mask = tensors.has("mask_u8") ? tensors.bytes("mask_u8") : null;
  const start = mask && tensors.bytes("init_image_u8");
  assert.equal((rgba.length / 4) * channels, wanted.length);
  for (const [i, level] of wanted.entries()) {
    const pixel = Math.floor(i / channels);
    const mine = rgba[pixel * 4 + (i % channels)];
    if (mask && mask[pixel] < REDRAWN) assert.equal(mine, start[i], "the kept part of the picture");
    else assert.ok(Math.abs(level - mine) <= manifest.tolerance.image_u8_max_abs, `the picture: ${mine}, expected ${level}`);
  }
}

/** A golden mask `[height, width]`, or picture with three or four channels, as the page's requests have it. */
function pixels(tensors, name) {
  if (!tensors.has(name)) return null;
  const [[height, width, channels = 1], bytes] = [tensors.shape(name), tensors.bytes(name)];
  const rgba = [];
  for (let i = 0; i < bytes.length; i += channels) {
    const [red, green = red, blue = red, alpha = 255] = bytes.subarray(i, i + channels);
    rgba.push(red, green, blue, alpha);
  }
  return { width, height, rgba };
}

function floats(bytes) {
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

function relativeError(mine, wanted) {
  assert.equal(mine.length, wanted.length);
  const difference = mine.reduce((sum, value, i) => sum + (value - wanted[i]) ** 2, 0);
  return Math.sqrt(difference / wanted.reduce((sum, value) => sum + value ** 2, 0));
}
