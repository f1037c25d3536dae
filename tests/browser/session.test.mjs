// Somebody who stays: the picture follows the typing, its steps are looked at, it is varied, kept and found again.
import assert from "node:assert/strict";
import { browserTest } from "./harness.mjs";
import { crc32 } from "node:zlib";
import { canvas, chunks, drawBy, fields, finished, open, parameters, saved } from "./page.mjs";

const DRAWS = { timeout: 600_000, webgpu: "none" };
const PATIENCE = 120_000;

browserTest("live: the picture follows the typing, the newest wins, and the choice is remembered", DRAWS, async (session) => {
  const { page, origin } = session;
  await open(page, `${origin}/?prompt=a+cat&seed=3&steps=2`);
  await finished(page);
  if (await page.isChecked("#live")) await page.uncheck("#live");
  const cat = await canvas(page);
  await page.clock.install();
  await page.fill("#prompt", "a green fox");
  await page.clock.fastForward(10_000);
  await page.clock.resume();
  assert.equal(await page.getAttribute("#frame", "data-state"), "rest");
  assert.equal(await canvas(page), cat, "nothing follows while the switch is off");
  await page.check("#live");
  await page.locator("#canvas[aria-label*='a green fox']").waitFor({ timeout: PATIENCE });
  const seed = await page.inputValue("#seed");
  await page.click("#settings summary");
  await page.fill("#steps", "150"); // too long to finish
  await page.waitForFunction(() => document.querySelectorAll(".thumb").length > 2); // it is being drawn
  assert.equal(await page.textContent("#generate"), "Generate", "following the typing, the button stays");
  await page.fill("#steps", "2");
  await page.focus("#prompt");
  await page.fill("#prompt", "");
  await page.locator("#prompt").pressSequentially("a red rocket", { delay: 30 });
  await page.locator("#canvas[aria-label*='a red rocket']").waitFor({ timeout: PATIENCE });
  assert.equal(await page.inputValue("#seed"), seed, "the seed stays while typing");
  assert.equal(await page.evaluate(() => document.activeElement.id), "prompt", "the caret stays in the prompt");
  await page.press("#prompt", "Control+Enter");
  await finished(page);
  assert.notEqual(await page.inputValue("#seed"), seed, "a picture that was asked for takes a new seed");
  await page.goto("about:blank");
  await open(page, origin);
  assert.equal(await page.isChecked("#live"), true);
});

browserTest("every step can be looked at again, from the noise to the picture", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+green+fox&seed=7&steps=4`);
  await finished(page);
  const slide = (to) =>
    page.$eval(
      "#slider",
      (slider, to) => {
        slider.value = to;
        slider.dispatchEvent(new Event("input"));
      },
      to,
    );
  const { min, max } = await page.$eval("#slider", ({ min, max }) => ({ min: Number(min), max: Number(max) }));
  assert.deepEqual([min, max], [0, 4]);
  const seen = new Set([await canvas(page)]);
  for (let step = 3; step >= 0; step--) {
    await slide(step);
    if (step > 0) await page.waitForFunction(isWhole, step); // instead of its preview
    seen.add(await canvas(page));
  }
  assert.ok(seen.size >= 4, `${seen.size} different pictures from noise to sticker`);
  assert.equal(await page.textContent("#line"), "The noise that it started from");
  await slide(4);
  assert.ok(seen.has(await canvas(page)), "the finished picture again");
  const sizes = await page.$$eval(".thumb canvas", (all) => all.map(({ width }) => width));
  assert.ok(
    sizes.every((width) => width === sizes.at(-1)),
    "steps that were looked at are whole pictures",
  );
  await page.click("#numbers summary");
  const rows = await page.$$eval("#numbers-body tr", (all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
  assert.deepEqual(
    rows.map(([step]) => step),
    ["1", "2", "3", "4"],
  );
  assert.ok(rows.every(([, timestep, , time]) => Number(timestep) >= 0 && Number(time) >= 0));
  assert.ok(Number(rows[0][1]) > Number(rows[3][1]), "timesteps go down");
});

browserTest("unknown words are marked, suggestions and completions fill the prompt, a surprise draws", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?steps=1`);
  const top = await page.locator("#generate").boundingBox();
  await page.locator("#prompt").pressSequentially("a grean blorp ");
  await page.locator("#help .unknown em").nth(1).waitFor();
  assert.deepEqual(await page.locator("#help .unknown em").allTextContents(), ["grean", "blorp"]);
  await page.click("#help button >> text=green");
  assert.equal(await page.inputValue("#prompt"), "a green blorp ");
  await page.fill("#prompt", "a ow");
  await page.click("#help button >> text=/^owl$/");
  assert.equal(await page.inputValue("#prompt"), "an owl ");
  await page.locator("#help .unknown").first().waitFor({ state: "detached" });
  assert.deepEqual(await page.locator("#generate").boundingBox(), top, "nothing moves while typing");
  await drawBy(page, "#surprise");
  assert.equal(await page.isVisible("#notice"), false, "a surprise is made of known words");
});

browserTest("pictures are kept with their settings, and can be shown, downloaded and deleted", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=21&steps=1`);
  await finished(page);
  const cat = await saved(page, "#download");
  await page.fill("#prompt", "a green fox");
  await drawBy(page, "#generate");
  await page.locator("#kept li").nth(1).waitFor();
  await page.goto("about:blank");
  await open(page, origin);
  await page.locator("#kept li").nth(1).waitFor();
  await page.locator("#kept .open").nth(1).click();
  const { prompt, seed, steps } = await fields(page);
  assert.deepEqual([prompt, seed, steps], ["a cat", "21", "1"]);
  assert.deepEqual((await saved(page, "#download")).bytes, cat.bytes);
  assert.deepEqual((await saved(page, "#kept li:nth-child(2) .acts button:first-child")).bytes, cat.bytes);
  const archive = await saved(page, "#kept-save");
  assert.equal(archive.name, "fourstep-pictures.zip");
  const [newest, oldest] = unzipped(archive.bytes);
  assert.deepEqual([oldest.name, oldest.bytes], [`001-${cat.name}`, cat.bytes], "each of them as it is downloaded alone");
  assert.match(newest.name, /^002-fourstep-a-green-fox-\d+\.png$/);
  await page.click("#kept li:nth-child(1) .acts button:last-child");
  await page.waitForFunction(() => document.querySelectorAll("#kept li").length === 1);
  await page.click("#kept-clear");
  await page.waitForSelector("#kept li", { state: "detached" });
  await page.goto("about:blank");
  await open(page, origin);
  assert.equal(await page.locator("#kept li").count(), 0);
});

browserTest("the oldest pictures go, and the page says so", { webgpu: "none" }, async ({ page, origin }) => {
  await open(page, origin);
  const left = await page.evaluate(async () => {
    const { History, LIMIT } = await import("./www/history.js");
    const history = new History();
    const one = { time: 0, settings: { prompt: "x", seed: "1" }, infotext: "", png: new Blob(["x"], { type: "image/png" }) };
    for (let i = 0; i < LIMIT + 3; i++) await history.add({ ...one, time: i });
    const all = await history.all();
    return { LIMIT, count: all.length, newest: all[0].time, oldest: all.at(-1).time };
  });
  assert.deepEqual(left, { LIMIT: 200, count: 200, newest: 202, oldest: 3 });
});

browserTest("four seeds in a grid, and one is taken", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+green+fox&seed=4294967294&steps=1`);
  await finished(page);
  const first = await canvas(page);
  await drawBy(page, "#more-4");
  const cells = page.locator("#variations button");
  await cells.nth(3).waitFor();
  const pictures = await page.$$eval("#variations canvas", (all) => all.map((one) => one.toDataURL()));
  assert.equal(new Set(pictures).size, 4);
  await cells.nth(2).click();
  assert.notEqual(await canvas(page), first);
  assert.equal(await page.inputValue("#seed"), "0", "seeds count on, and begin again after 32 bits");
  const { bytes } = await saved(page, "#download");
  assert.match(parameters(bytes), /Seed: 0,/);
});

browserTest("a morph goes from one picture to another prompt, and is saved as an animation", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+green+fox&seed=7&steps=1`);
  await finished(page);
  await page.selectOption("#morph-frames", "5");
  await page.fill("#morph-to", "a red rocket");
  await page.click("#morph-go");
  await page.waitForSelector("#morph-save:enabled", { timeout: PATIENCE });
  const { name, bytes } = await saved(page, "#morph-save");
  assert.match(name, /^fourstep-a-green-fox-7-morph\.png$/);
  const control = chunks(bytes).find(([type]) => type === "acTL");
  assert.equal(control[1].readUInt32BE(0), 8, "five frames there, three back");
  assert.equal(chunks(bytes).filter(([type]) => type === "fcTL").length, 8);
  const frames = chunks(bytes)
    .filter(([type]) => type === "fdAT" || type === "IDAT")
    .map(([type, data]) => data.subarray(type === "fdAT" ? 4 : 0).toString("base64"));
  assert.equal(new Set(frames).size, 5, "five different pictures");
});

/** Runs in the page: whether a step in the strip has as many pixels as the finished picture. */
function isWhole(step) {
  const all = [...document.querySelectorAll(".thumb canvas")];
  return all[step - 1].width === all.at(-1).width;
}

/** The entries of a ZIP archive by its directory, `{name, bytes}`, each checked. */
function unzipped(bytes) {
  const end = bytes.lastIndexOf("PK\x05\x06", undefined, "latin1");
  let at = bytes.readUInt32LE(end + 16);
  return Array.from({ length: bytes.readUInt16LE(end + 10) }, () => {
    assert.equal(bytes.toString("latin1", at, at + 4), "PK\x01\x02");
    const [crc, size, length, start] = [16, 24, 28, 42].map((field) =>
      field === 28 ? bytes.readUInt16LE(at + field) : bytes.readUInt32LE(at + field),
    );
    const name = bytes.toString("utf8", at + 46, at + 46 + length);
    const data = bytes.subarray(start + 30 + bytes.readUInt16LE(start + 26) + bytes.readUInt16LE(start + 28)).subarray(0, size);
    assert.equal(crc32(data), crc, name);
    at += 46 + length;
    return { name, bytes: data };
  });
}
