// The model of the user's own that was opened last, by the browser's handle of its file or folder, where the browser has handles:
// the next visit opens it again after one click. What the file holds is not kept.

const NAME = "fourstep-own";
const STORE = "handles";
const KEY = "last";

/** @typedef {{id: string, name: string, handle: any, bits: string, prediction?: string}} Remembered `handle`: a FileSystemHandle;
 *            `bits`: what was chosen, as the field has it */

/** @returns {Promise<Remembered | null>} */
export async function remembered() {
  return (await run("readonly", (store) => store.get(KEY))) ?? null;
}

/** @param {Remembered} one @returns {Promise<boolean>} whether it is remembered now */
export async function rememberOwn(one) {
  return (await run("readwrite", (store) => store.put(one, KEY))) !== null;
}

export function forgetOwn() {
  return run("readwrite", (store) => store.delete(KEY));
}

/** Whether the page may read it; asks the user where it must, and so belongs to a click. @param {any} handle */
export async function isAllowed(handle) {
  const how = { mode: "read" };
  return (await handle.queryPermission(how)) === "granted" || (await handle.requestPermission(how)) === "granted";
}

/** The request's result, or null where the browser keeps nothing. @param {IDBTransactionMode} mode
 *  @param {(store: IDBObjectStore) => IDBRequest} act @returns {Promise<any>} */
function run(mode, act) {
  return new Promise((resolve) => {
    const none = () => resolve(null);
    try {
      const opening = indexedDB.open(NAME, 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
      opening.onerror = opening.onblocked = none;
      opening.onsuccess = () => {
        const database = opening.result;
        const transaction = database.transaction(STORE, mode);
        const request = act(transaction.objectStore(STORE));
        transaction.oncomplete = () => (database.close(), resolve(request.result));
        transaction.onabort = () => (database.close(), none());
      };
    } catch {
      none(); // storage denied, or a handle that cannot be kept
    }
  });
}
