// "Go deeper": the model is fitted to the picture that is edited (Imagic), in a worker of its own whose wasm has gradients. The
// page's own pipeline takes no part in it. This file comes when it is first asked for.

import { $, make } from "../dom.js";
import { workerUrl } from "../engine.js";
import { fileName, save } from "../files.js";
import { remember } from "../memory.js";
import { Ask, Bridge, Tell, WITH_GRADIENTS } from "../messages.js";
import { toSource } from "../picture.js";
import { completed, settingsOf } from "../settings.js";
import { duration } from "../status.js";
import { explainFit } from "../trouble.js";
import { Plot } from "./plot.js";
import { Strip } from "./strip.js";

const EVERY = 10; // steps between two pictures of what the model makes of the given one
const KEEP_MS = 2500; // a picture is saved when the slider stays at it for so long
const TOOK = "fourstep.fit"; // as www/edit.js has it
const DEVICE = "cpu"; // gradients were not tried on WebGPU in a browser
const METHOD = "imagic";

/** @typedef {import("../shown.js").One} One */

export class Deeper {
  #studio;
  #parts;
  #back;
  #loaded = null; // what the worker has: {model, files, defaults}
  #strip = /** @type {Strip | null} */ (null);
  #bridge = new Bridge(workerUrl(), () => (this.#loaded = null), WITH_GRADIENTS);

  /** @param {import("../studio.js").Studio} studio @param {Record<string, any>} parts the page's
   *  @param {(request: object) => void} back a picture of the edit that `request` asked for is looked at */
  constructor(studio, parts, back) {
    this.#studio = studio;
    this.#parts = parts;
    this.#back = back;
  }

  /** Fits the model, and shows what the words ask for. @param {(defaults: object) => object} requested what to fit it to, with the
   *  model's settings @param {AbortSignal} signal stops it at once */
  async fit(requested, signal) {
    const { status, picture } = this.#parts;
    const stop = () => this.#bridge.restart();
    this.forget();
    signal.addEventListener("abort", stop, { once: true });
    try {
      const begun = performance.now();
      const { defaults } = (signal.aborted ? null : await this.#load()) ?? {};
      if (!defaults) return;
      const request = this.#complete(requested(defaults), defaults);
      const note = await this.#descend(request);
      this.#strip = this.#stripOf(request, defaults);
      $("deeper").append(this.#strip.element);
      await this.#strip.begin();
      const took = duration(performance.now() - begun);
      remember(TOOK, took);
      status.done(`Fitted and drawn in ${took}. The slider leads back to your picture.`, note);
      if (document.activeElement === $("edit-deeper")) this.#strip.focus();
    } catch (error) {
      this.forget();
      if (!signal.aborted) throw explainFit(error);
    } finally {
      signal.removeEventListener("abort", stop);
      picture.flash(null);
      if (signal.aborted) status.done("Stopped. Your picture is as it was.");
    }
  }

  /** The strip goes; the worker stays for the next fit. */
  forget() {
    this.#strip?.end();
    this.#strip = null;
    $("deeper").hidden = true;
    $("deeper").replaceChildren();
  }

  /** Ends the worker, and with it goes all that it holds. */
  close() {
    this.forget();
    this.#bridge.restart();
  }

  async #load() {
    const { engine, models, status } = this.#parts;
    const { id: model } = models.model;
    const { own } = engine.picked(model);
    const same = this.#loaded?.model === model && this.#loaded.files === own?.files;
    if (same) return this.#loaded;
    const onEvent = (event) => event.kind === Tell.LOADING && status.loading(event);
    onEvent({ kind: Tell.LOADING, phase: "model" });
    // Without the bits that the user's own is loaded with: gradients take floats.
    const picked = own ? { own: { ...own, bits: undefined } } : {};
    const reply = await this.#bridge.request(Ask.LOAD, { model, device: DEVICE, ...picked }, { onEvent });
    this.#loaded = { model, files: own?.files, defaults: reply.defaults };
    return this.#loaded;
  }

  #complete(request, defaults) {
    return completed(request, defaults, this.#parts.models.model.id).full;
  }

  /** The fit itself; resolves to a note about it. */
  async #descend(request) {
    const { status, picture } = this.#parts;
    const plot = new Plot();
    const legend = make("p", { className: "hint" }, "How far the model is from drawing your picture, step by step.");
    $("deeper").replaceChildren(plot.element, legend);
    $("deeper").hidden = false;
    const times = [];
    const early = new Set(); // stages that have ended before their last step
    let [last, done] = [performance.now(), 0];
    status.drawing(0, 1, []);
    status.say("Looking at your picture…");
    const onEvent = ({ kind, stage, index, steps, left, loss, picture: reached }) => {
      if (kind !== Tell.FITTING) return;
      const now = performance.now();
      times.push(now - last); // with the picture's, which the worker's own number leaves out
      last = now;
      done++;
      if (index + 1 < steps) early.add(stage);
      else early.delete(stage);
      plot.add(loss, done + left);
      if (reached) picture.flash(toSource(reached));
      status.drawing(done, done + left, times, "Learning your picture: step");
    };
    const { warnings } = await this.#bridge.request(Ask.FIT, { request, every: EVERY }, { onEvent });
    status.say("Drawing the edit…");
    return [...(early.size ? ["Fitting ended early, at the last good step."] : []), ...warnings].join(" ");
  }

  #stripOf(request, defaults) {
    const { picture, numbers, shown, status } = this.#parts;
    const show = (one) => {
      this.#back(request);
      picture.still(one.result);
      numbers.clear();
      this.#studio.show(one);
      if (this.#strip) status.rest(`“${request.prompt}”, ${one.start.strength} of the way from your picture`);
      shown.keep(KEEP_MS);
    };
    return new Strip(request.prompt, {
      draw: (eta) => this.#draw({ ...request, sampler: defaults.sampler }, eta),
      show,
      save: () => this.#save(request),
      trouble: (error) => this.#studio.trouble(explainFit(error)),
    });
  }

  /** @returns {Promise<One>} */
  async #draw(request, eta) {
    const { infotext, ...result } = await this.#bridge.request(Ask.FITTED, { eta });
    const start = { image: request.image, strength: eta, edit: { method: METHOD, from: request.edit.from } };
    return { settings: settingsOf({ ...request, ...start }, this.#parts.models.nameInLink), result, infotext, start };
  }

  async #save({ prompt, seed }) {
    const { bytes } = await this.#bridge.request(Ask.SAVE_FIT);
    save(new Blob([bytes], { type: "application/octet-stream" }), fileName({ prompt, seed }, "-edit").replace(/png$/, "safetensors"));
  }
}
