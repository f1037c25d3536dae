// Where there is no WebGPU, asking for it is an error in words and the worker lives on.
import assert from "node:assert/strict";
import { browserTest } from "./harness.mjs";

for (const [webgpu, what] of [
  ["none", "adapter"],
  [false, "WebGPU"],
]) {
  browserTest(`without ${what} the wgpu device is an error that says so`, { webgpu }, async ({ page, origin, inWorker }) => {
    await page.goto(`${origin}/tests/blank.html`);
    const adapter = await page.evaluate(async () => navigator.gpu && (await navigator.gpu.requestAdapter()));
    assert.equal(adapter, webgpu ? null : undefined);
    await assert.rejects(inWorker("golden.worker.mjs", { device: "wgpu", files: {}, loras: [], request: {} }), /no WebGPU device/);
  });
}
