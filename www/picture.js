// Where a preview reaches the canvas: the picture, the strip of its steps, and the PNG.
// Images come as {width, height, rgba} in sRGB, rows from the top, and are scaled only for show.

export class Picture {
  #canvas;
  #strip;
  #steps = []; // one entry a step: {source, caption, button}
  #shown = null; // the source on the canvas
  #final = null;
  #caption;
  #awaiting = 0; // steps of a request that has shown nothing yet
  #following = true;

  /** @param {{canvas: HTMLCanvasElement, strip: HTMLElement, caption: (text: string) => void}} parts */
  constructor({ canvas, strip, caption }) {
    this.#canvas = canvas;
    this.#strip = strip;
    this.#caption = caption;
    new ResizeObserver(() => this.#paint()).observe(canvas);
    strip.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Whether there is a finished picture. */
  get finished() {
    return this.#final !== null;
  }

  /** A request of so many steps begins. What is there stays until its first step, so that a refusal costs nothing. */
  begin(steps) {
    this.#awaiting = steps;
  }

  /** Shows `count` empty slots while there are no steps. */
  slots(count) {
    if (this.#steps.length) return;
    const slots = Array.from({ length: Math.min(count, 1000) }, () => document.createElement("li"));
    this.#strip.replaceChildren(...slots);
  }

  /** @param {{index: number, preview: object}} event @param {string} caption what to say of this step */
  addStep({ index, preview }, caption) {
    if (this.#awaiting) this.#clear();
    const source = toSource(preview);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "thumb";
    button.tabIndex = -1;
    button.title = caption;
    button.setAttribute("aria-label", caption);
    button.append(source);
    const entry = { source, caption, button };
    button.addEventListener("click", () => this.#select(entry));
    this.#steps[index] = entry;
    this.#strip.children[index]?.replaceChildren(button);
    if (this.#following) this.#show(entry, true);
  }

  /** The finished picture takes the last step's place; at least one step came before. */
  finish(image, caption) {
    this.#final = toSource(image);
    const last = this.#steps.at(-1);
    last.button.replaceChildren(copyOf(this.#final));
    Object.assign(last, { source: this.#final, caption });
    last.button.title = caption;
    last.button.setAttribute("aria-label", caption);
    this.#show(last, true);
    this.#following = false;
  }

  /** The finished picture as a PNG of the model's own size. @returns {Promise<Blob>} */
  png() {
    return new Promise((resolve, reject) => {
      this.#final.toBlob(
        (blob) => (blob ? resolve(blob) : reject(new Error("The browser could not write the PNG."))),
        "image/png",
      );
    });
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
    const count = this.#awaiting;
    this.#awaiting = 0;
    this.#steps = [];
    this.#final = null;
    this.#following = true;
    this.slots(count);
    this.#strip.scrollLeft = 0;
  }

  #select(entry) {
    this.#following = !this.#final && entry === this.#steps.at(-1);
    this.#show(entry, false);
    this.#caption(entry.caption);
  }

  #show(entry, scroll) {
    for (const step of this.#steps) {
      step?.button.removeAttribute("aria-current");
      if (step) step.button.tabIndex = -1;
    }
    entry.button.setAttribute("aria-current", "step");
    entry.button.tabIndex = 0;
    if (scroll)
      this.#strip.scrollLeft = entry.button.offsetLeft + entry.button.offsetWidth - this.#strip.clientWidth + 8;
    this.#shown = entry.source;
    this.#paint();
  }

  // The canvas has as many pixels as the screen gives it; the smooth scaling is the browser's best.
  #paint() {
    if (!this.#shown) return;
    const canvas = this.#canvas;
    const { width, height } = this.#shown;
    const side = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const scale = side / Math.max(width, height);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.clearRect(0, 0, side, side);
    context.drawImage(
      this.#shown,
      (side - width * scale) / 2,
      (side - height * scale) / 2,
      width * scale,
      height * scale,
    );
  }
}

function toSource({ width, height, rgba }) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(rgba, width, height), 0, 0);
  return canvas;
}

function copyOf(source) {
  const canvas = document.createElement("canvas");
  canvas.width = source.width;
  canvas.height = source.height;
  canvas.getContext("2d").drawImage(source, 0, 0);
  return canvas;
}
