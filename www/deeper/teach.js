// "Teach it yours": the model learns a thing from one to eight pictures of it, in a worker of its own. What it has learned is an
// adapter, with which the page's own model then draws (www/adapter.js). This file comes when it is first asked for.

import { tooLargeToFit } from "../device.js";
import { $, button, make } from "../dom.js";
import { recall, remember } from "../memory.js";
import { Ask } from "../messages.js";
import { paint } from "../picture.js";
import { resized } from "../start.js";
import { duration } from "../status.js";
import { explainFit } from "../trouble.js";
import { Gradients } from "./gradients.js";
import { Lessons } from "./lessons.js";
import { Plot } from "./plot.js";

const EVERY = 20; // steps between two pictures by what is learned so far
const SEED = "0"; // as `fourstep adapt` has it
const TOOK = "fourstep.teach"; // how long the last time took, in words
const WORDS = { what: "Learning", purpose: "learn that", kept: "The model is as it was." };

export class Teach {
  #studio;
  #parts;
  #worker;
  #lessons;
  #enough = null; // ends what runs with what it has learned, null where nothing runs
  #word = make("input", { id: "teach-word", type: "text", dir: "auto", autocomplete: "off", placeholder: "zib" });
  #named = make("p", { id: "teach-named", className: "hint" });
  #go = button("Teach it", () => (this.#enough ? this.#studio.cancel() : this.#begin()), { className: "primary" });
  #keep = button("Enough", () => this.#enough?.abort());
  #open = button("Open a saved file…", () => this.#file.click());
  #file = make("input", { type: "file", accept: ".safetensors", hidden: true });
  #progress = make("div", { className: "learning", hidden: true });
  #line = make("p", { className: "hint" });
  #done = make("div", { className: "row", hidden: true });

  /** @param {HTMLElement} place @param {import("../studio.js").Studio} studio @param {Record<string, any>} parts the page's */
  constructor(place, studio, parts) {
    this.#studio = studio;
    this.#parts = parts;
    this.#worker = new Gradients(parts);
    this.#lessons = new Lessons(parts, { changed: () => this.refresh(), say: (words) => (this.#line.textContent = words) });
    this.#go.id = "teach-go";
    this.#keep.id = "teach-enough";
    this.#keep.title = "Stop here and use what it has learned so far";
    this.#line.setAttribute("role", "status");
    this.#line.id = "teach-line";
    this.#word.setAttribute("aria-describedby", "teach-named");
    this.#word.addEventListener("input", () => this.refresh());
    this.#word.addEventListener("keydown", (event) => this.#onKey(event));
    this.#file.addEventListener("change", () => this.#openFile());
    const label = make("label", { htmlFor: "teach-word" }, "A new word for it");
    const row = make("div", { className: "row" }, this.#go, this.#keep, this.#open, this.#file);
    place.append(this.#lessons.element, label, this.#word, this.#named, row, this.#progress, this.#line, this.#done);
    this.refresh();
  }

  /** Shows what can be done now. */
  refresh() {
    const learning = this.#enough !== null;
    const words = named(this.#word.value);
    const reason = tooLargeToFit(this.#parts.models.demand)?.replace("fitted to a picture", "taught");
    this.#lessons.busy = this.#word.disabled = this.#open.disabled = learning;
    this.#go.textContent = learning ? "Cancel" : "Teach it";
    this.#go.classList.toggle("quiet", learning);
    this.#go.disabled = !learning && (Boolean(reason) || !words || this.#lessons.images.length === 0);
    this.#keep.hidden = !learning;
    const took = recall(TOOK) ? `The last time that took ${recall(TOOK)}.` : "That takes some minutes.";
    const after = words ? `Then “${words}” draws it, also “${words} on a blue background”.` : "Then your prompts can use the word.";
    this.#named.textContent = reason || `${after} ${took} You can stop at any time.`;
  }

  #onKey(event) {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    event.stopPropagation(); // it draws nothing
    if (!this.#go.disabled) this.#begin();
  }

  #begin() {
    const prompt = named(this.#word.value);
    const name = `${slug(this.#word.value)}.safetensors`;
    const images = [...this.#lessons.images];
    this.#studio.jobs.begin(
      (signal) => this.#learn({ prompt, name, images }, signal),
      () => this.#begin(),
    );
  }

  /** What is to be learned, from the first look at the pictures to the picture that the page's own model draws of it. */
  async #learn({ prompt, name, images }, signal) {
    const { status, adapters } = this.#parts;
    const stop = () => this.#worker.end();
    signal.addEventListener("abort", stop, { once: true });
    this.#enough = new AbortController();
    this.#done.hidden = true;
    this.#line.textContent = "";
    this.refresh();
    let learned = false;
    try {
      const begun = performance.now();
      const defaults = await this.#worker.load({ adapter: false });
      const { bytes, diverged, warnings } = await this.#descend({ prompt, images: this.#fitted(images, defaults) });
      this.#worker.end(); // its memory is for the page's own model
      if (signal.aborted || !(await adapters.apply({ name, prompt, bytes }, signal))) return;
      learned = true; // from here on the picture that follows takes the signal away
      const took = duration(performance.now() - begun);
      if (!this.#enough.signal.aborted) remember(TOOK, took);
      const early = diverged ? ["It ended early, at the last good step."] : [];
      status.done(`Learned “${prompt}” in ${took}.`, [...early, ...warnings].join(" "));
      this.#draw(prompt);
      this.#finished(prompt, took);
    } catch (error) {
      if (!signal.aborted) throw explainFit(error, WORDS);
    } finally {
      signal.removeEventListener("abort", stop);
      this.#enough = null;
      this.#progress.hidden = true;
      this.#progress.replaceChildren();
      this.refresh();
      if (signal.aborted && !learned) status.done("Stopped. The model is as it was.");
    }
  }

  async #descend({ prompt, images }) {
    const { status } = this.#parts;
    const plot = new Plot();
    const canvas = make("canvas", { width: 72, height: 72 });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `What the model draws for “${prompt}” by now`);
    const left = make("p", { className: "hint" }, "Looking at your pictures…");
    this.#progress.replaceChildren(plot.element, canvas, left);
    this.#progress.hidden = false;
    status.drawing(0, 1, []);
    status.say("Looking at your pictures…");
    const step = (done, all, times) => {
      status.drawing(done, all, times, `Learning “${prompt}”: step`);
      left.textContent = $("line").textContent;
    };
    const reached = (source) => paint(canvas, source);
    const body = { request: { images, prompt, seed: SEED }, every: EVERY };
    return this.#worker.fit(Ask.ADAPT, body, { plot, reached, step, signal: this.#enough.signal });
  }

  /** The pictures in the model's own size. */
  #fitted(images, { width, height }) {
    const same = (image) => image.width === width && image.height === height;
    return images.map((image) => (same(image) ? image : resized(image, width, height)));
  }

  #draw(prompt) {
    const { form, start } = this.#parts;
    start.remove();
    form.prompt = prompt;
    this.#studio.draw();
  }

  #finished(prompt, took) {
    const other = `${prompt} on a blue background`;
    this.#line.textContent = `The model has learned “${prompt}” in ${took}. The switch under your prompt turns that off. Save it to keep it.`;
    this.#done.replaceChildren(
      button(`Draw “${other}”`, () => this.#draw(other)),
      button("Save it", () => this.#parts.adapters.save()),
    );
    this.#done.hidden = false;
  }

  async #openFile() {
    const file = this.#file.files[0];
    this.#file.value = "";
    if (!file) return;
    this.#parts.status.clear();
    try {
      const opened = await this.#parts.adapters.open(file);
      if (!opened) throw new Error(`“${file.name}” is neither a saved edit nor something that a model was taught (a LoRA adapter).`);
    } catch (error) {
      this.#studio.trouble(error);
    }
  }
}

/** What the pictures are said to show: the word with its article; as it is where it has one. */
function named(word) {
  const words = word.trim().replace(/\s+/g, " ");
  if (!words || /^(an?|the|my|one|two|three|four) /i.test(words)) return words;
  return `${/^[aeiou]/i.test(words) ? "an" : "a"} ${words}`;
}

/** The word as a file's name. */
function slug(word) {
  const parts = word
    .toLowerCase()
    .normalize("NFC")
    .match(/[\p{L}\p{N}]+/gu) ?? ["learned"];
  return parts.join("-").slice(0, 48);
}
