// Draws one request with one model (loaded once more before, with `again`) and answers with the latents after each step and the picture.
import init, { Files, Pipeline } from "/pkg/fourstep.js";

self.onmessage = async ({ data: { device, files, request, again } }) => {
  try {
    await init();
    const store = await filled(files);
    const pipeline = await Pipeline.load(store, device);
    if (again) (await Pipeline.load(await filled(files), device)).free();
    const latents = [];
    const picture = await pipeline.generate(request, (event) => latents.push(Array.from(event.latents)) > 0);
    self.postMessage({ latents, rgba: Array.from(picture.rgba) });
  } catch (error) {
    self.postMessage({ error: String(error) });
  }
};

async function filled(files) {
  const store = new Files();
  for (const [path, address] of Object.entries(files)) {
    const response = await fetch(address);
    if (!response.ok) throw new Error(`${address}: ${response.status}`);
    store.insert(path, new Uint8Array(await response.arrayBuffer()));
  }
  return store;
}
