// The module for builders: the example page draws, requests can be stopped, and the types are the module's.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { browserTest } from "./harness.mjs";
import { DRAWS, PATIENCE } from "./visit.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

browserTest("the example page for builders draws", DRAWS, async ({ page, origin }) => {
  await page.goto(`${origin}/www/example.html`);
  await page.click("button");
  await page.locator("p", { hasText: /Drawn with seed 7 on (cpu|wgpu)/ }).waitFor({ timeout: PATIENCE });
  const colours = await page.$eval("canvas", (canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  });
  assert.ok(colours > 100, `${colours} different colours`);
});

browserTest("the module stops at the next step, and draws the same picture for the same seed", DRAWS, async ({ page, origin }) => {
  await page.goto(`${origin}/tests/blank.html`);
  const seen = await page.evaluate(async () => {
    const { load } = await import("/www/fourstep.js");
    const phases = new Set();
    const model = await load({ device: "cpu", onProgress: ({ phase }) => phases.add(phase) });
    const stop = new AbortController();
    let steps = 0;
    const onStep = () => ++steps === 2 && stop.abort();
    const stopped = await model.generate({ prompt: "a cat", steps: 50, onStep, signal: stop.signal }).catch(({ name }) => name);
    const request = { prompt: "a cat", seed: 3, steps: 2 };
    const [a, b] = await Promise.all([model.generate(request), model.generate(request)]);
    const key = await model.generate({ ...request, step: 2 }).catch(({ message }) => message);
    const unknown = await load({ model: "nonsense" }).catch(({ message }) => message);
    const early = await load({ signal: AbortSignal.abort() }).catch(({ name }) => name);
    model.close();
    return {
      phases: [...phases],
      stopped,
      steps,
      same: a.rgba.every((value, at) => value === b.rgba[at]),
      seed: a.seed,
      key,
      unknown,
      early,
    };
  });
  assert.ok(seen.steps <= 4, `it went on to step ${seen.steps}`);
  delete seen.steps;
  assert.match(seen.unknown, /no model called “nonsense”/);
  delete seen.unknown;
  assert.match(seen.key, /unknown key step\b/);
  delete seen.key;
  assert.deepEqual(seen, { phases: ["files", "model"], stopped: "AbortError", same: true, seed: 3, early: "AbortError" });
});

test("the types fit what a builder writes", () => {
  const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
  const options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--moduleResolution", "nodenext"];
  try {
    execFileSync("node", [tsc, ...options, "tests/types/use.ts"], { cwd: root, stdio: "pipe" });
  } catch (error) {
    assert.fail(String(error.stdout));
  }
});
