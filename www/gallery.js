// "Your pictures": what www/history.js saves, to look at again, to download, to delete and to bring back.

import { $, button, make } from "./dom.js";
import { LIMIT } from "./history.js";

export class Gallery {
  #history;
  #acts;
  #all = []; // the newest first
  #items = new Map(); // id -> its element
  #deleted = []; // what Undo brings back

  /**
   * @param {import("./history.js").History} history
   * @param {{open: (kept: object) => void, download: (kept: object) => void, downloadAll: (all: object[]) => void,
   *          changed: () => void}} acts `changed`: other pictures are saved than before
   */
  constructor(history, acts) {
    this.#history = history;
    this.#acts = acts;
    $("kept-save").addEventListener("click", () => acts.downloadAll(this.#all));
    $("kept-clear").addEventListener("click", () => this.#delete([...this.#all]));
    $("kept-undo").addEventListener("click", () => this.#undo());
  }

  /** Shows what was saved at earlier visits. */
  async open() {
    try {
      this.#show(await this.#history.all());
    } catch {
      this.#denied();
    }
  }

  /** Every picture, the newest first. @returns {import("./history.js").Kept[]} */
  get all() {
    return this.#all;
  }

  /** The picture with this id, or undefined. */
  find(id) {
    return this.#all.find((kept) => kept.id === id);
  }

  /** Saves a picture, unless it is here already; resolves to its id, or undefined where none can be saved.
   *  @param {import("./history.js").Kept} picture */
  async add(picture) {
    try {
      const same = await this.#same(picture);
      if (same) return same.id;
      const { id, gone } = await this.#history.add(picture);
      this.#show([{ ...picture, id }, ...this.#all].filter((kept) => !gone.includes(kept.id)));
      if (gone.length) this.#say(`The newest ${LIMIT} are kept, so the oldest was removed.`);
      return id;
    } catch {
      this.#denied();
      return undefined;
    }
  }

  async #same(picture) {
    const alike = this.#all.filter(({ infotext, png }) => infotext === picture.infotext && png.size === picture.png.size);
    for (const kept of alike) {
      const parts = ({ png, start }) => [png, start?.image, start?.mask];
      const equal = await Promise.all(parts(kept).map((part, at) => equals(part, parts(picture)[at])));
      if (equal.every(Boolean)) return kept;
    }
    return undefined;
  }

  // Elements of pictures that stay are left where they are, with the focus that one may have.
  #show(all) {
    const items = new Map(all.map((kept) => [kept.id, this.#items.get(kept.id) ?? this.#item(kept)]));
    for (const [id, item] of this.#items) if (!items.has(id)) item.remove();
    let place = $("kept").firstElementChild;
    for (const item of items.values()) {
      if (item === place) place = place.nextElementSibling;
      else $("kept").insertBefore(item, place);
    }
    this.#all = all;
    this.#items = items;
    this.#say();
  }

  #item(kept) {
    const { id, settings, png } = kept;
    const words = settings.prompt || "no words";
    const picture = make("img", { width: 96, height: 96, alt: `${words}, seed ${settings.seed}`, title: words });
    picture.src = URL.createObjectURL(png);
    picture.onload = () => URL.revokeObjectURL(picture.src);
    const open = button("", () => this.#acts.open(kept), { className: "open" });
    open.setAttribute("aria-label", `Show again: ${picture.alt}`);
    open.append(picture);
    const acts = make("div", { className: "acts" });
    acts.append(
      button("↓", () => this.#acts.download(kept), { label: `Download: ${picture.alt}` }),
      button("×", () => this.#delete([kept]), { label: `Delete: ${picture.alt}` }),
    );
    const item = make("li", {}, open, acts);
    item.dataset.id = id;
    return item;
  }

  async #delete(pictures) {
    try {
      await (pictures.length > 1 ? this.#history.clear() : this.#history.remove(pictures[0].id));
    } catch {
      return this.#denied();
    }
    this.#deleted = pictures;
    this.#show(this.#all.filter((kept) => !pictures.includes(kept)));
    this.#say(pictures.length > 1 ? `${pictures.length} pictures were deleted.` : "The picture was deleted.");
    $("kept-undo").focus();
  }

  async #undo() {
    const pictures = this.#deleted;
    try {
      await this.#history.restore(pictures);
    } catch {
      return this.#denied();
    }
    this.#deleted = [];
    this.#show([...this.#all, ...pictures].sort((a, b) => b.id - a.id));
    this.#items.get(pictures[0].id).querySelector(".open").focus();
  }

  #say(news = "") {
    const none = this.#all.length === 0;
    $("history").hidden = none && this.#deleted.length === 0;
    $("kept-save").hidden = $("kept-clear").hidden = none;
    $("kept-undo").hidden = this.#deleted.length === 0;
    $("kept-note").textContent = news || `Saved in this browser only, the newest ${LIMIT}.`;
    this.#acts.changed();
  }

  #denied() {
    $("history").hidden = false;
    $("kept-save").hidden = $("kept-clear").hidden = this.#all.length === 0;
    $("kept-note").textContent = "This browser saves no pictures for this page, or has no room. Download what you want to keep.";
    this.#acts.changed();
  }
}

/** Whether two files hold the same bytes, or neither is there. */
async function equals(a, b) {
  if (!a || !b) return a === b || (!a && !b);
  if (a.size !== b.size) return false;
  const [one, other] = await Promise.all([a, b].map(async (blob) => new Uint8Array(await blob.arrayBuffer())));
  return one.every((byte, at) => byte === other[at]);
}
