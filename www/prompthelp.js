// The row under the prompt: examples while it is empty; then words that the model does not know, with what they could mean,
// and what could come next. Everything in it is a button or a link that changes the prompt. What there is to say comes from
// the worker (src/text/suggest).

import { button, make } from "./dom.js";
import { listed } from "./status.js";

const SHOWN = 2; // words in the place of an unknown one

/** @typedef {import("./engine.js").Advice} Advice @typedef {import("./engine.js").Unknown} Unknown */

export class PromptHelp {
  #field;
  #row;
  #model = null; // id of a model with a list of words
  #surprises = [];
  #examples = [];
  #acts;
  #asked = 0; // how often the worker was asked: only its last answer is shown

  /**
   * @param {{field: HTMLTextAreaElement, row: HTMLElement}} parts
   * @param {{link: (prompt: string) => string, pick: (prompt: string) => void,
   *          advise: (model: string, prompt: string, options: object) => Promise<Advice | null>}} acts `link`: an example's
   *   address; `pick`: an example was chosen, to be drawn; `advise`: Engine.advise
   */
  constructor({ field, row }, acts) {
    this.#field = field;
    this.#row = row;
    this.#acts = acts;
    field.addEventListener("input", () => this.refresh());
    // The caret moves without an input event.
    field.addEventListener("click", () => this.refresh());
    field.addEventListener("keyup", ({ key }) => /^(Arrow|Home|End)/.test(key) && this.refresh());
  }

  /** Another model: prompts that it draws well, and prompts of words that it knows, or null where it has no list of words.
   *  @param {string} id @param {string[]} examples @param {string[] | null} surprises */
  know(id, examples, surprises) {
    this.#model = surprises && id;
    this.#examples = examples;
    this.#surprises = surprises ?? [];
    this.refresh();
  }

  /** A prompt that works, or undefined while no words are known. */
  surprise() {
    return this.#surprises[Math.floor(Math.random() * this.#surprises.length)];
  }

  /** What there is to say about a whole prompt, or null where nothing is unknown. @param {string} prompt @returns {Promise<{text: string,
   *  nothing: boolean, instead: {label: string, prompt: string}[]} | null>} `instead`: prompts with another word in the place of
   *  an unknown one */
  async advice(prompt) {
    const advice = this.#model && (await this.#acts.advise(this.#model, prompt, { wait: true }));
    if (!advice || (!advice.unknown.length && !advice.nothing)) return null;
    const { unknown, nothing } = advice;
    const other = ({ start, end }, word) => ({ label: word, prompt: prompt.slice(0, start) + word + prompt.slice(end) });
    const instead = unknown.flatMap((one) => one.instead.slice(0, SHOWN).map((word) => other(one, word)));
    return { text: sentences(unknown, nothing), nothing, instead: instead.slice(0, 3) };
  }

  async refresh() {
    const text = this.#field.value;
    const asked = ++this.#asked;
    if (!text.trim())
      return this.#show(
        "Examples",
        this.#examples.map((prompt) => [this.#example(prompt)]),
      );
    const caret = this.#field.selectionStart ?? text.length;
    const advice = this.#model && (await this.#acts.advise(this.#model, text, { caret }).catch(() => null)); // a worker that died is replaced
    if (asked !== this.#asked) return undefined;
    const { unknown = [], next = [] } = advice || {};
    const offers = next.map(({ text: put, start, label }) => [this.#button(label, label, { text, put, start, end: caret })]);
    return this.#show("Suggestions", [...unknown.map((one) => this.#unknown(text, one)), ...offers]);
  }

  #show(label, items) {
    this.#row.setAttribute("aria-label", label);
    this.#row.replaceChildren(...items.map((content) => make("li", {}, ...content)));
  }

  #example(prompt) {
    const link = make("a", { href: this.#acts.link(prompt) }, prompt);
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.#acts.pick(prompt);
    });
    return link;
  }

  // "I don’t know bakery. Try [cupcake] or [bagel]"
  #unknown(text, unknown) {
    const { word, start, end, instead } = unknown;
    const before = reason(unknown).slice(0, -word.length);
    const words = make("span", { className: "unknown" }, before, make("em", {}, word), instead.length ? ". Try" : ".");
    const offers = instead.slice(0, SHOWN).map((put) => this.#button(put, `${put} instead of ${word}`, { text, put, start, end }));
    return [words, ...offers.flatMap((offer, at) => (at ? ["or", offer] : [offer]))];
  }

  /** @param {string} label @param {string} name @param {{text: string, put: string, start: number, end: number}} change of the prompt
   *  `text`: `put` comes in the place of what stands from `start` to `end` */
  #button(label, name, change) {
    return button(label, () => this.#put(change), { label: name });
  }

  #put({ text, put, start, end }) {
    if (this.#field.value !== text) return; // it was changed before the answer came
    this.#field.focus();
    this.#field.setRangeText(text.slice(end) === "" ? `${put} ` : put, start, end, "end");
    this.#field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

/** Why one part of a prompt is not drawn, ending with the part as it is written. @param {Unknown} unknown */
function reason({ word, why }) {
  return {
    never_seen: `I don’t know ${word}`,
    flag: `I can’t draw flags such as ${word}`,
    skin_tone: `I can’t draw the skin tone of ${word}`,
    letter: `I can’t draw letters and signs such as ${word}`,
  }[why];
}

/** What the picture lacks. @param {Unknown[]} unknown @param {boolean} nothing no word is known */
function sentences(unknown, nothing) {
  const others = unknown.filter(({ why }) => why !== "never_seen").map((one) => `${reason(one)}.`);
  const words = unknown.filter(({ why }) => why === "never_seen").map(({ word }) => `“${word}”`);
  if (nothing) return ["I don’t know any of these words.", ...others].join(" ");
  const never = words.length ? [`I don’t know ${listed(words, "or")}, so the picture leaves that out.`] : [];
  return [...never, ...others].join(" ");
}
