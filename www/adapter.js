// What the model was taught, here or by a file: an adapter (LoRA), which is added to the model's weights while they are read. One is
// chosen at a time, for one model. The line under the prompt says that it is in use, switches it off and on, saves it and removes it.

import { $ } from "./dom.js";
import { save } from "./files.js";
import { Jobs } from "./jobs.js";

/** @typedef {{name: string, prompt: string, bytes: Uint8Array, model: string, on: boolean}} Adapter `name`: of its file; `prompt`: what
 *  it was taught, '' where that is not known; `model`: the id of the model that it is for */

export class AdapterChoice {
  #studio;
  #parts;

  /** @param {import("./studio.js").Studio} studio @param {Record<string, any>} parts the page's */
  constructor(studio, parts) {
    this.#studio = studio;
    this.#parts = parts;
    $("adapter-on").addEventListener("input", (event) => event.stopPropagation()); // it is no setting of the picture
    $("adapter-on").addEventListener("change", ({ target }) => this.#switch(target.checked));
    $("adapter-save").addEventListener("click", () => this.save());
    $("adapter-remove").addEventListener("click", () => this.#remove());
  }

  /** Opens a saved edit or an adapter; resolves to false where the file is neither. @param {File} file */
  async open(file) {
    const found = await this.#parts.engine.recognise(file);
    if (!found) return false;
    const bytes = new Uint8Array(await file.arrayBuffer());
    if (found.kind === "edit") this.#parts.edit.openSaved({ name: file.name, bytes });
    else this.#use({ name: file.name, prompt: found.prompt ?? "", bytes });
    return true;
  }

  /** Goes over to an adapter for the model of now, within a job; resolves to whether it is in use. The model stays as it is where it
   *  does not take the adapter. @param {{name: string, prompt: string, bytes: Uint8Array}} adapter @param {AbortSignal} signal */
  async apply(adapter, signal) {
    const { engine, models } = this.#parts;
    await models.whenReady();
    const { id: model } = models.model;
    try {
      const loaded = await engine.loadWith({ ...adapter, model, on: true }, model, this.#device(), signal);
      return Boolean(loaded) && !signal.aborted;
    } finally {
      this.refresh();
    }
  }

  /** Shows the adapter that was chosen for this model. */
  refresh() {
    const { engine, models, help } = this.#parts;
    const { adapter } = engine;
    const here = adapter !== null && adapter.model === models.model?.id;
    $("adapter").hidden = !here;
    help.refresh();
    if (!here) return;
    $("adapter-on").checked = adapter.on;
    $("adapter-words").textContent = `${named(adapter)} is ${adapter.on ? "in use" : "off"}`;
    for (const act of ["save", "remove"]) $(`adapter-${act}`).title = `${act === "save" ? "Save" : "Remove"} what was learned`;
  }

  /** What is said of a prompt, without the words that the adapter was taught. @param {import("./engine.js").Advice | null} advice */
  known(advice) {
    const adapter = this.#parts.engine.adapterOf(this.#parts.models.model?.id);
    if (!advice || !adapter) return advice;
    const own = new Set(adapter.prompt.toLowerCase().match(/[\p{L}\p{N}]+/gu));
    const unknown = advice.unknown.filter(({ word }) => !own.has(word.toLowerCase()));
    return { ...advice, unknown, nothing: advice.nothing && unknown.length === advice.unknown.length };
  }

  /** Saves the adapter as a file. */
  save() {
    const { name, bytes } = this.#parts.engine.adapter;
    save(new Blob([bytes], { type: "application/octet-stream" }), name);
  }

  #use(adapter) {
    const words = adapter.prompt ? `Write “${adapter.prompt}” in your prompt.` : "Use the words that its author names.";
    const job = async (signal) => {
      if (await this.apply(adapter, signal)) this.#parts.status.done(`${named(adapter)} is in use. ${words}`);
      else this.#stopped(signal);
    };
    this.#studio.jobs.begin(job, () => this.#use(adapter));
  }

  #switch(on) {
    const { engine } = this.#parts;
    engine.adapter.on = on;
    this.#reload(on ? `${named(engine.adapter)} is in use.` : `${named(engine.adapter)} is off. The model draws what it drew before.`);
  }

  #remove() {
    const { engine, status } = this.#parts;
    const { adapter } = engine;
    engine.adapter = null;
    $("prompt").focus();
    this.#reload(`${named(adapter)} was removed. The model draws what it drew before.`, () =>
      status.notice("It is gone unless you saved it.", [{ label: "Put it back", act: () => this.#use(adapter) }]),
    );
  }

  /** Brings the model as it is to be from now on; without that, the next picture would wait for it. */
  #reload(line, then = () => {}) {
    const { engine, models, status } = this.#parts;
    this.refresh();
    const job = async (signal) => {
      await engine.load(models.model.id, this.#device(), signal);
      if (signal.aborted) return this.#stopped(signal);
      status.done(line);
      return then();
    };
    this.#studio.jobs.begin(job, () => this.#reload(line, then));
  }

  #stopped(signal) {
    if (!Jobs.superseded(signal)) this.#parts.status.done("Stopped.");
  }

  /** The device that draws. @throws {Error} in words where none can */
  #device() {
    const { device, words } = this.#parts.device.chosen;
    if (!device) throw new Error(words);
    return device;
  }
}

/** What the adapter draws, as a person would call it. */
function named({ prompt, name }) {
  return `“${prompt || name.replace(/\.safetensors$/i, "")}”`;
}
