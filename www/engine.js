// The page's way to a picture: which model and device, the pipeline that the worker holds, and one request at a time.

import { Ask, Bridge, Tell } from "./messages.js";

/**
 * @typedef {{word: string, start: number, end: number, why: "never_seen" | "flag" | "skin_tone" | "letter", instead: string[]}} Unknown
 *   a part of a prompt that the model does not know, where it stands, and what could be in its place, the likeliest first
 * @typedef {{text: string, start: number, label: string}} Offer replaces the prompt from `start` to the caret; `label` is shown
 * @typedef {{unknown: Unknown[], nothing: boolean, next: Offer[]}} Advice `nothing`: no word that says what to draw is known
 */

export class Engine {
  #bridge;
  #loaded = null; // Ask.LOAD's reply: the pipeline that the worker holds
  #loading = null; // {device, model, promise, stop, event} while it is on its way
  #onLoading;
  #onLoaded;
  #of = null; // the result that the worker's estimates belong to

  /** @param {{onLoading: (event: object) => void, onLoaded: (reply: object) => void}} acts `onLoading`: Tell.LOADING */
  constructor({ onLoading, onLoaded }) {
    this.#onLoading = onLoading;
    this.#onLoaded = onLoaded;
    this.#bridge = new Bridge(workerUrl(), () => {
      this.#loaded = null;
      this.#of = null;
    });
  }

  /** The model of the user's own that is open (www/ownfiles.js), or null. */
  own = null;

  /** The adapter that was chosen (www/adapter.js), or null. @type {import("./adapter.js").Adapter | null} */
  adapter = null;

  /** Ask.LOAD's reply while the worker holds a pipeline, else null. */
  get loaded() {
    return this.#loaded;
  }

  get loading() {
    return this.#loading !== null;
  }

  probe() {
    return this.#bridge.request(Ask.PROBE);
  }

  describe(model) {
    return this.#bridge.request(Ask.DESCRIBE, { model });
  }

  /** Removes what is kept of a model's files. */
  forget(model) {
    return this.#bridge.request(Ask.FORGET, { model });
  }

  /** The pipeline of a model on a device, brought to the worker when it does not hold it; unfinished when `signal` is aborted. */
  async load(model, device, signal) {
    const adapter = this.adapterOf(model);
    const isThat = (one) => one.device === device && one.model === model && one.adapter === adapter;
    if (this.#loading) {
      if (!isThat(this.#loading)) this.#loading.stop.abort();
      this.#onLoading(this.#loading.event);
      await this.#loading.promise.catch(() => {});
    }
    const held = this.#loaded;
    if ((held && isThat(held)) || signal?.aborted) return held;
    return this.#start(model, device);
  }

  /** What a model of the user's own is and needs. @param {import("./ownfiles.js").OwnModel} own @param {number} [buffer] the adapter's
   *  largest @returns {Promise<object>} Ask.INSPECT's reply */
  inspect({ files, single, prediction }, buffer) {
    return this.#bridge.request(Ask.INSPECT, { own: { files, single, prediction }, buffer });
  }

  /** As {@link load}, for a model of the user's own, which is then the one that is open; another one stays open where it cannot be
   *  loaded. */
  async loadOwn(own, device, signal) {
    const before = this.own;
    this.own = own;
    if (this.#loaded?.model === own.id) this.#loaded = null; // the same name, perhaps with other files or bits
    try {
      return await this.load(own.id, device, signal);
    } catch (error) {
      this.own = before;
      throw error;
    }
  }

  /** As {@link load}, with another adapter, which is then the one that is chosen; the one before stays where it cannot be loaded. */
  async loadWith(adapter, model, device, signal) {
    const before = this.adapter;
    this.adapter = adapter;
    try {
      const loaded = await this.load(model, device, signal);
      if (signal?.aborted || loaded?.cancelled) this.adapter = before;
      return loaded;
    } catch (error) {
      this.adapter = before;
      throw error;
    }
  }

  /** The adapter that a model is loaded with, or null. */
  adapterOf(model) {
    return this.adapter?.on && this.adapter.model === model ? this.adapter : null;
  }

  /** What a file is: a saved edit or an adapter, null for anything else. @param {File} file
   *  @returns {Promise<{kind: "edit" | "adapter", prompt?: string} | null>} */
  async recognise(file) {
    if (!/\.safetensors$/i.test(file.name)) return null;
    return (await this.#bridge.request(Ask.RECOGNISE, { name: file.name, blob: file })).found;
  }

  /** Stops what is being loaded. */
  stopLoading() {
    this.#loading?.stop.abort();
  }

  /** @param {object} request as Pipeline.generate takes it @returns {Promise<object>} Ask.GENERATE's reply */
  async generate(request, options) {
    this.#of = null;
    const result = await this.#bridge.request(Ask.GENERATE, { request }, options);
    this.#of = result.cancelled ? null : result;
    return result;
  }

  /** The whole picture of a step of `result`, or null when the worker does not have it any more. */
  async estimate(result, index) {
    if (!result || this.#of !== result) return null;
    return this.#bridge.request(Ask.ESTIMATE, { index }).catch(() => null);
  }

  /** The picture of `result` by the model's large decoder, or null when the worker does not have it any more. */
  async large(result) {
    if (!result || this.#of !== result || !this.#loaded?.defaults.large) return null;
    return this.#bridge.request(Ask.LARGE);
  }

  /** What to say about a prompt for a model of the host's, or null. @param {string} model its id @param {string} prompt
   *  @param {{caret?: number, wait?: boolean}} options as Ask.ADVISE has them @returns {Promise<Advice | null>} */
  async advise(model, prompt, options) {
    return (await this.#bridge.request(Ask.ADVISE, { model, prompt, ...options })).advice;
  }

  /** The picture with a white outline. @param {import("./picture.js").Image} image @returns {Promise<import("./picture.js").Image>} */
  outline({ width, height, rgba }) {
    return this.#bridge.request(Ask.OUTLINE, { width, height, rgba });
  }

  /**
   * A PNG file of images of one size; several make an animation.
   * @param {import("./picture.js").Image[]} images @param {{infotext?: string, milliseconds?: number}} [options]
   * @returns {Promise<Blob>}
   */
  async png(images, { infotext, milliseconds } = {}) {
    const [{ width, height }] = images;
    const frames = images.map(({ rgba }) => rgba);
    const { bytes } = await this.#bridge.request(Ask.PNG, { width, height, frames, infotext, milliseconds });
    return new Blob([bytes], { type: "image/png" });
  }

  /** The settings in a PNG file, or null. @param {Blob} file */
  async settings(file) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    return (await this.#bridge.request(Ask.SETTINGS, { bytes })).settings;
  }

  /** What Ask.LOAD needs beside the id of a model: of one of the user's own, and of one with an adapter. */
  picked(model) {
    const adapter = this.adapterOf(model);
    const loras = adapter ? { loras: [{ name: adapter.name, bytes: adapter.bytes }] } : {};
    if (model !== this.own?.id) return loras;
    const { files, single, prediction, bits } = this.own;
    return { own: { files, single, prediction, bits }, ...loras };
  }

  #start(model, device) {
    const adapter = this.adapterOf(model);
    const job = { model, device, adapter, stop: new AbortController(), event: { phase: "files" }, promise: null };
    this.#loaded = this.#of = null;
    const onEvent = (event) => {
      if (event.kind !== Tell.LOADING) return;
      job.event = event;
      this.#onLoading(event);
    };
    this.#onLoading(job.event);
    job.promise = this.#bridge
      .request(Ask.LOAD, { model, device, ...this.picked(model) }, { onEvent, signal: job.stop.signal })
      .then((reply) => {
        if (reply.cancelled) return reply;
        this.#loaded = { ...reply, model, adapter };
        this.#onLoaded(this.#loaded);
        return this.#loaded;
      })
      .finally(() => (this.#loading = null));
    this.#loading = job;
    return job.promise;
  }
}

/** The worker's address. */
export function workerUrl() {
  return underOurPolicy(new URL("./worker.js", import.meta.url));
}

/**
 * An address from which the worker starts under this page's security policy. A worker that is loaded over the network has the
 * policy of its own response, which a host without our headers (tools/headers.mjs) leaves open; one that is made from a blob
 * inherits the page's.
 * @param {URL} url
 */
function underOurPolicy(url) {
  return URL.createObjectURL(new Blob([`import ${JSON.stringify(url.href)};`], { type: "text/javascript" }));
}
