// Which model draws: what the list offers, with sizes; going over to another one, which fetches nothing by itself; and the
// removal of one that is saved in this browser.

import { $ } from "./dom.js";
import { sizeText } from "./link.js";
import { isFile, isOwn } from "./ownfiles.js";
import { megabytes } from "./status.js";

const SMALL = 64e6; // bytes; a link may fetch so much without a click
const TINY = 25e6; // bytes that a visit fetches in the background

export class Models {
  #engine;
  #page;
  #opening = Promise.resolve();
  #again = null; // asks again, after a failure that left the page without a model
  #coming = ""; // how far the model is on its way

  /** Ask.DESCRIBE's reply, once it is known. @type {any} */
  model = null;

  /**
   * @param {import("./engine.js").Engine} engine
   * @param {{probe: () => Promise<object>, described: (note: string) => void, follow: () => void, changed: () => void,
   *          removed: (line: string) => void, trouble: (error: Error, again?: () => void) => void}} page `probe`: looks for
   *   devices; `described`: another description is there, with a note or ''; `follow`: another model was chosen, whose own
   *   settings are to be used; `changed`: the model's state did
   */
  constructor(engine, page) {
    this.#engine = engine;
    this.#page = page;
    const select = $("model");
    select.addEventListener("input", (event) => event.stopPropagation()); // a choice of model draws nothing
    select.addEventListener("change", () => this.open(select.value));
    $("model-forget").addEventListener("click", () => this.#forget());
  }

  /** Asks for a model's description, or for that of the first one; done when it is there, or trouble is shown.
   *  @param {string} [wanted] */
  open(wanted) {
    this.#opening = this.#open(wanted);
    return this.#opening.catch(() => {}); // whoever needs a model hears of it from whenReady
  }

  /** Done when a model's description is there; rejects where it cannot be had. After a failure it is asked for again. */
  whenReady() {
    this.#again?.();
    return this.#opening;
  }

  /** Goes over to another of the models that are here, '' being the first; resolves to a note where it is not here, else ''. */
  async use(id) {
    await this.#opening;
    const wanted = id || this.first;
    if (wanted === this.model.id) return "";
    if (!this.model.models.some((one) => one.id === wanted))
      return `The model “${wanted}” is not available here. Another model draws instead.`;
    await this.open(wanted);
    return "";
  }

  /** As an address names it: the first one needs no name. */
  get nameInLink() {
    return this.first === this.model.id ? "" : this.model.id;
  }

  /** The first one's id. */
  get first() {
    return this.model.models[0].id;
  }

  /** Whether a picture may be drawn, and the model fetched for it, without a click. */
  get drawsUnasked() {
    return this.model.cached || this.model.bytes <= SMALL;
  }

  /** Whether the model may be made ready before anybody asks for a picture. */
  get comesUnasked() {
    return this.model.cached || (this.model.bytes <= TINY && !(/** @type {any} */ (navigator).connection?.saveData));
  }

  /** What is saved has changed. */
  set cached(cached) {
    this.model.cached = cached;
    const entry = this.model.models.find(({ id }) => id === this.model.id);
    if (entry) entry.cached = cached;
    this.#offer();
    this.#page.changed();
  }

  /** What the model asks of a machine, for www/device.js. */
  get demand() {
    return this.model ? (this.model.demand ?? { bytes: this.model.bytes, needs: this.model.needs }) : undefined;
  }

  /** The model and where it is, in few words. */
  get line() {
    if (!this.model) return "Looking for the model…";
    return `${this.model.name}, ${this.#coming || this.#where}`;
  }

  /** How far the model is on its way, in few words, or '' when it is here. */
  set coming(words) {
    this.#coming = words;
    this.#page.changed();
  }

  get #where() {
    const { id, bytes, cached } = this.model;
    if (isOwn(id)) return `read from your ${isFile(id) ? "file" : "folder"}`;
    return cached ? "saved in this browser" : `${megabytes(bytes)} MB to fetch once`;
  }

  async #open(wanted) {
    this.#again = null;
    try {
      const [note] = await Promise.all([this.#describe(wanted), this.#page.probe()]);
      this.#offer();
      this.#page.described(note);
    } catch (error) {
      this.#page.trouble(error, () => this.open(wanted));
      if (this.model) return this.#offer(); // the choice stays with what can draw
      this.#again = () => this.open(wanted);
      throw error;
    }
    return undefined;
  }

  // A model that is not here gives way to the first one; resolves to a note about it, or ''.
  async #describe(wanted) {
    let note = "";
    let model;
    try {
      model = await this.#described(wanted);
    } catch (error) {
      if (!wanted || !/no model called/.test(error.message)) throw error;
      note = `${error.message} Another one is used.`;
      model = await this.#engine.describe();
    }
    if (this.model && this.model.id !== model.id) this.#page.follow();
    this.model = model;
    return note;
  }

  // The user's own is described here: the worker knows the host's models.
  async #described(wanted) {
    const { own } = this.#engine;
    if (!own?.defaults) return this.#engine.describe(wanted || undefined);
    const { id, name, bytes, defaults, manifest, demand } = own;
    const one = { id, name, bytes };
    if (wanted !== id) {
      const model = await this.#engine.describe(wanted || undefined);
      return { ...model, models: [...model.models, one] };
    }
    const models = [...this.model.models.filter((other) => !isOwn(other.id)), one];
    return { ...one, defaults, demand, needs: demand.needs, examples: manifest.examples, cached: true, models };
  }

  #offer() {
    const { models, id, name, cached, defaults } = this.model;
    const option = (one) => new Option(one.bytes ? `${one.name} · ${megabytes(one.bytes)} MB` : one.name, one.id);
    $("model").replaceChildren(...models.map(option));
    $("model").value = id;
    $("model").disabled = false;
    $("model-forget").hidden = !cached || isOwn(id);
    $("model-forget").setAttribute("aria-label", `Remove ${name} from this browser`);
    const size = sizeText(defaults.width, defaults.height);
    $("model-words").textContent = `${defaults.steps} step${defaults.steps === 1 ? "" : "s"}, ${size} px, ${this.#where}.`;
  }

  async #forget() {
    try {
      await this.#engine.forget(this.model.id);
      this.cached = false;
      this.#page.removed(`${this.model.name} was removed from this browser.`);
    } catch (error) {
      this.#page.trouble(error);
    }
  }
}
