// What this browser keeps for the page: how much, how much it may be, and for how long; and the wish that it stay.

import { megabytes } from "./status.js";

export class Storage {
  #words;
  #button;
  #refused = false;

  /** @param {{words: HTMLElement, keep: HTMLButtonElement}} parts */
  constructor({ words, keep }) {
    this.#words = words;
    this.#button = keep;
    keep.addEventListener("click", async () => {
      this.#refused = !(await navigator.storage.persist().catch(() => false));
      this.refresh();
    });
  }

  /** Says it anew: something was kept or deleted. */
  async refresh() {
    const told = await ask();
    this.#button.hidden = !told || told.lasting || this.#refused;
    this.#words.textContent = told ? words(told, this.#refused) : "This browser does not tell what it keeps for this page.";
  }
}

/** `{usage, quota, lasting}` in bytes, or null where the browser does not tell. */
async function ask() {
  try {
    const [{ usage, quota }, lasting] = await Promise.all([navigator.storage.estimate(), navigator.storage.persisted()]);
    return { usage, quota, lasting };
  } catch {
    return null;
  }
}

function words({ usage, quota, lasting }, refused) {
  const much = `${size(usage)} of at most ${size(quota)}`;
  if (lasting) return `${much}, until you delete it.`;
  if (refused) return `${much}. The browser does not promise to keep it; where this page is installed or often used, it may.`;
  return `${much}, while there is room.`;
}

function size(bytes) {
  return bytes < 1e9 ? `${megabytes(bytes)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
