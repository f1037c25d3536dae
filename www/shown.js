// The finished picture on the canvas, and what can be done with it: keep it, download it, copy or share its link.

import { copy, fileName, save, share } from "./files.js";
import { isFolder } from "./folder.js";
import { imageOf } from "./picture.js";
import { zip } from "./zip.js";

const LEFT_OUT = "It holds the settings, but no link can carry the picture that this one began with: send that one too.";
const OWN_MODEL = "It names a model that is only on this computer: elsewhere another one draws.";

export class Shown {
  #one = null; // {settings, result, infotext, start?, png?}
  #page;
  #keeping; // timer of a picture that followed the typing

  /**
   * @param {{engine: import("./engine.js").Engine, gallery: import("./gallery.js").Gallery, status: import("./status.js").Status,
   *          link: (settings: object) => string, withSettings: () => boolean, onChange: () => void}} page
   *   `withSettings`: whether files carry their settings; `onChange`: another picture is there, or none
   */
  constructor(page) {
    this.#page = page;
  }

  /** `{settings, result, infotext, start?, png?}` of the picture, or null; `start` is what it began with, `{image, mask?,
   *  strength}`. */
  get one() {
    return this.#one;
  }

  set one(one) {
    clearTimeout(this.#keeping);
    this.#one = one;
    this.#page.onChange();
  }

  /** Keeps the picture in the gallery, now or when nothing took its place for so many milliseconds. */
  keep(milliseconds = 0) {
    clearTimeout(this.#keeping);
    if (milliseconds) this.#keeping = setTimeout(() => this.#keep(), milliseconds);
    else this.#keep();
  }

  /** Saves a file of this picture, or of a kept one. */
  async download(one = this.#one) {
    save(await this.#file(one), fileName(one.settings));
  }

  /** Saves one archive of kept pictures, the newest first. */
  async downloadAll(all) {
    const files = [];
    for (const one of all) {
      const number = String(all.length - files.length).padStart(3, "0"); // names may be the same without
      files.push({ name: `${number}-${fileName(one.settings)}`, time: one.time, blob: await this.#file(one) });
    }
    save(await zip(files), "fourstep-pictures.zip");
  }

  async copyLink() {
    const url = this.#page.link(this.#one.settings);
    try {
      await copy(url);
      const { strength, model } = this.#one.settings;
      this.#page.status.done("Link copied.", [strength ? LEFT_OUT : "", isFolder(model) ? OWN_MODEL : ""].join(" ").trim());
    } catch (error) {
      this.#page.status.trouble(`${error.message} The link is: ${url}`);
    }
  }

  share() {
    const { settings } = this.#one;
    return share(this.#page.link(settings), `Fourstep: ${settings.prompt}`);
  }

  async #file(one) {
    const infotext = this.#page.withSettings() ? one.infotext : undefined;
    const png = infotext === undefined ? null : one.png;
    return png ?? this.#page.engine.png([one.result ?? (await imageOf(one.png))], { infotext });
  }

  async #keep() {
    const one = this.#one;
    const { engine, gallery } = this.#page;
    const png = (image, options) => engine.png([image], options);
    try {
      one.png ??= await png(one.result, { infotext: one.infotext });
      const { image, mask } = one.start ?? {};
      const start = image && { image: await png(image), mask: mask && (await png(mask)) };
      gallery.add({ time: Date.now(), settings: one.settings, infotext: one.infotext, png: one.png, start });
    } catch {
      // The worker is gone; the picture is still on the canvas.
    }
  }
}
