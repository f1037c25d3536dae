// Brings a model's files to the worker: manifest, download with progress in bytes, check of size and
// SHA-256, and a cache keyed by hash, so that a second visit fetches nothing, works without a network,
// and an old file never meets a new manifest.

import { FileCache, cacheName } from "./filecache.js";
import { ModelFileError, download, get } from "./download.js";

export { ModelFileError };

const IN_MEMORY = 300 * 2 ** 20; // bytes of files that are fetched and checked at once
const LISTS = "fourstep-lists"; // the cache of lists, manifests and other small files, for visits without a network

/**
 * @typedef {{path: string, size: number, sha256: string}} ModelFile size in bytes, sha256 in lower-case hex
 * @typedef {{sizes?: [number, number][], strengths?: [number, number], variations?: number[]}} Offers what the model draws
 *   well, all of it where a key is absent: sizes as width and height; strengths from a start picture, least and largest; how
 *   many variations at once
 * @typedef {{name: string, licence?: string, files: ModelFile[], examples?: string[], words?: string,
 *            defaults: {steps: number, guidance_scale: number, width: number, height: number}, offers?: Offers,
 *            needs?: {weights: number, largest_buffer: number, activations: number}}} Manifest
 */

/** Finds a model in `models/index.json` (the first one when `id` is absent) and reads its manifest.
 *  @param {URL} index @returns {Promise<{id: string, base: URL, manifest: Manifest, models: {id: string, name?: string}[]}>} */
export async function findModel(index, id) {
  const models = await readIndex(index);
  const entry = id === undefined ? models[0] : models.find((model) => model.id === id);
  if (!entry) throw new ModelFileError(id === undefined ? "models/index.json lists no model." : `There is no model called “${id}” here.`);
  return { ...(await readModel(index, entry)), models };
}

/** Every model of the list with its size, and whether it is kept here; without those where its manifest cannot be read.
 *  @returns {Promise<{id: string, name: string, bytes?: number, cached?: boolean}[]>} */
export async function listModels(index, models) {
  const described = async (entry) => {
    const name = entry.name ?? entry.id;
    try {
      const model = await readModel(index, entry);
      const { manifest } = model;
      return { id: entry.id, name: entry.name ?? manifest.name, bytes: totalBytes(manifest), cached: await isCached(model) };
    } catch {
      return { id: entry.id, name }; // said when somebody asks for it
    }
  };
  return Promise.all(models.map(described));
}

/** Removes the files of a model that are kept here. */
export async function forgetModel(id) {
  await caches.delete(cacheName(id));
}

async function readIndex(index) {
  const { models } = await readJson(index, "models/index.json");
  return Array.isArray(models) ? models : [];
}

async function readModel(index, entry) {
  const base = ownAddress(entry.path, index);
  const manifest = await readJson(new URL("fourstep.json", base), `models/${entry.path}fourstep.json`);
  if (!Array.isArray(manifest.files) || !manifest.defaults) {
    throw new ModelFileError(`models/${entry.path}fourstep.json is no model manifest: “files” or “defaults” is missing.`);
  }
  return { id: entry.id, base, manifest };
}

/** An address on the host of `base`. @throws {ModelFileError} where it is on another one */
function ownAddress(path, base) {
  const url = new URL(path, base);
  if (url.origin !== base.origin) throw new ModelFileError(`“${path}” is on another host, and models come from the page’s own.`);
  return url;
}

/** Sum of the file sizes, in bytes. */
export function totalBytes(manifest) {
  return manifest.files.reduce((sum, file) => sum + file.size, 0);
}

/** Whether every file is kept already, so that loading fetches nothing. */
export async function isCached(model) {
  const cache = await FileCache.open(model);
  if (!cache) return false;
  const found = await Promise.all(model.manifest.files.map((file) => cache.has(file)));
  return found.every(Boolean);
}

/**
 * Every file of the model, checked against the manifest. While it is checked a file is in memory, afterwards the browser
 * keeps it where it likes, so that a model larger than the memory can be read.
 * @param {{id: string, base: URL, manifest: Manifest}} model as findModel gives it
 * @param {{signal?: AbortSignal, onProgress: (progress: {loaded: number, total: number, secondsLeft: number | null}) => void}} options
 *        progress in bytes; seconds left as the network went so far, null while that is unknown
 * @returns {Promise<{files: {path: string, blob: Blob}[], warnings: string[]}>}
 * @throws {ModelFileError} naming the first file that is missing, truncated or altered
 */
export async function loadFiles(model, { signal, onProgress }) {
  if (!globalThis.crypto?.subtle) {
    throw new ModelFileError("The model cannot be checked here: browsers allow that only over https or on localhost.");
  }
  const cache = await FileCache.open(model);
  const stop = new AbortController();
  signal?.addEventListener("abort", () => stop.abort(signal.reason), { once: true });
  const warnings = new Set(cache ? [] : ["This browser keeps no files for this page: the model is fetched again at every visit."]);
  const job = { model, cache, warnings, signal: stop.signal, progress: new Progress(model.manifest, onProgress) };
  try {
    await cache?.keepOnly(model.manifest.files); // first, since the room may be needed
    const files = await inTurn(model.manifest.files, (file) => loadFile(job, file));
    return { files, warnings: [...warnings] };
  } catch (error) {
    stop.abort(error);
    throw error;
  }
}

/** Hands files to the wasm module, which reads ranges of them as it needs them; in a worker only.
 *  @param {{stream: (path: string, size: number, read: (from: number, length: number) => Uint8Array) => void}} store its Files
 *  @param {{path: string, blob: Blob}[]} files blobs, or files that somebody picked
 *  @param {(bytes: number) => void} [onRead] hears how many bytes are read, each time before */
export function fill(store, files, onRead = () => {}) {
  const reader = new /** @type {any} */ (globalThis).FileReaderSync();
  for (const { path, blob } of files) {
    const read = (from, length) => {
      onRead(length);
      return new Uint8Array(reader.readAsArrayBuffer(blob.slice(from, from + length)));
    };
    store.stream(path, blob.size, read);
  }
}

/** Loads every file, as many at once as have IN_MEMORY bytes together, and one at least; the results are in order. */
async function inTurn(files, load) {
  const results = [];
  const running = new Set();
  let held = 0;
  for (const [index, file] of files.entries()) {
    while (running.size > 0 && held + file.size > IN_MEMORY) await Promise.race(running);
    held += file.size;
    const task = load(file).then((result) => {
      results[index] = result;
      held -= file.size;
      running.delete(task);
    });
    task.catch(() => {}); // the first failure is thrown from here; the others are its consequences
    running.add(task);
  }
  await Promise.all(running);
  return results;
}

/** Bytes that are here, of all, and the time that the rest may take. */
class Progress {
  #loaded = 0;
  #fetched = 0;
  #since = 0;
  #total;
  #tell;

  constructor(manifest, tell) {
    this.#total = totalBytes(manifest);
    this.#tell = tell;
  }

  /** `bytes` more are here (less, when negative); `fetched`: they came over the network. */
  add(bytes, fetched) {
    this.#loaded += bytes;
    if (fetched && bytes > 0) {
      this.#since ||= performance.now();
      this.#fetched += bytes;
    }
    this.#tell({ loaded: this.#loaded, total: this.#total, secondsLeft: this.#secondsLeft() });
  }

  #secondsLeft() {
    const seconds = (performance.now() - this.#since) / 1000;
    if (!this.#since || seconds < 1) return null;
    return ((this.#total - this.#loaded) * seconds) / this.#fetched;
  }
}

async function loadFile(job, file) {
  const bytes = new Uint8Array(file.size);
  const kept = (await job.cache?.read(file, bytes)) ?? 0;
  job.progress.add(kept, false);
  if (kept < file.size) await fetchRest(job, file, bytes, kept);
  if (await matches(bytes, file)) return { path: file.path, blob: new Blob([bytes]) };
  await job.cache?.forget(file);
  if (kept > 0) {
    // What was kept may be the altered part: the whole file once more.
    job.progress.add(-file.size, false);
    await fetchRest(job, file, bytes, 0);
    if (await matches(bytes, file)) return { path: file.path, blob: new Blob([bytes]) };
    await job.cache?.forget(file);
  }
  throw new ModelFileError(`The model file “${file.path}” is damaged or altered: its checksum is not the one in the manifest.`);
}

/** Downloads the file from `from` on, and keeps its pieces as they come. */
async function fetchRest(job, file, bytes, from) {
  let filled = from;
  let kept = from;
  let keeping = job.cache !== null;
  const onBytes = async (now) => {
    job.progress.add(now - filled, true);
    filled = now;
    kept = Math.min(kept, now);
    if (!keeping) return;
    try {
      kept = await job.cache.write(file, bytes, kept, filled);
    } catch {
      keeping = false;
      await job.cache.forget(file).catch(() => {});
      job.warnings.add("There is no space to store the model. It will be downloaded again at the next visit.");
    }
  };
  const url = ownAddress(file.path, job.model.base);
  try {
    await download({ url, name: file.path, bytes, from, signal: job.signal, onBytes });
  } catch (error) {
    if (error.altered) await job.cache?.forget(file).catch(() => {});
    throw error;
  }
}

async function matches(bytes, file) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") === file.sha256;
}

/** A list or manifest from the network, and from an earlier visit where there is none. @throws {ModelFileError} naming it */
export async function readJson(url, name) {
  const lists = await openLists();
  let text;
  try {
    text = await (await get(url, name, { cache: "no-cache" })).text();
  } catch (error) {
    const kept = error.unreachable && (await lists?.match(url));
    if (!kept) throw error;
    return kept.json();
  }
  try {
    const value = JSON.parse(text);
    await lists?.put(url, new Response(text)).catch(() => {}); // no room: only a visit without a network misses it
    return value;
  } catch {
    throw new ModelFileError(`The file “${name}” is not valid JSON.`);
  }
}

/** A small file of the page, which is kept for visits without a network once it has proved right.
 *  @param {URL} url @returns {Promise<{bytes: Uint8Array, keep: () => Promise<void>}>} @throws {ModelFileError} naming it */
export async function readSmall(url, name) {
  const lists = await openLists();
  const kept = await lists?.match(url);
  const bytes = new Uint8Array(await (kept ?? (await get(url, name))).arrayBuffer());
  const keep = async () => {
    if (!kept) await lists?.put(url, new Response(bytes)).catch(() => {}); // no room: only a visit without a network misses it
  };
  return { bytes, keep };
}

async function openLists() {
  try {
    return await caches.open(LISTS);
  } catch {
    return null; // storage denied
  }
}
