// "Teach it yours": the model learns a word from a few pictures in a worker of its own, draws with it, forgets it again, and takes it
// from a file; what a file is, is known by its header. And edits that "Go deeper" saved are opened again.
import assert from "node:assert/strict";
import { browserTest } from "./harness.mjs";
import { servingModels, tinyModel } from "./models.mjs";
import { canvas, drawBy, dropFile, finished, open, parameters, pixels, png, saved, unfold, workers } from "./page.mjs";
import { trouble } from "./visit.mjs";

const MODELS = { tiny: tinyModel({ name: "Tiny" }), other: tinyModel({ name: "Other", pipeline: "tiny-2" }) };
const TINY = { timeout: 600_000, webgpu: "none", ...servingModels(MODELS) };
const PATIENCE = { timeout: 300_000 };
const LEARNS = /^Learning “a zib”: step \d+ of 200/;
const PHOTO = png(96, 64, (x, y) => [x * 2, y * 3, 120]);
const FILE = "application/octet-stream";

browserTest(
  "a word is learned from pictures, used, switched off, saved, removed and opened again",
  TINY,
  async ({ page, origin }, context) => {
    const fetched = [];
    page.on("request", (request) => fetched.push(new URL(request.url()).pathname));
    const ofDeeper = () => fetched.filter((path) => path.startsWith("/www/deeper/"));
    await begin(page, origin);
    const before = await drawn(page, "a cat");
    assert.deepEqual(ofDeeper(), [], "nothing of it comes before it is asked for");
    await unfold(page, "teach");
    await page.locator("#teach-go").waitFor();
    assert.equal(ofDeeper().length, 4, `the wasm comes later: ${ofDeeper()}`);
    await page.click("text=The drawn one");
    await dropOn(page, "#teach", [PHOTO, PHOTO]);
    await page.locator("#teach .lessons canvas").nth(2).waitFor();
    await page.click("#teach .lessons button >> nth=2");
    assert.equal(await page.locator("#teach .lessons canvas").count(), 2);
    assert.equal(await page.isDisabled("#teach-go"), true, "a word is missing");
    await page.fill("#teach-word", "zib");
    assert.match(await page.textContent("#teach-named"), /^Then “a zib” draws it, also “a zib on a blue background”\./);

    const begun = Date.now();
    await page.keyboard.press("Enter");
    await page.locator("#line", { hasText: LEARNS }).waitFor(PATIENCE);
    assert.equal(await page.textContent("#teach-go"), "Cancel");
    await page.locator("#line", { hasText: /step [2-9]\d of 200/ }).waitFor(PATIENCE);
    assert.match(await page.getAttribute("#teach .loss", "aria-label"), /^Error of each step: [\d.]+ at first, [\d.]+ after \d0 steps$/);
    assert.equal(await page.getAttribute("#teach canvas:not(li canvas)", "aria-label"), "What the model draws for “a zib” by now");
    await learned(page);
    context.diagnostic(`learned in ${((Date.now() - begun) / 1000).toFixed(1)} s`);
    await workers(page, 1); // its worker ended
    assert.equal(await page.textContent("#adapter-words"), "“a zib” is in use");
    assert.equal(await page.inputValue("#prompt"), "a zib");

    const taught = await drawn(page, "a cat");
    assert.match(parameters(taught), /, Lora hashes: "zib: [0-9a-f]{12}", Version: /);
    assert.notDeepEqual(await pixels(page, taught), await pixels(page, before));
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.click("#copy");
    await page.locator("#notice-text", { hasText: "Elsewhere the model has not learned what this picture shows" }).waitFor();
    await page.uncheck("#adapter-on");
    await page.locator("#line", { hasText: "“a zib” is off. The model draws what it drew before." }).waitFor(PATIENCE);
    assert.equal(await page.textContent("#adapter-words"), "“a zib” is off");
    assert.deepEqual(await drawn(page, "a cat"), before, "byte for byte");
    await page.check("#adapter-on");
    await page.locator("#line", { hasText: "“a zib” is in use." }).waitFor(PATIENCE);
    assert.deepEqual(await drawn(page, "a cat"), taught);

    const file = await saved(page, "#adapter-save");
    assert.equal(file.name, "zib.safetensors");
    const { __metadata__: metadata, ...tensors } = header(file.bytes);
    assert.equal(JSON.parse(metadata.adapt).prompt, "a zib");
    assert.ok(
      Object.keys(tensors).every((key) => /^unet\..*\.attn[12]\..*\.lora_[AB]\.weight$/.test(key)),
      Object.keys(tensors)[0],
    );
    await page.click("#adapter-remove");
    await page.locator("#notice-text", { hasText: "It is gone unless you saved it." }).waitFor(PATIENCE);
    assert.equal(await page.isVisible("#adapter"), false);
    assert.deepEqual(await drawn(page, "a cat"), before);

    await page.goto("about:blank");
    await begin(page, origin);
    await dropFile(page, file.bytes, file.name, FILE);
    await page.locator("#line", { hasText: "“a zib” is in use. Write “a zib” in your prompt." }).waitFor(PATIENCE);
    assert.deepEqual(await drawn(page, "a cat"), taught);
    await unfold(page, "setup");
    await page.selectOption("#model", "other");
    await page.locator("#adapter").waitFor({ state: "hidden" });
    await drawn(page, "a cat");
    await page.selectOption("#model", "tiny");
    await page.locator("#adapter").waitFor();
    assert.deepEqual(await drawn(page, "a cat"), taught, "it belongs to its model");
  },
);

browserTest("learning is cancelled, lost with its worker, or ended with what it has learned so far", TINY, async ({ page, origin }) => {
  await begin(page, origin);
  const before = await drawn(page, "a cat");
  await unfold(page, "teach");
  await page.click("text=The drawn one");
  await page.fill("#teach-word", "zib");
  const start = async () => {
    await page.click("#teach-go");
    await page.locator("#line", { hasText: LEARNS }).waitFor(PATIENCE);
    await workers(page, 2);
  };
  await start();
  await page.click("#teach-go");
  await page.locator("#line", { hasText: "Stopped. The model is as it was." }).waitFor();
  await workers(page, 1);
  assert.equal(await page.textContent("#teach-go"), "Teach it");
  assert.equal(await page.isVisible("#adapter"), false);
  assert.deepEqual(await drawn(page, "a cat"), before);

  await start();
  await page.workers()[1].evaluate(() => self.close());
  assert.match(await trouble(page), /^Learning stopped unexpectedly\. The model is as it was\./);
  await page.click("#retry");
  await page.locator("#line", { hasText: LEARNS }).waitFor(PATIENCE);
  await page.keyboard.press("Escape");
  await page.locator("#line", { hasText: "Stopped. The model is as it was." }).waitFor();
  assert.deepEqual(await drawn(page, "a cat"), before);

  await start();
  await page.click("#teach-enough");
  await learned(page);
  assert.match(await page.textContent("#teach-line"), /^The model has learned “a zib” in /);
  await page.click("text=Draw “a zib on a blue background”");
  await page.locator('#canvas[aria-label*="“a zib on a blue background”"]').waitFor(PATIENCE);
  await workers(page, 1);
});

browserTest("what does not fit is refused by name and shape, and the model stays as it was", TINY, async ({ page, origin }) => {
  await begin(page, origin);
  const before = await drawn(page, "a cat");
  const refused = async (bytes, words) => {
    await dropFile(page, bytes, "theirs.safetensors", FILE);
    await page.locator("#trouble-text", { hasText: words }).waitFor(PATIENCE);
    assert.equal(await page.isVisible("#adapter"), false);
    assert.deepEqual(await drawn(page, "a cat"), before);
  };
  const query = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q";
  const pair = (layer, [rows, columns]) => ({
    [`unet.${layer}.lora_A.weight`]: [2, columns],
    [`unet.${layer}.lora_B.weight`]: [rows, 2],
  });
  await refused(safetensors(pair("no.such.layer", [24, 24])), /theirs\.safetensors: unet\.no\.such\.layer\.lora_A\.weight and 1 more of/);
  await refused(safetensors(pair(query, [24, 320])), /lora_A\.weight has shape \[2, 320\], the configuration asks for \[2, 24\]/);
  await refused(
    safetensors({ "lora_unet_a.hada_w1_a": [2, 2], "lora_unet_a.alpha": [1] }),
    /lora_unet_a\.hada_w1_a is no tensor of a LoRA/,
  );
  // One that is in use stays in use when another one is refused.
  await dropFile(page, safetensors(pair(query, [24, 24])), "ours.safetensors", FILE);
  await page.locator("#line", { hasText: "“ours” is in use. Use the words that its author names." }).waitFor(PATIENCE);
  await dropFile(page, safetensors(pair("no.such.layer", [24, 24])), "theirs.safetensors", FILE);
  await page.locator("#trouble-text", { hasText: "no.such.layer" }).waitFor(PATIENCE);
  assert.equal(await page.textContent("#adapter-words"), "“ours” is in use");
  await page.click("#adapter-remove");
  await page.locator("#notice-text", { hasText: "It is gone" }).waitFor(PATIENCE);
  assert.deepEqual(await drawn(page, "a cat"), before);
  await unfold(page, "teach");
  await page.setInputFiles("#teach input[accept='.safetensors']", { name: "no.safetensors", mimeType: FILE, buffer: Buffer.from("no") });
  await page
    .locator("#trouble-text", { hasText: "“no.safetensors” is neither a saved edit nor something that a model was taught" })
    .waitFor();
});

browserTest("a saved edit is opened again with its slider; another model refuses it", TINY, async ({ page, origin }) => {
  await begin(page, origin);
  const before = await drawn(page, "a cat");
  await page.click("#edit-open");
  await page.fill("#edit-words", "a dog");
  await page.click("#edit-deeper");
  await page.locator("#line", { hasText: /^Fitted and drawn/ }).waitFor(PATIENCE);
  const most = await pixels(page, (await saved(page, "#download")).bytes);
  const file = await saved(page, "#deeper button");
  await page.goto("about:blank");

  await begin(page, origin);
  await dropFile(page, file.bytes, file.name, FILE);
  await page.locator("#line", { hasText: "“a dog” is open again." }).waitFor(PATIENCE);
  assert.deepEqual(await page.$$eval("#edit-words, #edit-from", (all) => all.map(({ value }) => value)), ["a dog", "a cat"]);
  assert.equal(await page.inputValue("#deeper-eta"), "10");
  assert.equal(await page.evaluate(() => document.activeElement.id), "deeper-eta", "the slider is next");
  const again = await saved(page, "#download");
  assert.match(parameters(again.bytes), /^a dog\n.*Edit method: Imagic, Edit from: a cat, Edit eta: 1, RNG: CPU, Version/);
  const apart = (await pixels(page, again.bytes)).map((byte, at) => Math.abs(byte - most[at]));
  assert.ok(Math.max(...apart) <= 1, `the same picture up to rounding: ${Math.max(...apart)}`);
  await page.focus("#deeper-eta");
  await page.keyboard.press("Home");
  await page.locator("#line", { hasText: "“a dog”, 0 of the way from your picture" }).waitFor(PATIENCE);
  const least = await canvas(page);
  await page.click("#edit-back");
  await page.locator('#canvas[aria-label*="“a cat”"]').waitFor();
  assert.equal(await canvas(page), least, "what the model learned of the picture");
  await page.fill("#edit-words", "a bird"); // an instant edit of it
  await page.locator('#canvas[aria-label*="“a bird”"]').waitFor(PATIENCE);
  await dropFile(page, file.bytes, file.name, FILE);
  await page.locator("#line", { hasText: "“a dog” is open again." }).waitFor(PATIENCE);
  assert.deepEqual((await saved(page, "#deeper button")).bytes, file.bytes);
  await page.click("#edit-close");
  await workers(page, 1);
  assert.deepEqual(await drawn(page, "a cat"), before, "byte for byte");

  await unfold(page, "setup");
  await page.selectOption("#model", "other");
  await drawn(page, "a cat");
  await dropFile(page, file.bytes, file.name, FILE);
  await page
    .locator("#trouble-text", { hasText: "of the adapter fit no weight of this model's unet: is it for another family?" })
    .waitFor(PATIENCE);
  assert.equal(await page.isVisible("#deeper"), false);
  await drawn(page, "a cat");
});

browserTest(
  "a model that is too large says so",
  { ...TINY, ...servingModels({ tiny: tinyModel({ name: "Tiny", needs: { weights: 1.2e9, largest_buffer: 1e6, activations: 1e6 } }) }) },
  async ({ page, origin }) => {
    await begin(page, origin);
    await drawn(page, "a cat");
    await unfold(page, "teach");
    await page.click("text=The drawn one");
    await page.fill("#teach-word", "zib");
    assert.equal(await page.isDisabled("#teach-go"), true);
    assert.match(await page.textContent("#teach-named"), /too large to be taught here: about 1\.2 GB/);
  },
);

/** Opens the page, where nothing is drawn but what is asked for. */
async function begin(page, origin) {
  await open(page, origin);
  await page.uncheck("#live");
  await unfold(page, "settings");
}

/** The file of the picture of a prompt with seed 1. */
async function drawn(page, prompt) {
  await page.fill("#prompt", prompt);
  await page.fill("#seed", "1");
  await drawBy(page, "#generate");
  await page.uncheck("#live"); // which a quick picture switches on
  return (await saved(page, "#download")).bytes;
}

/** Waits until the word was learned and its picture is there; words of trouble end the wait at once. */
async function learned(page) {
  const isThere = () =>
    (!document.getElementById("adapter").hidden && /“a zib”/.test(document.getElementById("canvas").ariaLabel)) ||
    !document.getElementById("trouble").hidden;
  await page.waitForFunction(isThere, null, PATIENCE);
  await finished(page);
}

/** Drops pictures on a part of the page. */
function dropOn(page, selector, pictures) {
  return page.evaluate(
    ([selector, pictures]) => {
      const data = new DataTransfer();
      for (const base64 of pictures)
        data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], "dropped.png", { type: "image/png" }));
      for (const type of ["dragenter", "dragover", "drop"])
        document.querySelector(selector).dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
    },
    [selector, pictures.map((bytes) => Buffer.from(bytes).toString("base64"))],
  );
}

/** The JSON at the beginning of a safetensors file. */
function header(bytes) {
  return JSON.parse(bytes.toString("utf8", 8, 8 + Number(bytes.readBigUInt64LE(0))));
}

/** A safetensors file of tensors with these shapes, all of 0.01. @param {Record<string, number[]>} shapes */
function safetensors(shapes) {
  const [entries, parts] = [{}, []];
  let at = 0;
  for (const [name, shape] of Object.entries(shapes)) {
    const numbers = new Float32Array(shape.reduce((product, side) => product * side)).fill(0.01);
    entries[name] = { dtype: "F32", shape, data_offsets: [at, at + numbers.byteLength] };
    at += numbers.byteLength;
    parts.push(Buffer.from(numbers.buffer));
  }
  const text = Buffer.from(JSON.stringify(entries));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...parts]);
}
