// The pictures that "Teach it yours" learns from: chosen, dropped, painted, the one that is drawn, or some of the gallery.

import { $, button, make } from "../dom.js";
import { sizeOf } from "../link.js";
import { imageOf, toSource } from "../picture.js";
import { resized } from "../start.js";

const MOST = 8; // as src/edit/adapt.rs has it
const LARGEST = 1024; // pixels along a side that are kept of a picture
const OFFERED = 24; // pictures of the gallery

/** @typedef {import("../picture.js").Image} Image */

export class Lessons {
  #parts;
  #acts;
  #images = /** @type {Image[]} */ ([]);
  #painting = false; // the sheet to paint on was opened from here
  #list = make("ul", { className: "lessons" });
  #kept = make("ul", { className: "lessons", hidden: true });
  #file = make("input", { type: "file", accept: "image/*", multiple: true, hidden: true });
  #buttons;
  #element;

  /** @param {Record<string, any>} parts the page's @param {{changed: () => void, say: (words: string) => void}} acts `changed`: other
   *  pictures are there than before; `say`: why one cannot be taken, or '' */
  constructor(parts, acts) {
    this.#parts = parts;
    this.#acts = acts;
    this.#list.setAttribute("aria-label", "Pictures to learn from");
    this.#kept.setAttribute("aria-label", "Your pictures");
    this.#file.addEventListener("change", () => this.#files([...this.#file.files]));
    this.#buttons = [
      button("Upload…", () => this.#file.click()),
      button("The drawn one", () => this.#shown()),
      button("From your pictures", () => this.#offer()),
      button("Paint one", () => this.#paint()),
    ];
    const row = make("div", { className: "row" }, ...this.#buttons, this.#file);
    const hint = make(
      "p",
      { className: "hint" },
      "One to eight pictures of one thing, best on a plain background. Drop them here, or take them:",
    );
    this.#element = make("div", { className: "lesson" }, hint, row, this.#kept, this.#list);
    $("teach").addEventListener("drop", (event) => this.#drop(event));
  }

  get element() {
    return this.#element;
  }

  /** @returns {Image[]} */
  get images() {
    return this.#images;
  }

  /** While they are learned, they stay. */
  set busy(busy) {
    for (const one of this.#element.querySelectorAll("button")) one.disabled = busy;
    const { start } = this.#parts;
    this.#buttons[3].textContent = this.#painting && start.there ? "Take the painted one" : "Paint one";
  }

  #add(image) {
    if (this.#images.length === MOST) return this.#acts.say(`${MOST} pictures are the most that it learns from at once.`);
    this.#images.push(bounded(image));
    return this.#changed();
  }

  #changed(words = "") {
    const item = (image, at) => {
      const remove = button("×", () => this.#remove(image), { label: `Remove picture ${at + 1}` });
      const source = toSource(image);
      source.setAttribute("role", "img");
      source.setAttribute("aria-label", `Picture ${at + 1}`);
      return make("li", {}, source, remove);
    };
    this.#list.replaceChildren(...this.#images.map(item));
    this.#acts.say(words);
    this.#acts.changed();
  }

  #remove(image) {
    this.#images = this.#images.filter((other) => other !== image);
    this.#changed();
    this.#buttons[0].focus();
  }

  async #files(files) {
    this.#file.value = "";
    for (const file of files) {
      try {
        this.#add(await imageOf(file));
      } catch {
        this.#acts.say(`“${file.name}” is not a picture that this browser can read. PNG, JPEG and WebP work.`);
      }
    }
  }

  /** Pictures that are dropped here; other files are the page's. */
  #drop(event) {
    const pictures = [...(event.dataTransfer?.files ?? [])].filter(({ type }) => type.startsWith("image/"));
    if (!pictures.length || this.#buttons[0].disabled) return;
    event.preventDefault();
    this.#files(pictures);
  }

  #shown() {
    const { one } = this.#parts.shown;
    if (one) this.#add(one.result);
    else this.#acts.say("Nothing is drawn yet.");
  }

  #offer() {
    const all = this.#parts.gallery.all.slice(0, OFFERED);
    if (!all.length) return this.#acts.say("You have no pictures yet.");
    this.#kept.hidden = !this.#kept.hidden;
    this.#kept.replaceChildren(...(this.#kept.hidden ? [] : all.map((kept) => this.#offered(kept))));
    return undefined;
  }

  #offered({ png, settings }) {
    const words = `${settings.prompt || "no words"}, seed ${settings.seed}`;
    const picture = make("img", { width: 56, height: 56, alt: "", src: URL.createObjectURL(png) });
    picture.onload = () => URL.revokeObjectURL(picture.src);
    const take = button("", () => imageOf(png).then((image) => this.#add(image)), { label: `Take ${words}` });
    take.append(picture);
    return make("li", {}, take);
  }

  // On the sheet of "Start from a picture", which is empty again once the painting was taken.
  #paint() {
    const { start, form } = this.#parts;
    if (this.#painting && start.there) {
      const [width, height] = sizeOf(form.own.size).map((side) => Math.min(4 * side, LARGEST));
      this.#painting = false;
      const image = start.whole(width, height);
      start.remove();
      return this.#add(image);
    }
    this.#painting = true;
    start.draw();
    start.reveal();
    return this.#changed("Paint it above, then press “Take the painted one” here.");
  }
}

/** The image itself, or a smaller one where it is larger than what is learned from. @param {Image} image */
function bounded(image) {
  const scale = LARGEST / Math.max(image.width, image.height);
  const side = (length) => Math.max(1, Math.round(length * scale));
  return scale < 1 ? resized(image, side(image.width), side(image.height)) : image;
}
