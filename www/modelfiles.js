// Brings a model's files to the worker: manifest, download with progress in bytes, check of size and
// SHA-256, and a cache keyed by hash, so that a second visit fetches nothing and an old file never
// meets a new manifest.

/**
 * @typedef {{path: string, size: number, sha256: string}} ModelFile size in bytes, sha256 in lower-case hex
 * @typedef {{name: string, licence?: string, files: ModelFile[], examples?: string[],
 *            defaults: {steps: number, guidance_scale: number, width: number, height: number}}} Manifest
 */

/** A model file or list that is missing, damaged or unreadable; the message names it. */
export class ModelFileError extends Error {
  name = "ModelFileError";
}

/** Finds a model in `models/index.json` (the first one when `id` is absent) and reads its manifest.
 *  @param {URL} index @returns {Promise<{id: string, base: URL, manifest: Manifest, models: {id: string, name?: string}[]}>} */
export async function findModel(index, id) {
  const { models } = await readJson(index, "models/index.json");
  const entry = id === undefined ? models?.[0] : models?.find((model) => model.id === id);
  if (!entry)
    throw new ModelFileError(
      id === undefined ? "models/index.json lists no model." : `There is no model called “${id}” here.`,
    );
  const base = new URL(entry.path, index);
  const manifest = await readJson(new URL("fourstep.json", base), `models/${entry.path}fourstep.json`);
  if (!Array.isArray(manifest.files) || !manifest.defaults) {
    throw new ModelFileError(
      `models/${entry.path}fourstep.json is no model manifest: “files” or “defaults” is missing.`,
    );
  }
  return { id: entry.id, base, manifest, models };
}

/** Sum of the file sizes, in bytes. */
export function totalBytes(manifest) {
  return manifest.files.reduce((sum, file) => sum + file.size, 0);
}

/** Whether every file is kept already, so that loading fetches nothing. */
export async function isCached(model) {
  const cache = await openCache(model.id);
  if (!cache) return false;
  const found = await Promise.all(model.manifest.files.map((file) => cache.match(cacheKey(model, file))));
  return found.every(Boolean);
}

/**
 * Every file of the model, checked against the manifest.
 * @param {(loaded: number, total: number) => void} onProgress in bytes
 * @returns {Promise<{files: {path: string, bytes: Uint8Array}[], warnings: string[]}>}
 * @throws {ModelFileError} naming the first file that is missing, truncated or altered
 */
export async function loadFiles(model, { signal, onProgress }) {
  if (!globalThis.crypto?.subtle) {
    throw new ModelFileError("The model cannot be checked here: browsers allow that only over https or on localhost.");
  }
  const cache = await openCache(model.id);
  const stop = new AbortController();
  signal?.addEventListener("abort", () => stop.abort(signal.reason), { once: true });
  const total = totalBytes(model.manifest);
  let loaded = 0;
  const warnings = new Set(
    cache ? [] : ["This browser keeps no files for this page: the model is fetched again at every visit."],
  );
  const job = { model, cache, warnings, signal: stop.signal, advance: (bytes) => onProgress((loaded += bytes), total) };
  try {
    const files = await Promise.all(model.manifest.files.map((file) => loadFile(job, file)));
    await dropOldFiles(job);
    return { files, warnings: [...warnings] };
  } catch (error) {
    stop.abort(error);
    throw error;
  }
}

async function loadFile(job, file) {
  const kept = await fromCache(job, file);
  if (kept) return { path: file.path, bytes: kept };
  const bytes = await download(job, file);
  const hash = await sha256(bytes);
  if (hash !== file.sha256) {
    throw new ModelFileError(
      `The model file “${file.path}” is damaged or altered: its checksum is not the one in the manifest.`,
    );
  }
  try {
    await job.cache?.put(cacheKey(job.model, file), new Response(bytes));
  } catch {
    job.warnings.add("There is no room to keep the model: it will be fetched again at the next visit.");
  }
  return { path: file.path, bytes };
}

async function fromCache(job, file) {
  const response = await job.cache?.match(cacheKey(job.model, file));
  if (!response) return null;
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.length !== file.size || (await sha256(bytes)) !== file.sha256) {
    await job.cache.delete(cacheKey(job.model, file));
    return null;
  }
  job.advance(bytes.length);
  return bytes;
}

async function download(job, file) {
  const response = await fetchFile(new URL(file.path, job.model.base), file.path, {
    signal: job.signal,
    cache: "no-store",
  });
  const bytes = new Uint8Array(file.size);
  let filled = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      if (job.signal.aborted) throw error;
      throw new ModelFileError(
        `The connection broke while fetching “${file.path}”, after ${filled} of ${file.size} bytes.`,
      );
    });
    if (done) break;
    if (filled + value.length > file.size) {
      await reader.cancel();
      throw new ModelFileError(
        `The model file “${file.path}” is altered: it is longer than the ${file.size} bytes in the manifest.`,
      );
    }
    bytes.set(value, filled);
    filled += value.length;
    job.advance(value.length);
  }
  if (filled < file.size)
    throw new ModelFileError(`The model file “${file.path}” is cut short: ${filled} of ${file.size} bytes.`);
  return bytes;
}

async function fetchFile(url, name, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ModelFileError(`The file “${name}” could not be fetched. Is the connection working?`);
  }
  if (!response.ok) throw new ModelFileError(`The file “${name}” is missing on the server (HTTP ${response.status}).`);
  return response;
}

async function readJson(url, name) {
  const response = await fetchFile(url, name, { cache: "no-cache" });
  try {
    return await response.json();
  } catch {
    throw new ModelFileError(`The file “${name}” is not valid JSON.`);
  }
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The model's cache, or null where the browser gives none (private windows, storage denied). */
async function openCache(id) {
  try {
    return await caches.open(`fourstep-model-${id}`);
  } catch {
    return null;
  }
}

function cacheKey(model, file) {
  return new URL(`sha256/${file.sha256}`, model.base).href;
}

async function dropOldFiles({ model, cache }) {
  if (!cache) return;
  const wanted = new Set(model.manifest.files.map((file) => cacheKey(model, file)));
  for (const request of await cache.keys()) if (!wanted.has(request.url)) await cache.delete(request);
}
