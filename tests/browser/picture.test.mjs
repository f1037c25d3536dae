// The page and the command line draw the same picture for the same settings, on WebGPU and on the CPU.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { browserTest } from "./harness.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
const program = process.env.FOURSTEP ?? join(target, "release", "fourstep");
const PATIENCE = 900_000;
const ALLOWED = 2; // of 255, mean absolute difference
const SETTINGS = { prompt: "a green fox", negative: "a dog", seed: "7", steps: "4", guidance: "3", sampler: "ddim" };

for (const device of ["wgpu", "cpu"]) {
  browserTest(`the page on ${device} draws what the command line draws`, { timeout: PATIENCE }, async (session, context) => {
    const { page, origin, screenshot } = session;
    assert.ok(existsSync(program), `${program} is missing: build it with cargo build --release`);
    await page.goto(`${origin}/?${new URLSearchParams({ ...SETTINGS, device })}`);
    await page.waitForSelector("#download:enabled, #trouble:not([hidden])", { timeout: PATIENCE });
    if (await page.isVisible("#trouble")) assert.fail(`the page says: ${await page.textContent("#trouble")}`);
    await screenshot(`picture on ${device}`);
    const [file] = await Promise.all([page.waitForEvent("download"), page.click("#download")]);
    const pngs = [readFileSync(await file.path()), drawn()].map((bytes) => bytes.toString("base64"));
    const difference = await page.evaluate(meanDifference, pngs);
    context.diagnostic(`mean absolute difference: ${difference.toFixed(3)} of 255`);
    assert.ok(difference <= ALLOWED, `mean absolute difference ${difference} of 255`);
  });
}

/** The command line's PNG, on its CPU. */
function drawn() {
  const out = join(mkdtempSync(join(tmpdir(), "fourstep-")), "picture.png");
  const { prompt, negative, seed, steps, guidance, sampler } = SETTINGS;
  const numbers = ["--seed", seed, "--steps", steps, "--guidance", guidance];
  const model = ["--model", join(root, "models", "stickers"), "--out", out];
  const text = ["generate", prompt, "--negative", negative, "--sampler", sampler];
  execFileSync(program, [...text, ...numbers, ...model], { stdio: "pipe" });
  return readFileSync(out);
}

/** Runs in the page: decodes two PNGs and compares red, green and blue. */
async function meanDifference(pngs) {
  const [a, b] = await Promise.all(
    pngs.map(async (text) => {
      const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
      const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
      const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
      context.drawImage(bitmap, 0, 0);
      return context.getImageData(0, 0, bitmap.width, bitmap.height);
    }),
  );
  if (a.width !== b.width || a.height !== b.height) throw new Error("the pictures differ in size");
  const levels = a.data.reduce((sum, level, i) => sum + (i % 4 < 3 ? Math.abs(level - b.data[i]) : 0), 0);
  return levels / (a.width * a.height * 3);
}
