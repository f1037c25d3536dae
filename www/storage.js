// What this browser saves for the page: how much, how much it may be, and for how long; and the wish that it stay.

import { $ } from "./dom.js";
import { megabytes } from "./status.js";

export class Storage {
  #refused = false;

  constructor() {
    $("storage-keep").addEventListener("click", async () => {
      this.#refused = !(await navigator.storage.persist().catch(() => false));
      this.refresh();
    });
  }

  /** Says it again: something was saved or deleted. */
  async refresh() {
    const told = await ask();
    $("storage-keep").hidden = !told || told.lasting || this.#refused;
    $("storage-words").textContent = told ? words(told, this.#refused) : "This browser does not say how much it stores for this page.";
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
  const much = `${size(usage)} of ${size(quota)} used.`;
  if (lasting) return `${much} It stays until you delete it.`;
  if (refused) return `${much} The browser does not promise to keep it. It may once this page is installed or visited often.`;
  return `${much} The browser may clear it when space runs out.`;
}

function size(bytes) {
  return bytes < 1e9 ? `${megabytes(bytes)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
