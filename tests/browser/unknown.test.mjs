// Words that the model does not know: said at the prompt, at the picture, and before a picture that would be a guess.
import assert from "node:assert/strict";
import { browserTest } from "./harness.mjs";
import { servingModels, stickersModel } from "./models.mjs";
import { drawBy, finished, open } from "./page.mjs";

const { before } = servingModels({ stickers: stickersModel() });
const DRAWS = { webgpu: "none", fake: true, before };

browserTest("an unknown word is explained at the prompt and at the picture, with others to try", DRAWS, async ({ page, origin }) => {
  await open(page, origin);
  await page.uncheck("#live");
  await page.fill("#prompt", "a green bunny at the bakery");
  const said = page.locator("#help li");
  await said.filter({ hasText: /^I don’t know bunny\. Try\s*rabbit/ }).waitFor();
  await said.filter({ hasText: /^I don’t know bakery\. Try\s*cupcake/ }).waitFor();
  await said
    .getByRole("button", { name: /^rabbit instead/ })
    .first()
    .click();
  assert.equal(await page.inputValue("#prompt"), "a green rabbit at the bakery");
  await drawBy(page, "#generate");
  assert.equal(await page.textContent("#notice-text"), "I don’t know “bakery”, so the picture leaves that out.");
  await page.locator("#notice-offers button", { hasText: "Try “cupcake”" }).click();
  await page.locator("#canvas[aria-label*='a green rabbit at the cupcake']").waitFor();
  await finished(page);
  assert.equal(await page.isVisible("#notice"), false, "all of it is known now");
});

browserTest(
  "where no word is known the page says so before it draws, and draws all the same when asked again",
  DRAWS,
  async ({ page, origin }) => {
    await open(page, `${origin}/?prompt=the+bakery&seed=5`); // not even for a link
    const question = page.locator("#trouble-text", {
      hasText: "I don’t know any of these words. The picture would be a guess. Try “cupcake”.",
    });
    await question.waitFor();
    assert.equal(await page.isDisabled("#download"), true);
    await page.click("#retry");
    await finished(page);
    await page.fill("#prompt", "qwertz");
    await page.press("#prompt", "Enter");
    await page.locator("#trouble-text", { hasText: "any of these words" }).waitFor();
    await page.press("#prompt", "Enter");
    await page.locator("#canvas[aria-label*='qwertz']").waitFor();
  },
);

browserTest("after a complete sentence nothing is offered, and after a thing what can stand behind it", DRAWS, async ({ page, origin }) => {
  await open(page, origin);
  await page.uncheck("#live");
  await page.fill("#prompt", "a yellow duck");
  await page
    .locator("#help button", { hasText: /^on an? \w+ background$/ })
    .first()
    .click();
  assert.match(await page.inputValue("#prompt"), /^a yellow duck on an? \w+ background $/);
  assert.equal(await page.locator("#help li").count(), 0);
  await page.fill("#prompt", "a yellow duck on a teal background");
  assert.equal(await page.locator("#help li").count(), 0);
});

browserTest("a flag is told apart from a word that was never seen", DRAWS, async ({ page, origin }) => {
  await open(page, origin);
  await page.uncheck("#live");
  await page.fill("#prompt", "a cat and a flag");
  await page.locator("#help li", { hasText: "I can’t draw flags such as flag." }).waitFor();
  await drawBy(page, "#generate");
  assert.equal(await page.textContent("#notice-text"), "I can’t draw flags such as flag.");
});
