// Which model draws: what the list offers, with sizes; going over to another one, which fetches nothing by itself; and
// the removal of one that is kept here.

import { isFolder } from "./folder.js";
import { sizeText } from "./link.js";
import { megabytes } from "./status.js";

const SMALL = 64e6; // bytes; a link may fetch so much without a click

export class Models {
  #engine;
  #parts;
  #page;
  #opening = Promise.resolve();

  /** Ask.DESCRIBE's reply, once it is known. */
  model = null;

  /**
   * @param {import("./engine.js").Engine} engine
   * @param {{select: HTMLSelectElement, words: HTMLElement, forget: HTMLButtonElement}} parts
   * @param {{describe: (wanted?: string) => Promise<void>, follow: () => void, removed: (line: string) => void,
   *          trouble: (error: Error) => void}} page `describe` calls the method of that name and fills the page, `follow`:
   *   another model was chosen, whose own settings are to be used
   */
  constructor(engine, parts, page) {
    this.#engine = engine;
    this.#parts = parts;
    this.#page = page;
    parts.select.addEventListener("input", (event) => event.stopPropagation()); // a choice of model draws nothing
    parts.select.addEventListener("change", () => this.open(parts.select.value));
    parts.forget.addEventListener("click", () => this.#forget());
  }

  /** Asks for a model's description; `ready` is done when it is there, or trouble is shown. */
  open(wanted) {
    return (this.#opening = this.#page.describe(wanted).then(() => this.model && this.#offer()));
  }

  get ready() {
    return this.#opening;
  }

  /** The model's description; one that is not here gives way to the first one, with a word to `note`. */
  async describe(wanted, note) {
    let model;
    try {
      model = await this.#described(wanted);
    } catch (error) {
      if (!wanted || !/no model called/.test(error.message)) throw error;
      note(`${error.message} Another one is used.`);
      model = await this.#engine.describe();
    }
    if (this.model && this.model.id !== model.id) this.#page.follow();
    this.model = model;
    return model;
  }

  // A folder is described here: the worker knows the host's models.
  async #described(wanted) {
    const { folder } = this.#engine;
    if (!folder?.defaults) return this.#engine.describe(wanted || undefined);
    const { id, name, bytes, defaults, manifest } = folder;
    const one = { id, name, bytes };
    if (wanted !== id) {
      const model = await this.#engine.describe(wanted || undefined);
      return { ...model, models: [...model.models, one] };
    }
    const models = [...this.model.models.filter((other) => !isFolder(other.id)), one];
    return { ...one, defaults, needs: manifest.needs, examples: manifest.examples, cached: true, models };
  }

  /** Goes over to another of the models that are here; resolves to a word where it is not, '' where it is or is not named. */
  async use(id) {
    await this.#opening;
    if (!id || id === this.model?.id) return "";
    if (!this.model?.models.some((one) => one.id === id)) return `The model “${id}” is not here: another one draws what comes next.`;
    await this.open(id);
    return "";
  }

  /** As an address names it: the first one needs no name. */
  get nameInLink() {
    return this.model.models[0]?.id === this.model.id ? "" : this.model.id;
  }

  /** The first one's id. */
  get first() {
    return this.model.models[0].id;
  }

  /** Whether a picture may be drawn, and the model fetched for it, without a click. */
  get drawsUnasked() {
    return this.model.cached || this.model.bytes <= SMALL;
  }

  /** What is kept has changed. */
  set cached(cached) {
    this.model.cached = cached;
    const entry = this.model.models.find(({ id }) => id === this.model.id);
    if (entry) entry.cached = cached;
    this.#offer();
  }

  /** What the model asks of a machine, for www/device.js. */
  get demand() {
    return this.model ? { bytes: this.model.bytes, needs: this.model.needs } : undefined;
  }

  #offer() {
    const { select, words, forget } = this.#parts;
    const { models, id, name, bytes, cached, defaults } = this.model;
    const option = (one) => new Option(one.bytes ? `${one.name} · ${megabytes(one.bytes)} MB` : one.name, one.id);
    select.replaceChildren(...models.map(option));
    select.value = id;
    // Its place is kept from the first sight on, so that nothing moves when the list comes.
    select.disabled = false;
    select.hidden = models.length < 2;
    const here = isFolder(id);
    forget.hidden = !cached || here;
    forget.setAttribute("aria-label", `Remove ${name} from this browser`);
    const size = sizeText(defaults.width, defaults.height);
    const where = here ? "read from a folder of yours" : cached ? "kept in this browser" : `${megabytes(bytes)} MB to fetch, once`;
    const whose = models.length < 2 ? `${name}: ` : "";
    words.textContent = `${whose}${defaults.steps} step${defaults.steps === 1 ? "" : "s"}, ${size} px, ${where}.`;
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
