// Pictures that begin with a picture: dropped, pasted, chosen, drawn here or taken from the page; marked with a mouse, a
// finger or the keyboard; the same as the command line's.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { browserTest } from "./harness.mjs";
import { canvas, drawBy, dropFile, finished, open, parameters, pixels, png, saved, unfold } from "./page.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const program = process.env.FOURSTEP ?? join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "release", "fourstep");
const DRAWS = { timeout: 600_000, webgpu: "none" };
const PHOTO = png(96, 64, (x, y) => [x * 2, y * 3, 120]);
const ALLOWED = 2; // of 255, mean absolute difference of the page's and the command line's picture

browserTest("a dropped picture is the start of the next one, with its strength in the settings", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?seed=3&steps=4`);
  await dropFile(page, PHOTO);
  await page.locator("#start-canvas").waitFor();
  assert.match(await page.textContent("#notice"), /start picture now/);
  assert.equal(await page.textContent("#start-summary"), "redraws all of it, 3 of 4 steps");
  await page.fill("#prompt", "a cat");
  await drawBy(page, "#generate");
  assert.match(await page.textContent("#line"), / 3 steps,/, "0.8 of 4");
  assert.equal(await page.locator(".thumb").count(), 3);
  const far = await saved(page, "#download");
  assert.match(parameters(far.bytes), /Denoising strength: 0\.8, RNG: CPU, Version/);
  await page.fill("#strength", "1");
  assert.equal(await page.textContent("#strength-value"), "1 of 4 steps");
  await drawBy(page, "#generate");
  const near = await saved(page, "#download");
  assert.match(parameters(near.bytes), /Denoising strength: 0\.3,/);
  const { changed } = await differences(page, far.bytes, near.bytes);
  assert.ok(changed > 500, `${changed} pixels tell the strengths apart`);
  await drawBy(page, "#more-4");
  await page.locator("#variations button").nth(1).click();
  assert.match(parameters((await saved(page, "#download")).bytes), /Denoising strength: 0\.3,/, "other seeds begin there too");
  await page.click("#start-remove");
  await drawBy(page, "#generate");
  assert.doesNotMatch(parameters((await saved(page, "#download")).bytes), /Denoising/);
});

browserTest("what is marked changes, and the rest stays to the pixel", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+green+fox&seed=7&steps=4`);
  await finished(page);
  const before = await saved(page, "#download");
  await page.click("#change");
  assert.equal(await page.evaluate(() => document.activeElement.id), "start-canvas");
  await stroke(page, [0.2, 0.2], [0.6, 0.3]);
  assert.equal(await page.textContent("#start-summary"), "redraws the marked part, 4 of 4 steps");
  await page.fill("#prompt", "a red fox");
  await drawBy(page, "#generate");
  const after = await saved(page, "#download");
  assert.match(parameters(after.bytes), /Denoising strength: 1, RNG: CPU, Mask blur: 0, /);
  const { changed, box } = await differences(page, before.bytes, after.bytes);
  assert.ok(changed > 50, `${changed} pixels changed`);
  assert.ok(box.top >= 6 && box.bottom <= 26 && box.left >= 6 && box.right <= 46, JSON.stringify(box));
});

for (const [name, mark] of [
  ["a finger", finger],
  ["the keyboard", keyboard],
]) {
  browserTest(`${name} marks a part of the picture`, DRAWS, async ({ page, origin }) => {
    const session = await page.context().newCDPSession(page);
    await session.send("Emulation.setTouchEmulationEnabled", { enabled: mark === finger });
    await open(page, origin);
    await dropFile(page, PHOTO);
    await page.locator("#start-canvas").hover(); // waits until it stands still
    const before = await canvas(page, "start-canvas");
    const scrolled = await page.evaluate(() => scrollY);
    await mark(page, session);
    await page.locator("#start-summary", { hasText: "redraws the marked part" }).waitFor();
    assert.notEqual(await canvas(page, "start-canvas"), before, "the mark is to be seen");
    assert.equal(await page.evaluate(() => scrollY), scrolled, "painting does not scroll");
  });
}

browserTest("strokes are taken back, erased and cleared; a picture is drawn and removed", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?seed=1&steps=2`);
  await page.click("#start summary");
  await page.click("#start-draw");
  assert.equal(await page.isChecked("#brush input[value=paint]"), true, "an empty sheet is painted on");
  const summary = () => page.textContent("#start-summary");
  const empty = await canvas(page, "start-canvas");
  await page.fill("#brush-colour", "#00aa00");
  await stroke(page, [0.2, 0.5], [0.8, 0.5]);
  await nextFrame(page);
  const painted = await canvas(page, "start-canvas");
  assert.notEqual(painted, empty);
  assert.match(await summary(), /^redraws all of it/, "paint is no mark");
  await page.check("#brush input[value=mark]", { force: true });
  await stroke(page, [0.3, 0.3], [0.7, 0.7]);
  assert.match(await summary(), /^redraws the marked part/);
  await page.click("#brush-undo");
  await nextFrame(page);
  assert.equal(await canvas(page, "start-canvas"), painted);
  assert.match(await summary(), /^redraws all of it, \d of 2 steps/);
  await stroke(page, [0.3, 0.3], [0.4, 0.3]);
  await page.check("#brush input[value=erase]", { force: true });
  await page.fill("#brush-size", "40");
  await stroke(page, [0.1, 0.3], [0.9, 0.3]);
  assert.match(await summary(), /^redraws all of it/, "nothing is marked any more");
  await page.click("#brush-clear");
  await nextFrame(page);
  assert.equal(await canvas(page, "start-canvas"), empty);
  assert.equal(await page.isDisabled("#brush-undo"), true);
  await page.check("#brush input[value=paint]", { force: true });
  await stroke(page, [0.2, 0.5], [0.8, 0.5]);
  await page.fill("#prompt", "a cat");
  await drawBy(page, "#generate");
  assert.match(parameters((await saved(page, "#download")).bytes), /Denoising strength: 0\.8/);
  await page.click("#start-remove");
  assert.equal(await summary(), "upload, paste, drop or paint one");
});

browserTest("a picture is chosen or pasted too, and what is none is named", DRAWS, async ({ page, origin }) => {
  await open(page, origin);
  await page.click("#start summary");
  await page.setInputFiles("#start-file", { name: "photo.png", mimeType: "image/png", buffer: PHOTO });
  await page.locator("#start-canvas").waitFor();
  await page.click("#start-remove");
  await page.evaluate(async (base64) => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], "pasted.png", { type: "image/png" }));
    document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
  }, PHOTO.toString("base64"));
  await page.locator("#start-canvas").waitFor();
  await dropFile(page, Buffer.from("no picture"), "notes.png");
  await page.locator("#trouble-text", { hasText: "“notes.png” is not a picture" }).waitFor();
  assert.equal(await page.isVisible("#start-canvas"), true, "the start picture stays");
});

browserTest("a PNG with settings restores them and may be the start as well", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=5&steps=2`);
  await finished(page);
  const { bytes } = await saved(page, "#download");
  await page.goto("about:blank");
  await open(page, origin);
  await dropFile(page, bytes);
  await page.locator("#notice", { hasText: "Settings taken" }).waitFor();
  assert.equal(await page.inputValue("#prompt"), "a cat");
  assert.equal(await page.isVisible("#start-canvas"), false);
  await page.click("#notice-offers button");
  await page.locator("#start-canvas").waitFor();
  assert.doesNotMatch(await page.textContent("#notice"), /Settings taken/);
  await drawBy(page, "#generate");
  const second = await saved(page, "#download");
  await dropFile(page, second.bytes);
  await page.locator("#notice", { hasText: "began with another picture, which this file does not carry" }).waitFor();
  assert.equal(await page.textContent("#strength-value"), "1 of 2 steps");
});

browserTest("a kept picture brings its start back; a link says in words that it cannot", DRAWS, async ({ page, origin }) => {
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin });
  await open(page, `${origin}/?seed=9&steps=2`);
  await dropFile(page, PHOTO);
  await page.locator("#start-canvas").waitFor();
  await stroke(page, [0.5, 0.2], [0.5, 0.9]);
  await page.fill("#strength", "1");
  await page.fill("#prompt", "a teal tractor");
  await page.click("#settings summary");
  await page.check("#keep");
  await drawBy(page, "#generate");
  const first = await saved(page, "#download");
  await page.click("#copy");
  await page.locator("#notice", { hasText: "The link does not include the start picture" }).waitFor();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(new URL(link).searchParams.get("strength"), "0.5");
  await page.locator("#kept li").waitFor();
  await page.goto("about:blank");
  await open(page, link);
  await page.locator("#note", { hasText: "which a link cannot contain" }).waitFor();
  assert.equal(await page.isDisabled("#download"), true, "another picture is not drawn in its place");
  await page.locator("#kept .open").click();
  await page.locator("#start-summary", { hasText: "redraws the marked part, 1 of 2 steps" }).waitFor();
  await unfold(page, "settings");
  await page.uncheck("#keep");
  await page.check("#keep"); // the user keeps the seed, so the same picture is drawn again
  await drawBy(page, "#generate");
  assert.deepEqual((await saved(page, "#download")).bytes, first.bytes);
});

browserTest("the page draws from a picture and a mask what the command line draws", DRAWS, async ({ page, origin }, context) => {
  await open(page, `${origin}/?seed=11&steps=4&guidance=3`);
  await dropFile(
    page,
    png(64, 64, (x, y) => [x * 4, y * 4, 128]),
  );
  await page.locator("#start-canvas").waitFor();
  await stroke(page, [0.3, 0.3], [0.8, 0.6]);
  await page.fill("#prompt", "a purple butterfly");
  await drawBy(page, "#generate");
  const mine = await saved(page, "#download");
  await page.locator("#kept li").waitFor();
  const [image, mask] = await page.evaluate(async () => {
    const { History } = await import("./www/history.js");
    const [{ start }] = await new History().all();
    return Promise.all([start.image, start.mask].map(async (blob) => Array.from(new Uint8Array(await blob.arrayBuffer()))));
  });
  const folder = mkdtempSync(join(tmpdir(), "fourstep-"));
  const [imageFile, maskFile, out] = ["image.png", "mask.png", "out.png"].map((name) => join(folder, name));
  writeFileSync(imageFile, Buffer.from(image));
  writeFileSync(maskFile, Buffer.from(mask));
  const settings = ["--seed", "11", "--steps", "4", "--guidance", "3", "--model", join(root, "models/stickers")];
  execFileSync(program, ["generate", "a purple butterfly", "--image", imageFile, "--mask", maskFile, ...settings, "--out", out], {
    stdio: "pipe",
  });
  const theirs = readFileSync(out);
  const { mean } = await differences(page, mine.bytes, theirs);
  context.diagnostic(`mean absolute difference: ${mean.toFixed(3)} of 255`);
  assert.ok(mean <= ALLOWED, `mean absolute difference ${mean} of 255`);
  const line = (bytes) =>
    parameters(bytes)
      .split(", ")
      .filter((part) => /strength|Mask/.test(part));
  assert.deepEqual(line(mine.bytes), line(theirs));
});

/** The easel shows what was done to it: it paints in the next frame. */
function nextFrame(page) {
  return page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

/** Paints on the start picture with the mouse, between places given as shares of it. */
async function stroke(page, from, to) {
  await page.locator("#start-canvas").hover(); // waits until it stands still
  const { x, y, width, height } = await page.locator("#start-canvas").boundingBox();
  const at = ([across, down]) => [x + across * width, y + down * height];
  await page.mouse.move(...at(from));
  await page.mouse.down();
  await page.mouse.move(...at(to), { steps: 5 });
  await page.mouse.up();
}

async function finger(page, session) {
  const { x, y, width, height } = await page.locator("#start-canvas").boundingBox();
  const touch = (type, share) =>
    session.send("Input.dispatchTouchEvent", { type, touchPoints: share ? [{ x: x + share * width, y: y + share * height }] : [] });
  await touch("touchStart", 0.3);
  for (const share of [0.4, 0.5, 0.6]) await touch("touchMove", share);
  await touch("touchEnd");
}

async function keyboard(page) {
  await page.$eval("#start-canvas", (easel) => easel.focus({ preventScroll: true }));
  for (const key of ["ArrowLeft", "ArrowUp", "Space", "Shift+ArrowRight", "Shift+ArrowDown"]) await page.keyboard.press(key);
}

/** How two PNG files differ: pixels that do, the box around them, and the mean difference of the levels. */
async function differences(page, a, b) {
  const [one, other] = [await pixels(page, a), await pixels(page, b)];
  assert.equal(one.length, other.length, "of one size");
  const width = Math.sqrt(one.length / 4);
  const box = { left: width, top: width, right: -1, bottom: -1 };
  let [changed, sum] = [0, 0];
  for (let at = 0; at < one.length; at += 4) {
    const off = [0, 1, 2].reduce((total, channel) => total + Math.abs(one[at + channel] - other[at + channel]), 0);
    sum += off;
    if (off === 0) continue;
    const [x, y] = [(at / 4) % width, Math.floor(at / 4 / width)];
    Object.assign(box, {
      left: Math.min(box.left, x),
      top: Math.min(box.top, y),
      right: Math.max(box.right, x),
      bottom: Math.max(box.bottom, y),
    });
    changed++;
  }
  return { changed, box, mean: sum / (0.75 * one.length) };
}
