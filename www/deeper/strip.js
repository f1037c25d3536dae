// The pictures from the given one to what the words ask for, each kept once it is drawn: the slider then responds at once.

import { button, make } from "../dom.js";

const STOPS = 10; // between the two ends
const FIRST = [10, 0, 5, 7, 3, 8, 2, 9, 6, 4, 1]; // in this order, but for the one that is looked at

/** @typedef {import("../shown.js").One} One */

export class Strip {
  #words;
  #draw;
  #show;
  #trouble;
  #ones = /** @type {One[]} */ ([]);
  #slider = make("input", { id: "deeper-eta", type: "range", min: 0, max: STOPS, step: 1, value: STOPS });
  #value = make("output", { htmlFor: "deeper-eta" });
  #element;
  #over = false;

  /**
   * @param {string} words what is asked for
   * @param {{draw: (eta: number) => Promise<One>, show: (one: One) => void, save: () => Promise<void>, trouble: (error: Error) => void}} acts
   *   `draw` takes 0 to 1; `save` saves a file of all of it
   */
  constructor(words, { draw, show, save, trouble }) {
    this.#words = words;
    this.#draw = draw;
    this.#show = show;
    this.#trouble = trouble;
    this.#slider.addEventListener("input", (event) => {
      event.stopPropagation(); // the words are the same
      this.#look();
    });
    const label = make("label", { htmlFor: "deeper-eta" }, "From your picture to the words ", this.#value);
    const saving = button("Save the edit", () => save().catch(trouble));
    saving.title = "A file for the command line: fourstep generate --edit";
    const head = make("div", { className: "ask" }, label, saving);
    this.#element = make("div", { className: "strength" }, head, this.#slider);
  }

  get element() {
    return this.#element;
  }

  focus() {
    this.#slider.focus({ preventScroll: true });
  }

  /** Draws what the words ask for; the rest follows while there is time. */
  async begin() {
    await this.#drawn(STOPS);
    this.#look();
    this.#rest();
  }

  /** Nothing more is drawn. */
  end() {
    this.#over = true;
  }

  get #at() {
    return Number(this.#slider.value);
  }

  #look() {
    const at = this.#at;
    const eta = String(at / STOPS);
    this.#value.textContent = eta;
    const ends = { 0: "your picture", [STOPS]: `“${this.#words}”` };
    this.#slider.setAttribute("aria-valuetext", ends[at] ?? eta);
    if (this.#ones[at]) this.#show(this.#ones[at]);
  }

  async #rest() {
    try {
      for (;;) {
        const next = [this.#at, ...FIRST].find((at) => !this.#ones[at]);
        if (this.#over || next === undefined) return;
        await this.#drawn(next);
        if (!this.#over && next === this.#at) this.#look();
      }
    } catch (error) {
      if (!this.#over) this.#trouble(error);
    }
  }

  async #drawn(at) {
    this.#ones[at] = await this.#draw(at / STOPS);
  }
}
