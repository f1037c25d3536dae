// "Go deeper": the model is fitted to a picture in a worker of its own, with a module that comes when it is first asked for; the edit
// is looked at by its slider, saved, cancelled; and afterwards the page draws what it drew before.
import assert from "node:assert/strict";
import { browserTest } from "./harness.mjs";
import { servingModels, tinyModel } from "./models.mjs";
import { canvas, drawBy, finished, open, parameters, pixels, ready, saved, workers } from "./page.mjs";

const TINY = { timeout: 600_000, webgpu: "none", ...servingModels({ tiny: tinyModel({ name: "Tiny" }) }) };
const PATIENCE = { timeout: 300_000 };
const LEARNS = /^Learning your picture: step \d+ of \d+/;

browserTest(
  "a whole edit: progress, slider, file; then the same seed draws what it drew before",
  TINY,
  async ({ page, origin }, context) => {
    const fetched = [];
    page.on("request", (request) => fetched.push(new URL(request.url()).pathname));
    const ofDeeper = () => fetched.filter((path) => path.startsWith("/www/deeper/"));
    await open(page, `${origin}/?prompt=a+cat&seed=1`);
    await finished(page);
    const [original, shown] = [await saved(page, "#download"), await canvas(page)];
    await page.click("#edit-open");
    assert.equal(await page.isDisabled("#edit-deeper"), true, "it shows these words already");
    await page.fill("#edit-words", "a dog");
    await edited(page, "a dog");
    assert.deepEqual(ofDeeper(), [], "nothing of it comes before it is asked for");

    await page.focus("#edit-deeper");
    const begun = Date.now();
    await page.keyboard.press("Enter");
    await page.locator("#line", { hasText: LEARNS }).waitFor(PATIENCE);
    assert.equal(await page.textContent("#edit-deeper"), "Cancel");
    assert.equal(await page.isDisabled("#edit-words"), true, "nothing is typed away");
    await page.locator("#line", { hasText: /step [2-9]\d of \d+/ }).waitFor(PATIENCE);
    assert.match(await page.getAttribute(".loss", "aria-label"), /^Error of each step: [\d.]+ at first, [\d.]+ after \d0 steps$/);
    await fitted(page);
    context.diagnostic(`fitted in ${((Date.now() - begun) / 1000).toFixed(1)} s`);
    assert.ok(ofDeeper().includes("/www/deeper/pkg/fourstep_deeper_bg.wasm"));
    assert.equal(await page.evaluate(() => document.activeElement.id), "deeper-eta", "the slider is next");
    assert.match(await page.getAttribute("#deeper-eta", "aria-valuetext"), /“a dog”/);

    const most = await canvas(page);
    const file = await saved(page, "#download");
    const wanted =
      /^a dog\nSteps: 2, Sampler: DDIM, CFG scale: 2, Seed: 1, Size: 32x32, Model: tiny, Edit method: Imagic, Edit from: a cat, Edit eta: 1, RNG: CPU, Version/;
    assert.match(parameters(file.bytes), wanted);
    assert.deepEqual(Object.fromEntries(new URL(page.url()).searchParams), {
      prompt: "a dog",
      seed: "1",
      strength: "1",
      edit: "imagic",
      from: "a cat",
    });
    await page.focus("#deeper-eta");
    await page.keyboard.press("Home");
    await page.locator("#line", { hasText: "“a dog”, 0 of the way from your picture" }).waitFor(PATIENCE);
    const least = await canvas(page);
    assert.notEqual(least, most);
    assert.match(parameters((await saved(page, "#download")).bytes), /, Edit eta: 0, RNG/);
    await page.focus("#deeper-eta");
    await page.keyboard.press("ArrowRight");
    await page.locator("#line", { hasText: "“a dog”, 0.1 of the way" }).waitFor(PATIENCE);
    await page.keyboard.press("End");
    assert.equal(await canvas(page), most, "a picture that was drawn is there at once");
    await page.hover("#compare");
    await page.mouse.down();
    assert.equal(await canvas(page), shown, "the original, while the button is held");
    await page.mouse.up();
    assert.equal(await page.isDisabled("#more-4"), true, "the model that drew it is gone with the next edit");
    await page.locator("#kept li").nth(2).waitFor(); // the original, the edit of before, this one

    const edit = await saved(page, "#deeper button");
    assert.equal(edit.name, "fourstep-a-dog-1-edit.safetensors");
    const header = JSON.parse(edit.bytes.toString("utf8", 8, 8 + Number(edit.bytes.readBigUInt64LE(0))));
    assert.equal(JSON.parse(header.__metadata__.imagic).prompt, "a dog");

    await page.fill("#edit-words", "a bird");
    await edited(page, "a bird");
    await page.fill("#deeper-eta", "5");
    await page.locator("#line", { hasText: "“a dog”, 0.5 of the way" }).waitFor(PATIENCE);
    assert.equal(await page.inputValue("#edit-words"), "a dog", "the words are those of the picture");
    await page.click("#edit-back");
    await edited(page, "a cat");
    await workers(page, 2);
    await page.click("#edit-close");
    assert.equal(await page.isVisible("#deeper"), false);
    await workers(page, 1); // what it held is gone
    await page.click("#settings summary");
    await page.check("#keep");
    await drawBy(page, "#generate");
    assert.deepEqual((await saved(page, "#download")).bytes, original.bytes);
  },
);

browserTest("an edit is cancelled, or lost with its worker; the picture stays, and the next try works", TINY, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=1`);
  await finished(page);
  const shown = await canvas(page);
  await page.click("#edit-open");
  await page.fill("#edit-words", "a dog");
  await edited(page, "a dog");
  const instant = await canvas(page);
  const begin = async () => {
    await page.click("#edit-deeper");
    await page.locator("#line", { hasText: LEARNS }).waitFor(PATIENCE);
  };
  await begin();
  await page.locator("#line", { hasText: /step [1-9]\d of/ }).waitFor(PATIENCE);
  await page.click("#edit-deeper");
  await page.locator("#line", { hasText: "Stopped. Your picture is as it was." }).waitFor();
  assert.equal(await canvas(page), instant);
  assert.equal(await page.isVisible("#deeper"), false);
  assert.equal(await page.textContent("#edit-deeper"), "Go deeper");
  assert.equal(await page.isDisabled("#download"), false, "the picture can be had");
  await workers(page, 1);

  await begin();
  await workers(page, 2);
  await page.workers()[1].evaluate(() => self.close());
  await page
    .locator("#trouble-text", { hasText: "Going deeper stopped unexpectedly. Your picture and the model are as they were." })
    .waitFor();
  assert.equal(await canvas(page), instant);
  await page.click("#retry");
  await page.locator("#line", { hasText: LEARNS }).waitFor(PATIENCE);
  await page.keyboard.press("Escape");
  await page.locator("#line", { hasText: "Stopped." }).waitFor();

  await begin();
  await page.click("#edit-close"); // in the middle
  assert.equal(await page.isVisible("#edit"), false);
  assert.equal(await canvas(page), instant);
  await page.click("#edit-open");
  await page.click("#edit-back");
  await edited(page, "a cat");
  assert.equal(await canvas(page), shown);
  await page.fill("#edit-words", "a dog");
  await begin();
  await fitted(page);
  await page.click("#edit-further");
  assert.equal(await page.isVisible("#deeper"), false, "what was fitted belongs to the picture before");
  assert.equal(await page.inputValue("#edit-from"), "a dog");
});

browserTest(
  "once it was used it works with the network off",
  { ...TINY, serviceWorkers: "allow", errors: [/Failed to load resource|ERR_/] },
  async (session) => {
    const { page, origin } = session;
    await open(page, origin);
    await ready(page);
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    await page.goto("about:blank");
    const deeper = async () => {
      await open(page, `${origin}/?prompt=a+cat&seed=1`);
      await finished(page);
      await page.click("#edit-open");
      await page.fill("#edit-words", "a dog");
      await page.click("#edit-deeper");
      await fitted(page);
      return pixels(page, (await saved(page, "#download")).bytes);
    };
    const first = await deeper();
    await session.stopServer();
    await page.context().setOffline(true);
    await page.goto("about:blank");
    assert.deepEqual(await deeper(), first, "the same words and seed give the same edit");
  },
);

browserTest(
  "a model that is too large says so",
  { ...TINY, ...servingModels({ tiny: tinyModel({ name: "Tiny", needs: { weights: 1.2e9, largest_buffer: 1e6, activations: 1e6 } }) }) },
  async ({ page, origin }) => {
    await open(page, `${origin}/?prompt=a+cat&seed=1`);
    await finished(page);
    await page.click("#edit-open");
    await page.fill("#edit-words", "a dog");
    await edited(page, "a dog");
    assert.equal(await page.isDisabled("#edit-deeper"), true);
    assert.match(await page.textContent("#edit-deeper-note"), /too large to be fitted to a picture here: about 1\.2 GB/);
  },
);

/** Waits until the canvas shows a picture of these words and nothing is drawn. */
async function edited(page, words) {
  await page.locator(`#canvas[aria-label*="“${words}”"]`).waitFor(PATIENCE);
  await page.waitForFunction(() => document.getElementById("frame").dataset.state === "rest");
}

/** Waits until the model was fitted; words of trouble end the wait at once. */
async function fitted(page) {
  await page.waitForFunction(
    () => /^Fitted and drawn in/.test(document.getElementById("line").textContent) || !document.getElementById("trouble").hidden,
    null,
    PATIENCE,
  );
  if (await page.isVisible("#trouble")) assert.fail(`the page says: ${await page.textContent("#trouble")}`);
}
