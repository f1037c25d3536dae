// Somebody who opens the page for the first time: every control answers from the first paint, and nothing happens unseen. The
// program in tests/browser/fake draws, since the pictures do not matter here.
import assert from "node:assert/strict";
import { browserTest } from "./harness.mjs";
import { servingModels, slowModels, stickersModel } from "./models.mjs";
import { canvas, drawBy, dropFile, fields, finished, open, png, saved, unfold } from "./page.mjs";

const { before } = servingModels({ stickers: stickersModel() });
const DRAWS = { webgpu: "none", fake: true, before };

{
  const host = slowModels({ stickers: stickersModel() });
  browserTest(
    "an example that is chosen before the model is known waits visibly, and is drawn",
    { ...DRAWS, before: host.before },
    async ({ page, origin }) => {
      await page.goto(origin);
      await page.locator("#examples a").nth(1).click();
      await page.locator("#load-title", { hasText: "Getting ready" }).waitFor();
      assert.equal(await page.textContent("#generate"), "Cancel");
      host.open();
      await finished(page);
      assert.match(await page.getAttribute("#canvas", "aria-label"), /a teal tractor.*seed 7$/);
    },
  );
}

{
  const host = slowModels({ stickers: stickersModel() });
  browserTest(
    "Generate before the model is known waits visibly, can be cancelled, and draws",
    { ...DRAWS, before: host.before },
    async ({ page, origin }) => {
      await page.goto(origin);
      assert.equal(await page.isDisabled("#surprise"), true, "what cannot answer yet is not offered");
      await page.fill("#prompt", "a cat");
      await page.click("#generate");
      await page.locator(".loading", { hasText: "Looking for the model" }).waitFor();
      await page.click("#generate");
      await page.locator("#line", { hasText: "Stopped." }).waitFor();
      await page.click("#generate");
      await page.locator(".loading", { hasText: "Looking for the model" }).waitFor();
      host.open();
      await finished(page);
      assert.match(await page.getAttribute("#canvas", "aria-label"), /“a cat”/);
    },
  );
}

{
  const host = { open: true };
  const missing = (request, response) => {
    if (host.open || request.url !== "/models/index.json") return before(request, response);
    response.writeHead(503).end();
    return true;
  };
  browserTest(
    "where the model cannot be found at first, Generate asks again",
    { ...DRAWS, before: missing, errors: [/503/] },
    async ({ page, origin }) => {
      host.open = false;
      await page.goto(origin);
      await page.locator("#trouble-text", { hasText: "503" }).waitFor();
      host.open = true;
      await page.fill("#prompt", "a cat");
      await drawBy(page, "#generate");
    },
  );
}

browserTest(
  "Generate works before the page's own code is here",
  { ...DRAWS, errors: [/Failed to load|ERR_/] },
  async ({ page, origin }) => {
    await page.route("**/www/page.js", (route) => route.abort());
    await page.goto(origin);
    await page.fill("#prompt", "a green fox");
    await page.unroute("**/www/page.js");
    await page.click("#generate");
    await page.waitForURL(/prompt=a\+green\+fox/);
    await finished(page);
    assert.equal(await page.inputValue("#prompt"), "a green fox");
  },
);

for (const [from, choose] of [
  ["a variation", async (page) => page.locator("#variations button").nth(2).click()],
  ["a picture of the gallery", async (page) => page.locator("#kept .open").last().click()],
]) {
  browserTest(`${from} that is chosen keeps the model, and its seed visibly until the prompt changes`, DRAWS, async ({ page, origin }) => {
    await open(page, `${origin}/?prompt=a+cat&seed=5`);
    await finished(page);
    await page.uncheck("#live"); // which would draw between what is done here
    await drawBy(page, "#more-4");
    await page.locator("#variations button").nth(3).waitFor();
    assert.equal(await page.isVisible("#seed-kept"), false);
    await choose(page);
    await page.locator("#seed-kept").waitFor();
    const models = await page.$$eval("#model option", (all) => all.map(({ value }) => value));
    assert.deepEqual([models, await page.inputValue("#model")], [["stickers"], "stickers"]);
    const seed = await page.inputValue("#seed");
    assert.match(await page.textContent("#seed-kept"), new RegExp(`Seed ${seed} kept`));
    await page.click("#seed-kept"); // released
    assert.equal(await page.isVisible("#seed-kept"), false);
    await drawBy(page, "#generate");
    assert.notEqual(await page.inputValue("#seed"), seed, "the next picture is another one");

    await choose(page);
    await page.locator("#seed-kept").waitFor();
    await unfold(page, "settings");
    await page.fill("#guidance", "3");
    await drawBy(page, "#generate");
    assert.equal(await page.inputValue("#seed"), seed, "the seed stays while a setting is tried");
    await drawBy(page, "#generate");
    assert.notEqual(await page.inputValue("#seed"), seed, "and goes where nothing else would change");

    await choose(page);
    await page.locator("#seed-kept").waitFor();
    await page.fill("#prompt", "a green fox");
    assert.equal(await page.isVisible("#seed-kept"), false, "a new prompt rolls a new seed");
    assert.notEqual(await page.inputValue("#seed"), seed);
    await choose(page);
    await page.locator("#seed-kept").waitFor();
    await drawBy(page, "#surprise");
    assert.notEqual(await page.inputValue("#seed"), seed, "and so does a surprise");
  });
}

browserTest("a seed that the user keeps stays until it is released", DRAWS, async ({ page, origin }) => {
  await open(page, origin);
  await unfold(page, "settings");
  await page.fill("#seed", "123");
  assert.match(await page.textContent("#seed-kept"), /^Seed 123 kept/);
  for (const prompt of ["a cat", "a dog"]) {
    await page.fill("#prompt", prompt);
    await drawBy(page, "#generate");
    assert.equal(await page.inputValue("#seed"), "123");
  }
  await page.click("#seed-kept");
  assert.equal(await page.isChecked("#keep"), false);
  await drawBy(page, "#generate");
  assert.notEqual(await page.inputValue("#seed"), "123");
});

browserTest(
  "the strengths that are offered are those that exist, and each redraws another number of steps",
  DRAWS,
  async ({ page, origin }) => {
    await open(page, `${origin}/?prompt=a+cat&seed=5`);
    await finished(page);
    await page.click("#change");
    const range = () => page.$eval("#strength", ({ min, max, step }) => [min, max, step].map(Number));
    assert.deepEqual(await range(), [1, 4, 1]);
    const drawn = [];
    for (const stop of [1, 2, 3, 4]) {
      await page.fill("#strength", String(stop));
      assert.equal(await page.textContent("#strength-value"), `${stop} of 4 steps`);
      await drawBy(page, "#generate");
      drawn.push(await page.locator(".thumb").count());
    }
    assert.deepEqual(drawn, [1, 2, 3, 4]);
    await unfold(page, "settings");
    await page.fill("#steps", "50");
    assert.deepEqual(await range(), [1, 50, 1]);
    assert.equal(await page.textContent("#strength-value"), "50 of 50 steps");
  },
);

browserTest("a picture that is in the gallery already is not added again", DRAWS, async ({ page, origin }) => {
  const kept = page.locator("#kept li");
  await open(page, `${origin}/?prompt=a+cat&seed=5`);
  await finished(page);
  await kept.first().waitFor();
  await unfold(page, "settings");
  await page.check("#keep");
  for (let enter = 0; enter < 3; enter++) await drawBy(page, "#generate");
  await drawBy(page, "#more-4"); // the first has the picture's own seed
  for (const at of [0, 1, 0, 1]) await page.locator("#variations button").nth(at).click();
  await kept.nth(1).waitFor();
  await page.check("#live"); // as if it were typed
  for (const prompt of ["a ca", "a cat"]) {
    await page.fill("#prompt", prompt);
    await page.locator(`#canvas[aria-label*='“${prompt}”']`).waitFor();
  }
  await page.locator("#kept .open").first().click();
  await page.uncheck("#live");
  await page.fill("#prompt", "a dog");
  await drawBy(page, "#generate"); // comes after all of them
  await page.locator("#kept img[alt^='a dog']").waitFor();
  assert.deepEqual(await kept.locator("img").evaluateAll((all) => all.map(({ alt }) => alt)), [
    `a dog, seed ${await page.inputValue("#seed")}`,
    "a cat, seed 6",
    "a cat, seed 5",
  ]);
});

browserTest("a dropped file that is no picture is named", DRAWS, async ({ page, origin }) => {
  await open(page, origin);
  await dropFile(page, Buffer.from("hello"), "notes.txt", "text/plain");
  await page.locator("#trouble-text", { hasText: "“notes.txt” is not a picture that this browser can read" }).waitFor();
});

browserTest("what is said of a picture's settings stays while the picture follows the typing", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=5`);
  await finished(page);
  const { bytes } = await saved(page, "#download");
  await page.fill("#prompt", "a dog");
  await drawBy(page, "#generate");
  await page.check("#live");
  await dropFile(page, bytes);
  await page.locator("#notice", { hasText: "Settings taken from the picture" }).waitFor();
  await page.locator("#canvas[aria-label*='“a cat”, seed 5']").waitFor(); // it followed
  assert.equal(await page.isVisible("#notice"), true);
  await page.fill("#prompt", "a red cat");
  await page.locator("#canvas[aria-label*='a red cat']").waitFor();
  assert.match(await page.textContent("#notice-text"), /^Settings taken from the picture/);
  await page.click("#notice-close");
  assert.equal(await page.isVisible("#notice"), false);
});

browserTest(
  "a wrong value is brought into sight, with words",
  { ...DRAWS, viewport: { width: 390, height: 700 } },
  async ({ page, origin }) => {
    await open(page, origin);
    await unfold(page, "settings");
    await page.fill("#seed", "1".repeat(23));
    await page.click("#settings summary");
    await page.evaluate(() => scrollTo({ top: 0, behavior: "instant" }));
    await page.fill("#prompt", "a cat");
    await page.click("#generate");
    await page.locator("#seed-error", { hasText: "too large. The largest is 18446744073709551615" }).waitFor();
    await page.waitForFunction(() => {
      const { top, bottom } = document.getElementById("seed-error").getBoundingClientRect();
      return top > 0 && bottom < innerHeight;
    });
    assert.equal(await page.evaluate(() => document.activeElement.id), "seed");
    for (const [text, words] of [
      ["x", /a whole number, 0 or more/],
      ["-1", /a whole number/],
      ["18446744073709551616", /too large/],
    ]) {
      await page.fill("#seed", text);
      await page.press("#seed", "Enter");
      assert.match(await page.textContent("#seed-error"), words);
    }
    await page.fill("#seed", "18446744073709551615");
    await page.press("#seed", "Enter");
    await finished(page);
  },
);

for (const [query, words] of [
  ["steps=99999", /steps 99999; 1000 is used/],
  ["size=2000", null],
]) {
  browserTest(`a link that asks for ${query} waits for a click`, DRAWS, async ({ page, origin }) => {
    await open(page, `${origin}/?prompt=a+cat&seed=5&${query}`);
    await page.locator("#notice", { hasText: "which takes a long time. Press Generate" }).waitFor();
    if (words) assert.match(await page.textContent("#note"), words);
    assert.equal(await page.textContent("#generate"), "Generate");
    assert.equal(await page.isDisabled("#download"), true);
    await page.click("#generate");
    await page.locator("#generate", { hasText: "Cancel" }).waitFor();
    await page.keyboard.press("Escape");
  });
}

browserTest("an empty prompt draws a surprise", DRAWS, async ({ page, origin }) => {
  await open(page, origin);
  await drawBy(page, "#generate");
  assert.notEqual(await page.inputValue("#prompt"), "");
  await page.fill("#prompt", "  ");
  await drawBy(page, "#generate");
  assert.notEqual((await page.inputValue("#prompt")).trim(), "");
});

browserTest("a start picture needs no words", DRAWS, async ({ page, origin }) => {
  await open(page, origin);
  await dropFile(
    page,
    png(64, 64, () => [200, 80, 40]),
  );
  await page.locator("#notice", { hasText: "start picture now" }).waitFor();
  await drawBy(page, "#generate");
  assert.equal(await page.inputValue("#prompt"), "");
});

{
  const offers = { sizes: [[64, 64]], strengths: [0.5, 1], variations: [] };
  const host = servingModels({ stickers: stickersModel({ offers }) });
  browserTest("what the model draws badly is not offered", { ...DRAWS, before: host.before }, async ({ page, origin }) => {
    await open(page, `${origin}/?prompt=a+cat&seed=5`);
    await finished(page);
    await unfold(page, "settings");
    assert.equal(await page.isVisible("#size"), false, "one size is no choice");
    assert.equal(await page.isVisible("#vary"), false);
    await page.click("#change");
    assert.deepEqual(await page.$eval("#strength", ({ min, max }) => [min, max]), ["2", "4"]);
    await page.goto("about:blank");
    await open(page, `${origin}/?prompt=a+cat&seed=5&size=96`);
    await finished(page);
    await unfold(page, "settings");
    assert.deepEqual(await page.$$eval("#size option", (all) => all.map(({ value }) => value)), ["64", "96"], "a link may ask for more");
    assert.ok(await canvas(page));
  });
}

browserTest("the settings of the form are those of a request, whatever else is in it", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=5&steps=3&guidance=1.5&negative=a+dog&sampler=euler_a`);
  await finished(page);
  const { bytes } = await saved(page, "#download");
  await page.goto("about:blank");
  await open(page, origin);
  await dropFile(page, bytes);
  await page.locator("#notice", { hasText: "Settings taken" }).waitFor();
  const { prompt, negative, seed, steps, guidance, sampler, model } = await fields(page);
  assert.deepEqual([prompt, negative, seed, steps, guidance, sampler, model], ["a cat", "a dog", "5", "3", "1.5", "euler_a", "stickers"]);
});
