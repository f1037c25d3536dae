// "Edit by words": the picture on the canvas, or the one to start from, becomes what other words say, while they are typed. Here
// are the fields, what is edited and the way back; the studio draws, and the arithmetic is src/edit's.

import { tooLargeToFit } from "./device.js";
import { $ } from "./dom.js";
import { sizeOf } from "./link.js";
import { recall } from "./memory.js";
import { resized, strengthOf, taken } from "./start.js";

const PAUSE_MS = 250; // after the last keystroke
const SLOW_MS = 400; // what takes longer can be cancelled by a button that says so

const TOOK = "fourstep.fit"; // how long the last fit took, in words

/** @typedef {{image: import("./picture.js").Image, prompt: string, size: string, one: import("./shown.js").One | null}} Input what is
 *  edited, what it shows as far as that is known, its size as an address has it; `one`: a finished picture of the page's */

export class Edit {
  #studio;
  #parts;
  /** @type {Input | null} */
  #original = null; // what was there when it was opened; null while it is closed
  /** @type {Input | null} */
  #input = null; // what is edited: the original, or an edit of it
  #origins = new WeakMap(); // edit -> what it was made from at first
  #sent = new WeakSet(); // images that were edited here
  #before = null; // the finished picture whose place on the canvas a start picture took
  #own = { strength: 1, methods: [] }; // the model's
  #steps = 1;
  #wanted = null; // the strength that was chosen, or null for the model's own
  #timer = 0; // of the edit to come, 0 where none is
  #slow; // timer of the one that is drawn
  #turn = 0; // number of what was asked for last
  #drawing = 0; // that of the edit that is drawn, 0 where none is
  #deeper = null; // www/deeper/deeper.js, once it is here
  #fitting = false; // the model is fitted to the picture

  /** @param {import("./studio.js").Studio} studio @param {Record<string, any>} parts the page's */
  constructor(studio, parts) {
    this.#studio = studio;
    this.#parts = parts;
    $("edit-open").addEventListener("click", () => this.#openOne(parts.shown.one));
    $("start-edit").addEventListener("click", () => this.openStart());
    $("edit-further").addEventListener("click", () => this.#further());
    $("edit-back").addEventListener("click", () => this.#back());
    $("edit-deeper").addEventListener("click", () => (this.#fitting ? studio.cancel() : this.#goDeeper()));
    $("edit-close").addEventListener("click", () => (this.#slowly ? studio.cancel() : this.#close()));
    $("edit").addEventListener("keydown", (event) => this.#onKey(event));
    for (const id of ["edit", "edit-method"])
      $(id).addEventListener("input", (event) => {
        event.stopPropagation(); // it is no setting of the form's picture
        if (event.target.id === "edit-strength") this.#wanted = strengthOf(Number(event.target.value), this.#steps);
        this.#changed();
      });
  }

  /** Opens an edit from a file that "Save the edit" wrote. @param {{name: string, bytes: Uint8Array}} file */
  openSaved(file) {
    this.#leave();
    const begin = (one, { prompt }) => {
      this.#show({ image: one.result, prompt: one.settings.prompt, size: one.settings.size, one });
      this.#sent.add(one.result);
      this.#put(this.#input);
      $("edit-words").value = prompt;
    };
    const job = (signal) => this.#withDeeper((deeper) => deeper.open(file, begin, signal));
    this.#studio.jobs.begin(job, () => this.openSaved(file));
  }

  /** Opens the picture to start from. */
  async openStart() {
    const { start, form, shown, status } = this.#parts;
    this.#leave();
    await this.#studio.jobs.giveWay();
    const size = form.settings.size || form.own.size;
    const [width, height] = sizeOf(size);
    this.#before = shown.one;
    this.#open({ image: start.whole(width, height), prompt: start.prompt, size, one: null });
    this.#put(this.#input);
    status.rest("");
    if (start.marked) $("edit-note").textContent = "All of the picture may change, not only what is marked.";
  }

  /** The model's own settings for edits, where it can make them. @param {{strength: number, methods: [string, string][]} | undefined} own */
  set own(own) {
    this.#own = own ?? this.#own;
    $("edit-open").hidden = !own || this.#original !== null;
    $("start-edit").hidden = $("edit-method-field").hidden = !own;
    if (!own) return;
    const before = $("edit-method").value;
    $("edit-method").replaceChildren(...own.methods.map(([name, label]) => new Option(label, name)));
    $("edit-method").value = own.methods.some(([name]) => name === before) ? before : own.methods[0][0];
    this.#say();
  }

  /** Whether the picture on the canvas can be edited now. */
  set ready(ready) {
    $("edit-open").disabled = !ready;
  }

  /** How many steps a request takes. */
  suit(steps) {
    this.#steps = steps;
    this.#say();
  }

  /** Another picture is on the canvas, or none: one that was not made here ends the edit. */
  follow() {
    const { one } = this.#parts.shown;
    if (!this.#original) return;
    const known = !one || one === this.#original.one || one === this.#input.one || this.#sent.has(one.start?.image);
    if (!known) return this.#leave();
    if (this.#edited) this.#origins.set(one, this.#original);
    this.#say();
  }

  /** The edit on the canvas, or null. */
  get #edited() {
    const { one } = this.#parts.shown;
    return one?.start?.edit && one.start.image === this.#input?.image ? one : null;
  }

  get #words() {
    return $("edit-words").value.trim();
  }

  get #from() {
    return $("edit-from").value.trim();
  }

  /** Whether other words are there than those that the picture shows. */
  get #differs() {
    return this.#words !== "" && this.#words !== this.#from;
  }

  /** Whether what is drawn takes so long that it may be cancelled. */
  get #slowly() {
    return $("edit-close").textContent === "Cancel";
  }

  #openOne(one) {
    this.#open({ image: one.result, prompt: one.settings.prompt, size: one.settings.size, one }, this.#origins.get(one));
  }

  #open(input, original = input) {
    this.#studio.jobs.giveWay();
    this.#show(input, original);
  }

  #show(input, original = input) {
    this.#original = original;
    this.#input = input;
    this.#parts.live.forget();
    this.#parts.status.clear();
    $("edit").hidden = false;
    $("edit-open").hidden = true;
    this.#begin(input.prompt);
    const seen = $("frame").getBoundingClientRect().top >= 0 && $("edit").getBoundingClientRect().bottom <= innerHeight;
    if (!seen) $("frame").scrollIntoView({ block: "start" }); // picture and fields
  }

  /** What the picture shows now, in both fields, ready to be written over. */
  #begin(prompt) {
    $("edit-words").value = $("edit-from").value = prompt;
    $("edit-note").textContent = "";
    $("edit-words").focus({ preventScroll: true });
    $("edit-words").select();
    this.#say();
  }

  #changed() {
    if (!this.#original) return;
    this.#stop();
    this.#say();
    this.#timer = setTimeout(() => this.#draw(), PAUSE_MS);
  }

  /** Nothing of what was asked for so far is wanted any more; done when nothing is drawn. */
  #stop() {
    clearTimeout(this.#timer);
    this.#timer = this.#drawing = 0;
    this.#turn++;
    return this.#studio.jobs.giveWay();
  }

  #draw() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (!this.#original) return;
    if (!this.#differs) return this.#return(this.#input);
    const turn = (this.#drawing = ++this.#turn);
    const asked = this.#asked;
    const ended = () => this.#ended(asked.words, turn);
    const request = (defaults) => {
      const made = this.#request(asked, defaults);
      this.#slow = setTimeout(() => ($("edit-close").textContent = "Cancel"), SLOW_MS);
      return made;
    };
    this.#studio.edit({ request, ended, again: () => this.#draw() });
  }

  /** Fits the model to the picture first: in another worker, with code that comes when it is asked for. */
  #goDeeper() {
    this.#stop();
    const asked = this.#asked;
    const requested = (defaults) => this.#request(asked, defaults);
    const job = (signal) => this.#withDeeper((deeper) => deeper.fit(requested, signal));
    this.#studio.jobs.begin(job, () => this.#original && this.#goDeeper());
  }

  /** @param {(deeper: import("./deeper/deeper.js").Deeper) => Promise<void>} act */
  async #withDeeper(act) {
    this.#fitting = true;
    this.#say();
    try {
      const { Deeper } = await import("./deeper/deeper.js").catch(() => {
        throw new Error("“Go deeper” could not be fetched. Is the connection working? It comes once and is then kept.");
      });
      this.#deeper ??= new Deeper(this.#studio, this.#parts, (request) => this.#again(request));
      await act(this.#deeper);
    } finally {
      this.#fitting = false;
      this.#say();
    }
  }

  /** A picture is looked at that was made with these words; those that were typed since do not count. */
  #again({ prompt, edit }) {
    if (!this.#fitting) this.#stop();
    [$("edit-words").value, $("edit-from").value] = [prompt, edit.from];
  }

  get #asked() {
    const { seed } = this.#original.one?.settings ?? {};
    return { words: this.#words, from: this.#from, method: $("edit-method").value, input: this.#input, seed };
  }

  /** The request, as soon as it is known what the model takes. */
  #request({ words, from, method, input, seed }, { edit, size_multiple: multiple }) {
    if (!edit)
      throw new Error("This model cannot edit by words. Choose another one, or mark the part to redraw under “Start from a picture”.");
    const { form } = this.#parts;
    const wrong = form.check();
    if (wrong) throw new Error(wrong.words);
    const image = (input.image = fitted(input, multiple, form.own.size));
    this.#sent.add(image);
    const own = form.read({ roll: false });
    const { width, height } = image;
    // The model was perhaps not here before, and names its methods only now.
    const how = { strength: this.#strength, edit: { from, method: method || $("edit-method").value } };
    return { ...own, prompt: words, seed: seed ?? own.seed, width, height, image, ...how };
  }

  async #ended(words, turn) {
    clearTimeout(this.#slow);
    $("edit-close").textContent = "Done";
    if (this.#drawing === turn) this.#drawing = 0;
    const { shown, picture, help } = this.#parts;
    if (!picture.finished) this.#put(whole(shown.one) ?? this.#input); // it was stopped half way
    const advice = turn === this.#turn ? await help.advice(words).catch(() => null) : null;
    if (turn === this.#turn) $("edit-note").textContent = advice?.text ?? "";
  }

  /** Shows again what was there before, as soon as nothing is drawn. */
  async #return(input) {
    const stopped = this.#stop();
    const turn = this.#turn;
    await stopped;
    if (turn !== this.#turn) return;
    const { shown, picture, status } = this.#parts;
    if (!picture.finished || shown.one !== input.one) this.#put(input);
    $("edit-note").textContent = "";
    status.rest("");
  }

  /** Shows a picture, or nothing. @param {{image: import("./picture.js").Image, one: import("./shown.js").One | null} | null} what */
  #put(what) {
    const { picture, shown, numbers } = this.#parts;
    numbers.clear();
    if (what) picture.still(what.image);
    else picture.empty();
    if (what?.one) return this.#studio.show(what.one);
    $("canvas").setAttribute("aria-label", what ? "The picture to edit" : "No picture yet");
    $("frame").classList.toggle("drawn", what !== null);
    shown.one = null;
  }

  #back() {
    if (this.#input !== this.#original) this.#deeper?.forget();
    this.#input = this.#original;
    this.#begin(this.#original.prompt);
    this.#return(this.#original);
  }

  #further() {
    const one = this.#edited;
    const { prompt, size } = one.settings;
    this.#parts.shown.keep();
    this.#deeper?.forget();
    this.#input = { image: one.result, prompt, size, one };
    this.#begin(prompt);
    this.#return(this.#input);
  }

  /** Ends it. What was typed last is still drawn; a picture to start from leaves the canvas to what was there before. */
  #close() {
    if (this.#timer) this.#draw();
    const { shown, status } = this.#parts;
    const [edited, before, drawing] = [this.#edited, this.#before, this.#drawing];
    this.#leave();
    if (edited) shown.keep();
    if (!shown.one && !drawing) {
      this.#put(whole(before));
      status.rest("");
    }
    ($("edit-open").hidden || $("edit-open").disabled ? $("start-edit") : $("edit-open")).focus();
  }

  #leave() {
    clearTimeout(this.#timer);
    this.#timer = this.#drawing = 0;
    this.#turn++;
    if (this.#fitting) this.#studio.jobs.giveWay();
    this.#deeper?.close();
    this.#original = this.#input = this.#before = null;
    $("edit").hidden = true;
    $("edit-open").hidden = $("start-edit").hidden;
  }

  #onKey(event) {
    if (event.isComposing) return;
    const { key, target } = event;
    if (key === "Enter" && target.tagName === "INPUT") {
      event.preventDefault();
      event.stopPropagation(); // it draws nothing else
      this.#draw();
    } else if (key === "Escape" && !this.#studio.jobs.running) this.#close();
  }

  get #strength() {
    const wanted = this.#wanted ?? this.#own.strength;
    return taken(this.#steps, wanted) > 0 ? wanted : strengthOf(1, this.#steps);
  }

  #say() {
    const stop = taken(this.#steps, this.#strength);
    Object.assign($("edit-strength"), { min: 1, max: this.#steps, value: stop });
    const words = `${stop} of ${this.#steps} steps`;
    $("edit-strength").setAttribute("aria-valuetext", words);
    $("edit-strength-value").textContent = words;
    const fitting = this.#fitting;
    for (const id of ["edit-words", "edit-from", "edit-strength"]) $(id).disabled = fitting;
    $("edit-further").disabled = fitting || !this.#edited;
    $("edit-back").disabled = fitting || (!this.#edited && this.#input === this.#original);
    const took = recall(TOOK) ? `The last time that took ${recall(TOOK)}.` : "That takes a minute or two.";
    const { device } = this.#parts;
    const where = device?.probed && device.chosen.device === "wgpu" ? ", on the processor" : "";
    const reason = this.#original && tooLargeToFit(this.#parts.models.demand);
    $("edit-deeper").disabled = !fitting && (!this.#differs || Boolean(reason));
    $("edit-deeper").textContent = fitting ? "Cancel" : "Go deeper";
    $("edit-deeper-note").textContent = reason || `Slower: the model first learns your picture${where}. ${took}`;
  }
}

/** A finished picture of the page's, or null, as it is put on the canvas. @param {import("./shown.js").One | null} one */
function whole(one) {
  return one && { image: one.result, one };
}

/** The image in the size that its settings name, where the model takes that, else in the model's own. @param {Input} input
 *  @param {number} multiple of which its sides must be @param {string} own */
function fitted({ image, size }, multiple, own) {
  const sides = sizeOf(size);
  const [width, height] = sides?.every((side) => side % multiple === 0) ? sides : sizeOf(own);
  return image.width === width && image.height === height ? image : resized(image, width, height);
}
