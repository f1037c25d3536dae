// Where a preview reaches the canvas: the picture, the strip of its steps, and the slider from noise to picture.
// Images come as {width, height, rgba} in sRGB with straight alpha, rows from the top, and are scaled only for show.

import { make } from "./dom.js";

/** @typedef {{width: number, height: number, rgba: Uint8ClampedArray}} Image */

export class Picture {
  #canvas;
  #strip;
  #slider;
  #steps = []; // one entry a step: {source, caption, button, whole}
  #noise = null; // the source of what the steps began with
  #shown = null; // the source on the canvas
  #final = null; // {image, source} of the finished picture
  #caption;
  #estimate;
  #awaiting = false; // a request has begun and shown nothing yet
  #following = true;
  #quiet = false;
  #dress = null; // the source that is shown for the finished picture's

  /**
   * @param {{canvas: HTMLCanvasElement, strip: HTMLElement, slider: HTMLInputElement, caption: (text: string) => void,
   *          estimate: (index: number) => Promise<object | null>}} parts `estimate` brings a step's whole picture while
   *   it can be had
   */
  constructor({ canvas, strip, slider, caption, estimate }) {
    this.#canvas = canvas;
    this.#strip = strip;
    this.#slider = slider;
    this.#caption = caption;
    this.#estimate = estimate;
    new ResizeObserver(() => this.#paint()).observe(canvas);
    strip.addEventListener("keydown", (event) => this.#onKey(event));
    slider.addEventListener("input", (event) => {
      event.stopPropagation(); // it is no setting of the picture
      this.#slideTo(Number(slider.value));
    });
  }

  /** The finished picture `{width, height, rgba}`, or null. */
  get finished() {
    return this.#final?.image ?? null;
  }

  /** A request begins. What is there stays until its first step, so that a refusal costs nothing;
   *  with `quiet` until its last. */
  begin({ quiet = false } = {}) {
    this.#awaiting = true;
    this.#quiet = quiet;
  }

  /** @param {{index: number, preview: Image}} event @param {string} caption what to say of this step */
  addStep({ index, preview }, caption) {
    if (this.#awaiting) this.#clear();
    const source = toSource(preview);
    const button = make("button", { type: "button", className: "thumb", tabIndex: -1, title: caption }, source);
    button.setAttribute("aria-label", caption);
    const entry = { index, source, caption, button, whole: false };
    button.addEventListener("click", () => this.#select(entry));
    this.#steps[index] = entry;
    this.#strip.append(make("li", {}, button));
    if (this.#following) this.#show(entry, true);
  }

  /** The finished picture takes the last step's place; at least one step came before. @param {Image} [noise] what it began with */
  finish(image, caption, noise) {
    this.#dress = null;
    this.#final = { image, source: toSource(image) };
    this.#noise = noise ? toSource(noise) : null;
    const last = this.#steps.at(-1);
    last.button.replaceChildren(copyOf(this.#final.source));
    Object.assign(last, { source: this.#final.source, caption, whole: true });
    last.button.title = caption;
    last.button.setAttribute("aria-label", caption);
    this.#slider.min = this.#noise ? "0" : "1";
    this.#slider.max = String(this.#steps.length);
    this.#slider.disabled = false;
    this.#show(last, true);
    this.#following = false;
  }

  /** A finished picture whose steps are not there. */
  still(image) {
    this.#clear();
    this.#final = { image, source: toSource(image) };
    this.flash(null);
  }

  /** Nothing is shown any more. */
  empty() {
    this.#clear();
    this.#shown = null;
    this.#canvas.getContext("2d").clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    this.#canvas.classList.remove("clear");
  }

  /** Shows the finished picture in another dress, with an outline; `null`: as it is. @param {Image | null} image */
  dress(image) {
    if (!this.#final) return;
    this.#dress = image && toSource(image);
    if (this.#shown === this.#final.source) this.#paint();
  }

  /** Shows something for a moment; `null` brings the finished picture back. @param {HTMLCanvasElement | null} source */
  flash(source) {
    this.#shown = source ?? this.#final?.source ?? null;
    this.#paint();
  }

  // The strip is one tab stop; the arrows walk its steps.
  #onKey(event) {
    const at = this.#steps.findIndex((step) => step?.button === document.activeElement);
    const last = this.#steps.length - 1;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const entry = this.#steps[Math.min(Math.max(to, 0), last)];
    entry.button.focus();
    this.#select(entry);
  }

  #clear() {
    this.#awaiting = false;
    this.#steps = [];
    this.#final = this.#noise = this.#dress = null;
    this.#following = !this.#quiet;
    this.#slider.disabled = true;
    this.#strip.replaceChildren();
  }

  #slideTo(step) {
    if (step > 0) return this.#select(this.#steps[step - 1], true);
    for (const { button } of this.#steps) button.removeAttribute("aria-current");
    this.#slider.setAttribute("aria-valuetext", "Noise");
    this.#caption("The noise that it started from");
    this.flash(this.#noise);
  }

  #select(entry, scroll = false) {
    this.#following = !this.#final && entry === this.#steps.at(-1);
    this.#show(entry, scroll);
    this.#caption(entry.caption);
    if (this.#final && !entry.whole) this.#sharpen(entry);
  }

  // A cheap preview gives way to the step's whole picture once somebody looks at it.
  async #sharpen(entry) {
    entry.whole = true;
    const image = await this.#estimate(entry.index);
    if (!image || this.#steps[entry.index] !== entry) return;
    const before = entry.source;
    entry.source = toSource(image);
    entry.button.replaceChildren(copyOf(entry.source));
    if (this.#shown === before) this.flash(entry.source);
  }

  #show(entry, scroll) {
    for (const step of this.#steps) {
      step?.button.removeAttribute("aria-current");
      if (step) step.button.tabIndex = -1;
    }
    entry.button.setAttribute("aria-current", "step");
    entry.button.tabIndex = 0;
    this.#slider.value = String(entry.index + 1);
    this.#slider.setAttribute("aria-valuetext", entry.caption);
    if (scroll) this.#strip.scrollLeft = entry.button.offsetLeft + entry.button.offsetWidth - this.#strip.clientWidth + 8;
    this.flash(entry.source);
  }

  #paint() {
    const source = this.#shown === this.#final?.source ? (this.#dress ?? this.#shown) : this.#shown;
    if (!source) return;
    paint(this.#canvas, source);
    this.#canvas.classList.toggle("clear", seeThrough.has(source));
  }
}

/** Sources with pixels that are not opaque. */
const seeThrough = new WeakSet();

/** Whether something shows through the image. @param {Image} image */
export function isClear({ rgba }) {
  for (let at = 3; at < rgba.length; at += 4) if (rgba[at] < 255) return true;
  return false;
}

/** Fills a square canvas, as many pixels as the screen gives it, with a picture; the smooth scaling is the browser's best. */
export function paint(canvas, source) {
  const { width, height } = source;
  const side = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const scale = side / Math.max(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.clearRect(0, 0, side, side);
  context.drawImage(source, (side - width * scale) / 2, (side - height * scale) / 2, width * scale, height * scale);
}

/** An image as a canvas of its own size. */
export function toSource(image) {
  const { width, height, rgba } = image;
  const canvas = make("canvas", { width, height });
  canvas.getContext("2d").putImageData(new ImageData(rgba, width, height), 0, 0);
  if (isClear(image)) seeThrough.add(canvas);
  return canvas;
}

/** The image that a PNG file holds. @param {Blob} blob */
export async function imageOf(blob) {
  const bitmap = await createImageBitmap(blob);
  const { width, height } = bitmap;
  const context = make("canvas", { width, height }).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { width, height, rgba: context.getImageData(0, 0, width, height).data };
}

function copyOf(source) {
  const canvas = make("canvas", { width: source.width, height: source.height });
  canvas.getContext("2d").drawImage(source, 0, 0);
  return canvas;
}
