// Files that come to the page: dropped, pasted or chosen. A model is opened. A picture that carries settings gives them back, and
// may become the start picture as well; any other one becomes the start picture.

import { $ } from "./dom.js";
import { chosen, receive } from "./files.js";
import { isCheckpoint } from "./ownfiles.js";
import { imageOf } from "./picture.js";

const PNG = "image/png";
const EDIT = "Edit it by words";

export class Incoming {
  #page;

  /**
   * @param {{engine: import("./engine.js").Engine, own: import("./own.js").Own, status: import("./status.js").Status, trouble: (error: Error) => void,
   *          restore: (found: object) => Promise<string>, start: (image: object, prompt?: string) => void, edit: () => void,
   *          saved: (file: File) => Promise<boolean>}} page
   *   `restore` takes what Engine.settings found and has a note about it, `start` takes a picture to start from and what it
   *   shows, where that is known, `edit` opens the one to start from to be edited by words, `saved` opens an edit or an adapter and
   *   has false for anything else
   */
  constructor(page) {
    this.#page = page;
    $("open").addEventListener("click", () => $("file").click());
    receive({ over: $("over"), onFile: (file, handle) => this.#any(file, handle) });
    chosen($("file"), (file) => this.#settings(file));
    chosen($("start-file"), (file) => this.#start(file));
  }

  #any(file, handle) {
    return this.#guarded(async () => {
      const held = await handle;
      if (held?.kind === "directory") return this.#page.own.openHeld(held);
      if (await this.#page.saved(file)) return;
      if (isCheckpoint(file.name)) return this.#page.own.openFile(file, held);
      if ((await this.#restored(file)) !== true) await this.#begin(file);
    });
  }

  #settings(file) {
    return this.#guarded(async () => {
      const found = await this.#restored(file);
      if (found instanceof Error) throw found;
      if (!found) throw new Error("This picture carries no settings. Pictures saved by Fourstep or A1111 do.");
    });
  }

  #start(file, prompt, then = () => {}) {
    return this.#guarded(async () => {
      await this.#begin(file, prompt);
      then();
    });
  }

  async #guarded(act) {
    this.#page.status.clear();
    try {
      await act();
    } catch (error) {
      this.#page.trouble(error);
    }
  }

  /** Whether the file had settings, which are then restored; an error where they cannot be read. */
  async #restored(file) {
    if (file.type !== PNG) return false;
    const { engine, status, restore } = this.#page;
    let found;
    try {
      found = await engine.settings(file);
    } catch (error) {
      if (error.name === "WorkerDied") throw error;
      return error;
    }
    if (!found) return false;
    const notes = [...found.notes, await restore(found)];
    const begin = { label: "Start from this picture", act: () => this.#start(file, found.prompt) };
    const edit = { label: EDIT, act: () => this.#start(file, found.prompt, () => this.#page.edit()) };
    status.notice(`Settings taken from the picture. ${notes.join(" ")}`.trim(), [begin, edit]);
    return true;
  }

  async #begin(file, prompt) {
    let image;
    try {
      image = await imageOf(file);
    } catch {
      const work = "PNG, JPEG and WebP work, and models in .safetensors or .gguf files.";
      throw new Error(`“${file.name}” is not a picture that this browser can read. ${work}`);
    }
    this.#page.start(image, prompt);
    const words = "This is the start picture now. Mark the part to redraw, or leave it unmarked to redraw all of it.";
    this.#page.status.notice(words, [{ label: EDIT, act: () => this.#page.edit() }]);
  }
}
