// The way of somebody who opens the page: words become a picture, step by step, and a PNG; what goes wrong says so.
// The harness fails a test on any console error that it does not expect and on any request to another host.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { browserTest } from "./harness.mjs";

const DRAWS = { timeout: 600_000 }; // a picture on a busy machine's CPU
const PATIENCE = 300_000;

browserTest("a prompt becomes a picture, step by step, and a PNG", DRAWS, async ({ page, origin, screenshot }) => {
  await open(page, `${origin}/?seed=7&steps=6`);
  await page.fill("#prompt", "a green fox");
  await recordCanvas(page);
  await page.click("#generate");
  await finished(page);
  await screenshot("journey finished");
  const shown = await page.evaluate(() => globalThis.recorded.size);
  assert.ok(shown >= 3, `the canvas showed ${shown} different pictures on the way`);
  const steps = await strip(page);
  assert.equal(steps.length, 6);
  assert.ok(new Set(steps).size >= 3, "at least three different previews in the strip");
  assert.match(await page.textContent("#line"), /^Drawn in .* 6 steps/);

  const { name, bytes } = await download(page);
  assert.equal(name, "fourstep-a-green-fox-7.png");
  const { defaults } = await manifest(page, origin);
  assert.deepEqual(pngSize(bytes), { width: defaults.width, height: defaults.height });
  assert.equal(await differingBytes(page, bytes), 0, "the PNG holds the very pixels of the picture");
});

browserTest("a second visit fetches no model file", DRAWS, async ({ page, origin }) => {
  const { files } = await manifest(page, origin);
  const fetched = [];
  page.on("request", (request) => fetched.push(new URL(request.url()).pathname));
  const modelFiles = () => fetched.filter((path) => files.some((file) => path.endsWith(`/${file.path}`)));
  await draw(page, `${origin}/?prompt=a+cat&seed=1&steps=1`);
  assert.equal(modelFiles().length, files.length);
  fetched.length = 0;
  await draw(page, `${origin}/?prompt=a+cat&seed=1&steps=1`);
  assert.deepEqual(modelFiles(), []);
});

browserTest("cancel stops at the next step, and the next request draws", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=1&steps=200`);
  await page.press("#prompt", "Control+Enter");
  await page.waitForSelector(".thumb", { timeout: PATIENCE });
  assert.equal(await page.textContent("#generate"), "Cancel");
  const before = (await strip(page)).length;
  await page.click("#generate");
  await page.locator("#generate", { hasText: "Generate" }).waitFor({ timeout: PATIENCE });
  assert.match(await page.textContent("#line"), /^Stopped after step \d+ of 200/);
  assert.ok((await strip(page)).length <= before + 3, "it stopped soon");
  assert.equal(await page.isDisabled("#download"), true, "half a picture is not for download");
  await page.click("#settings summary");
  await page.fill("#steps", "2");
  await page.press("#steps", "Enter");
  await finished(page);
  assert.equal((await strip(page)).length, 2);
});

browserTest("wrong settings are refused in words", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?seed=12&guidance=2.5`);
  await page.fill("#prompt", "a cat");
  await page.click("#settings summary");
  await page.fill("#steps", "0");
  await page.click("#generate");
  await page
    .locator("#steps-error")
    .filter({ hasText: /1 to 1000/ })
    .waitFor();
  await page.fill("#steps", "2");
  assert.equal(await page.textContent("#steps-error"), "");
  await page.click("#generate");
  await finished(page);
});

browserTest("an empty and a very long prompt draw, the long one with a word about it", DRAWS, async ({ page, origin }) => {
  await draw(page, `${origin}/?seed=1&steps=1`);
  await page.fill("#prompt", "a cat and a dog ".repeat(40));
  await page.click("#generate");
  await page.locator("#note:not(:empty)").waitFor({ timeout: PATIENCE });
  assert.match(await page.textContent("#note"), /token/);
});

const DAMAGES = [
  ["altered", /damaged or altered/, (bytes) => ({ body: flipped(bytes) })],
  ["cut short", /is incomplete/, (bytes) => ({ body: bytes.subarray(0, bytes.length >> 1) })],
  ["missing", /missing on the server/, () => ({ status: 404, body: "" })],
];
for (const [damage, words, spoil] of DAMAGES) {
  browserTest(
    `a model file that is ${damage} is named, and trying again draws`,
    { ...DRAWS, errors: [/404/] },
    async ({ page, origin }) => {
      const { files } = await manifest(page, origin);
      const { path } = files.reduce((largest, file) => (file.size > largest.size ? file : largest));
      const address = (url) => url.pathname.endsWith(`/${path}`);
      await page.route(address, async (route) => {
        const answer = await route.fetch();
        await route.fulfill({ status: 200, contentType: "application/octet-stream", ...spoil(await answer.body()) });
      });
      await open(page, `${origin}/?prompt=a+cat&seed=1&steps=1`); // draws at once
      const said = await trouble(page);
      assert.match(said, words);
      assert.ok(said.includes(path), `“${said}” names ${path}`);
      await page.unroute(address);
      await page.click("#retry");
      await finished(page);
    },
  );
}

browserTest("a worker that dies is replaced, and trying again draws", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=1&steps=50`); // draws at once
  await page.waitForSelector(".thumb", { timeout: PATIENCE });
  await page.workers()[0].evaluate(
    () =>
      void setTimeout(() => {
        throw new WebAssembly.RuntimeError("memory access out of bounds");
      }),
  );
  assert.match(await trouble(page), /stopped unexpectedly/);
  await page.click("#settings summary");
  await page.fill("#steps", "1");
  await page.click("#retry");
  await finished(page);
});

const ADAPTERS = [
  ["without WebGPU", false, /(no WebGPU|no graphics adapter).*CPU/, /cannot be used/],
  ["without an adapter", "none", /(no WebGPU|no graphics adapter).*CPU/, /cannot be used/],
  ["with a software adapter", true, /(graphics adapter is a software one.*CPU)|(with WebGPU on)/, /with WebGPU on/],
];
for (const [name, webgpu, automatic, forced] of ADAPTERS) {
  browserTest(`${name} the page says what draws, and the choice is remembered`, { webgpu }, async ({ page, origin }) => {
    await open(page, origin);
    await page.click("#setup summary");
    await page.locator("#device-words[data-slow]").waitFor();
    assert.match(await page.textContent("#device-words"), automatic);
    await page.selectOption("#device", "wgpu");
    assert.match(await page.textContent("#device-words"), forced);
    await page.selectOption("#device", "cpu");
    await page.reload();
    await page.click("#setup summary");
    await page.locator("#device-words", { hasText: "as you chose" }).waitFor();
    assert.equal(await page.inputValue("#device"), "cpu");
  });
}

async function open(page, address) {
  await page.goto(address);
  await page.locator("#summary", { hasText: /guidance \d/ }).waitFor(); // the model's defaults are in
}

/** An address with a prompt draws by itself. */
async function draw(page, address) {
  await open(page, address);
  if (!new URL(address).searchParams.has("prompt")) await page.click("#generate");
  await finished(page);
}

/** Waits for a finished picture; words of trouble end the wait at once. */
async function finished(page) {
  await page.waitForSelector("#download:enabled, #trouble:not([hidden])", { timeout: PATIENCE });
  if (await page.isVisible("#trouble")) assert.fail(`the page says: ${await page.textContent("#trouble")}`);
}

async function trouble(page) {
  await page.locator("#trouble").waitFor({ timeout: PATIENCE });
  return page.textContent("#trouble-text");
}

/** Collects every different picture that the canvas shows from now on, as data addresses. */
function recordCanvas(page) {
  return page.evaluate(() => {
    globalThis.recorded = new Set();
    const canvas = document.getElementById("canvas");
    setInterval(() => document.querySelector(".thumb") && globalThis.recorded.add(canvas.toDataURL("image/jpeg")), 20);
  });
}

/** The thumbnails of the steps so far, as data addresses. */
function strip(page) {
  return page.$$eval(".thumb canvas", (all) => all.map((canvas) => canvas.toDataURL()));
}

async function manifest(page, origin) {
  const { models } = await (await page.request.get(`${origin}/models/index.json`)).json();
  return (await page.request.get(`${origin}/models/${models[0].path}fourstep.json`)).json();
}

async function download(page) {
  const [file] = await Promise.all([page.waitForEvent("download"), page.click("#download")]);
  return { name: file.suggestedFilename(), bytes: await readFile(await file.path()) };
}

function pngSize(bytes) {
  assert.equal(bytes.subarray(0, 8).toString("latin1"), "\x89PNG\r\n\x1a\n");
  assert.equal(bytes.subarray(12, 16).toString("latin1"), "IHDR");
  return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
}

/** How many bytes of the PNG's pixels differ from the picture that the strip ends with. */
function differingBytes(page, png) {
  return page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const pixels = (source) => {
      const canvas = new OffscreenCanvas(source.width, source.height);
      const context = canvas.getContext("2d");
      context.drawImage(source, 0, 0);
      return context.getImageData(0, 0, source.width, source.height).data;
    };
    const [got, wanted] = [pixels(image), pixels([...document.querySelectorAll(".thumb canvas")].at(-1))];
    return got.reduce((count, value, at) => count + (value !== wanted[at]), got.length === wanted.length ? 0 : Infinity);
  }, png.toString("base64"));
}

function flipped(bytes) {
  const copy = Buffer.from(bytes);
  copy[copy.length >> 1] ^= 1;
  return copy;
}
