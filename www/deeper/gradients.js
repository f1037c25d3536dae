// The worker whose wasm has gradients, with the page's model in it, as floats and on the CPU. The page's own pipeline takes no part in
// what is fitted here.

import { tooLargeToFit } from "../device.js";
import { workerUrl } from "../engine.js";
import { Bridge, Ask, Tell, WITH_GRADIENTS } from "../messages.js";
import { toSource } from "../picture.js";

const DEVICE = "cpu"; // gradients were not tried on WebGPU in a browser

/** @typedef {import("./plot.js").Plot} Plot */

export class Gradients {
  #parts;
  #loaded = null; // what the worker has: {model, files, loras, defaults}
  #bridge = new Bridge(workerUrl(), () => (this.#loaded = null), WITH_GRADIENTS);

  /** @param {Record<string, any>} parts the page's */
  constructor(parts) {
    this.#parts = parts;
  }

  /** The page's model, with the adapter that is in use where it is wanted; resolves to the model's settings.
   *  @param {{adapter?: boolean, edit?: {name: string, bytes: Uint8Array}}} [more] `edit`: a saved one, whose adapters are added
   *  @throws {Error} in words where the model is too large */
  async load({ adapter = true, edit } = {}) {
    const { engine, models, status } = this.#parts;
    await models.whenReady();
    const reason = tooLargeToFit(models.demand);
    if (reason) throw new Error(reason);
    const { id: model } = models.model;
    const { own, loras: chosen = [] } = engine.picked(model);
    const loras = [...(adapter ? chosen : []), ...(edit ? [{ ...edit, edit: true }] : [])];
    const wanted = { model, files: own?.files, loras };
    if (this.#loaded && same(this.#loaded, wanted)) return this.#loaded.defaults;
    const onEvent = (event) => event.kind === Tell.LOADING && status.loading(event);
    onEvent({ kind: Tell.LOADING, phase: "model" });
    // Without the bits that the user's own is loaded with: gradients take floats.
    const picked = own ? { own: { ...own, bits: undefined } } : {};
    this.#loaded = null;
    const { defaults } = await this.#bridge.request(Ask.LOAD, { model, device: DEVICE, ...picked, loras }, { onEvent });
    this.#loaded = { ...wanted, defaults };
    return defaults;
  }

  /** Fits the model: Ask.FIT or Ask.ADAPT. Resolves to its reply, and to whether a stage ended before its last step.
   *  @param {string} kind @param {object} body of the message
   *  @param {{plot: Plot, reached: (source: HTMLCanvasElement) => void, step: (done: number, all: number, times: number[]) => void,
   *           signal?: AbortSignal}} hear `reached`: a picture by the model as it is by then; `times`: of the steps, in milliseconds */
  async fit(kind, body, { plot, reached, step, signal }) {
    const times = [];
    const early = new Set();
    let [last, done] = [performance.now(), 0];
    const onEvent = ({ kind, stage, index, steps, left, loss, picture }) => {
      if (kind !== Tell.FITTING) return;
      const now = performance.now();
      times.push(now - last); // with the picture's, which the worker's own number leaves out
      last = now;
      done++;
      if (index + 1 < steps) early.add(stage);
      else early.delete(stage);
      plot.add(loss, done + left);
      if (picture) reached(toSource(picture));
      step(done, done + left, times);
    };
    const reply = await this.#bridge.request(kind, body, { onEvent, signal });
    return { ...reply, early: early.size > 0 };
  }

  /** @param {string} kind one of Ask @param {object} [body] */
  request(kind, body) {
    return this.#bridge.request(kind, body);
  }

  /** Ends the worker, whatever it is doing, and with it goes all that it holds. */
  end() {
    this.#bridge.restart();
  }
}

/** Whether two loads are of the same model with the same adapters. */
function same(a, b) {
  const files = a.model === b.model && a.files === b.files && a.loras.length === b.loras.length;
  return files && a.loras.every(({ bytes }, at) => bytes === b.loras[at].bytes);
}
