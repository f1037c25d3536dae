// The examples at the end of the page: pictures that are links, each what its link draws.
import assert from "node:assert/strict";
import { browserTest } from "./harness.mjs";
import { servingModels, tinyModel } from "./models.mjs";
import { fields, finished, open } from "./page.mjs";

const DRAWS = { timeout: 300_000, webgpu: "none" };
const ALLOWED = 8; // of 255, mean absolute difference: the pictures that ship are compressed

browserTest(
  "every example is a link of known words, and opened elsewhere it draws the picture beside it",
  DRAWS,
  async ({ page, origin }) => {
    await open(page, origin);
    const links = await page.$$eval("#examples a", (all) => all.map((link) => [link.getAttribute("href"), link.textContent]));
    assert.ok(links.length >= 8, `${links.length} examples`);
    for (const [href, text] of links) {
      assert.equal(new URLSearchParams(href).get("prompt"), text);
    }
    const unknown = await page.evaluate(
      async (prompts) => {
        const { Engine } = await import("./www/engine.js");
        const engine = new Engine({ onLoading() {}, onLoaded() {} });
        const advice = await Promise.all(prompts.map((prompt) => engine.advise("stickers", prompt, { wait: true })));
        return advice.flatMap(({ unknown }) => unknown.map(({ word }) => word));
      },
      links.map(([, text]) => text),
    );
    assert.deepEqual(unknown, []);
    for (const at of [0, 2]) {
      await page.goto("about:blank");
      await open(page, `${origin}/${links[at][0]}`);
      await finished(page);
      const [own, others] = [await fromShipped(page, at), await fromShipped(page, at + 1)];
      assert.ok(own <= ALLOWED, `${links[at][1]}: mean difference ${own} of 255 (node tools/examples.mjs redraws them)`);
      assert.ok(others > 3 * ALLOWED, "and it is not any other one");
    }
  },
);

browserTest("an example that is chosen is drawn in place, without the settings of before", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?seed=99&steps=1&negative=a+dog`);
  await page.evaluate(() => (globalThis.same = true));
  await page.fill("#prompt", "a cat");
  await page.locator("#examples a").nth(1).click();
  await finished(page);
  assert.equal(await page.evaluate(() => globalThis.same), true, "the page was not left");
  const { prompt, negative, seed, steps } = await fields(page);
  assert.deepEqual([prompt, negative, seed, steps], ["a teal tractor", "", "7", "4"]);
  assert.ok((await fromShipped(page, 1)) <= ALLOWED);
  assert.ok(await page.locator("#frame").evaluate((frame) => frame.getBoundingClientRect().top >= 0), "the picture is in sight");
});

{
  const { before } = servingModels({ tiny: tinyModel({ name: "Tiny" }) });
  browserTest("where another model draws the links, no pictures of ours are shown", { ...DRAWS, before }, async ({ page, origin }) => {
    await open(page, origin);
    assert.equal(await page.isVisible("#examples"), false);
  });
}

/** The mean difference between the finished picture and one of www/examples.webp. */
function fromShipped(page, at) {
  return page.evaluate(async (at) => {
    const all = await createImageBitmap(await (await fetch("www/examples.webp")).blob());
    const side = all.height;
    const pixels = (source, x) => {
      const context = new OffscreenCanvas(side, side).getContext("2d");
      context.drawImage(source, x, 0, side, side, 0, 0, side, side);
      return context.getImageData(0, 0, side, side).data;
    };
    const [drawn, shipped] = [pixels(document.querySelector(".thumb[aria-current] canvas"), 0), pixels(all, at * side)];
    return drawn.reduce((sum, level, i) => sum + Math.abs(level - shipped[i]), 0) / (0.75 * drawn.length);
  }, at);
}
