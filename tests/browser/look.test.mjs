// How the page looks to a newcomer: what the first screen shows, how large things are to a finger, what the words are.
import assert from "node:assert/strict";
import { browserTest } from "./harness.mjs";
import { servingModels, stickersModel } from "./models.mjs";
import { dropFile, finished, open, png, unfold } from "./page.mjs";

const { before } = servingModels({ stickers: stickersModel() });
const DRAWS = { webgpu: "none", fake: true, before };
const TOUCH = 44; // px, both ways

browserTest(
  "the first screen shows the prompt, Generate, the picture and the examples, and one quiet line about the rest",
  DRAWS,
  async ({ page, origin }) => {
    for (const drawn of [false, true]) {
      await page.goto("about:blank");
      await open(page, drawn ? `${origin}/?prompt=a+cat&seed=5` : origin);
      if (drawn) await finished(page);
      for (const id of ["prompt", "generate", "frame", "examples", "setup"]) {
        const box = await page.locator(`#${id}`).boundingBox();
        assert.ok(box.y >= 0 && box.y + box.height <= 900 && box.x >= 0 && box.x + box.width <= 1280, `${id}: ${JSON.stringify(box)}`);
      }
      if (drawn) assert.ok((await page.locator("#download").boundingBox()).y < 900 - TOUCH, "and what can be done with the picture");
      assert.ok((await page.locator("#setup").boundingBox()).height < 50, "one line");
      for (const id of ["model", "device", "storage-words"]) assert.equal(await page.isVisible(`#${id}`), false);
      assert.deepEqual(await page.evaluate(emptyBoxes), [], "no empty boxes");
    }
    await unfold(page, "setup");
    for (const id of ["model", "device", "storage-words"]) assert.equal(await page.isVisible(`#${id}`), true);
  },
);

browserTest(
  "the first screen of a phone shows the prompt, Generate, examples and the picture",
  { ...DRAWS, viewport: { width: 390, height: 844 }, touch: true },
  async ({ page, origin }) => {
    await open(page, origin);
    for (const id of ["prompt", "generate", "examples", "frame"]) {
      const box = await page.locator(`#${id}`).boundingBox();
      assert.ok(box.y >= 0 && box.y + box.height <= 844, `${id}: ${JSON.stringify(box)}`);
    }
  },
);

browserTest(
  "whatever a finger may touch is 44 px high and wide at least",
  { ...DRAWS, viewport: { width: 390, height: 844 }, touch: true },
  async ({ page, origin }) => {
    await open(page, origin);
    const small = async (state) => assert.deepEqual(await page.evaluate(smallTargets, TOUCH), [], state);
    await small("first visit");
    await page.fill("#prompt", "a cat at the bakery");
    await page.locator("#help button").first().waitFor();
    await small("suggestions");
    await page.click("#generate");
    await finished(page);
    await page.locator("#notice-offers button").first().waitFor();
    await page.locator("#kept li").waitFor();
    await small("a picture and a notice");
    await page.click("#edit-open");
    await page.fill("#edit-words", "a dog");
    await page.locator("#edit-further:enabled").waitFor();
    await small("an edit by words");
    await page.click("#edit-close");
    await page.click("#more-4");
    await page.locator("#variations button").nth(3).waitFor();
    await page.locator("#variations button").nth(1).click();
    await dropFile(
      page,
      png(64, 64, () => [200, 80, 40]),
    );
    await page.locator("#start-canvas").waitFor();
    for (const id of ["settings", "setup", "numbers"]) await unfold(page, id);
    await page.click("#kept li:first-child .acts button:last-child");
    await page.locator("#kept-undo").waitFor();
    await small("everything unfolded");
  },
);

browserTest("the words are those of a designer", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=5`);
  await finished(page);
  await page.locator("#kept li").waitFor();
  const text = await page.evaluate(() => {
    const labels = [...document.querySelectorAll("[title], [aria-label], [placeholder]")].flatMap((one) =>
      ["title", "aria-label", "placeholder"].map((name) => one.getAttribute(name)),
    );
    return [document.body.textContent, ...labels].join("\n");
  });
  for (const odd of [/anew/i, /the way is/i, /\bwalk\b/i, /kept here/i, /more of it/i, /other words/i, /for good/i])
    assert.doesNotMatch(text, odd);
  for (const plain of ["Variations", "Morph", "Edit this picture", "Edit by words", "Download", "Copy image", "Copy link"])
    assert.ok(text.includes(plain), plain);
});

/** Runs in the page: visible boxes with a dashed border and nothing in them. */
function emptyBoxes() {
  return [...document.querySelectorAll("main *")]
    .filter(
      (one) =>
        one.checkVisibility({ visibilityProperty: true }) && getComputedStyle(one).borderStyle === "dashed" && !one.textContent.trim(),
    )
    .map((one) => one.outerHTML.slice(0, 80));
}

/** Runs in the page: what can be clicked and is seen, and is smaller than `least`; a field in a label counts with its label. */
function smallTargets(least) {
  const all = document.querySelectorAll("button, a, summary, select, textarea, input:not([type=file]), canvas[tabindex]");
  return [...all]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }))
    .map((one) => one.closest("label") ?? one)
    .map((one) => [one, one.getBoundingClientRect()])
    .filter(([, { width, height }]) => width < least - 0.5 || height < least - 0.5)
    .map(
      ([one, { width, height }]) => `${one.id || one.className || one.textContent.trim()}: ${Math.round(width)} x ${Math.round(height)}`,
    );
}
