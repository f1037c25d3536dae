// A model of the user's in one file: dropped or picked, it is told, planned, loaded and draws what its folder draws; what cannot be
// read is refused in a line; and the next visit opens it again after one click.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "node:test";
import { fitting } from "../../www/device.js";
import { gguf, original, safetensors, tinyFolder, widerFolder } from "./checkpoints.mjs";
import { browserTest } from "./harness.mjs";
import { servingModels, tinyModel } from "./models.mjs";
import { canvas, drawBy, dropFile, finished, open, parameters, ready, saved, unfold } from "./page.mjs";
import { trouble } from "./visit.mjs";

const { before, fetched } = servingModels({ tiny: tinyModel({ name: "Tiny" }) });
const DRAWS = { timeout: 300_000, webgpu: "none", before, saveData: true };
const NO_CARD = { state: "none", name: "" };
const CARD = { state: "hardware", name: "a card", buffer: 2e9 };
const CONFIGURATION = /(^|\/)[^/]*\.(json|txt)$/;

browserTest("a file that is dropped draws what its folder draws", { ...DRAWS, timeout: 600_000 }, async ({ page, origin }, context) => {
  const vocabulary = [];
  page.on("request", (request) => /clip\/merges\.bin$/.test(request.url()) && vocabulary.push(request.url()));
  const folder = widerFolder();
  const place = written(context, "wider", folder);
  await open(page, `${origin}/?seed=7&steps=2&guidance=3`);
  await page.fill("#prompt", "a cat");
  await isReady(page, "wider", () => page.setInputFiles("#folder", place));
  assert.match(await page.textContent("#own-words"), /^wider: Stable Diffusion, f16, \d+ MB; needs \d+ MB\.$/);
  const expected = await drawn(page);
  assert.deepEqual(vocabulary, [], "a folder has its own vocabulary");

  await isReady(page, "a fox.safetensors", () => dropFile(page, safetensors(original(folder)), "a fox.safetensors", ""));
  const words = "a fox.safetensors: Stable Diffusion 1.x, f16, 10 MB; needs";
  assert.ok((await page.textContent("#own-words")).startsWith(words), await page.textContent("#own-words"));
  assert.ok((await page.textContent("#notice-text")).startsWith(words), "it is said at once");
  assert.equal(vocabulary.length, 1, "CLIP's vocabulary comes when it is needed");
  assert.equal(await page.inputValue("#model"), "file/a fox.safetensors");
  assert.match(await page.textContent("#model-words"), /^50 steps, 256 px, read from your file\.$/);
  assert.ok((await drawn(page)) === expected, "the file's picture is the folder's");
  assert.match(parameters((await saved(page, "#download")).bytes), /Model: file\/a fox\.safetensors,|Model: "file\/a fox\.safetensors"/);
  const previews = await page.$$eval("#strip canvas", (all) => all.map(({ width, height }) => [width, height]));
  assert.ok(
    previews.some(([width]) => width === 64),
    `steps are shown without the decoder: ${JSON.stringify(previews)}`,
  );

  await page.selectOption("#own-prediction", "v_prediction");
  await lineSays(page, "“a fox.safetensors” is ready to draw.");
  assert.ok((await drawn(page)) !== expected, "another prediction draws another picture");
  await isReady(page, "marked.safetensors", () => dropFile(page, marked(folder), "marked.safetensors", ""));
  assert.equal(await page.isVisible("#own-predicts"), false, "this file says what it predicts");
});

browserTest("a GGUF file draws, and the page says what it widens", DRAWS, async ({ page, origin }) => {
  const isBlocks = ({ name, shape }) => shape.length === 2 && /ff\.net\.2\.weight$/.test(name);
  await open(page, `${origin}/?seed=7`);
  await page.fill("#prompt", "a cat");
  await isReady(page, "fox.gguf", () => dropFile(page, gguf(original(widerFolder()), isBlocks), "fox.gguf", ""));
  const words = await page.textContent("#own-words");
  assert.match(words, /^fox\.gguf: Stable Diffusion 1\.x, f16, .* 6 tensor\(s\) in Q5_0 are widened to 32-bit floats\.$/);
  await drawn(page);
});

browserTest("a folder with one file gives it the configurations that it lacks", DRAWS, async ({ page, origin }, context) => {
  const folder = tinyFolder();
  const file = safetensors(original(folder));
  await open(page, `${origin}/?seed=7`);
  await page.fill("#prompt", "a cat");
  await dropFile(page, file, "narrow.safetensors", "");
  assert.match(await trouble(page), /put it into a folder with the model's configurations, and open that folder/);
  await isReady(page, "tiny", () => page.setInputFiles("#folder", written(context, "tiny", folder)));
  const expected = await drawn(page);
  await isReady(page, "beside", () =>
    page.setInputFiles("#folder", written(context, "beside", beside(folder, "narrow.safetensors", file))),
  );
  assert.ok((await drawn(page)) === expected, "the file's picture is the folder's");
  const two = beside(folder, "a.safetensors", file).set("b.gguf", file);
  await page.setInputFiles("#folder", written(context, "two", two));
  assert.match(await trouble(page), /“two” holds several models \(a\.safetensors, b\.gguf\)\. Open one of these files\./);
});

test("weights are put into fewer bits where the plan demands it", () => {
  const way = (bits, weights) => {
    const needs = { weights, largest_buffer: 1e8, activations: 3e8 };
    return { bits, bytes: 2e9, needs, module: { wgpu: 4e8, cpu: weights + 8e8 } };
  };
  const taken = (...asked) => Object.values(fitting(...asked)).filter((value) => typeof value !== "object" || value === null);
  const ways = [way(null, 3.9e9), way(8, 1.1e9), way(4, 6e8)];
  assert.deepEqual(taken(CARD, "auto", ways), [8, 2e9, "wgpu"], "more than a card is taken to have");
  assert.deepEqual(taken(CARD, "auto", ways.slice(0, 1)), [null, 2e9, "wgpu"], "the user knows better");
  assert.deepEqual(taken(NO_CARD, "auto", ways), [8, 2e9, "cpu"], "more than the module can have");
  assert.deepEqual(taken(CARD, "cpu", [way(null, 1e9)]), [null, 2e9, "cpu"]);
  assert.deepEqual(taken({ ...CARD, buffer: 1e7 }, "auto", ways), [8, 2e9, "cpu"], "its buffers are too small");
  assert.throws(() => fitting(NO_CARD, "auto", [way(4, 4e9)]), /needs 4\.8 GB of memory in the page, which can have 4\.3 GB/);
  assert.throws(() => fitting(NO_CARD, "wgpu", ways), /WebGPU cannot be used/);
});

const keyed = (...names) => safetensors(names.map((name) => ({ name, dtype: "F16", shape: [2], bytes: Buffer.alloc(4) })));
const REFUSED = [
  ["a pickle", "model.ckpt", Buffer.from("PK\x03\x04 archive/data.pkl"), /model\.ckpt: .*can run code.*Convert it once, in Python: /],
  ["Flux", "flux.safetensors", keyed("double_blocks.0.img_attn.qkv.weight"), /Flux family, which is not supported/],
  ["Stable Diffusion 3", "sd3.safetensors", keyed("model.diffusion_model.joint_blocks.0.x"), /Stable Diffusion 3, which is not supported/],
  ["a truncated file", "cut.safetensors", safetensors(original(tinyFolder())).subarray(0, 300_000), /cut\.safetensors: truncated/],
  ["a truncated GGUF", "cut.gguf", gguf(original(tinyFolder())).subarray(0, 300_000), /cut\.gguf: .*truncated/],
  ["a web page", "page.safetensors", Buffer.from("<!DOCTYPE html><title>Sign in</title>".padEnd(200)), /page\.safetensors: .*a web page/],
  ["an empty file", "empty.safetensors", Buffer.alloc(0), /empty\.safetensors: truncated or no safetensors file/],
  ["something else", "notes.txt", Buffer.from("notes"), /“notes\.txt” is not a picture .* models in \.safetensors or \.gguf files/],
];
browserTest("what is no checkpoint is refused in a line, and the model of before draws on", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=7`);
  await finished(page);
  const weights = () => fetched.filter((path) => /safetensors$/.test(path)).length;
  const [picture, fetches] = [await canvas(page), weights()];
  for (const [what, name, bytes, words] of REFUSED) {
    await page.evaluate(() => (document.getElementById("trouble").hidden = true));
    await dropFile(page, bytes, name, "");
    const said = await trouble(page);
    assert.match(said, words, what);
    assert.doesNotMatch(said, /\n| --[a-z]/, `${what}: one line, without options of the command line`);
    assert.equal(await page.inputValue("#model"), "tiny", what);
  }
  await unfold(page, "settings");
  await page.fill("#seed", "7");
  await drawBy(page, "#generate");
  assert.ok((await canvas(page)) === picture, "the same picture");
  assert.equal(weights(), fetches, "nothing was loaded again");
});

browserTest("the next visit opens the file again after one click, until it is forgotten", DRAWS, async ({ page, origin }) => {
  const file = safetensors(original(widerFolder()));
  await page.goto(`${origin}/tests/blank.html`);
  await page.evaluate(keepPrivately, [file.toString("base64"), "kept.safetensors"]);
  await page.addInitScript(pickFromPrivate, "kept.safetensors"); // no program can press the buttons of the browser's own dialog
  await open(page, `${origin}/?seed=7`);
  await unfold(page, "setup");
  assert.equal(await page.isVisible("#own-again"), false);
  await isReady(page, "kept.safetensors", () => page.click("#own-open"));
  assert.equal(await page.isVisible("#own-again"), false, "it is open");
  await page.fill("#prompt", "a cat");
  const expected = await drawn(page);
  await page.reload();
  const again = page.locator("#notice button", { hasText: "Open it again" });
  await isReady(page, "kept.safetensors", () => again.click());
  await page.fill("#prompt", "a cat");
  assert.ok((await drawn(page)) === expected, "the same picture");

  await open(page, `${origin}/?seed=8`);
  await unfold(page, "setup");
  await page.locator("#own-again", { hasText: "Open “kept.safetensors” again" }).waitFor();
  await page.evaluate(async () => (await navigator.storage.getDirectory()).removeEntry("kept.safetensors"));
  await page.click("#own-again");
  assert.match(await trouble(page), /kept\.safetensors/);
  await page.click("#own-forget");
  await page.waitForSelector("#own-forget", { state: "hidden" }); // it is forgotten by then
  await open(page, `${origin}/?seed=9`);
  await unfold(page, "setup");
  assert.equal(await page.isVisible("#own-again"), false);
});

browserTest(
  "once a file was opened, it opens without a network",
  { ...DRAWS, saveData: false, serviceWorkers: "allow", errors: [/Failed to load resource|ERR_/] },
  async ({ page, origin, stopServer }) => {
    const file = safetensors(original(widerFolder()));
    await open(page, `${origin}/?seed=7`);
    await ready(page);
    await page.evaluate(() => navigator.serviceWorker.ready); // the page itself is kept
    await isReady(page, "fox.safetensors", () => dropFile(page, file, "fox.safetensors", ""));
    await stopServer();
    await page.context().setOffline(true);
    await open(page, `${origin}/?seed=7`);
    await isReady(page, "fox.safetensors", () => dropFile(page, file, "fox.safetensors", ""));
  },
);

const { FOURSTEP_REFERENCE: reference = "" } = process.env;
const ofReference = [
  ["sd15.safetensors", "sd15", true],
  ["sdxl-turbo.safetensors", "sdxl-turbo", true],
  ["sd15-q8_0.gguf", "sd15", false],
];
for (const [file, pipeline, same] of existsSync(join(reference, "single")) ? ofReference : [])
  browserTest(`the reference's ${file} draws what its folder draws`, DRAWS, async ({ page, origin }, context) => {
    const folder = filesBelow(join(reference, "pipelines", pipeline));
    for (const part of ["tokenizer", "tokenizer_2"])
      for (const name of ["vocab.json", "merges.txt"])
        if (folder.has(`${part}/tokenizer_config.json`)) folder.set(`${part}/${name}`, readFileSync(join(reference, "tokenizer", name)));
    const single = beside(folder, file, readFileSync(join(reference, "single", file)));
    await open(page, `${origin}/?seed=7`);
    await page.fill("#prompt", "a cat");
    await unfold(page, "setup");
    if (!same) await page.selectOption("#own-bits", "8");
    await isReady(page, "folder", () => page.setInputFiles("#folder", written(context, "folder", folder)));
    await drawn(page);
    const expected = await colours(page);
    await isReady(page, "single", () => page.setInputFiles("#folder", written(context, "single", single)));
    await drawn(page);
    const found = await colours(page);
    const apart = found.reduce((most, value, at) => Math.max(most, Math.abs(value - expected[at])), 0);
    assert.ok(apart <= (same ? 0 : 32), `at most ${apart} levels apart`);
  });

/** Does what opens a model, and waits until it is open. */
async function isReady(page, name, act) {
  await page.evaluate(() => (document.getElementById("line").textContent = ""));
  await act();
  await lineSays(page, `“${name}” is ready to draw.`);
  await unfold(page, "setup");
}

/** Waits for these words; words of trouble end the wait at once. */
async function lineSays(page, words) {
  const there = (words) => document.getElementById("line").textContent === words || !document.getElementById("trouble").hidden;
  await page.waitForFunction(there, words, { timeout: 120_000 });
  if (await page.isVisible("#trouble")) assert.fail(`the page says: ${await page.textContent("#trouble")}`);
}

/** The canvas after two steps from seed 7. */
async function drawn(page) {
  await unfold(page, "settings");
  await page.fill("#steps", "2");
  await page.fill("#seed", "7");
  await page.evaluate(() => (document.getElementById("line").textContent = ""));
  await drawBy(page, "#generate");
  return canvas(page);
}

function colours(page) {
  return page.$eval("#canvas", (canvas) => Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data));
}

/** The file of a folder's weights with the note that it predicts the noise. */
function marked(folder) {
  return safetensors(original(folder), { "modelspec.prediction_type": "epsilon" });
}

/** A folder's configurations with a file beside them. */
function beside(folder, name, bytes) {
  return new Map([...[...folder].filter(([path]) => CONFIGURATION.test(path)), [name, bytes]]);
}

/** The files of a folder on disk by their paths. */
function filesBelow(place) {
  const entries = readdirSync(place, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const path = (entry) => join(entry.parentPath, entry.name);
  return new Map(entries.map((entry) => [path(entry).slice(place.length + 1), readFileSync(path(entry))]));
}

/** A folder on disk with these files; it goes with the test. */
function written(context, name, files) {
  const place = mkdtempSync(join(tmpdir(), "fourstep-"));
  context.after(() => rmSync(place, { recursive: true }));
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(place, name, path)), { recursive: true });
    writeFileSync(join(place, name, path), bytes);
  }
  return join(place, name);
}

/** Runs in the page: a file in its own private folder, whose handle is like any other. */
async function keepPrivately([base64, name]) {
  const handle = await (await navigator.storage.getDirectory()).getFileHandle(name, { create: true });
  const writable = await handle.createWritable();
  await writable.write(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
  await writable.close();
}

/** Runs in the page before its scripts: what the user picks. */
function pickFromPrivate(name) {
  globalThis.showOpenFilePicker = async () => [await (await navigator.storage.getDirectory()).getFileHandle(name)];
}
