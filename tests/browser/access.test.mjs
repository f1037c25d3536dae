// For everybody: what axe-core checks in every state of the page, and what it cannot: keyboard alone, right-to-left
// prompts, motion, shifting layout.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { browserTest } from "./harness.mjs";
import { servingModels, tinyModel } from "./models.mjs";
import { unfold } from "./page.mjs";
import { DRAWS, PATIENCE, finished, open, trouble } from "./visit.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

for (const [name, viewport, colorScheme] of [
  ["wide and light", { width: 1280, height: 900 }, "light"],
  ["390 px wide and dark", { width: 390, height: 844 }, "dark"],
]) {
  browserTest(
    `axe-core finds nothing in any state, ${name}`,
    { ...DRAWS, viewport, saveData: true, errors: [/404/] },
    async ({ page, origin }) => {
      await page.emulateMedia({ colorScheme });
      await open(page, `${origin}/?seed=1&steps=12`);
      await page.fill("#prompt", "a grean cat");
      for (const id of ["settings", "setup"]) await unfold(page, id);
      await check(page, "first visit");
      await page.route("**/*.safetensors", (route) => route.fulfill({ status: 404, body: "" }));
      await page.click("#generate");
      await trouble(page);
      await check(page, "error");
      await page.unroute("**/*.safetensors");
      await page.click("#retry");
      await page.waitForSelector(".thumb", { timeout: PATIENCE });
      await check(page, "drawing");
      await finished(page);
      await check(page, "finished");
      await page.locator("#kept li").waitFor();
      await page.fill("#steps", "1");
      await page.click("#more-4");
      await page.locator("#variations button").nth(3).waitFor({ timeout: PATIENCE });
      await page.waitForSelector("#morph-go:enabled");
      await page.click("#morph-go");
      await page.waitForSelector("#morph-save:enabled", { timeout: PATIENCE });
      await page.click("#numbers summary");
      await check(page, "variations and a morph");
      await page.locator("#variations button").nth(1).click();
      await page.click("#kept li:last-child .acts button:last-child");
      await page.locator("#kept-undo").waitFor();
      await check(page, "a kept seed, a deleted picture");
      await page.click("#change");
      await page.keyboard.press("Space");
      await page.locator("#start-summary", { hasText: "redraws the marked part" }).waitFor();
      await check(page, "a start picture");
      await page.click("#start-edit");
      await page.fill("#edit-words", "a blue blorf");
      await page.locator("#edit-note", { hasText: "blorf" }).waitFor({ timeout: PATIENCE });
      await check(page, "an edit by words");
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(overflow <= 0, `the page is ${overflow} px wider than the screen`);
    },
  );
}

browserTest(
  "axe-core finds nothing while the model is fitted to a picture and afterwards, and a finger finds everything",
  {
    ...DRAWS,
    webgpu: "none",
    viewport: { width: 390, height: 844 },
    touch: true,
    ...servingModels({ tiny: tinyModel({ name: "Tiny" }) }),
  },
  async ({ page, origin }) => {
    await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
    await open(page, `${origin}/?prompt=a+cat&seed=1`);
    await finished(page);
    await page.click("#edit-open");
    await page.fill("#edit-words", "a dog");
    await page.click("#edit-deeper");
    await page.locator("#line", { hasText: /step [1-9]\d of \d+/ }).waitFor({ timeout: PATIENCE });
    await check(page, "the model is fitted");
    await page.locator("#line", { hasText: /^Fitted and drawn/ }).waitFor({ timeout: PATIENCE });
    await check(page, "an edit with its slider");
    const low = await page.$$eval("#edit :is(button, input)", (all) =>
      all.filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 43.5).map((one) => one.id || one.textContent),
    );
    assert.deepEqual(low, [], "44 px high");
    await page.click("#edit-close");
    await unfold(page, "teach");
    await page.click("text=The drawn one");
    await page.click("text=From your pictures");
    await page.fill("#teach-word", "zib");
    await check(page, "pictures to learn from");
    await page.click("#teach-go");
    await page.locator("#line", { hasText: /step [1-9]\d of 200/ }).waitFor({ timeout: PATIENCE });
    await check(page, "a word is learned");
    await page.click("#teach-enough");
    await page.locator("#adapter").waitFor({ timeout: PATIENCE });
    await page.waitForSelector("#download:enabled", { timeout: PATIENCE });
    await check(page, "what was learned is in use");
    const lower = await page.$$eval(":is(#teach, #adapter) :is(button, input:not([type=checkbox]))", (all) =>
      all.filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 43.5).map((one) => one.id || one.textContent),
    );
    assert.deepEqual(lower, [], "44 px high");
    await page.uncheck("#adapter-on");
    await page.locator("#adapter-words", { hasText: "is off" }).waitFor();
    await check(page, "it is switched off");
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(over <= 0, `${over} px too wide`);
  },
);

browserTest("the page fits every screen from 320 px up, whatever it says", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?seed=4000000000&steps=1&negative=a+dog&size=96x64`);
  await page.fill("#prompt", `${"a cat in quite unknown wordings of an extraordinarily long sentence ".repeat(4)}x${"y".repeat(90)}`);
  await page.click("#generate");
  await finished(page);
  for (const id of ["teach", "settings", "setup", "numbers"]) await unfold(page, id);
  await page.locator("#teach-go").waitFor();
  await page.evaluate(() => (document.getElementById("adapter").hidden = false));
  await page.click("#edit-open");
  for (const width of [320, 390, 600, 860, 861, 1024, 1920]) {
    await page.setViewportSize({ width, height: 800 });
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(over <= 0, `${over} px too wide at ${width}`);
    const cut = await page.$$eval("button, select, label, h2, summary", (all) =>
      all.filter((one) => one.offsetParent && one.scrollWidth > one.clientWidth + 1).map((one) => one.id || one.textContent),
    );
    assert.deepEqual(cut, [], `cut off at ${width}`);
  }
});

browserTest("the keyboard alone draws, changes settings, walks the steps and cancels", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?seed=1`);
  await focusOn(page, "prompt");
  await page.keyboard.type("a cat");
  await focusOn(page, "settings");
  await page.keyboard.press("Enter");
  await focusOn(page, "steps");
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type("3");
  await page.keyboard.press("Enter");
  await finished(page);
  await focusOn(page, "strip");
  await page.keyboard.press("Home");
  assert.match(await page.textContent("#line"), /^Step 1 of 3/);
  await focusOn(page, "download");
  await focusOn(page, "edit-open");
  await page.keyboard.press("Enter");
  await page.keyboard.type("a dog");
  await page.locator("#line", { hasText: "Edited" }).waitFor({ timeout: PATIENCE });
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.activeElement.id), "edit-open", "the focus is where it was");
  await focusOn(page, "change");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "start-canvas", "the start picture has the focus");
  await page.keyboard.press("Space");
  await focusOn(page, "strength");
  await page.keyboard.press("Home");
  assert.equal(await page.textContent("#start-summary"), "redraws the marked part, 1 of 3 steps");
  await focusOn(page, "start-remove");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "start-choose", "the focus stays nearby");
  await page.evaluate(() => document.getElementById("prompt").focus());
  await page.fill("#steps", "50");
  await page.focus("#prompt");
  await page.keyboard.press("Control+Enter");
  await page.waitForFunction(() => /Step \d+ of 50/.test(document.getElementById("line").textContent), null, { timeout: PATIENCE });
  await page.keyboard.press("Escape");
  await page.locator("#line", { hasText: "Stopped after step" }).waitFor({ timeout: PATIENCE });
  assert.match(await page.textContent("#spoken"), /Stopped after step/, "the end is spoken");
});

browserTest("a right-to-left prompt stands on the right, and draws", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?seed=1&steps=1`);
  await page.fill("#prompt", "قطة خضراء");
  const question = page.locator("#retry", { hasText: "Draw it anyway" });
  const direction = await page.$eval("#prompt", (field) => [field.matches(":dir(rtl)"), field.value]);
  assert.deepEqual(direction, [true, "قطة خضراء"]);
  await page.click("#generate");
  await question.click(); // the model knows no such word
  await finished(page);
});

for (const [name, viewport, link] of [
  ["", { width: 1280, height: 900 }, "?prompt=a+cat&seed=1&steps=6"],
  [
    " on a small screen, where the address asks for what cannot be had",
    { width: 390, height: 844 },
    "?prompt=a+cat&seed=1&steps=6&size=67",
  ],
]) {
  const still = `nothing shifts from the first sight to the picture, and nothing moves where motion is unwanted${name}`;
  browserTest(still, { ...DRAWS, viewport }, async ({ page, origin }) => {
    await page.emulateMedia({ reducedMotion: "reduce" });
    await page.addInitScript(() => {
      globalThis.shifts = [];
      const record = (list) => {
        for (const { value, sources } of list.getEntries())
          globalThis.shifts.push([value, ...sources.map(({ node }) => node?.id || node?.nodeName)]);
      };
      new PerformanceObserver(record).observe({ type: "layout-shift", buffered: true });
    });
    await open(page, `${origin}/${link}`); // draws at once
    await page.waitForSelector(".thumb", { timeout: PATIENCE });
    assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
    await finished(page);
    const shifts = await page.evaluate(() => globalThis.shifts);
    const sum = shifts.reduce((total, [value]) => total + value, 0);
    assert.ok(sum < 0.01, `the layout shifted by ${sum}: ${JSON.stringify(shifts)}`);
  });
}

async function check(page, state) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const found = violations.map(({ id, impact, nodes }) => `${id} (${impact}): ${nodes.map(({ target }) => target).join(", ")}`);
  assert.deepEqual(found, [], state);
}

/** Presses Tab until the focus is on the element with this id or inside it. */
async function focusOn(page, id) {
  for (let presses = 0; presses < 60; presses++) {
    if (await page.evaluate((id) => document.getElementById(id).contains(document.activeElement), id)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`Tab never reaches #${id}`);
}
