// What needs no model of quality, tested with a tiny one: sharing, examples, Live by itself, the keys that draw, nine seeds,
// a morph without motion or without words, a download that tells its bytes and its time.
import assert from "node:assert/strict";
import { browserTest } from "./harness.mjs";
import { servingModels, tinyModel } from "./models.mjs";
import { canvas, drawBy, finished, open, unfold } from "./page.mjs";

const { before } = servingModels({ tiny: tinyModel({ name: "Tiny", examples: ["a green fox", "a cat"] }) });
const DRAWS = { timeout: 300_000, webgpu: "none", before };

browserTest("where the browser can share, the link goes to another program", DRAWS, async ({ page, origin }) => {
  await page.addInitScript(() => {
    globalThis.shared = [];
    navigator.share = async (what) => {
      if (globalThis.shared.push(what) > 1) throw new DOMException("no, after all", "AbortError");
    };
  });
  await open(page, `${origin}/?seed=5`);
  await page.fill("#prompt", "a cat");
  await drawBy(page, "#generate");
  await page.click("#share");
  await page.click("#share"); // the user thinks better of it
  await page.waitForFunction(() => globalThis.shared.length === 2);
  const [{ title, url }] = await page.evaluate(() => globalThis.shared);
  assert.deepEqual([title, url], ["Fourstep: a cat", `${origin}/?prompt=a+cat&seed=5`]);
  assert.equal(await page.isVisible("#trouble"), false, "to stop sharing is no trouble");
});

browserTest("where the browser cannot share there is no button for it", DRAWS, async ({ page, origin }) => {
  await page.addInitScript(() => delete Navigator.prototype.share);
  await open(page, `${origin}/?prompt=a+cat&seed=5`);
  await finished(page);
  assert.equal(await page.isVisible("#share"), false);
  assert.equal(await page.isVisible("#copy"), true);
});

browserTest("an example is a link, and draws where it stands", DRAWS, async ({ page, origin }) => {
  await open(page, origin);
  const examples = page.locator("#help a");
  assert.deepEqual(await examples.evaluateAll((all) => all.map((link) => link.getAttribute("href"))), [
    "?prompt=a+green+fox",
    "?prompt=a+cat",
  ]);
  await examples.first().click();
  await finished(page);
  assert.equal(await page.inputValue("#prompt"), "a green fox");
});

browserTest(
  "Live switches itself on where a picture takes less than a second, until the user says otherwise",
  DRAWS,
  async ({ page, origin }) => {
    await open(page, `${origin}/?seed=5`);
    assert.equal(await page.isChecked("#live"), false);
    await page.fill("#prompt", "a cat");
    await drawBy(page, "#generate"); // builds the model too
    await drawBy(page, "#generate");
    assert.equal(await page.isChecked("#live"), true);
    await page.fill("#prompt", "a dog");
    await page.locator("#canvas[aria-label*='a dog']").waitFor();
    await page.uncheck("#live");
    await drawBy(page, "#generate");
    assert.equal(await page.isChecked("#live"), false, "it stays as the user wants it");
  },
);

browserTest("Ctrl+Enter and Cmd+Enter draw wherever the focus is", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=5`);
  await finished(page);
  await page.click("#settings summary");
  let drawn = await canvas(page);
  for (const [key, place] of [
    ["Control", "#size"],
    ["Meta", "#slider"],
    ["Control", "#copy"],
    ["Meta", "#prompt"],
  ]) {
    await page.focus(place);
    await page.keyboard.press(`${key}+Enter`);
    await page.waitForFunction((before) => document.getElementById("canvas").toDataURL() !== before, drawn);
    await finished(page);
    drawn = await canvas(page);
  }
});

browserTest("a morph without words goes to the next seed", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=4294967295`);
  await finished(page);
  await page.emulateMedia({ reducedMotion: "reduce" });
  await page.selectOption("#morph-frames", "5");
  await page.click("#morph-go");
  await page.locator("#line", { hasText: "The morph is ready" }).waitFor({ timeout: 120_000 });
  assert.equal(await page.getAttribute("#morph-canvas", "aria-label"), "From “a cat” to “seed 0”");
  const end = await canvas(page, "morph-canvas");
  await page.click("#more-4");
  await page.locator("#variations button").nth(3).waitFor({ timeout: 120_000 });
  const next = await page.$eval("#variations li:nth-child(2) canvas", (seed) => {
    const morph = document.getElementById("morph-canvas");
    const copy = Object.assign(document.createElement("canvas"), { width: morph.width, height: morph.height });
    const context = copy.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(seed, 0, 0, morph.width, morph.height);
    return copy.toDataURL();
  });
  assert.equal(next, end, "it ends with the picture of that seed");
});

browserTest("nine seeds in a grid; a morph plays by itself only where motion is wanted", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=5`);
  await finished(page);
  await page.click("#more-9");
  await page.locator("#variations button").nth(8).waitFor({ timeout: 120_000 });
  for (const [reducedMotion, label] of [
    ["reduce", "Play"],
    ["no-preference", "Stop"],
  ]) {
    await page.emulateMedia({ reducedMotion });
    await page.selectOption("#morph-frames", "5");
    await page.waitForSelector("#morph-go:enabled");
    await page.click("#morph-go");
    await page.locator("#line", { hasText: "The morph is ready" }).waitFor({ timeout: 120_000 });
    assert.equal(await page.textContent("#morph-play"), label);
    await page.click("#morph-play");
  }
});

browserTest("what the browser keeps is shown with its limit, and asked to stay", DRAWS, async ({ page, origin }) => {
  await page.addInitScript(() => {
    globalThis.answers = [false, true];
    navigator.storage.persist = async () => globalThis.answers.shift();
    navigator.storage.persisted = async () => globalThis.answers.length === 0;
  });
  await open(page, `${origin}/?prompt=a+cat&seed=5`);
  await finished(page);
  const words = page.locator("#storage-words");
  await unfold(page, "setup");
  await words.filter({ hasText: /^\d+\.\d MB of [\d.]+ [MG]B used\. The browser may clear it when space runs out\.$/ }).waitFor();
  await page.click("#storage-keep");
  await words.filter({ hasText: "does not promise to keep it" }).waitFor();
  assert.equal(await page.isVisible("#storage-keep"), false, "asking again would not help");
  await page.reload();
  await unfold(page, "setup");
  await page.click("#storage-keep"); // the script's answers start over: no, then yes
  await words.filter({ hasText: "does not promise" }).waitFor();
  await page.evaluate(() => globalThis.answers.shift());
  await page.click("#model-forget");
  await words.filter({ hasText: /It stays until you delete it\.$/ }).waitFor();
});

{
  const slow = servingModels({ slow: tinyModel({ name: "Slow", padding: 3e6 }) });
  const host = { send: async () => {} }; // some more of the file
  const trickling = (request, response) => {
    if (!request.url.endsWith("/padding.txt")) return slow.before(request, response);
    response.writeHead(200, { "Content-Length": 3e6 });
    host.send = (bytes) => new Promise((sent) => response.write(Buffer.alloc(bytes, 120), sent));
    return true;
  };
  browserTest(
    "a download tells its bytes and the time that is left, also to a screen reader",
    { ...DRAWS, before: trickling },
    async ({ page, origin }) => {
      await page.addInitScript(() => {
        globalThis.spoken = [];
        addEventListener("DOMContentLoaded", () => {
          const region = document.getElementById("spoken");
          new MutationObserver(() => globalThis.spoken.push(region.textContent)).observe(region, { childList: true });
        });
      });
      await open(page, `${origin}/?prompt=a+cat&seed=5`);
      const line = page.locator("#load-line");
      await line.filter({ hasText: "of 3.7 MB" }).waitFor();
      let left = 3e6; // sent in small parts until the time can be told
      while (left > 1e5 && !/about/.test(await line.textContent())) {
        await host.send(2e4);
        left -= 2e4;
        await page.waitForTimeout(30); // the pace of a slow network: the time can be told after a while
      }
      assert.match(await line.textContent(), /^\d\.\d of 3\.7 MB · about \d+ s left$/);
      const [value, max] = await page.$eval("#load-bar", ({ value, max }) => [value, max]);
      assert.ok(value > 0 && value < max && max === 1, `${value} of ${max}`);
      await host.send(left);
      await finished(page);
      const spoken = await page.evaluate(() => globalThis.spoken);
      assert.ok(
        spoken.some((words) => /^Fetching the model, \d\.\d of 3\.7 MB/.test(words)),
        JSON.stringify(spoken),
      );
    },
  );
}
