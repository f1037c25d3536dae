// Fourstep for other pages: load a model, draw pictures. The page's own worker does the work; see fourstep.d.ts for the
// types and example.html for a whole page.

import { Ask, Bridge, Tell } from "./messages.js";
import { choose } from "./device.js";

export { WorkerDied, Cause } from "./messages.js";

/** Fetches what is not kept yet, and builds the model.
 *  @param {{model?: string, device?: "auto" | "wgpu" | "cpu", onProgress?: (event: any) => void, signal?: AbortSignal}} options */
export async function load({ model, device = "auto", onProgress, signal } = {}) {
  signal?.throwIfAborted();
  const loaded = new Model({ model, onProgress });
  const close = () => loaded.close();
  signal?.addEventListener("abort", close, { once: true });
  try {
    await loaded.open(device);
    return loaded;
  } catch (error) {
    loaded.close();
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", close);
  }
}

/** A model in a worker of its own. */
class Model {
  #bridge = new Bridge(new URL("./worker.js", import.meta.url), () => (this.#ready = null));
  /** @type {any} */
  #ask;
  /** @type {(event: any) => void} */
  #onProgress;
  #ready = null; // Ask.LOAD's reply, while the worker holds the pipeline
  #last = Promise.resolve(); // the request before, well or not: the worker draws one at a time

  /** @param {{model?: string, onProgress?: (event: any) => void}} options */
  constructor({ model, onProgress = () => {} }) {
    this.#ask = { model };
    this.#onProgress = onProgress;
  }

  async open(choice) {
    const demand = await this.#bridge.request(Ask.DESCRIBE, this.#ask);
    const { device, words } = choose(await this.#bridge.request(Ask.PROBE), choice, demand);
    if (!device) throw new Error(words);
    this.#ask.device = device;
    await this.#load();
  }

  /** "wgpu" or "cpu". */
  get device() {
    return this.#ask.device;
  }

  /** What the model draws with when a request does not say, and the samplers that it knows. */
  defaults = null;

  /** Draws one picture. A worker that died is replaced first, from the files that are kept. @param {any} request */
  generate({ onStep = () => {}, signal, ...request }) {
    const drawn = this.#last.then(() => this.#generate(request, onStep, signal));
    this.#last = drawn.catch(() => {});
    return drawn;
  }

  /** Bytes that the wasm module holds. */
  memory() {
    return this.#bridge.request(Ask.MEMORY);
  }

  /** Ends the worker and frees its memory. */
  close() {
    this.#bridge.restart("closed");
  }

  async #generate({ negativePrompt, guidanceScale, ...rest }, onStep, signal) {
    signal?.throwIfAborted();
    this.#ready ?? (await this.#load());
    const seed = rest.seed ?? crypto.getRandomValues(new Uint32Array(1))[0];
    const request = { ...rest, seed, negative_prompt: negativePrompt, guidance_scale: guidanceScale };
    const onEvent = (event) => event.kind === Tell.STEP && onStep(event);
    const image = await this.#bridge.request(Ask.GENERATE, { request }, { onEvent, signal });
    if (image.cancelled) throw signal?.reason ?? new DOMException("The drawing was stopped.", "AbortError");
    return { ...image, seed };
  }

  async #load() {
    const onEvent = (event) => this.#onProgress(event);
    this.#ready = await this.#bridge.request(Ask.LOAD, this.#ask, { onEvent });
    this.defaults = this.#ready.defaults;
  }
}
