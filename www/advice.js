// What is said about a prompt that the model knows too little of: before it is drawn, as a question, and beside the picture, with
// words to try in their place.

import { listed } from "./status.js";

export class Advice {
  #parts;
  #draw;
  #guess = null; // a prompt of which no word is known, after the page said so

  /** @param {Record<string, any>} parts the page's @param {() => void} draw draws what the form says */
  constructor(parts, draw) {
    this.#parts = parts;
    this.#draw = draw;
  }

  /** Whether the form's prompt has no word that is known; asks once whether to draw it, and resolves to false from then on. */
  async isGuess() {
    const { form, help, status } = this.#parts;
    const { prompt } = form;
    const advice = await help.advice(prompt);
    if (!advice?.nothing || this.#guess === prompt) return false;
    this.#guess = prompt;
    const others = listed(
      advice.instead.map(({ label }) => `“${label}”`),
      "or",
    );
    const words = `${advice.text} The picture would be a guess.${others ? ` Try ${others}.` : ""}`;
    status.trouble(words, { calm: true, offer: { label: "Draw it anyway", act: this.#draw } });
    return true;
  }

  /** Says what the picture of this prompt lacks. */
  async on(prompt) {
    const { help, status, form } = this.#parts;
    const advice = await help.advice(prompt).catch(() => null); // a worker that died is replaced for the next request
    if (!advice) return;
    const instead = (other) => {
      form.prompt = other;
      this.#draw();
    };
    const offers = advice.instead.map(({ label, prompt: other }) => ({ label: `Try “${label}”`, act: () => instead(other) }));
    status.notice(advice.text, offers);
  }
}
