// Cancel answers at any moment: while the model is fetched or built, between steps, between the pictures of a grid or a
// morph; and the next request draws. (A download that stands still: survive.test.mjs.)
import assert from "node:assert/strict";
import { browserTest } from "./harness.mjs";
import { servingModels, tinyModel } from "./models.mjs";
import { drawBy, finished, open } from "./page.mjs";

const DRAWS = { timeout: 300_000, webgpu: "none" };
const LARGE = 256; // pixels, so that a step takes longer than the page's answer
const { before } = servingModels({ tiny: tinyModel({ name: "Tiny" }) });
const TINY = { ...DRAWS, before };

browserTest("cancel between two steps lets at most the running step end", TINY, async ({ page, origin }) => {
  await open(page, `${origin}/?seed=1&steps=60&size=${LARGE}`);
  await page.fill("#prompt", "a cat");
  for (const count of [1, 4]) {
    const cancelled = cancelAt(page, ".thumb", count);
    await page.click("#generate");
    const after = await cancelled;
    assert.ok(after <= 1, `${after} steps after cancel`);
    assert.match(await page.textContent("#line"), new RegExp(`^Stopped after step [${count}${count + 1}] of 60\\.$`));
  }
});

for (const [what, button, cells] of [
  ["a grid", "#more-9", "#variations button"],
  ["a morph", "#morph-go", "#variations button"],
]) {
  browserTest(`cancel ends ${what} in the middle, and the page draws again`, TINY, async ({ page, origin }) => {
    await open(page, `${origin}/?prompt=a+cat&seed=1&steps=2&size=${LARGE}`);
    await finished(page);
    await page.click(button);
    await page.locator("#line", { hasText: /^Picture [2-8] of 9/ }).waitFor();
    await page.keyboard.press("Escape");
    await page.locator("#line", { hasText: "Stopped." }).waitFor({ timeout: 30_000 });
    assert.ok((await page.locator(cells).count()) < 9);
    assert.equal(await page.isDisabled("#morph-save"), true, "half a morph is not for download");
    await drawBy(page, "#generate");
  });
}

browserTest(
  "cancel while the model is built answers when it is, and draws nothing",
  { ...DRAWS, saveData: true },
  async ({ page, origin }) => {
    await open(page, `${origin}/?seed=1&steps=1`);
    await page.fill("#prompt", "a cat");
    await page.evaluate(() => {
      const title = document.getElementById("load-title");
      const stop = () => title.textContent === "Preparing the model" && document.getElementById("generate").click();
      new MutationObserver((_, observer) => stop() !== false && observer.disconnect()).observe(title, { childList: true });
    });
    await page.click("#generate");
    await page.locator("#line", { hasText: "Stopped before the first step." }).waitFor({ timeout: 120_000 });
    assert.equal(await page.locator(".thumb").count(), 0);
    await drawBy(page, "#generate");
  },
);

/** Presses Cancel as soon as `count` elements are there; resolves to how many more came until the page was at rest. */
function cancelAt(page, selector, count) {
  return page.evaluate(
    ([selector, count]) =>
      new Promise((resolve) => {
        const button = document.getElementById("generate");
        const there = () => document.querySelectorAll(selector).length;
        const before = document.querySelector(selector); // of an earlier picture, until this one's first step
        let pressed = null;
        const observer = new MutationObserver(() => {
          const begun = button.textContent === "Cancel" && document.querySelector(selector) !== before;
          if (pressed === null && begun && there() >= count) {
            pressed = there();
            button.click();
          } else if (pressed !== null && button.textContent === "Generate") {
            observer.disconnect();
            resolve(there() - pressed);
          }
        });
        observer.observe(document.body, { subtree: true, childList: true });
      }),
    [selector, count],
  );
}
