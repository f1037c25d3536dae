// Very many pictures in a row leave the memory as it was: the wasm module's, the scripts' and the graphics device's.
// FOURSTEP_PICTURES says how many (1000 before a release); on WebGPU, which without a graphics card is slow,
// FOURSTEP_PICTURES_WGPU.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { browserTest } from "./harness.mjs";
import { servingModels, tinyModel } from "./models.mjs";
import { open } from "./page.mjs";
import { inEveryWorker } from "./visit.mjs";

const PICTURES = Number(process.env.FOURSTEP_PICTURES ?? 200);
const ON_WGPU = Number(process.env.FOURSTEP_PICTURES_WGPU ?? 4);
const SETTLE = 10; // pictures until allocators, caches and compilers are settled
const LIMIT = 200; // of the gallery (www/history.js), which grows until then
const MB = 1e6;
const { before } = servingModels({ tiny: tinyModel({ name: "Tiny", defaults: { steps: 1, guidance_scale: 1 } }) });

browserTest(
  `${PICTURES} pictures in a row leave the memory as it was`,
  { timeout: 120_000 + PICTURES * 3000, before, webgpu: "none", flags: ["--js-flags=--expose-gc"] },
  async (session, context) => {
    const { page, origin } = session;
    await page.goto(`${origin}/tests/blank.html`);
    await load(page, "cpu");
    await draw(page, SETTLE);
    const start = await held(session);
    await draw(page, PICTURES);
    const grown = difference(await held(session), start);
    context.diagnostic(`${PICTURES} pictures: ${said(grown)}`);
    assert.equal(grown.wasm, 0, "the wasm module's memory");
    assert.ok(grown.page < 2 * MB, `the page's scripts hold ${grown.page} bytes more`);
    assert.ok(grown.resident < 30 * MB, `the browser's processes grew by ${grown.resident} bytes`);
  },
);

browserTest(
  `the page itself holds no more after ${PICTURES} pictures than before, once its gallery is full`,
  { timeout: 300_000 + PICTURES * 5000, before, webgpu: "none", flags: ["--js-flags=--expose-gc"] },
  async (session, context) => {
    const { page, origin } = session;
    await open(page, `${origin}/?seed=1`);
    await page.evaluate(async (count) => {
      // As if so many had been drawn at earlier visits.
      const { History } = await import("./www/history.js");
      const png = await new OffscreenCanvas(32, 32).convertToBlob().catch(() => new Blob(["x"], { type: "image/png" }));
      const history = new History();
      for (let at = 0; at < count; at++) await history.add({ time: at, settings: { prompt: "x", seed: String(at) }, infotext: "", png });
    }, LIMIT);
    await open(page, `${origin}/?seed=1`);
    await generate(page, SETTLE);
    const start = await held(session);
    await generate(page, PICTURES);
    const grown = difference(await held(session), start);
    context.diagnostic(`${PICTURES} pictures: ${said(grown)}`);
    assert.equal(await page.locator("#kept li").count(), LIMIT);
    assert.ok(grown.page < 3 * MB, `the page's scripts hold ${grown.page} bytes more`);
    assert.ok(grown.nodes < 300, `${grown.nodes} more elements and texts`);
    assert.ok(grown.resident < 40 * MB, `the browser's processes grew by ${grown.resident} bytes`);
  },
);

browserTest(
  `${ON_WGPU} pictures on WebGPU leave as many buffers as before`,
  { timeout: 900_000 + ON_WGPU * 60_000, before },
  async ({ page, origin }, context) => {
    await inEveryWorker(page, () => {
      // Buffers of the device: made, not destroyed, and not collected.
      const live = new Map();
      let next = 0;
      const gone = new FinalizationRegistry((id) => live.delete(id));
      const { createBuffer } = GPUDevice.prototype;
      GPUDevice.prototype.createBuffer = function (descriptor) {
        const buffer = createBuffer.call(this, descriptor);
        const id = next++;
        live.set(id, descriptor.size);
        gone.register(buffer, id);
        const { destroy } = buffer;
        buffer.destroy = () => (live.delete(id), destroy.call(buffer));
        return buffer;
      };
      self.testBuffers = () => ({ count: live.size, bytes: [...live.values()].reduce((sum, size) => sum + size, 0), made: next });
    });
    await page.goto(`${origin}/tests/blank.html`);
    await load(page, "wgpu");
    const buffers = () => page.workers()[0].evaluate(() => self.testBuffers());
    await draw(page, 2);
    const start = await buffers();
    await draw(page, ON_WGPU);
    const end = await buffers();
    context.diagnostic(
      `${start.count} buffers of ${(start.bytes / MB).toFixed(1)} MB, then ${end.count} of ${(end.bytes / MB).toFixed(1)} MB; ${end.made} were made in all`,
    );
    assert.ok(start.count > 0, "buffers are counted");
    // A few that are read back wait for the collector.
    assert.ok(end.count <= start.count + 8, `${end.count - start.count} buffers more`);
    assert.ok(end.bytes <= start.bytes * 1.1, `${end.bytes - start.bytes} bytes more`);
  },
);

function load(page, device) {
  return page.evaluate(async (device) => {
    const { load } = await import("/www/fourstep.js");
    globalThis.loadedModel = await load({ device });
  }, device);
}

/** Draws with the module; fails with the page's error. */
function draw(page, count) {
  return page.evaluate(async (count) => {
    for (let seed = 0; seed < count; seed++) await globalThis.loadedModel.generate({ prompt: "a cat", seed });
  }, count);
}

/** Draws with the page's own button, one picture after the other. */
function generate(page, count) {
  return page.evaluate(async (count) => {
    const [button, download, kept] = ["generate", "download", "kept"].map((id) => document.getElementById(id));
    const until = async (holds) => {
      while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    for (let drawn = 0; drawn < count; drawn++) {
      const newest = kept.firstElementChild;
      button.click();
      await until(() => !download.disabled && kept.firstElementChild !== newest);
    }
  }, count);
}

/** Bytes that wasm, the page's scripts and the browser's processes hold after a collection, and the page's elements. */
async function held({ page, browser }) {
  for (const worker of page.workers()) await worker.evaluate(() => globalThis.gc?.());
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  const { nodes } = await session.send("Memory.getDOMCounters");
  await session.detach();
  const wasm = await page.evaluate(async () => (globalThis.loadedModel ? (await globalThis.loadedModel.memory()).wasm : 0));
  return { wasm, page: usedSize, nodes, resident: await residentBytes(browser) };
}

/** What the browser's page and graphics processes hold; 0 where the system does not tell. */
async function residentBytes(browser) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  if (process.platform !== "linux") return 0;
  const counted = processInfo.filter(({ type }) => type === "renderer" || type === "GPU");
  const kilobytes = counted.map(({ id }) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1] ?? 0));
  return kilobytes.reduce((sum, each) => sum + each, 0) * 1024;
}

function difference(after, before) {
  return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - before[name]]));
}

function said({ wasm, page, nodes, resident }) {
  return `wasm ${wasm} bytes, the page's scripts ${(page / MB).toFixed(2)} MB, ${nodes} elements, processes ${(resident / MB).toFixed(1)} MB more`;
}
