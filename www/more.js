// "More of it": a grid of other seeds, and the way to other words, drawn from the picture that is on the canvas.

import { fileName, save } from "./files.js";
import { Variations, Walk, seedAfter } from "./variations.js";

const $ = (id) => document.getElementById(id);

export class More {
  #page;
  #variations;
  #walk = new Walk($("walk-canvas"), $("walk-play"));
  #walked = null; // the request that the walk began with

  /**
   * @param {{request: () => object, several: (job: object) => void, take: (request: object, result: object) => void,
   *          png: (images: object[], options: object) => Promise<Blob>, trouble: (error: Error) => void}} page
   *   `request`: of the picture on the canvas; `several`: draws many as one job, see page.js
   */
  constructor(page) {
    this.#page = page;
    this.#variations = new Variations($("variations"), ({ request, result }) => page.take(request, result));
    for (const count of [4, 9]) $(`more-${count}`).addEventListener("click", () => this.#vary(count));
    $("walk-go").addEventListener("click", () => this.#go());
    $("walk-to").addEventListener("keydown", ({ key, isComposing }) => {
      if (key === "Enter" && !isComposing && !$("walk-go").disabled) this.#go();
    });
    $("walk-save").addEventListener("click", () => this.#save().catch(page.trouble));
  }

  /** Whether there is a picture to begin with. */
  set ready(ready) {
    for (const id of ["more-4", "more-9", "walk-go"]) $(id).disabled = !ready;
  }

  #vary(count, request = this.#page.request()) {
    const job = (generate, onDone) => this.#variations.draw(request, count, generate, onDone);
    this.#page.several({ count, job, line: "Choose one to go on with it.", again: () => this.#vary(count, request) });
  }

  // To other words with the same seed, or without any to the next seed.
  #go(request = this.#page.request()) {
    const words = $("walk-to").value.trim();
    const seed = words ? request.seed : seedAfter(request.seed, 1);
    const end = { prompt: words || request.prompt, negative_prompt: request.negative_prompt, seed };
    const count = Number($("walk-frames").value);
    this.#walked = request;
    $("walk-show").hidden = false;
    $("walk-canvas").setAttribute("aria-label", `From “${request.prompt}” to “${words || `seed ${seed}`}”`);
    for (const id of ["walk-save", "walk-play"]) $(id).disabled = true;
    const job = (generate, onDone) => this.#walk.draw(request, end, count, generate, onDone);
    const done = () => {
      for (const id of ["walk-save", "walk-play"]) $(id).disabled = false;
    };
    this.#page.several({ count, job, done, line: "The way is drawn.", again: () => this.#go(request) });
  }

  async #save() {
    const file = await this.#page.png(this.#walk.round, { milliseconds: this.#walk.milliseconds });
    save(file, fileName(this.#walked, "-walk"));
  }
}
