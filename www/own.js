// "Your own model": a file or folder that is picked or dropped. What it is and what it needs is told before it is loaded, its
// weights are put into fewer bits where it would not fit otherwise, and the model of before stays where it is refused.

import { sizeWords } from "./device.js";
import { $ } from "./dom.js";
import { chosen } from "./files.js";
import { Jobs } from "./jobs.js";
import { folderHeld, folderPicked, isOwn, modelInFile, modelInFolder } from "./ownfiles.js";
import { forgetOwn, isAllowed, rememberOwn, remembered } from "./remembered.js";

const FILES = { "application/octet-stream": [".safetensors", ".gguf"] };

/** @typedef {import("./ownfiles.js").OwnModel} OwnModel */

export class Own {
  #studio;
  #parts;
  #one = null; // {own, handle?}: what is open
  #kept = null; // what an earlier visit left
  #hint;

  /** @param {import("./studio.js").Studio} studio @param {Record<string, any>} parts the page's, as www/page.js has them */
  constructor(studio, parts) {
    this.#studio = studio;
    this.#parts = parts;
    this.#hint = $("own-words").textContent;
    $("own").addEventListener("input", (event) => event.stopPropagation()); // nothing here is a setting of the picture
    $("own-open").addEventListener("click", () => this.#pick("showOpenFilePicker", $("own-file"), { types: [{ accept: FILES }] }));
    $("folder-open").addEventListener("click", () => this.#pick("showDirectoryPicker", $("folder"), {}));
    $("folder-open").hidden = !("webkitdirectory" in $("folder"));
    chosen($("own-file"), (file) => this.openFile(file));
    $("folder").addEventListener("change", () => this.#folder([...$("folder").files]));
    $("own-bits").addEventListener("change", () => this.#again());
    $("own-prediction").addEventListener("change", () => this.#again($("own-prediction").value));
    $("own-again").addEventListener("click", () => this.#reopen());
    $("own-forget").addEventListener("click", () => this.#forget());
    this.#recall(new URLSearchParams(location.search).get("model"));
  }

  /** A file that is meant to be a model. @param {File} file @param {any} [handle] the browser's, where it has one */
  openFile(file, handle) {
    this.#open(async () => modelInFile(file), { handle });
  }

  /** A file or folder that the browser has a handle of. @param {any} handle @param {{prediction?: string}} [more] */
  openHeld(handle, more = {}) {
    this.#open(() => modelHeld(handle), { handle, ...more });
  }

  async #pick(picker, input, options) {
    const { [picker]: ask } = /** @type {any} */ (window);
    if (!ask) return input.click();
    try {
      const picked = await ask.call(window, options);
      return this.openHeld(Array.isArray(picked) ? picked[0] : picked);
    } catch (error) {
      return error.name === "AbortError" ? undefined : input.click(); // thought better of it; or this page may not
    }
  }

  #folder(files) {
    $("folder").value = "";
    if (!files.length) return;
    const { name, inside } = folderPicked(files);
    this.#open(() => modelInFolder(name, inside));
  }

  /** The open one once more, by what the fields say now. */
  #again(prediction = this.#one?.own.prediction) {
    if (!this.#one || this.#parts.models.model?.id !== this.#one.own.id) return;
    const { own, handle } = this.#one;
    this.#open(async () => ({ ...own, files: [...own.files] }), { handle, prediction });
  }

  /** @param {() => Promise<OwnModel>} find @param {{handle?: any, prediction?: string}} [with_] */
  #open(find, { handle, prediction } = {}) {
    const { jobs } = this.#studio;
    jobs.begin(
      (signal) => this.#load(find, { handle, prediction }, signal),
      () => this.#open(find, { handle, prediction }),
    );
  }

  async #load(find, { handle, prediction }, signal) {
    const { engine, models, status, device } = this.#parts;
    status.waiting();
    const stopped = new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    await Promise.race([models.whenReady(), stopped]);
    if (signal.aborted) return this.#stopped(signal);
    const own = Object.assign(await find(), { prediction });
    const about = await engine.inspect(own, device.probed.buffer);
    if (signal.aborted) return this.#stopped(signal);
    const plan = device.fitting(demands(own, about, $("own-bits").value));
    Object.assign(own, { bits: plan.bits ?? undefined, demand: plan });
    const words = this.#words(own, about, plan);
    status.notice(words);
    const loaded = await engine.loadOwn(own, plan.device, signal).catch((error) => {
      status.notice("");
      throw error;
    });
    if (signal.aborted || !loaded) return this.#stopped(signal);
    own.defaults = loaded.defaults;
    this.#one = { own, handle };
    this.#show(words, about);
    await models.open(own.id);
    await this.#remember();
    return status.done(`“${own.name}” is ready to draw.`);
  }

  /** What it is, what it needs, and what else there is to say, in one line each. */
  #words(own, { kind, stored, notes }, { bits, device, needs, module }) {
    const need = device === "cpu" ? sizeWords(module.cpu) : `${sizeWords(needs.weights + needs.activations)} on the graphics card`;
    const how = bits ? ` with ${bits} bits per weight` : "";
    const first = `${own.name}: ${kind}, ${stored}, ${sizeWords(own.bytes)}; needs ${need}${how}.`;
    return [first, ...notes.map((note) => `${note[0].toUpperCase()}${note.slice(1)}.`)].join(" ");
  }

  #show(words, { prediction, predictions }) {
    $("own-words").textContent = words || this.#hint;
    $("own-predicts").hidden = predictions.length === 0;
    $("own-prediction").replaceChildren(...predictions.map(([name, label]) => new Option(label, name)));
    if (prediction) $("own-prediction").value = prediction;
  }

  async #remember() {
    const { own, handle } = this.#one;
    if (!handle) return;
    const one = { id: own.id, name: own.name, handle, bits: $("own-bits").value, prediction: own.prediction };
    if (await rememberOwn(one)) this.#kept = one;
    this.#offer();
  }

  /** What an earlier visit left is offered, at once where the address names it. */
  async #recall(wanted) {
    this.#kept = await remembered();
    this.#offer();
    if (!this.#kept || this.#kept.id !== wanted) return;
    const { models, status } = this.#parts;
    await models.whenReady().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve)); // what the address asks for begins
    await this.#studio.jobs.idle;
    const offer = { label: "Open it again", act: () => this.#reopen() };
    if (!isOwn(models.model?.id)) status.notice(`“${this.#kept.name}” was open here.`, [offer]);
  }

  #offer() {
    const closed = this.#kept && this.#kept.id !== this.#one?.own.id;
    $("own-again").hidden = !closed;
    $("own-again").textContent = closed ? `Open “${this.#kept.name}” again` : "";
    $("own-forget").hidden = !this.#kept;
  }

  async #reopen() {
    const { name, handle, bits, prediction } = this.#kept;
    try {
      if (!(await isAllowed(handle))) throw new Error(`The browser does not let the page read “${name}”.`);
      $("own-bits").value = bits;
      this.openHeld(handle, { prediction });
    } catch (error) {
      this.#studio.trouble(error);
    }
  }

  async #forget() {
    await forgetOwn();
    this.#parts.status.notice(`The page will not offer “${this.#kept.name}” again.`);
    this.#kept = null;
    this.#offer();
  }

  #stopped(signal) {
    if (!Jobs.superseded(signal)) this.#parts.status.done("Stopped.");
  }
}

async function modelHeld(handle) {
  try {
    if (handle.kind === "file") return modelInFile(await handle.getFile());
    const { name, inside } = await folderHeld(handle);
    return await modelInFolder(name, inside);
  } catch (error) {
    if (error.name !== "NotFoundError") throw error;
    throw new Error(`“${handle.name}” is not there any more.`);
  }
}

/** What a model asks of a machine, by each of its plans that `bits` of the field allows. @param {OwnModel} own */
function demands({ bytes }, { plans }, bits) {
  const all = plans.map((plan) => ({ ...plan, bytes }));
  const wanted = all.filter((plan) => !bits || String(plan.bits ?? "whole") === bits);
  if (wanted.length === 0) throw new Error(`The weights are in blocks already, and not of ${bits} bits. Choose “As they are”.`);
  return wanted;
}
