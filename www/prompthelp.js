// The row under the prompt: examples while it is empty; then words that the model has never seen, with what they could
// have meant; then what could come next. Everything in it is a button or a link that changes the prompt.

import { World } from "./words.js";

export class PromptHelp {
  #field;
  #row;
  #world = null;
  #examples = [];
  #onPick;
  #link;
  #onChange;

  /**
   * @param {{field: HTMLTextAreaElement, row: HTMLElement, link: (prompt: string) => string,
   *          onPick: (prompt: string) => void, onChange: () => void}} parts `link`: an example's address; `onPick`: an
   *   example was chosen, to be drawn; `onChange`: the prompt was changed from here
   */
  constructor({ field, row, link, onPick, onChange }) {
    this.#field = field;
    this.#row = row;
    this.#link = link;
    this.#onPick = onPick;
    this.#onChange = onChange;
    field.addEventListener("input", () => this.refresh());
    // The caret moves without an input event.
    field.addEventListener("click", () => this.refresh());
    field.addEventListener("keyup", ({ key }) => /^(Arrow|Home|End)/.test(key) && this.refresh());
  }

  /** @param {string[]} examples prompts */
  set examples(examples) {
    this.#examples = examples;
    this.refresh();
  }

  /** @param {object | null} list a model's words.json */
  set words(list) {
    this.#world = list && new World(list);
    this.refresh();
  }

  /** A caption that works, or null while no words are known. */
  surprise() {
    return this.#world?.surprise() ?? null;
  }

  refresh() {
    const text = this.#field.value;
    if (!text.trim()) return this.#show("Examples: choose one to draw it", this.#examples.map((one) => this.#example(one)));
    if (!this.#world) return this.#show("", []);
    const caret = this.#field.selectionStart ?? text.length;
    let offers = this.#world.complete(text.slice(0, caret));
    const unknown = this.#world.unknown(text).filter(({ end }) => end !== caret || !offers.length);
    if (!offers.length && !unknown.length && caret === text.length) offers = this.#further(text);
    const items = [...unknown.flatMap((word) => this.#unknown(word)), ...offers.map((offer) => this.#offer(offer, caret))];
    this.#show(unknown.length ? "Words that the model has never seen, and words that it knows" : "Words that the model knows", items);
  }

  // After a whole word, what could come next, with the space between.
  #further(text) {
    const place = (offer) => (offer.start > text.length ? { ...offer, text: ` ${offer.text}`, start: text.length } : offer);
    return this.#world.complete(`${text} `).map(place);
  }

  #show(label, items) {
    if (label) this.#row.setAttribute("aria-label", label);
    this.#row.replaceChildren(...items.map((content) => item(content)));
  }

  #example(prompt) {
    const link = Object.assign(document.createElement("a"), { href: this.#link(prompt), textContent: prompt });
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.#onPick(prompt);
    });
    return link;
  }

  #unknown({ word, start, end }) {
    const mark = document.createElement("span");
    mark.className = "unknown";
    mark.textContent = word;
    mark.title = `The model has never seen “${word}”`;
    const spoken = Object.assign(document.createElement("span"), { className: "spoken", textContent: ": never seen" });
    mark.append(spoken);
    const instead = this.#world.suggest(word).map((text) => this.#button(text, `${text}, instead of ${word}`, () => this.#put(text, start, end)));
    return [mark, ...instead];
  }

  #offer({ text, start, label }, caret) {
    return this.#button(label, label, () => this.#put(text, start, caret));
  }

  #button(text, label, act) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    if (label !== text) button.setAttribute("aria-label", label);
    button.addEventListener("click", act);
    return button;
  }

  #put(text, start, end) {
    this.#field.focus();
    const rest = this.#field.value.slice(end);
    this.#field.setRangeText(rest === "" ? `${text} ` : text, start, end, "end");
    this.refresh();
    this.#onChange();
  }
}

function item(content) {
  const element = document.createElement("li");
  element.append(content);
  return element;
}
