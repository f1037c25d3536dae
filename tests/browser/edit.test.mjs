// "Edit by words": a picture that was drawn, dropped or edited before becomes what other words say, while they are typed; it is
// the command line's edit; and it can be compared, undone, cancelled, downloaded and found again.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { browserTest } from "./harness.mjs";
import { servingModels, tinyModel } from "./models.mjs";
import { canvas, drawBy, dropFile, finished, open, parameters, pixels, png, saved } from "./page.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const program = process.env.FOURSTEP ?? join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "release", "fourstep");
const DRAWS = { timeout: 600_000, webgpu: "none" };
const TINY = { ...DRAWS, ...servingModels({ tiny: tinyModel({ name: "Tiny" }) }) };
const PHOTO = png(96, 64, (x, y) => [x * 2, y * 3, 120]);
const ALLOWED = 2; // of 255, mean absolute difference of the page's and the command line's edit
const MARGIN = 10; // of a strip, src/train/sheet.rs

browserTest("two actions lead from a drawn sticker to its edit, which is the command line's", DRAWS, async ({ page, origin }, context) => {
  await open(page, `${origin}/?prompt=a+green+fox&seed=7`);
  await finished(page);
  const original = await saved(page, "#download");
  await page.click("#edit-open");
  assert.equal(await selected(page), "a green fox", "the picture's own words, to be written over");
  await page.keyboard.type("a blue fox");
  await edited(page, "a blue fox");
  assert.match(await page.textContent("#line"), /^Edited in .* 3 steps,/);
  const edit = await saved(page, "#download");
  assert.match(
    parameters(edit.bytes),
    /^a blue fox\nSteps: 4, CFG scale: 2, Seed: 7, Size: 64x64, Model: stickers, Denoising strength: 0\.75, Edit method: FlowEdit, Edit from: a green fox, RNG: CPU, Version/,
  );
  const query = Object.fromEntries(new URL(page.url()).searchParams);
  assert.deepEqual(query, { prompt: "a blue fox", seed: "7", strength: "0.75", edit: "flowedit", from: "a green fox" });
  const [before, after] = [await pixels(page, original.bytes), await pixels(page, edit.bytes)];
  assert.ok(difference(before, after) > 10, "the fox is blue");
  const theirs = await theirEdit(page, original.bytes, "a blue fox", ["--seed", "7"]);
  const mean = difference(after, theirs);
  context.diagnostic(`mean absolute difference: ${mean.toFixed(3)} of 255`);
  assert.ok(mean <= ALLOWED, `mean absolute difference ${mean} of 255`);
});

browserTest("an edit is compared, undone and made again; then the same seed draws what it drew before", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+green+fox&seed=7`);
  await finished(page);
  const [original, shown] = [await saved(page, "#download"), await canvas(page)];
  await page.click("#edit-open");
  assert.equal(await page.isDisabled("#edit-back"), true);
  await page.fill("#edit-words", "a red fox");
  await edited(page, "a red fox");
  const red = await canvas(page);
  await page.hover("#compare");
  await page.mouse.down();
  assert.equal(await canvas(page), shown, "the original, while the button is held");
  await page.mouse.up();
  assert.equal(await canvas(page), red);
  await page.click("#edit-back");
  await edited(page, "a green fox");
  assert.equal(await canvas(page), shown);
  assert.equal(await selected(page), "a green fox");
  assert.deepEqual((await saved(page, "#download")).bytes, original.bytes);
  await page.fill("#edit-words", "a red fox");
  await edited(page, "a red fox");
  assert.equal(await canvas(page), red, "the same words make the same edit");
  await page.fill("#edit-strength", "1");
  await page.locator("#line", { hasText: / 1 step,/ }).waitFor();
  assert.equal(await page.textContent("#edit-strength-value"), "1 of 4 steps");
  assert.match(parameters((await saved(page, "#download")).bytes), /Denoising strength: 0\.3, Edit/);
  await page.click("#settings summary");
  await page.selectOption("#edit-method", "infedit");
  await page.waitForFunction(() => /edit=infedit/.test(location.search));
  await page.fill("#edit-words", "a purple fox");
  await page.click("#edit-close");
  assert.equal(await page.isVisible("#edit"), false);
  assert.equal(await page.evaluate(() => document.activeElement.id), "edit-open");
  await edited(page, "a purple fox"); // what was typed last is still drawn
  assert.equal(await page.inputValue("#prompt"), "a green fox", "the form is as it was");
  await page.check("#keep");
  await drawBy(page, "#generate");
  assert.deepEqual((await saved(page, "#download")).bytes, original.bytes);
});

browserTest("an edit is edited further, saved with the picture before it, and undone after all", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+green+fox&seed=7`);
  await finished(page);
  const shown = await canvas(page);
  await page.click("#edit-open");
  await page.keyboard.type("a blue fox");
  await edited(page, "a blue fox");
  const blue = await canvas(page);
  await page.click("#edit-further");
  assert.equal(await page.inputValue("#edit-from"), "a blue fox");
  await page.keyboard.type("a blue fox on a yellow background");
  await edited(page, "a blue fox on a yellow background");
  assert.match(parameters((await saved(page, "#download")).bytes), /, Edit from: a blue fox, /);
  await page.click("#edit-close");
  await page.locator("#kept li").nth(2).waitFor();
  await page.click("#edit-open");
  await page.click("#edit-back");
  await edited(page, "a green fox");
  assert.equal(await canvas(page), shown, "what was there at first");
  await page.locator("#kept .open").first().click();
  await edited(page, "a blue fox on a yellow background");
  assert.equal(await page.isVisible("#edit"), false, "another picture ends the edit");
  assert.equal(await page.isVisible("#start-canvas"), false, "it does not start from the picture before it");
  await page.hover("#compare");
  await page.mouse.down();
  assert.equal(await canvas(page), blue);
  await page.mouse.up();
  await page.click("#more-4");
  await page.locator("#variations button").nth(3).waitFor();
  await page.locator("#variations button").nth(1).click();
  assert.match(parameters((await saved(page, "#download")).bytes), /Seed: 8, .*Edit method: FlowEdit, Edit from: a blue fox,/);
  assert.equal(await page.isDisabled("#morph-go"), true);
  const link = page.url();
  await page.goto("about:blank");
  await open(page, link);
  await page.locator("#note", { hasText: "edit it by words again" }).waitFor();
});

browserTest("a dropped picture of any size is edited, and left as it was", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?seed=3`);
  await dropFile(page, PHOTO);
  await page.click("#notice-offers button");
  await page.locator("#edit-words").waitFor();
  assert.deepEqual(await page.$$eval("#edit-words, #edit-from", (all) => all.map(({ value }) => value)), ["", ""]);
  const shown = await canvas(page);
  assert.equal(await page.isDisabled("#download"), true, "nothing was drawn yet");
  await page.keyboard.type("a red fox");
  await edited(page, "a red fox");
  assert.match(parameters((await saved(page, "#download")).bytes), /Seed: 3, Size: 64x64, .*0\.75, Edit method: FlowEdit, RNG/);
  await page.fill("#edit-from", "a purple background");
  await page.waitForFunction(() => /from=a\+purple/.test(location.search));
  await page.fill("#edit-words", "a red blorf");
  await page.locator("#edit-note", { hasText: "I don’t know “blorf”" }).waitFor();
  await page.click("#edit-back");
  await page.locator('#canvas[aria-label="The picture to edit"]').waitFor();
  assert.equal(await canvas(page), shown);
  await page.click("#edit-close");
  assert.equal(await page.isVisible(".empty"), true, "no picture, as before");
  assert.equal(await page.evaluate(() => document.activeElement.id), "start-edit");
  await dropFile(page, Buffer.from("no picture"), "notes.png");
  await page.locator("#trouble-text", { hasText: "“notes.png” is not a picture" }).waitFor();
});

browserTest("a file that is an edit says so, and is edited on by its own words", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+green+fox&seed=7`);
  await finished(page);
  await page.click("#edit-open");
  await page.keyboard.type("a blue fox");
  await edited(page, "a blue fox");
  const { bytes } = await saved(page, "#download");
  await page.goto("about:blank");
  await open(page, origin);
  await dropFile(page, bytes);
  await page
    .locator("#notice", { hasText: "edited by words from another picture (“a green fox”), which this file does not carry" })
    .waitFor();
  await page.click("#notice-offers button:last-child");
  await page.locator("#edit-words").waitFor();
  assert.equal(await selected(page), "a blue fox");
});

browserTest("the next key stops an edit, Escape and the button cancel it, and the picture stays", TINY, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=1&steps=1&size=256`);
  await finished(page);
  await page.uncheck("#live");
  await page.click("#settings summary");
  await page.fill("#steps", "60"); // so that there is time to stop an edit
  const shown = await canvas(page);
  await page.click("#edit-open");
  for (const word of ["a dog", "a do"]) {
    await page.fill("#edit-words", word);
    await page.locator("#line", { hasText: /^Step \d+ of 45/ }).waitFor();
  }
  await page.fill("#edit-words", "a cat"); // what it shows already
  await page.waitForFunction(() => document.getElementById("frame").dataset.state === "rest");
  assert.equal(await canvas(page), shown);
  await page.fill("#edit-words", "a dog");
  await page.locator("#line", { hasText: /^Step \d+ of 45/ }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#line", { hasText: /^Stopped after step \d+ of 45\.$/ }).waitFor();
  assert.equal(await canvas(page), shown);
  await page.keyboard.press("Enter");
  await page.locator("#edit-close", { hasText: "Cancel" }).click();
  await page.locator("#line", { hasText: /^Stopped after step \d+ of 45\.$/ }).waitFor();
  await page.locator("#edit-close", { hasText: "Done" }).waitFor();
  assert.equal(await canvas(page), shown);
  assert.equal(await page.isDisabled("#download"), false, "the picture can still be had");
  await page.press("#edit-words", "Escape");
  assert.equal(await page.isVisible("#edit"), false, "where nothing is drawn, Escape closes the edit");
});

browserTest(
  "a model for inpainting offers no edit",
  { ...DRAWS, ...servingModels({ tiny: tinyModel({ name: "Tiny", pipeline: "tiny-inpaint" }) }) },
  async ({ page, origin }) => {
    await open(page, `${origin}/?seed=1`);
    await dropFile(page, PHOTO);
    await page.click("#notice-offers button");
    await page.fill("#edit-words", "a dog");
    await page.locator("#trouble-text", { hasText: "This model cannot edit by words" }).waitFor();
    assert.equal(await page.isVisible("#edit-open"), false);
    assert.equal(await page.isVisible("#start-edit"), false);
  },
);

/** Waits until the canvas shows a picture of these words and nothing is drawn. */
async function edited(page, words) {
  await page.locator(`#canvas[aria-label*="“${words}”"]`).waitFor({ timeout: 300_000 });
  await page.waitForFunction(() => document.getElementById("frame").dataset.state === "rest");
}

/** What is selected in the field that has the focus. */
function selected(page) {
  return page.evaluate(() => {
    const { value, selectionStart, selectionEnd } = document.activeElement;
    return value.slice(selectionStart, selectionEnd);
  });
}

/** The command line's edit of a picture, its pixels. */
async function theirEdit(page, bytes, words, settings) {
  const folder = mkdtempSync(join(tmpdir(), "fourstep-"));
  const [image, strip] = ["image.png", "strip.png"].map((name) => join(folder, name));
  writeFileSync(image, bytes);
  const model = ["--model", join(root, "models/stickers")];
  execFileSync(program, ["edit", words, "--image", image, "--strength", "0.75", ...settings, ...model, "--out", strip], { stdio: "pipe" });
  const file = readFileSync(strip);
  const [width, all] = [file.readUInt32BE(16), await pixels(page, file)];
  const column = (width - MARGIN) / 2; // the picture, and its edit
  const [left, side] = [MARGIN + column + (column - MARGIN - 64) / 2, 64];
  return Array.from({ length: side }, (_, y) => {
    const from = ((MARGIN + y) * width + left) * 4;
    return all.slice(from, from + side * 4);
  }).flat();
}

/** The mean difference of two pictures' levels, of 255. */
function difference(a, b) {
  assert.equal(a.length, b.length, "of one size");
  const sum = a.reduce((total, level, at) => total + (at % 4 < 3 ? Math.abs(level - b[at]) : 0), 0);
  return sum / (0.75 * a.length);
}
