// The row under the prompt: examples while it is empty; then words that the model does not know, with what they could mean,
// and what could come next. Everything in it is a button or a link that changes the prompt.

import { button, make } from "./dom.js";
import { listed } from "./status.js";
import { suggest, surprise } from "./suggest.js";

export class PromptHelp {
  #field;
  #row;
  #list = null;
  #examples = [];
  #acts;

  /**
   * @param {{field: HTMLTextAreaElement, row: HTMLElement}} parts
   * @param {{link: (prompt: string) => string, pick: (prompt: string) => void}} acts `link`: an example's address; `pick`: an
   *   example was chosen, to be drawn
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

  /** Another model: prompts that it draws well, and its words.json or null. */
  know(examples, list) {
    this.#examples = examples;
    this.#list = list;
    this.refresh();
  }

  /** A caption that works, or null while no words are known. */
  surprise() {
    return this.#list && surprise(this.#list);
  }

  /** What there is to say about a prompt, or null where nothing is unknown. @returns {{text: string, nothing: boolean,
   *  instead: {label: string, prompt: string}[]} | null} `instead`: prompts with another word in the place of an unknown one */
  advice(prompt) {
    const { unknown = [], nothing = false } = this.#list ? suggest(prompt, this.#list, -1) : {};
    if (!unknown.length && !nothing) return null;
    const named = listed(
      unknown.map(({ word }) => `“${word}”`),
      "or",
    );
    const text = nothing ? "I don’t know any of these words." : `I don’t know ${named}, so the picture leaves that out.`;
    const other = ({ start, end }, word) => ({ label: word, prompt: prompt.slice(0, start) + word + prompt.slice(end) });
    return { text, nothing, instead: unknown.flatMap((one) => one.instead.map((word) => other(one, word))).slice(0, 3) };
  }

  refresh() {
    const text = this.#field.value;
    if (!text.trim())
      return this.#show(
        "Examples",
        this.#examples.map((prompt) => [this.#example(prompt)]),
      );
    if (!this.#list) return this.#show("", []);
    const caret = this.#field.selectionStart ?? text.length;
    const { unknown, next } = suggest(text, this.#list, caret);
    const offers = next.map(({ text, start, label }) => [this.#button(label, label, text, start, caret)]);
    return this.#show("Suggestions", [...unknown.map((one) => this.#unknown(one)), ...offers]);
  }

  #show(label, items) {
    if (label) this.#row.setAttribute("aria-label", label);
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

  // "I don't know bakery. Try [cupcake] or [bagel]"
  #unknown({ word, start, end, instead }) {
    const words = make("span", { className: "unknown" }, "I don’t know ", make("em", {}, word), instead.length ? ". Try" : ".");
    const offers = instead.map((text) => this.#button(text, `${text} instead of ${word}`, text, start, end));
    return [words, ...offers.flatMap((offer, at) => (at ? ["or", offer] : [offer]))];
  }

  #button(text, label, put, start, end) {
    return button(text, () => this.#put(put, start, end), { label });
  }

  #put(text, start, end) {
    this.#field.focus();
    const rest = this.#field.value.slice(end);
    this.#field.setRangeText(rest === "" ? `${text} ` : text, start, end, "end");
    this.#field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}
