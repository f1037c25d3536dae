// Both devices of the wasm, in a dedicated worker: a convolution and a matrix product against plain loops.
import assert from "node:assert/strict";
import { browserTest } from "./harness.mjs";

for (const device of ["cpu", "webgpu"]) {
  browserTest(`the ${device} device computes in a worker`, {}, async ({ inWorker }, context) => {
    const { numbers, load, run } = await inWorker("devices.worker.mjs", { device });
    context.diagnostic(`wasm loaded in ${load.toFixed(0)} ms, computed in ${run.toFixed(0)} ms`);
    assert.ok(relativeError(Array.from(numbers), expected()) < 1e-5);
  });
}

browserTest("without WebGPU the webgpu device is an error, not a crash", { webgpu: false }, async ({ page, origin, inWorker }) => {
  await page.goto(`${origin}/tests/blank.html`);
  assert.equal(await page.evaluate(() => navigator.gpu === undefined), true);
  await assert.rejects(inWorker("devices.worker.mjs", { device: "webgpu" }), /webgpu/);
});

browserTest("without an adapter the webgpu device is an error, not a crash", { webgpu: "none" }, async ({ page, origin, inWorker }) => {
  await page.goto(`${origin}/tests/blank.html`);
  assert.equal(await page.evaluate(async () => await navigator.gpu.requestAdapter()), null);
  await assert.rejects(inWorker("devices.worker.mjs", { device: "webgpu" }), /webgpu/);
});

/** The same as `Engine.check`: a 3 x 3 convolution [1, 4, 16, 16] -> [1, 8, 16, 16], then [8, 256] x [256, 16]. */
function expected() {
  const [x, w, m] = [ramp(1024, 37), ramp(288, 23), ramp(4096, 19)];
  const y = new Float64Array(8 * 256);
  for (let o = 0; o < 8; o++)
    for (let row = 0; row < 16; row++)
      for (let column = 0; column < 16; column++)
        for (let i = 0; i < 4; i++)
          for (let tap = 0; tap < 9; tap++) {
            const [r, c] = [row + Math.floor(tap / 3) - 1, column + (tap % 3) - 1];
            if (r < 0 || r > 15 || c < 0 || c > 15) continue;
            y[o * 256 + row * 16 + column] += x[i * 256 + r * 16 + c] * w[(o * 4 + i) * 9 + tap];
          }
  const product = new Float64Array(8 * 16);
  for (let o = 0; o < 8; o++)
    for (let j = 0; j < 16; j++) for (let k = 0; k < 256; k++) product[o * 16 + j] += y[o * 256 + k] * m[k * 16 + j];
  return Array.from(product);
}

function ramp(length, period) {
  return Array.from({ length }, (_, i) => (i % period) / period - 0.5);
}

function relativeError(got, wanted) {
  assert.equal(got.length, wanted.length);
  const norm = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm(got.map((value, i) => value - wanted[i])) / norm(wanted);
}
