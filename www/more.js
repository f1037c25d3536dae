// What can be made from the picture on the canvas: a grid of other seeds, and a morph to another prompt or seed.

import { $ } from "./dom.js";
import { fileName, save } from "./files.js";
import { Morph } from "./morph.js";
import { Variations, seedAfter } from "./variations.js";

const COUNTS = [4, 9];

export class More {
  #page;
  #variations;
  #morph = new Morph($("morph-canvas"), $("morph-play"));
  #from = null; // the request that the morph began with

  /**
   * @param {{request: () => object, several: (job: object) => void, take: (request: object, result: object) => void,
   *          png: (images: object[], options: object) => Promise<Blob>, trouble: (error: Error) => void}} page
   *   `request`: of the picture on the canvas; `several`: draws many as one job (www/studio.js)
   */
  constructor(page) {
    this.#page = page;
    this.#variations = new Variations($("variations"), ({ request, result }) => page.take(request, result));
    for (const count of COUNTS) $(`more-${count}`).addEventListener("click", () => this.#vary(count));
    $("morph-go").addEventListener("click", () => this.#go());
    $("morph-to").addEventListener("keydown", ({ key, isComposing }) => {
      if (key === "Enter" && !isComposing && !$("morph-go").disabled) this.#go();
    });
    $("morph-save").addEventListener("click", () => this.#save().catch(page.trouble));
  }

  /** Whether there is a picture to begin with. */
  set ready(ready) {
    for (const id of ["more-4", "more-9", "morph-go"]) $(id).disabled = !ready;
    if (ready) $("more").hidden = false;
  }

  /** The numbers of variations that the model draws well; undefined for all. @param {number[] | undefined} counts */
  set offered(counts) {
    for (const count of COUNTS) $(`more-${count}`).hidden = !(counts ?? COUNTS).includes(count);
    $("vary").hidden = counts?.length === 0;
  }

  #vary(count, request = this.#page.request()) {
    const job = (generate, onDone) => this.#variations.draw(request, count, generate, onDone);
    this.#page.several({ count, job, large: true, line: "Choose one to continue with it.", again: () => this.#vary(count, request) });
  }

  // To another prompt with the same seed, or without any to the next seed.
  #go(request = this.#page.request()) {
    const words = $("morph-to").value.trim();
    const seed = words ? request.seed : seedAfter(request.seed, 1);
    const end = { prompt: words || request.prompt, negative_prompt: request.negative_prompt, seed };
    const count = Number($("morph-frames").value);
    this.#from = request;
    $("morph-show").hidden = false;
    $("morph-canvas").setAttribute("aria-label", `From “${request.prompt}” to “${words || `seed ${seed}`}”`);
    for (const id of ["morph-save", "morph-play"]) $(id).disabled = true;
    const job = (generate, onDone) => this.#morph.draw(request, end, count, generate, onDone);
    const done = () => {
      for (const id of ["morph-save", "morph-play"]) $(id).disabled = false;
    };
    this.#page.several({ count, job, done, line: "The morph is ready.", again: () => this.#go(request) });
  }

  async #save() {
    const file = await this.#page.png(this.#morph.round, { milliseconds: this.#morph.milliseconds });
    save(file, fileName(this.#from, "-morph"));
  }
}
