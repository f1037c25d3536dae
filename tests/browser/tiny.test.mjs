// What needs no model of quality, tested with a tiny one: sharing, examples, Live by itself, the keys that draw, nine seeds,
// a walk without motion or without words, a download that tells its bytes and its time.
import assert from "node:assert/strict";
import { browserTest } from "./harness.mjs";
import { servingModels, tinyModel } from "./models.mjs";
import { canvas, drawBy, finished, open } from "./page.mjs";

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
  await open(page, origin);
  assert.equal(await page.isVisible("#share"), false);
  assert.equal(await page.isVisible("#copy"), true);
});

browserTest("an example is a link, and draws where it stands", DRAWS, async ({ page, origin }) => {
  await open(page, origin);
  const examples = page.locator("#help a");
  assert.deepEqual(await examples.evaluateAll((all) => all.map((link) => link.getAttribute("href"))), ["?prompt=a+green+fox", "?prompt=a+cat"]);
  await examples.first().click();
  await finished(page);
  assert.equal(await page.inputValue("#prompt"), "a green fox");
});

browserTest("Live switches itself on where a picture takes less than a second, until the user says otherwise", DRAWS, async ({ page, origin }) => {
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
});

browserTest("Ctrl+Enter and Cmd+Enter draw wherever the focus is", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=5`);
  await finished(page);
  await page.click("#settings summary");
  let drawn = await canvas(page);
  for (const [key, place] of [["Control", "#size"], ["Meta", "#slider"], ["Control", "#copy"], ["Meta", "#prompt"]]) {
    await page.focus(place);
    await page.keyboard.press(`${key}+Enter`);
    await page.waitForFunction((before) => document.getElementById("canvas").toDataURL() !== before, drawn);
    await finished(page);
    drawn = await canvas(page);
  }
});

browserTest("a walk without words goes to the next seed", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=4294967295`);
  await finished(page);
  await page.emulateMedia({ reducedMotion: "reduce" });
  await page.selectOption("#walk-frames", "5");
  await page.click("#walk-go");
  await page.locator("#line", { hasText: "The way is drawn" }).waitFor({ timeout: 120_000 });
  assert.equal(await page.getAttribute("#walk-canvas", "aria-label"), "From “a cat” to “seed 0”");
  const end = await canvas(page, "walk-canvas");
  await page.click("#more-4");
  await page.locator("#variations button").nth(3).waitFor({ timeout: 120_000 });
  const next = await page.$eval("#variations li:nth-child(2) canvas", (seed) => {
    const walk = document.getElementById("walk-canvas");
    const copy = Object.assign(document.createElement("canvas"), { width: walk.width, height: walk.height });
    const context = copy.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(seed, 0, 0, walk.width, walk.height);
    return copy.toDataURL();
  });
  assert.equal(next, end, "it ends with the picture of that seed");
});

browserTest("nine seeds in a grid; a walk plays by itself only where motion is wanted", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=5`);
  await finished(page);
  await page.click("#more-9");
  await page.locator("#variations button").nth(8).waitFor({ timeout: 120_000 });
  for (const [reducedMotion, label] of [["reduce", "Play"], ["no-preference", "Stop"]]) {
    await page.emulateMedia({ reducedMotion });
    await page.selectOption("#walk-frames", "5");
    await page.waitForSelector("#walk-go:enabled");
    await page.click("#walk-go");
    await page.locator("#line", { hasText: "The way is drawn" }).waitFor({ timeout: 120_000 });
    assert.equal(await page.textContent("#walk-play"), label);
    await page.click("#walk-play");
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
  await words.filter({ hasText: /^\d+\.\d MB of at most [\d.]+ [MG]B, while there is room\.$/ }).waitFor();
  await page.click("#storage-keep");
  await words.filter({ hasText: "does not promise to keep it" }).waitFor();
  assert.equal(await page.isVisible("#storage-keep"), false, "asking again would not help");
  await page.reload();
  await page.click("#storage-keep"); // the script's answers begin anew: no, then yes
  await words.filter({ hasText: "does not promise" }).waitFor();
  await page.evaluate(() => globalThis.answers.shift());
  await page.click("#model-forget");
  await words.filter({ hasText: /until you delete it\.$/ }).waitFor();
});

{
  const slow = servingModels({ slow: tinyModel({ name: "Slow", padding: 3e6 }) });
  const trickling = (request, response) => {
    if (!request.url.endsWith("/padding.txt")) return slow.before(request, response);
    response.writeHead(200, { "Content-Length": 3e6 });
    let parts = 0;
    const timer = setInterval(() => {
      response.write(Buffer.alloc(2e5, 120));
      if (++parts === 15) response.end(clearInterval(timer));
    }, 500);
    return true;
  };
  browserTest("a download tells its bytes and the time that is left, also to a screen reader", { ...DRAWS, before: trickling }, async ({ page, origin }) => {
    await page.addInitScript(() => {
      globalThis.spoken = [];
      addEventListener("DOMContentLoaded", () => {
        const region = document.getElementById("spoken");
        new MutationObserver(() => globalThis.spoken.push(region.textContent)).observe(region, { childList: true });
      });
    });
    await open(page, `${origin}/?prompt=a+cat&seed=5`);
    await page.locator("#load-line", { hasText: /^\d\.\d of 3\.7 MB · about \d+ s left$/ }).waitFor();
    const [value, max] = await page.$eval("#load-bar", ({ value, max }) => [value, max]);
    assert.ok(value > 0 && value < max && max > 3e6, `${value} of ${max}`);
    await finished(page);
    const spoken = await page.evaluate(() => globalThis.spoken);
    assert.ok(spoken.some((words) => /^Fetching the model, \d\.\d of 3\.7 MB/.test(words)), JSON.stringify(spoken));
  });
}
