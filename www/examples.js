// The examples: pictures that are links. One that is chosen is drawn here, without leaving the page.

import { readLink } from "./link.js";

export class Examples {
  #section;

  /** @param {HTMLElement} section whose `data-model` drew the pictures @param {(settings: import("./link.js").Settings) => void} onPick */
  constructor(section, onPick) {
    this.#section = section;
    section.addEventListener("click", (event) => {
      const link = /** @type {HTMLElement} */ (event.target).closest("a");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      onPick(readLink(link.search).settings);
    });
  }

  /** The model that draws what a link does not give one for: another one would draw other pictures. Whether they are shown. */
  show(id) {
    this.#section.hidden = id !== this.#section.dataset.model;
    return !this.#section.hidden;
  }
}
