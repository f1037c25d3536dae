// "Your pictures": what www/history.js keeps, to look at again, to download, to delete.

import { LIMIT } from "./history.js";

export class Gallery {
  #history;
  #parts;
  #onOpen;
  #onDownload;
  #onDownloadAll;
  #onChange;

  /**
   * @param {import("./history.js").History} history
   * @param {{section: HTMLElement, list: HTMLElement, note: HTMLElement, save: HTMLButtonElement, clear: HTMLButtonElement}} parts
   * @param {{onOpen: (kept: object) => void, onDownload: (kept: object) => void, onDownloadAll: (all: object[]) => void,
   *          onChange: () => void}} acts `onChange`: other pictures are kept than before
   */
  constructor(history, parts, { onOpen, onDownload, onDownloadAll, onChange }) {
    this.#history = history;
    this.#parts = parts;
    this.#onOpen = onOpen;
    this.#onDownload = onDownload;
    this.#onDownloadAll = onDownloadAll;
    this.#onChange = onChange;
    parts.save.addEventListener("click", () => this.#save());
    parts.clear.addEventListener("click", () => this.#clear());
  }

  /** Shows what was kept at earlier visits. */
  async open() {
    try {
      const all = await this.#history.all();
      this.#parts.list.replaceChildren(...all.map((kept) => this.#item(kept)));
      this.#say();
    } catch {
      this.#denied();
    }
  }

  /** Keeps a picture. @param {import("./history.js").Kept} picture */
  async add(picture) {
    try {
      const { id, gone } = await this.#history.add(picture);
      this.#parts.list.prepend(this.#item({ ...picture, id }));
      for (const old of gone) this.#parts.list.querySelector(`[data-id="${old}"]`)?.remove();
      this.#say(gone.length ? `Only the newest ${LIMIT} are kept; the oldest went.` : "");
    } catch {
      this.#denied();
    }
  }

  #item(kept) {
    const { id, settings, png } = kept;
    const words = settings.prompt || "no words";
    const item = document.createElement("li");
    item.dataset.id = id;
    const picture = new Image(96, 96);
    picture.alt = `${words}, seed ${settings.seed}`;
    picture.title = words;
    picture.src = URL.createObjectURL(png);
    picture.onload = () => URL.revokeObjectURL(picture.src);
    const open = button("open", "", `Show again: ${picture.alt}`, () => this.#onOpen(kept));
    open.append(picture);
    const acts = Object.assign(document.createElement("div"), { className: "acts" });
    acts.append(
      button("", "↓", `Download: ${picture.alt}`, () => this.#onDownload(kept)),
      button("", "×", `Delete: ${picture.alt}`, () => this.#remove(id, item)),
    );
    item.append(open, acts);
    return item;
  }

  async #remove(id, item) {
    const next = item.nextElementSibling ?? item.previousElementSibling;
    try {
      await this.#history.remove(id);
    } catch {
      return this.#denied();
    }
    item.remove();
    this.#say();
    (next?.querySelector(".open") ?? this.#parts.clear).focus();
  }

  async #save() {
    try {
      this.#onDownloadAll(await this.#history.all());
    } catch {
      this.#denied();
    }
  }

  async #clear() {
    const count = this.#parts.list.children.length;
    if (!confirm(`Delete ${count === 1 ? "this picture" : `all ${count} pictures`}? This cannot be undone.`)) return;
    try {
      await this.#history.clear();
    } catch {
      return this.#denied();
    }
    this.#parts.list.replaceChildren();
    this.#say();
  }

  #say(more = "") {
    const { section, list, note } = this.#parts;
    section.hidden = list.children.length === 0;
    note.textContent = `Kept in this browser only, the newest ${LIMIT}. ${more}`.trim();
    this.#onChange();
  }

  #denied() {
    const { section, note, save, clear, list } = this.#parts;
    section.hidden = false;
    save.hidden = clear.hidden = list.children.length === 0;
    this.#onChange();
    note.textContent = "This browser keeps no pictures for this page, or has no room: download what you want to keep.";
  }
}

function button(className, text, label, act) {
  const made = Object.assign(document.createElement("button"), { type: "button", className, textContent: text, title: label });
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}
