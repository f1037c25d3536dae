// The goldens in the browser: diffusers' own runs, drawn by the wasm on both devices and compared step by step.
// The native suite (tests/reference.rs) feeds the golden noise in and covers every case; here the page's exports draw it
// from the seed, so a case is played if a seed, a prompt and plain settings are all that it needs.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { browserTest, reference } from "./harness.mjs";

const noGoldens = reference ? false : "no goldens: tests/golden/reference is missing";
const cases = reference ? playable() : [];

browserTest("golden runs on the CPU device", { skip: noGoldens, timeout: 300_000 }, async (session) => {
  await compare(session, "cpu", cases);
});

// SwiftShader is slow: the shortest run, and the shortest with another autoencoder.
browserTest("golden runs on WebGPU", { skip: noGoldens, timeout: 600_000 }, async (session) => {
  const shortest = (wanted) => cases.filter(wanted).sort((a, b) => a.steps - b.steps).slice(0, 1);
  await compare(session, "wgpu", [...shortest((run) => !run.vae), ...shortest((run) => run.vae)]);
});

for (const [webgpu, what] of [["none", "an adapter"], [false, "WebGPU"]]) {
  const name = `without ${what} the wgpu device is an error that says so`;
  browserTest(name, { skip: noGoldens, webgpu }, async ({ page, origin, inWorker }) => {
    await page.goto(`${origin}/tests/blank.html`);
    const found = await page.evaluate(async () => navigator.gpu && (await navigator.gpu.requestAdapter()));
    assert.equal(found, webgpu ? null : undefined);
    await assert.rejects(inWorker("golden.worker.mjs", message("wgpu", cases.slice(0, 1))), /no WebGPU device/);
  });
}

async function compare({ inWorker }, device, runs) {
  assert.ok(runs.length > 0, "no golden run can be played in the browser");
  const results = await inWorker("golden.worker.mjs", message(device, runs));
  const off = runs.filter((run, i) => !agrees(run, results[i]));
  assert.deepEqual(off.map((run) => run.name), []);
}

/** Prints the run's worst relative L2 error over its steps and says whether latents and picture are within tolerance. */
function agrees(run, { latents, rgba, milliseconds }) {
  const golden = readTensors(join(reference, "cases", run.file));
  const wanted = golden("latents", Float32Array);
  assert.equal(latents.length, run.steps, `${run.name}: steps`);
  const size = wanted.length / run.steps;
  const errors = latents.map((step, i) => relativeError(step, wanted.subarray(i * size, (i + 1) * size)));
  const worst = errors.reduce((a, b) => (a >= b ? a : b)); // NaN wins
  const picture = golden("image_u8", Uint8Array);
  const levels = picture.reduce((most, value, i) => Math.max(most, Math.abs(value - rgba[Math.floor(i / 3) * 4 + (i % 3)])), 0);
  const { rel_l2, image_u8_max_abs } = run.tolerance;
  const ok = worst <= rel_l2 && levels <= image_u8_max_abs && rgba.length === (picture.length / 3) * 4;
  const seconds = (milliseconds / 1000).toFixed(1);
  console.log(`  ${ok ? "ok" : "OFF"} ${run.name}: ${worst.toExponential(2)}, picture ${levels} of 255, ${seconds} s`);
  return ok;
}

/** The golden runs that a seed reproduces, from the manifests. */
function playable() {
  const index = JSON.parse(readFileSync(join(reference, "cases/runs/index.json"), "utf8"));
  const manifests = index.map(({ json }) => {
    const text = readFileSync(join(reference, "cases", json), "utf8");
    const scheduler = text.match(/"scheduler": (\{[^}]*\})/)[1]; // as it stands: it may hold Infinity, which JSON lacks
    return { ...JSON.parse(text.replace(/-?\bInfinity\b/g, "null")), schedulerText: scheduler };
  });
  return manifests.filter(
    (run) =>
      run.kind === "text2img" &&
      typeof run.seed === "number" &&
      run.noise_draws.length === 1 &&
      run.tensors.latents.shape[0] === run.steps &&
      !run.extra && !run.lora && !run.num_images_per_prompt &&
      existsSync(join(reference, "pipelines", run.pipeline, "model_index.json")),
  );
}

function message(device, runs) {
  return {
    device,
    runs: runs.map((run) => ({
      files: files(run),
      request: {
        prompt: run.prompt,
        negative_prompt: run.negative_prompt ?? "",
        seed: run.seed,
        steps: run.steps,
        guidance_scale: run.guidance_scale,
        width: run.width,
        height: run.height,
      },
    })),
  };
}

/** The pipeline's folder with the run's scheduler and autoencoder in place of its own, and the shared vocabulary. */
function files({ pipeline, vae, schedulerText }) {
  const all = listed(join("pipelines", pipeline), "");
  for (const name of ["vocab.json", "merges.txt"]) {
    all[`tokenizer/${name}`] ??= { address: `/reference/tokenizer/${name}` };
  }
  all["scheduler/scheduler_config.json"] = { text: schedulerText };
  if (!vae) return all;
  const modelIndex = JSON.parse(readFileSync(join(reference, "pipelines", pipeline, "model_index.json"), "utf8"));
  const kind = JSON.parse(readFileSync(join(reference, "pipelines", vae, "config.json"), "utf8"))._class_name;
  const text = JSON.stringify({ ...modelIndex, vae: ["diffusers", kind] });
  return { ...all, "model_index.json": { text }, ...listed(join("pipelines", vae), "vae/") };
}

function listed(folder, prefix) {
  const root = join(reference, folder);
  const found = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = found.map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)));
  return Object.fromEntries(paths.map((path) => [prefix + path, { address: `/reference/${folder}/${path}` }]));
}

/** A safetensors file: a u64 length, a JSON header, the data. Returns a reader by name. */
function readTensors(path) {
  const file = readFileSync(path);
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, 8 + length));
  return (name, Type) => {
    const [start, end] = header[name].data_offsets;
    return new Type(new Uint8Array(file.subarray(8 + length + start, 8 + length + end)).buffer);
  };
}

function relativeError(got, wanted) {
  assert.equal(got.length, wanted.length);
  const norm = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm(Array.from(got, (value, i) => value - wanted[i])) / norm(Array.from(wanted));
}
