// Draws one request with one model and answers with the latents after each step and the picture.
import init, { Files, Pipeline } from "/pkg/fourstep.js";

self.onmessage = async ({ data: { device, files, request } }) => {
  try {
    await init();
    const store = new Files();
    for (const [path, address] of Object.entries(files)) {
      const response = await fetch(address);
      if (!response.ok) throw new Error(`${address}: ${response.status}`);
      store.insert(path, new Uint8Array(await response.arrayBuffer()));
    }
    const pipeline = await Pipeline.load(store, device);
    const latents = [];
    const picture = await pipeline.generate(request, (event) => latents.push(Array.from(event.latents)) > 0);
    self.postMessage({ latents, rgba: Array.from(picture.rgba) });
  } catch (error) {
    self.postMessage({ error: String(error) });
  }
};
