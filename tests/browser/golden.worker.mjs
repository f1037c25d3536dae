// Draws golden runs through the page's exports: `{device, runs: [{files: {path: address or text}, request}]}` is answered
// by `[{latents: [Float32Array of each step], rgba, milliseconds}]`.
import init, { Files, Pipeline } from "/pkg/fourstep.js";

self.onmessage = async ({ data: { device, runs } }) => {
  try {
    await init();
    const results = [];
    for (const run of runs) results.push(await draw(device, run));
    self.postMessage(results);
  } catch (error) {
    self.postMessage({ error: String(error) });
  }
};

async function draw(device, { files, request }) {
  const model = new Files();
  for (const [path, source] of Object.entries(files)) model.insert(path, await bytes(source));
  const started = performance.now();
  const pipeline = await Pipeline.load(model, device);
  const latents = [];
  const { rgba } = await pipeline.generate({ ...request, latents: true }, (event) => latents.push(event.latents) > 0);
  pipeline.free();
  return { latents, rgba, milliseconds: performance.now() - started };
}

async function bytes({ address, text }) {
  if (text !== undefined) return new TextEncoder().encode(text);
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
