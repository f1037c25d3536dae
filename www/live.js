// The switch "Draw as I type". On by itself where a picture takes less than a second, until the user says otherwise; what the
// user says is remembered.

import { recall, remember } from "./memory.js";

const KEY = "fourstep.live";
const PAUSE_MS = 250; // after the last keystroke
const FAST_MS = 1000; // a picture that is drawn in less can follow the typing

export class Live {
  #box;
  #draw;
  #timer;

  /** @param {HTMLInputElement} box a checkbox @param {() => void} draw called when the typing pauses */
  constructor(box, draw) {
    this.#box = box;
    this.#draw = draw;
    box.checked = recall(KEY) === "on";
    box.addEventListener("input", (event) => event.stopPropagation());
    box.addEventListener("change", () => {
      remember(KEY, box.checked ? "on" : "off");
      this.changed();
    });
  }

  /** Something that a picture depends on was changed. */
  changed() {
    clearTimeout(this.#timer);
    if (this.#box.checked) this.#timer = setTimeout(this.#draw, PAUSE_MS);
  }

  /** A picture that the user asked for begins, so that none needs to follow by itself. */
  forget() {
    clearTimeout(this.#timer);
  }

  /** How long the last whole picture took. */
  measured(milliseconds) {
    if (recall(KEY) === null) this.#box.checked = milliseconds < FAST_MS;
  }
}
