// "Go deeper": the model is fitted to the picture that is edited (Imagic), in a worker of its own whose wasm has gradients. The
// page's own pipeline takes no part in it. This file comes when it is first asked for.

import { $, make } from "../dom.js";
import { fileName, save } from "../files.js";
import { remember } from "../memory.js";
import { Ask } from "../messages.js";
import { completed, settingsOf } from "../settings.js";
import { duration } from "../status.js";
import { explainFit } from "../trouble.js";
import { Gradients } from "./gradients.js";
import { Plot } from "./plot.js";
import { Strip } from "./strip.js";

const EVERY = 10; // steps between two pictures of what the model makes of the given one
const KEEP_MS = 2500; // a picture is saved when the slider stays at it for so long
const TOOK = "fourstep.fit"; // as www/edit.js has it
const METHOD = "imagic";
const OPENING = { what: "Opening the edit", purpose: "open the edit", kept: "The model is as it was." };

/** @typedef {import("../shown.js").One} One */

export class Deeper {
  #studio;
  #parts;
  #back;
  #worker;
  #strip = /** @type {Strip | null} */ (null);

  /** @param {import("../studio.js").Studio} studio @param {Record<string, any>} parts the page's
   *  @param {(request: object) => void} back a picture of the edit that `request` asked for is looked at */
  constructor(studio, parts, back) {
    this.#studio = studio;
    this.#parts = parts;
    this.#back = back;
    this.#worker = new Gradients(parts);
  }

  /** Fits the model, and shows what the words ask for. @param {(defaults: object) => object} requested what to fit it to, with the
   *  model's settings @param {AbortSignal} signal stops it at once */
  fit(requested, signal) {
    return this.#guarded(signal, async () => {
      const begun = performance.now();
      const defaults = await this.#worker.load();
      const request = this.#complete(requested(defaults), defaults);
      const note = await this.#descend(request);
      await this.#present(request, defaults, () => this.#worker.request(Ask.SAVE_FIT));
      const took = duration(performance.now() - begun);
      remember(TOOK, took);
      this.#parts.status.done(`Fitted and drawn in ${took}. The slider leads back to your picture.`, note);
      if (document.activeElement === $("edit-deeper")) this.#strip.focus();
    });
  }

  /** Opens an edit from a file: the picture that it was made from comes as well as the model learned it, since the file does not have it.
   *  @param {{name: string, bytes: Uint8Array}} file @param {(one: One, request: object) => void} begin takes that picture
   *  @param {AbortSignal} signal */
  open(file, begin, signal) {
    return this.#guarded(
      signal,
      async () => {
        const { models, status } = this.#parts;
        const defaults = await this.#worker.load({ edit: file });
        const { request: saved } = await this.#worker.request(Ask.OPEN_FIT, { ...file, model: models.model.id });
        const { from, ...settings } = saved;
        const own = { steps: defaults.steps, guidance_scale: defaults.guidance_scale };
        const known = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
        const request = this.#complete({ ...own, ...known, edit: { from, method: METHOD } }, defaults);
        const first = await this.#draw({ ...request, sampler: defaults.sampler }, 0);
        request.image = first.result;
        first.start = { image: first.result, strength: 0, edit: request.edit };
        Object.assign(first.settings, { prompt: from || request.prompt, strength: "0" });
        begin(first, request);
        await this.#present(request, defaults, async () => ({ bytes: file.bytes }));
        status.done(`“${request.prompt}” is open again. The slider leads back to the picture that it was made from.`);
        this.#strip.focus();
      },
      OPENING,
    );
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
    this.#worker.end();
  }

  /** Does it while the signal allows; then the worker ends, and with it what it was doing. @param {object} [words] of explainFit */
  async #guarded(signal, act, words) {
    const { status, picture } = this.#parts;
    const stop = () => this.#worker.end();
    this.forget();
    signal.addEventListener("abort", stop, { once: true });
    try {
      if (!signal.aborted) await act();
    } catch (error) {
      this.forget();
      if (!signal.aborted) throw explainFit(error, words);
    } finally {
      signal.removeEventListener("abort", stop);
      picture.flash(null);
      if (signal.aborted) status.done("Stopped. Your picture is as it was.");
    }
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
    status.drawing(0, 1, []);
    status.say("Looking at your picture…");
    const step = (done, all, times) => status.drawing(done, all, times, "Learning your picture: step");
    const reached = (source) => picture.flash(source);
    const { warnings, early } = await this.#worker.fit(Ask.FIT, { request, every: EVERY }, { plot, reached, step });
    status.say("Drawing the edit…");
    return [...(early ? ["Fitting ended early, at the last good step."] : []), ...warnings].join(" ");
  }

  /** The slider, at what the words ask for. @param {() => Promise<{bytes: Uint8Array}>} file brings the edit's */
  async #present(request, defaults, file) {
    this.#strip = this.#stripOf(request, defaults, file);
    $("deeper").append(this.#strip.element);
    $("deeper").hidden = false;
    await this.#strip.begin();
  }

  #stripOf(request, defaults, file) {
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
      save: async () => this.#save(request, await file()),
      trouble: (error) => this.#studio.trouble(explainFit(error)),
    });
  }

  /** @returns {Promise<One>} */
  async #draw(request, eta) {
    const { infotext, ...result } = await this.#worker.request(Ask.FITTED, { eta });
    const start = { image: request.image, strength: eta, edit: { method: METHOD, from: request.edit.from } };
    return { settings: settingsOf({ ...request, ...start }, this.#parts.models.nameInLink), result, infotext, start };
  }

  #save({ prompt, seed }, { bytes }) {
    save(new Blob([bytes], { type: "application/octet-stream" }), fileName({ prompt, seed }, "-edit").replace(/png$/, "safetensors"));
  }
}
