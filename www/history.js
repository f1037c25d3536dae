// What was drawn, saved in this browser: pictures as PNG files with their settings, the newest `LIMIT` of them.

const NAME = "fourstep";
const STORE = "pictures";
/** So many are kept; then the oldest go. */
export const LIMIT = 200;

/** @typedef {{id?: number, time: number, settings: import("./link.js").Settings, infotext: string, png: Blob,
 *             start?: {image: Blob, mask?: Blob}}} Kept `start`: the picture that it was made from */

export class History {
  #opening;

  /** Every picture, the newest first. @returns {Promise<Kept[]>} */
  async all() {
    const all = await this.#run("readonly", (store) => store.getAll());
    return all.reverse();
  }

  /** Saves one; resolves to its id and the ids that had to go. @param {Kept} picture */
  async add(picture) {
    const id = await this.#run("readwrite", (store) => store.add(picture));
    const ids = await this.#run("readonly", (store) => store.getAllKeys());
    const gone = ids.slice(0, Math.max(0, ids.length - LIMIT));
    if (gone.length) await this.#run("readwrite", (store) => store.delete(IDBKeyRange.upperBound(gone.at(-1))));
    return { id, gone };
  }

  /** Brings back pictures that were removed, each in its old place. @param {Kept[]} pictures */
  restore(pictures) {
    return this.#run("readwrite", (store) => pictures.map((picture) => store.put(picture)).at(-1));
  }

  remove(id) {
    return this.#run("readwrite", (store) => store.delete(id));
  }

  clear() {
    return this.#run("readwrite", (store) => store.clear());
  }

  /** @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest} act @returns {Promise<any>} */
  async #run(mode, act) {
    const database = await (this.#opening ??= open().catch((error) => {
      this.#opening = undefined;
      throw error;
    }));
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error ?? request.error);
    });
  }
}

/** @returns {Promise<IDBDatabase>} */
function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id", autoIncrement: true });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("another tab holds the pictures"));
  });
}
