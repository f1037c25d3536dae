// "Variations": the same prompt with other seeds, in a grid.

import { make } from "./dom.js";
import { toSource } from "./picture.js";

const SEEDS = 2n ** 32n; // as many as torch's generator tells apart

/** The seed that is `step` further, as A1111 counts them in a batch. */
export function seedAfter(seed, step) {
  return String((BigInt(seed) + BigInt(step)) % SEEDS);
}

/** A grid of pictures that differ in their seeds. */
export class Variations {
  #list;
  #onPick;

  /** @param {HTMLElement} list @param {(drawn: {request: object, result: object}) => void} onPick */
  constructor(list, onPick) {
    this.#list = list;
    this.#onPick = onPick;
  }

  /**
   * Draws `count` pictures like `request`, the first with its own seed.
   * @param {(request: object) => Promise<object>} generate resolves to a result of Ask.GENERATE
   * @param {(done: number) => void} onDone
   */
  async draw(request, count, generate, onDone) {
    const places = Array.from({ length: count }, () => make("li"));
    this.#list.dataset.count = count;
    this.#list.hidden = false;
    this.#list.replaceChildren(...places);
    for (const [at, place] of places.entries()) {
      const one = { ...request, seed: seedAfter(request.seed, at) };
      const result = await generate(one);
      if (result.cancelled) return false;
      place.append(this.#cell(one, result));
      onDone(at + 1);
    }
    return true;
  }

  #cell(request, result) {
    const cell = make("button", { type: "button", title: `Seed ${request.seed}` }, toSource(result));
    cell.setAttribute("aria-label", `Use the picture with seed ${request.seed}`);
    cell.addEventListener("click", () => {
      for (const other of this.#list.querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
      cell.setAttribute("aria-current", "true");
      this.#onPick({ request, result });
    });
    return cell;
  }
}
