// Computes the check of src/web.rs on the device that the message names.
import init, { Engine } from "/pkg/fourstep.js";

self.onmessage = async ({ data: { device } }) => {
  try {
    const started = performance.now();
    await init();
    const loaded = performance.now();
    const engine = await Engine.create(device);
    const numbers = await engine.check();
    self.postMessage({ numbers, load: loaded - started, run: performance.now() - loaded });
  } catch (error) {
    self.postMessage({ error: `${device}: ${error}` });
  }
};
