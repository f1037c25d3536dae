// "Start from a picture": a picture that is dropped, pasted, chosen or drawn here, what is painted on it, and how much of
// it is redrawn. The easel takes a mouse, a pen, a finger or the keyboard. What it gives to a request is a picture of the
// request's size and, where something is marked, a mask; all else is done by the pipeline (src/pipeline/start.rs).

import { $, make } from "./dom.js";
import { Brush, Strokes } from "./strokes.js";
import { toSource } from "./picture.js";

const STRENGTH = { whole: 0.8, marked: 1 }; // as the command line and diffusers have them
const LARGEST = 2048; // pixels along a side that are kept of a picture
const MARK = "rgb(31 111 235 / 60%)";
const KEY_STEP = 1 / 32; // of the picture, an arrow key's way
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
export class Start {
  #source = null; // canvas with the picture, or null
  #prompt = ""; // what the picture shows, where that is known
  #marked = null; // canvas with marks of an earlier visit, transparent where nothing is marked
  #strokes = new Strokes();
  #painting = false;
  #cursor = null; // the keyboard's place
  #size = [1, 1]; // the request's
  #steps = 1; // the request's
  #wanted = null; // the strength that was chosen, or null for what suits
  #offered = [0, 1]; // strengths that the model draws well
  #ground = "#fff"; // below the picture
  #onChange;
  #frame = 0;

  /** @param {{choose: () => void, onChange: () => void}} acts `onChange`: the user changed what a request would be */
  constructor({ choose, onChange }) {
    this.#onChange = onChange;
    for (const id of ["start-choose", "start-other"]) $(id).addEventListener("click", choose);
    $("start-draw").addEventListener("click", () => this.draw());
    $("start-remove").addEventListener("click", () => {
      this.remove();
      $("start-choose").focus();
      onChange();
    });
    $("brush-undo").addEventListener("click", () => this.#changed(() => this.#strokes.undo()));
    $("brush-clear").addEventListener("click", () =>
      this.#changed(() => {
        this.#strokes.clear();
        this.#marked = null;
      }),
    );
    $("brush").addEventListener("input", (event) => event.stopPropagation()); // the brush is no setting of the picture
    $("strength").addEventListener("input", () => {
      this.#wanted = strengthOf(Number($("strength").value), this.#steps);
      this.#say();
    });
    this.#listen($("start-canvas"));
    new ResizeObserver(() => this.#repaint()).observe($("start-canvas"));
  }

  /** Whether there is a picture to start from. */
  get there() {
    return this.#source !== null;
  }

  /** What the picture shows, or '' where that is not known. */
  get prompt() {
    return this.#prompt;
  }

  /** Whether a part of it is marked. */
  get marked() {
    return this.#mask(...this.#size) !== null;
  }

  /** The picture as a request of this size has it, with what is painted on it. */
  whole(width, height) {
    return pixels(this.#picture(width, height));
  }

  /** What the request is: its size, which the picture is cut to, and its steps. */
  suit([width, height], steps) {
    this.#size = [width, height];
    this.#steps = steps;
    $("start-canvas").style.aspectRatio = `${width} / ${height}`;
    this.#say();
    this.#repaint();
  }

  /** Whether the model draws transparent pictures: then a start picture keeps its transparency. */
  set clear(clear) {
    this.#ground = clear ? "transparent" : "#fff";
    $("start-canvas").classList.toggle("clear", clear);
    this.#repaint();
  }

  /** The least and the largest strength that the model draws well. */
  set offered(range) {
    this.#offered = range ?? [0, 1];
    this.#say();
  }

  /** Takes a picture, with marks where an earlier start had them. @param {{width: number, height: number, rgba: Uint8ClampedArray}} image
   *  @param {{strength?: string, mask?: object, prompt?: string}} [more] `prompt`: what it shows, where that is known */
  set(image, { strength, mask, prompt = "" } = {}) {
    this.#source = bounded(toSource(image));
    this.#prompt = prompt;
    this.#marked = mask ? transparentWhereDark(mask) : null;
    this.#strokes.clear();
    if (strength !== undefined) this.strength = strength;
    this.#choose(Brush.MARK);
    this.#show(true);
  }

  /** An empty sheet to draw on. */
  draw() {
    this.set(blank(this.#ground));
    this.#choose(Brush.PAINT);
    $("start-canvas").focus();
  }

  remove() {
    this.#source = this.#marked = null;
    this.#strokes.clear();
    this.strength = undefined;
    this.#show(false);
  }

  /** How much is redrawn, also of a picture that is still to come; undefined for what suits. @param {string | undefined} text */
  set strength(text) {
    this.#wanted = text === undefined ? null : Number(text);
    this.#say();
  }

  /** Opens the section and brings it into sight. */
  reveal() {
    $("start").open = true;
    $("start").scrollIntoView({ block: "nearest" });
    $("start-canvas").focus({ preventScroll: true });
  }

  /** What it adds to a request of this size; nothing where there is no picture. */
  read(width, height) {
    if (!this.#source) return {};
    const mask = this.#mask(width, height);
    return { image: this.whole(width, height), ...(mask ? { mask } : {}), strength: this.#strength(mask !== null) };
  }

  /** White where something is marked, on black; null where nothing is. */
  #mask(width, height) {
    if (!this.#strokes.count && !this.#marked) return null;
    const sheet = blankCanvas(width, height, "#000");
    sheet.getContext("2d").drawImage(this.#marks(width, height, "#fff"), 0, 0);
    const mask = pixels(sheet);
    return mask.rgba.some((level, at) => at % 4 === 0 && level >= 128) ? mask : null;
  }

  #picture(width, height) {
    const sheet = cut(this.#source, width, height, this.#ground);
    sheet.getContext("2d").drawImage(this.#strokes.layer(Brush.PAINT, width, height), 0, 0);
    return sheet;
  }

  #marks(width, height, colour) {
    const layer = this.#strokes.layer(Brush.MARK, width, height, this.#marked);
    const context = layer.getContext("2d");
    context.globalCompositeOperation = "source-in";
    context.fillStyle = colour;
    context.fillRect(0, 0, width, height);
    return layer;
  }

  #listen(canvas) {
    const place = ({ clientX, clientY }) => {
      const { left, top, width, height } = canvas.getBoundingClientRect();
      return [(clientX - left) / width, (clientY - top) / height];
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      this.#painting = true;
      this.#cursor = null;
      this.#begin(place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.#painting) return;
      const all = event.getCoalescedEvents?.() ?? [];
      for (const one of all.length ? all : [event]) this.#strokes.extend(place(one));
      this.#repaint();
    });
    for (const end of ["pointerup", "pointercancel"])
      canvas.addEventListener(end, () => {
        if (this.#painting) this.#changed(() => (this.#painting = false));
      });
    canvas.addEventListener("keydown", (event) => this.#onKey(event));
    canvas.addEventListener("blur", () => {
      this.#cursor = null;
      this.#repaint();
    });
  }

  // Arrows move the brush, with Shift they paint on the way; Space and Enter paint a dab where it is.
  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    const dab = event.key === " " || event.key === "Enter";
    if (!arrow && !dab) return;
    event.preventDefault();
    event.stopPropagation();
    this.#cursor ??= [0.5, 0.5];
    if (dab) return this.#changed(() => this.#begin(this.#cursor));
    if (event.shiftKey) this.#begin(this.#cursor);
    this.#cursor = this.#cursor.map((at, axis) => Math.min(Math.max(at + arrow[axis] * KEY_STEP, 0), 1));
    if (!event.shiftKey) return this.#repaint();
    this.#changed(() => this.#strokes.extend(this.#cursor));
  }

  #begin(point) {
    const brush = /** @type {HTMLInputElement} */ (document.querySelector("#brush input[name=brush]:checked")).value;
    this.#strokes.begin({ brush, colour: $("brush-colour").value, size: this.#brushSize }, point);
    this.#repaint();
  }

  get #brushSize() {
    return Number($("brush-size").value) / 100;
  }

  #choose(brush) {
    /** @type {HTMLInputElement} */ (document.querySelector(`#brush input[value=${brush}]`)).checked = true;
  }

  #changed(act) {
    act();
    this.#say();
    this.#repaint();
    this.#onChange();
  }

  #show(there) {
    $("start-none").hidden = there;
    $("start-some").hidden = !there;
    if (there) $("start").open = true;
    this.#say();
    this.#repaint();
  }

  #say() {
    const { marked } = this;
    const [least, most] = this.#stops;
    const stop = taken(this.#steps, this.#strength(marked));
    Object.assign($("strength"), { min: least, max: most, value: stop });
    const words = `${stop} of ${this.#steps} steps`;
    $("strength").setAttribute("aria-valuetext", words);
    $("strength-value").textContent = words;
    const what = marked ? "redraws the marked part" : "redraws all of it";
    $("start-summary").textContent = this.there ? `${what}, ${words}` : "upload, paste, drop or paint one";
    $("brush-undo").disabled = this.#strokes.count === 0;
    $("brush-clear").disabled = this.#strokes.count === 0 && !this.#marked;
  }

  /** The numbers of steps that can be redrawn, least and largest. */
  get #stops() {
    const [low, high] = this.#offered;
    const most = Math.max(1, taken(this.#steps, high));
    return [Math.min(Math.max(1, Math.ceil(this.#steps * low)), most), most];
  }

  /** The strength that was wanted where it can be had, else the nearest stop. */
  #strength(marked) {
    const wanted = this.#wanted ?? (marked ? STRENGTH.marked : STRENGTH.whole);
    const [least, most] = this.#stops;
    const count = taken(this.#steps, wanted);
    return count >= least && count <= most ? wanted : strengthOf(Math.min(Math.max(count, least), most), this.#steps);
  }

  #repaint() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#paint($("start-canvas")));
  }

  #paint(canvas) {
    if (!this.#source || canvas.clientWidth === 0) return;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.max(1, Math.round(side * devicePixelRatio)));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    context.drawImage(this.#picture(width, height), 0, 0);
    context.drawImage(this.#marks(width, height, MARK), 0, 0);
    if (this.#cursor) ring(context, this.#cursor, (this.#brushSize * Math.max(width, height)) / 2);
  }
}

/** How many of the steps are redrawn at a strength, as the pipeline counts. */
export function taken(steps, strength) {
  return Math.floor(steps * strength);
}

/** A short decimal number at which so many of the steps are redrawn. */
export function strengthOf(count, steps) {
  for (let scale = 10; ; scale *= 10) {
    const nearest = Math.ceil((count / steps) * scale);
    // The next one too: 0.58 of 50 steps comes out a little below 29.
    for (const strength of [nearest / scale, (nearest + 1) / scale]) if (taken(steps, strength) === count) return strength;
  }
}

/** The image in another size, cut to its shape. @param {import("./picture.js").Image} image */
export function resized(image, width, height) {
  return pixels(cut(toSource(image), width, height, "transparent"));
}

/** Cut to that shape, as A1111's "Crop and resize" does. */
function cut(source, width, height, ground) {
  const sheet = blankCanvas(width, height, ground);
  const context = sheet.getContext("2d");
  context.imageSmoothingQuality = "high";
  const scale = Math.max(width / source.width, height / source.height);
  const [across, down] = [source.width * scale, source.height * scale];
  context.drawImage(source, (width - across) / 2, (height - down) / 2, across, down);
  return sheet;
}

/** A canvas of that size and colour. */
function blankCanvas(width, height, colour) {
  const canvas = make("canvas", { width, height });
  const context = canvas.getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, width, height);
  return canvas;
}

function blank(colour) {
  return pixels(blankCanvas(512, 512, colour));
}

/** `{width, height, rgba}` of a canvas. */
function pixels(canvas) {
  const { width, height } = canvas;
  return { width, height, rgba: canvas.getContext("2d").getImageData(0, 0, width, height).data };
}

/** The canvas itself, or a smaller one where it is larger than anything that can be drawn. */
function bounded(source) {
  const scale = LARGEST / Math.max(source.width, source.height);
  if (scale >= 1) return source;
  const [width, height] = [source.width, source.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = make("canvas", { width, height });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return canvas;
}

/** A kept mask as a layer of marks. */
function transparentWhereDark({ width, height, rgba }) {
  const marks = new Uint8ClampedArray(rgba.length);
  for (let at = 0; at < rgba.length; at += 4) if (rgba[at] >= 128) marks[at + 3] = 255;
  return toSource({ width, height, rgba: marks });
}

/** Where the keyboard's brush is, to be seen on light and dark. */
function ring(context, [x, y], radius) {
  const { width, height } = context.canvas;
  for (const [colour, line] of [
    ["#fff", 5],
    ["#000", 2],
  ]) {
    context.beginPath();
    context.arc(x * width, y * height, Math.max(radius, 4), 0, 2 * Math.PI);
    Object.assign(context, { strokeStyle: colour, lineWidth: line });
    context.stroke();
  }
}
