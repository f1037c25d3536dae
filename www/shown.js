// The finished picture on the canvas, and what can be done with it: save it in the gallery, download, copy or share it, give
// it a white outline, compare it with the picture that it was made from.

import { $ } from "./dom.js";
import { canShare, canShareFile, copy, copyImage, fileName, save, share } from "./files.js";
import { isOwn } from "./ownfiles.js";
import { recall, remember } from "./memory.js";
import { isClear, toSource } from "./picture.js";
import { zip } from "./zip.js";

const KEYS = { infotext: "fourstep.infotext", outline: "fourstep.outline" };
const NO_START = "The link does not include the start picture. Send that picture too.";
const LEARNED = /, Lora hashes: /; // as src/infotext.rs has it
const NOT_LEARNED = "Elsewhere the model has not learned what this picture shows: send the file of that too.";
const OWN_MODEL = "This model is only on this computer. Elsewhere, another model draws this link.";

/** @typedef {import("./picture.js").Image} Image
 *  @typedef {{settings: import("./link.js").Settings, result: Image, infotext: string, start?: any, png?: Blob, id?: number,
 *             enlarge?: () => Promise<Image | null | undefined>, best?: Promise<Image>}} One `start`: `{image, mask?, strength, edit?}`,
 *  the picture that it was made from, with `edit` by words; `id`: the gallery's; `enlarge` brings the picture of a larger decoder where there is one;
 *  `best`: that or `result`, once it was asked for */

export class Shown {
  /** @type {One | null} */
  #one = null;
  #outlined = null; // {of, image}: an image and its outlined twin
  #page;
  #keeping; // timer of a picture that followed the typing

  /**
   * @param {{engine: import("./engine.js").Engine, gallery: import("./gallery.js").Gallery, status: import("./status.js").Status,
   *          picture: import("./picture.js").Picture, link: (settings: object) => string, onChange: () => void,
   *          trouble: (error: Error) => void}} page `onChange`: another picture is there, or none
   */
  constructor(page) {
    this.#page = page;
    const act = (id, run) => $(id).addEventListener("click", () => run().catch(page.trouble));
    act("download", () => this.download());
    act("copy-image", () => this.#copyImage());
    act("copy", () => this.#copyLink());
    act("share", () => this.#share());
    $("share").hidden = !canShare;
    $("copy-image").hidden = !globalThis.ClipboardItem;
    for (const [id, standard] of [
      ["infotext", "on"],
      ["outline", "off"],
    ]) {
      $(id).checked = (recall(KEYS[id]) ?? standard) === "on";
      $(id).addEventListener("input", (event) => event.stopPropagation()); // it is no setting of the picture
      $(id).addEventListener("change", () => remember(KEYS[id], $(id).checked ? "on" : "off"));
    }
    $("outline").addEventListener("change", () => this.#dress());
    this.#holdToCompare();
  }

  /** The picture, or null. @returns {One | null} */
  get one() {
    return this.#one;
  }

  set one(one) {
    clearTimeout(this.#keeping);
    this.#one = one;
    $("outline-field").hidden = !one || !isClear(one.result);
    $("compare").hidden = !one?.start;
    this.#dress();
    this.#page.onChange();
  }

  /** Whether anything can be done with the picture now. */
  set ready(ready) {
    for (const id of ["download", "copy-image", "copy", "share", "compare"]) $(id).disabled = !ready;
  }

  /** Saves the picture in the gallery, now or when nothing took its place for so many milliseconds. */
  keep(milliseconds = 0) {
    clearTimeout(this.#keeping);
    if (milliseconds) this.#keeping = setTimeout(() => this.#keep(), milliseconds);
    else this.#keep();
  }

  /** Saves a file of this picture, or of one in the gallery. */
  async download(one = this.#one) {
    save(await this.#file(one), fileName(one.settings));
  }

  /** Saves one archive of pictures in the gallery, the newest first. */
  async downloadAll(all) {
    const files = [];
    for (const one of all) {
      const number = String(all.length - files.length).padStart(3, "0"); // names may be the same without
      files.push({ name: `${number}-${fileName(one.settings)}`, time: one.time, blob: await this.#file(one) });
    }
    save(await zip(files), "fourstep-pictures.zip");
  }

  async #copyImage() {
    await copyImage(this.#file(this.#one));
    this.#page.status.notice("Picture copied.");
  }

  async #copyLink() {
    const { settings, infotext } = this.#one;
    const url = this.#page.link(settings);
    try {
      await copy(url);
    } catch (error) {
      throw new Error(`${error.message} The link is: ${url}`);
    }
    const notes = [settings.strength && NO_START, isOwn(settings.model) && OWN_MODEL, LEARNED.test(infotext) && NOT_LEARNED];
    this.#page.status.notice(["Link copied.", ...notes.filter(Boolean)].join(" "));
  }

  // The picture itself where the browser can hand it over, else its link. What is shared must be asked for by a click, so the
  // file is ready before.
  async #share() {
    const { settings, png } = this.#one;
    const file = new File([this.#plain ? png : await this.#file(this.#one)], fileName(settings), { type: "image/png" });
    const title = `Fourstep: ${settings.prompt}`;
    await share(canShareFile(file) ? { files: [file], title } : { url: this.#page.link(settings), title });
  }

  /** Whether the file of the picture is the one that the gallery has. */
  get #plain() {
    return this.#one.png && $("infotext").checked && !this.#outline;
  }

  /** Whether the picture gets an outline. */
  get #outline() {
    return $("outline").checked && this.#one && isClear(this.#one.result);
  }

  async #file(one) {
    const infotext = $("infotext").checked ? one.infotext : undefined;
    const outline = one === this.#one && this.#outline;
    if (infotext !== undefined && !outline && one.png) return one.png;
    const image = await this.#best(one);
    return this.#page.engine.png([outline ? await this.#withOutline(image) : image], { infotext });
  }

  /** The largest image of the picture. @param {One} one @returns {Promise<Image>} */
  #best(one) {
    const enlarged = async () => (await one.enlarge?.().catch(() => null)) ?? one.result;
    return (one.best ??= enlarged());
  }

  async #withOutline(image) {
    if (this.#outlined?.of !== image) this.#outlined = { of: image, image: this.#page.engine.outline(image) };
    return this.#outlined.image;
  }

  // The canvas shows what would be saved.
  async #dress() {
    const one = this.#one;
    if (!one) return;
    const image = (await one.best) ?? one.result;
    const shown = this.#outline ? await this.#withOutline(image).catch(this.#page.trouble) : image;
    if (one === this.#one) this.#page.picture.dress(shown && shown !== one.result ? shown : null);
  }

  // While the button is held, by pointer or key, the canvas shows the picture that this one was made from.
  #holdToCompare() {
    const hold = $("compare");
    const show = (on) => {
      if (hold.disabled || !this.#one?.start) return;
      hold.setAttribute("aria-pressed", String(on));
      this.#page.picture.flash(on ? toSource(this.#one.start.image) : null);
    };
    hold.addEventListener("pointerdown", (event) => {
      hold.setPointerCapture(event.pointerId);
      show(true);
    });
    for (const end of ["pointerup", "pointercancel", "blur"]) hold.addEventListener(end, () => show(false));
    hold.addEventListener("keydown", (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      if (!event.repeat) show(true);
    });
    hold.addEventListener("keyup", () => show(false));
    hold.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch
  }

  async #keep() {
    const one = this.#one;
    const { engine, gallery } = this.#page;
    const png = (image, options) => engine.png([image], options);
    try {
      one.png ??= await png(await this.#best(one), { infotext: one.infotext });
      if (one === this.#one) this.#dress();
      const { image, mask } = one.start ?? {};
      const start = image && { image: await png(image), mask: mask && (await png(mask)) };
      one.id = await gallery.add({ time: Date.now(), settings: one.settings, infotext: one.infotext, png: one.png, start });
    } catch {
      // The worker is gone; the picture is still on the canvas.
    }
  }
}
