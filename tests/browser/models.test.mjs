// Several models on one page: which one draws is a choice with sizes, nothing large is fetched without a click, each is
// kept apart, and one that does not fit the machine is refused before it is fetched.
import assert from "node:assert/strict";
import { browserTest } from "./harness.mjs";
import { servingModels, tinyModel } from "./models.mjs";
import { canvas, drawBy, fields, finished, open, parameters, saved, unfold } from "./page.mjs";
import { inEveryWorker, trouble } from "./visit.mjs";

const DRAWS = { timeout: 300_000, webgpu: "none", saveData: true };
const FAST = { steps: 2, guidance_scale: 1 };
const SLOW = { steps: 5, guidance_scale: 3, width: 48, height: 48 };
const two = () => ({
  fast: tinyModel({ name: "Stickers", defaults: FAST }),
  teacher: tinyModel({ name: "Stickers, many steps", defaults: SLOW, padding: 2e6 }),
});
const isLarge = (path) => /safetensors|padding/.test(path);

{
  const { before, fetched } = servingModels(two());
  browserTest(
    "of two models one is chosen by its size and fetched at the first picture only",
    { ...DRAWS, before },
    async ({ page, origin }) => {
      await open(page, `${origin}/?seed=1`);
      const options = await page.$$eval("#model option", (all) => all.map(({ value, textContent }) => [value, textContent]));
      assert.deepEqual(options, [
        ["fast", "Stickers · 0.7 MB"],
        ["teacher", "Stickers, many steps · 2.7 MB"],
      ]);
      assert.match(await page.textContent("#model-words"), /^2 steps, 32 px, 0\.7 MB to fetch once/);
      await page.fill("#prompt", "a cat");
      await page.check("#live");
      await unfold(page, "setup");
      await page.selectOption("#model", "teacher");
      await page.locator("#model-words", { hasText: "5 steps, 48 px, 2.7 MB to fetch" }).waitFor();
      const { steps, guidance, size } = await fields(page);
      assert.deepEqual([steps, guidance, size], ["5", "3", "48"], "defaults follow the model");
      await page.clock.install();
      await page.fill("#prompt", "a dog");
      await page.clock.fastForward(10_000);
      await page.clock.resume();
      assert.deepEqual(fetched.filter(isLarge), [], "neither the choice nor typing fetches a model");
      await page.uncheck("#live");
      await drawBy(page, "#generate");
      assert.match(parameters((await saved(page, "#download")).bytes), /Steps: 5, .*Size: 48x48, Model: teacher, /);
      assert.ok(
        fetched.filter(isLarge).every((path) => path.startsWith("teacher/")),
        "the other one is not fetched",
      );
      assert.match(await page.textContent("#model-words"), /saved in this browser/);
      await page.click("#settings summary");
      await page.fill("#steps", "9"); // suits the teacher alone
      await page.selectOption("#model", "fast");
      await page.locator("#model-words", { hasText: "2 steps, 32 px" }).waitFor();
      const own = await fields(page);
      assert.deepEqual([own.steps, own.guidance, own.size, own.sampler], ["2", "1", "32", ""]);
      await drawBy(page, "#generate");
      assert.match(parameters((await saved(page, "#download")).bytes), /Model: fast, /);
    },
  );
}

{
  const { before, fetched } = servingModels(two());
  browserTest("a link names its model, each is kept apart, and one goes on request", { ...DRAWS, before }, async ({ page, origin }) => {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin });
    const teacher = `${origin}/?prompt=a+cat&seed=4&model=teacher`;
    await open(page, teacher);
    await finished(page); // below 64 MB it is fetched for a link
    assert.equal(await page.inputValue("#model"), "teacher");
    const drawn = await canvas(page);
    await page.click("#copy");
    await page.locator("#notice", { hasText: "Link copied" }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), teacher);
    await open(page, `${origin}/?prompt=a+cat&seed=4`);
    await finished(page);
    assert.notEqual(await canvas(page), drawn);
    fetched.length = 0;
    await open(page, teacher);
    await finished(page);
    assert.deepEqual(fetched.filter(isLarge), [], "both are kept");
    await unfold(page, "setup");
    await page.click("#model-forget");
    await page.locator("#notice", { hasText: "was removed" }).waitFor();
    assert.match(await page.textContent("#model-words"), /2\.7 MB to fetch/);
    assert.deepEqual(await page.evaluate(() => caches.keys().then((keys) => keys.filter((key) => /model/.test(key)))), [
      "fourstep-model-fast",
    ]);
    await open(page, origin);
    assert.match(await page.textContent("#model-words"), /^2 steps, .* saved in this browser/, "the other one stays");
    await page.locator("#kept .open").last().click(); // the first picture was the teacher's
    await page.waitForFunction(() => document.getElementById("model").value === "teacher");
    assert.deepEqual(fetched.filter(isLarge), [], "to look at a picture fetches nothing");
    await drawBy(page, "#generate");
    assert.ok(fetched.filter(isLarge).length > 0, "a removed model is fetched again");
  });
}

{
  const { before } = servingModels(two());
  const options = { ...DRAWS, before, serviceWorkers: "allow", errors: [/Failed to load resource|ERR_/] };
  browserTest("both models draw with the network off", options, async (session) => {
    const { page, origin } = session;
    const visit = async (query) => {
      await open(page, `${origin}/?prompt=a+cat&seed=4${query}`);
      await finished(page);
      return canvas(page);
    };
    const [fast, teacher] = [await visit(""), await visit("&model=teacher")];
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    await session.stopServer();
    await page.context().setOffline(true);
    assert.equal(await visit("&model=teacher"), teacher);
    assert.equal(await visit(""), fast);
  });
}

{
  const models = { ...two(), gone: tinyModel({ name: "Gone" }) };
  const { before } = servingModels(models);
  models.gone.manifest = { name: "Gone" };
  browserTest(
    "a model whose manifest is damaged is named, and another one can be chosen",
    { ...DRAWS, before },
    async ({ page, origin }) => {
      await open(page, `${origin}/?seed=1`);
      await unfold(page, "setup");
      await page.selectOption("#model", "gone");
      assert.match(await trouble(page), /models\/gone\/fourstep\.json is no model manifest/);
      assert.equal(await page.inputValue("#model"), "fast", "the choice stays with what can draw");
      await page.fill("#prompt", "a cat");
      await drawBy(page, "#generate");
    },
  );
}

const GB = 1e9;
const HUGE = { weights: 20 * GB, largest_buffer: 2 * GB, activations: 5 * GB };
const WIDE = { weights: 3e8, largest_buffer: 2e8, activations: 1e8 };

for (const [name, webgpu, needs, words] of [
  ["more memory than a page can have", "none", HUGE, /needs 25\.0 GB of memory in the page, which can have 4\.3 GB\. Nothing was fetched/],
  [
    "more memory than the machine has",
    "none",
    { weights: 3 * GB, largest_buffer: 1e6, activations: GB / 4 },
    /needs about 3\.3 GB of memory, and this machine has 2\.1 GB/,
  ],
]) {
  const { before, fetched } = servingModels({ huge: tinyModel({ name: "Huge", needs }), ...two() });
  browserTest(
    `a model that needs ${name} is refused with reasons before it is fetched`,
    { ...DRAWS, webgpu, before },
    async ({ page, origin }) => {
      await inEveryWorker(page, () => Object.defineProperty(WorkerNavigator.prototype, "deviceMemory", { get: () => 2 }));
      await open(page, `${origin}/?prompt=a+cat&seed=1`);
      assert.match(await trouble(page), words);
      assert.match(await page.textContent("#device-words"), words);
      await page.click("#retry");
      assert.match(await trouble(page), words);
      assert.deepEqual(fetched.filter(isLarge), []);
      await unfold(page, "setup");
      await page.selectOption("#model", "fast");
      await page.locator("#model-words", { hasText: "2 steps" }).waitFor();
      await drawBy(page, "#generate");
    },
  );
}

{
  const { before, fetched } = servingModels({ wide: tinyModel({ name: "Wide", needs: WIDE }) });
  browserTest(
    "where the adapter’s buffers are too small the page says which and offers another device",
    { timeout: 300_000, before },
    async ({ page, origin }) => {
      await inEveryWorker(page, () => {
        const limits = { maxStorageBufferBindingSize: 2 ** 27, maxBufferSize: 2 ** 28 }; // what WebGPU promises everywhere
        Object.defineProperty(GPUAdapter.prototype, "limits", { get: () => limits });
      });
      await open(page, `${origin}/?prompt=a+cat&seed=1&device=wgpu`);
      assert.match(await trouble(page), /graphics buffers of 200 MB, and .+ has at most 134 MB\. Another device can draw it/);
      assert.deepEqual(fetched.filter(isLarge), []);
      const refused = await page.evaluate(async () => {
        const { load } = await import("./www/fourstep.js");
        return load({ device: "wgpu" }).catch(({ message }) => message);
      });
      assert.match(refused, /graphics buffers of 200 MB/, "the module says so too");
    },
  );
}
