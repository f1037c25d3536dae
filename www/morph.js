// "Morph": pictures on the way from one request to another, played forward and back.

import { paint, toSource } from "./picture.js";

const FRAME_MS = 110; // of the animation, and of its file

export class Morph {
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

  /** The images of a round, forward and back. */
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
