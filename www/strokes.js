// What was painted on the start picture: strokes of a brush, kept as lines rather than pixels, so that they can be undone
// one by one and painted again at any size. www/start.js shows them.

import { make } from "./dom.js";

/** What a stroke does: marks what is to be redrawn, puts colour on the picture, or takes either away. */
export const Brush = Object.freeze({ MARK: "mark", PAINT: "paint", ERASE: "erase" });

/** @typedef {{brush: string, colour: string, size: number, points: [number, number][]}} Stroke places are shares of the
 *             picture's width and height, `size` is the brush's width as a share of its longer side */

export class Strokes {
  #all = [];

  /** @param {Omit<Stroke, "points">} stroke @param {[number, number]} point where it begins */
  begin({ brush, colour, size }, point) {
    this.#all.push({ brush, colour, size, points: [point] });
  }

  /** The last stroke goes on. */
  extend(point) {
    this.#all.at(-1).points.push(point);
  }

  get count() {
    return this.#all.length;
  }

  undo() {
    this.#all.pop();
  }

  /** Takes away all strokes. */
  clear() {
    this.#all = [];
  }

  /** A layer of `width` x `height` pixels with the strokes of one brush, transparent elsewhere and where they were erased.
   *  @param {CanvasImageSource | null} below what they are painted on */
  layer(brush, width, height, below = null) {
    const canvas = make("canvas", { width, height });
    const context = canvas.getContext("2d");
    if (below) context.drawImage(below, 0, 0, width, height);
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.#all) {
      if (stroke.brush !== brush && stroke.brush !== Brush.ERASE) continue;
      context.globalCompositeOperation = stroke.brush === Brush.ERASE ? "destination-out" : "source-over";
      context.strokeStyle = stroke.colour;
      context.lineWidth = Math.max(1, stroke.size * Math.max(width, height));
      context.beginPath();
      const [first, ...rest] = stroke.points.map(([x, y]) => [x * width, y * height]);
      context.moveTo(...first);
      context.lineTo(first[0] + 0.01, first[1]); // a dab, where there is no more: a line of no length is not drawn
      for (const point of rest) context.lineTo(...point);
      context.stroke();
    }
    return canvas;
  }
}
