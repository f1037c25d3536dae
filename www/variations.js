// "More of it": the same words with other seeds in a grid, and the way from a picture to other words or another seed.

import { paint, toSource } from "./picture.js";

const FRAME_MS = 110; // of the animation, and of its file
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
    const places = Array.from({ length: count }, () => document.createElement("li"));
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
    const cell = Object.assign(document.createElement("button"), { type: "button", title: `Seed ${request.seed}` });
    cell.setAttribute("aria-label", `Take the picture with seed ${request.seed}`);
    cell.append(toSource(result));
    cell.addEventListener("click", () => {
      for (const other of this.#list.querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
      cell.setAttribute("aria-current", "true");
      this.#onPick({ request, result });
    });
    return cell;
  }
}

/** A strip of pictures from one request to another, played forth and back. */
export class Walk {
  #canvas;
  #button;
  #frames = []; // images
  #timer;
  #at = 0;

  /** @param {HTMLCanvasElement} canvas @param {HTMLButtonElement} button plays and stops */
  constructor(canvas, button) {
    this.#canvas = canvas;
    this.#button = button;
    button.addEventListener("click", () => (this.#timer ? this.stop() : this.play()));
  }

  /** The images of a round, forth and back. */
  get round() {
    return [...this.#frames, ...this.#frames.slice(1, -1).reverse()];
  }

  get milliseconds() {
    return FRAME_MS;
  }

  /**
   * Draws `count` pictures from `request` to `end`.
   * @param {{prompt: string, negative_prompt: string, seed: string}} end
   * @param {(request: object) => Promise<object>} generate @param {(done: number) => void} onDone
   */
  async draw(request, end, count, generate, onDone) {
    this.stop();
    this.#frames = [];
    this.#at = 0;
    for (let at = 0; at < count; at++) {
      const result = await generate({ ...request, toward: { ...end, at: at / (count - 1) } });
      if (result.cancelled) return false;
      this.#frames.push(result);
      paint(this.#canvas, toSource(result));
      onDone(at + 1);
    }
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) this.play();
    return true;
  }

  play() {
    const sources = this.round.map(toSource);
    if (!sources.length) return;
    const next = () => paint(this.#canvas, sources[(this.#at = (this.#at + 1) % sources.length)]);
    this.#timer = setInterval(next, FRAME_MS);
    this.#button.textContent = "Stop";
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#button.textContent = "Play";
  }
}
