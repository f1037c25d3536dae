// Draws one request with one model and answers with the latents after each step and the picture.
import init, { Files, Pipeline } from "/pkg/fourstep.js";

self.onmessage = async ({ data: { device, files, loras = [], request, picture, mask } }) => {
  try {
    await init();
    const adapters = await Promise.all(loras.map(fetched));
    const pipeline = await Pipeline.load(await filled(files), device, undefined, adapters);
    const latents = [];
    const asked = { ...request, ...(picture && { image: pixels(picture) }), ...(mask && { mask: pixels(mask) }) };
    const drawn = await pipeline.generate(asked, (event) => latents.push(Array.from(event.latents)) > 0);
    pipeline.free();
    self.postMessage({ latents, rgba: Array.from(drawn.rgba) });
  } catch (error) {
    self.postMessage({ error: String(error) });
  }
};

async function filled(files) {
  const store = new Files();
  for (const [path, address] of Object.entries(files)) store.insert(path, await bytes(address));
  return store;
}

async function fetched({ name, address, weight }) {
  return { name, bytes: await bytes(address), weight };
}

async function bytes(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

function pixels({ width, height, rgba }) {
  return { width, height, rgba: new Uint8ClampedArray(rgba) };
}
