// What goes wrong on other people's machines: the page says so in words, stays alive, and draws again.
import assert from "node:assert/strict";
import { browserTest } from "./harness.mjs";
import { servingModels, tinyModel } from "./models.mjs";
import { ready } from "./page.mjs";
import { DRAWS, PATIENCE, draw, finished, inEveryWorker, modelFiles, open, trouble } from "./visit.mjs";

const ONE_STEP = "?prompt=a+cat&seed=1&steps=1";
const [largest] = modelFiles;

browserTest("a lost device is rebuilt, on an adapter without f16 and with small limits", { timeout: 900_000 }, async ({ page, origin }) => {
  await inEveryWorker(page, () => {
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function (descriptor) {
      return (self.testDevice = await requestDevice.call(this, descriptor));
    };
    const small = {}; // what WebGPU promises everywhere
    const least = { maxStorageBufferBindingSize: 2 ** 27, maxBufferSize: 2 ** 28, maxComputeInvocationsPerWorkgroup: 256 };
    Object.assign(least, { maxComputeWorkgroupStorageSize: 16384, maxStorageBuffersPerShaderStage: 8 });
    Object.assign(least, { maxComputeWorkgroupSizeX: 256, maxComputeWorkgroupSizeY: 256, maxComputeWorkgroupSizeZ: 64 });
    const limits = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, "limits").get;
    Object.defineProperty(GPUAdapter.prototype, "limits", {
      get() {
        const real = limits.call(this);
        for (const name in real) small[name] = least[name] ?? real[name];
        return small;
      },
    });
    const features = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, "features").get;
    Object.defineProperty(GPUAdapter.prototype, "features", {
      get() {
        return new Set([...features.call(this)].filter((name) => name !== "shader-f16" && name !== "subgroups"));
      },
    });
  });
  await open(page, `${origin}/${ONE_STEP}&device=wgpu`);
  await until(page, () => page.workers()[0].evaluate(() => Boolean(self.testDevice)));
  await page.workers()[0].evaluate(() => self.testDevice.destroy());
  assert.match(await trouble(page), /graphics device was lost/);
  await page.click("#retry");
  await page.waitForSelector("#download:enabled, #trouble:not([hidden])", { timeout: 800_000 });
  assert.equal(await page.textContent("#trouble-text"), "");
});

browserTest("where the adapter gives no device the CPU is offered, and draws", DRAWS, async ({ page, origin }) => {
  await inEveryWorker(page, () => {
    GPUAdapter.prototype.requestDevice = () => Promise.reject(new DOMException("refused", "OperationError"));
  });
  await open(page, `${origin}/${ONE_STEP}&device=wgpu`);
  assert.match(await trouble(page), /CPU draws the same picture/);
  await page.click("#retry");
  await finished(page);
  assert.equal(await page.inputValue("#device"), "cpu");
});

browserTest("a worker that vanishes without a word is noticed and replaced", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=1&steps=50`);
  await page.waitForSelector(".thumb", { timeout: PATIENCE });
  await page.workers()[0].evaluate(() => self.close());
  assert.match(await trouble(page), /stopped unexpectedly/);
  await page.click("#settings summary");
  await page.fill("#steps", "1");
  await page.click("#retry");
  await finished(page);
});

browserTest("a picture too large for the memory is an error, and the next one draws", DRAWS, async ({ page, origin }) => {
  await inEveryWorker(page, () => {
    for (const name of ["instantiate", "instantiateStreaming"]) {
      const original = WebAssembly[name];
      WebAssembly[name] = async (...parts) => {
        const result = await original.apply(WebAssembly, parts);
        self.testMemory = (result.instance ?? result).exports.memory;
        return result;
      };
    }
  });
  await page.goto(`${origin}/tests/blank.html`);
  await page.evaluate(async () => {
    const { load } = await import("/www/fourstep.js");
    globalThis.model = await load({ device: "cpu" });
  });
  const PAGE = 65536; // what is left of the 4 GiB is less than 16 MiB
  await page.workers()[0].evaluate((PAGE) => {
    self.testMemory.grow((2 ** 32 - 2 ** 24 - self.testMemory.buffer.byteLength) / PAGE);
  }, PAGE);
  const [error, width] = await page.evaluate(async () => {
    const large = { prompt: "a cat", steps: 1, width: 1024, height: 1024 };
    const error = await globalThis.model.generate(large).catch(({ name, cause, message }) => `${name}: ${cause}: ${message}`);
    return [error, (await globalThis.model.generate({ prompt: "a cat", steps: 1 })).width];
  });
  assert.match(error, /^WorkerDied: out of memory/);
  assert.ok(width > 0);
});

browserTest("where memory ends the page offers a smaller picture, and draws it", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=1&steps=50&size=128`);
  await page.waitForSelector(".thumb", { timeout: PATIENCE });
  const failedAllocation = () => {
    throw new WebAssembly.RuntimeError("unreachable");
  };
  await page.workers()[0].evaluate(`void setTimeout(${failedAllocation})`);
  assert.match(await trouble(page), /not enough memory for 128 × 128 pixels/);
  assert.equal(await page.textContent("#retry"), "Draw 64 × 64");
  await page.click("#settings summary");
  await page.fill("#steps", "1");
  await page.click("#retry");
  await finished(page);
  assert.equal(await page.inputValue("#size"), "64");
});

{
  const { before } = servingModels({ tiny: tinyModel({ name: "Tiny" }) });
  browserTest(
    "where the graphics device has no memory left the page offers a smaller picture, and draws it",
    { timeout: 600_000, before, errors: [/Out of Memory|due to a previous error/] }, // of the graphics device
    async ({ page, origin }) => {
      await inEveryWorker(page, () => {
        // Above `testLimit` bytes the device is asked for more than it can give: a software adapter refuses its largest buffer.
        self.testLimit = Infinity;
        let held = 0;
        const { createBuffer } = GPUDevice.prototype;
        GPUDevice.prototype.createBuffer = function (descriptor) {
          held += descriptor.size;
          const size = held > self.testLimit ? this.limits.maxBufferSize : descriptor.size;
          return createBuffer.call(this, { ...descriptor, size });
        };
      });
      await open(page, `${origin}/?seed=1&steps=1&size=64&device=wgpu`);
      await ready(page);
      await page.workers()[0].evaluate(() => (self.testLimit = 0));
      await page.fill("#prompt", "a cat");
      await page.click("#generate");
      assert.match(await trouble(page), /not enough memory for 64 × 64 pixels/);
      assert.match(await page.textContent("#trouble-detail"), /memory/i, "in the device's own words");
      assert.equal(await page.textContent("#retry"), "Draw 32 × 32");
      await page.click("#retry"); // in a new worker, without the limit
      await finished(page);
      assert.equal(await page.inputValue("#size"), "32");
    },
  );
}

// By the debugger: Page.setWebLifecycleState freezes no page that is visible, and no page is hidden in a headless Chromium.
browserTest("a tab whose scripts stood still for a while goes on, with every step", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=1&steps=12`);
  await page.waitForSelector(".thumb", { timeout: PATIENCE });
  const session = await page.context().newCDPSession(page);
  await session.send("Debugger.enable");
  const paused = new Promise((resolve) => session.once("Debugger.paused", resolve));
  await session.send("Debugger.pause");
  await paused;
  await new Promise((resolve) => setTimeout(resolve, 2000));
  await session.send("Debugger.resume");
  await finished(page);
  assert.equal(await page.locator(".thumb").count(), 12);
});

browserTest("where storage is full it draws, and says what that means", DRAWS, async ({ page, origin }) => {
  const session = await page.context().newCDPSession(page);
  await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 4_000_000 });
  await draw(page, `${origin}/${ONE_STEP}`);
  assert.match(await page.textContent("#note"), /no space to store the model/);
  assert.match(await page.textContent("#model-words"), /to fetch/, "it does not say that the model is kept");
});

browserTest("where storage is denied it draws, and says what that means", DRAWS, async ({ page, origin }) => {
  const deny = () => {
    for (const name of ["caches", "indexedDB", "localStorage"])
      Object.defineProperty(globalThis, name, {
        get: () => {
          throw new DOMException("denied", "SecurityError");
        },
      });
  };
  await inEveryWorker(page, deny);
  await page.addInitScript(deny);
  await draw(page, `${origin}/${ONE_STEP}`);
  assert.match(await page.textContent("#note"), /keeps no files/);
  await page.locator("#kept-note", { hasText: "saves no pictures for this page" }).waitFor();
  const [file] = await Promise.all([page.waitForEvent("download"), page.click("#download")]);
  assert.match(file.suggestedFilename(), /^fourstep-a-cat-1\.png$/);
});

browserTest("an error of the page's own code is shown in words", { errors: [/boom/] }, async ({ page, origin }) => {
  await open(page, origin);
  await page.evaluate(() => void setTimeout(() => Promise.reject(new Error("boom"))));
  assert.match(await trouble(page), /went wrong in the page itself \(boom\)/);
});

{
  let stalled = true;
  const before = (request, response) => {
    if (!stalled || !request.url.endsWith(`/${largest.path}`)) return false;
    response.writeHead(200, { "Content-Length": largest.size });
    return response.write("x"); // and then nothing more
  };
  browserTest("cancel ends a download that stands still, and the next request draws", { ...DRAWS, before }, async ({ page, origin }) => {
    await open(page, `${origin}/${ONE_STEP}`);
    await page.locator("#load-line", { hasText: "of" }).waitFor();
    await page.keyboard.press("Escape");
    await page.locator("#generate", { hasText: "Generate" }).waitFor();
    assert.match(await page.textContent("#line"), /Stopped/);
    stalled = false;
    await page.click("#generate");
    await finished(page);
  });
}

async function until(page, holds) {
  const end = performance.now() + PATIENCE;
  while (!(await holds())) assert.ok(performance.now() < end, "waited too long");
}
