// Keeps a model's files between visits, in pieces of one megabyte under the file's SHA-256. A file is
// whole when all its pieces are there; a download that broke off goes on after the last one. Nothing
// read from here is trusted: the caller checks the hash of the whole file before it is used.

const PIECE = 2 ** 20; // bytes

/** Each model has a cache of its own, so that one can go without the others. */
export function cacheName(id) {
  return `fourstep-model-${id}`;
}

export class FileCache {
  #cache;
  #base;

  constructor(cache, base) {
    this.#cache = cache;
    this.#base = base;
  }

  /** The cache of a model, or null where the browser gives none (private windows, storage denied). */
  static async open({ id, base }) {
    try {
      return new FileCache(await caches.open(cacheName(id)), base);
    } catch {
      return null;
    }
  }

  /** Whether all pieces of the file are kept. */
  async has(file) {
    const found = await Promise.all(this.#keys(file).map((key) => this.#cache.match(key)));
    return found.every(Boolean);
  }

  /** Fills `bytes`, as long as the file, from its start as far as pieces are kept. Returns how many bytes those are. */
  async read(file, bytes) {
    let filled = 0;
    for (const key of this.#keys(file)) {
      const response = await this.#cache.match(key);
      const piece = response && new Uint8Array(await response.arrayBuffer());
      if (piece?.length !== Math.min(PIECE, file.size - filled)) break;
      bytes.set(piece, filled);
      filled += piece.length;
    }
    return filled;
  }

  /** Keeps the pieces that lie whole between `from` and `to` of `bytes`; returns where the last one ends.
   *  @throws {DOMException} QuotaExceededError when there is no room */
  async write(file, bytes, from, to) {
    const end = to === file.size ? to : to - (to % PIECE);
    for (let at = from; at < end; at += PIECE) {
      const piece = bytes.subarray(at, Math.min(at + PIECE, end));
      await this.#cache.put(this.#key(file, at / PIECE), new Response(piece));
    }
    return Math.max(from, end);
  }

  /** Removes what is kept of the file. */
  async forget(file) {
    await Promise.all(this.#keys(file).map((key) => this.#cache.delete(key)));
  }

  /** Removes the model's files that are not among these. */
  async keepOnly(files) {
    const wanted = new Set(files.flatMap((file) => this.#keys(file)));
    for (const { url } of await this.#cache.keys()) if (url.startsWith(this.#base.href) && !wanted.has(url)) await this.#cache.delete(url);
  }

  #keys(file) {
    return Array.from({ length: Math.ceil(file.size / PIECE) }, (_, index) => this.#key(file, index));
  }

  #key(file, index) {
    return new URL(`sha256/${file.sha256}/${index}`, this.#base).href;
  }
}
