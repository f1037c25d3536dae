// Fetches one file into memory: goes on where a download broke off, where the server can (HTTP Range),
// and says in words what went wrong.

const ATTEMPTS = 3; // tries in a row, as long as each brings something
const PAUSE_MS = 500;
const ANSWER_MS = 5000; // how long a server may take to say whether it redirects

/** A model file or list that is missing, damaged or unreadable; the message names it. */
export class ModelFileError extends Error {
  name = "ModelFileError";
  /** Whether no server answered at all. */
  unreachable = false;
  /** Whether the server has another file under this name, so that nothing of it is worth keeping. */
  altered = false;
}

/**
 * @typedef {{url: URL, name: string, bytes: Uint8Array, from: number, signal?: AbortSignal,
 *            onBytes: (filled: number) => unknown}} Job `onBytes` hears how far the bytes are filled, which goes back to 0
 *            where the server sends the whole file again, and may return a promise to be waited for
 */

/**
 * Fills `bytes` from offset `from` on with what `url` holds there.
 * @param {Job} job
 * @throws {ModelFileError} when the file is missing, longer or shorter than `bytes`, or the connection broke
 */
export async function download(job) {
  let { from } = job;
  for (let attempt = 1; ; attempt++) {
    const reached = await downloadOnce(job, from);
    if (reached.done) return;
    if (attempt === ATTEMPTS || reached.filled <= from) throw broken(job, reached.filled);
    from = reached.filled;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    job.signal?.throwIfAborted();
  }
}

/** The response to a plain GET. @throws {ModelFileError} when there is none, or it is not a success */
export async function get(url, name, options = {}) {
  return sent(name, await request(url, name, options));
}

/** @param {Job} job @param {number} from */
async function downloadOnce({ url, name, bytes, signal, onBytes }, from) {
  const response = sent(name, await requestFrom(url, name, signal, from));
  let filled = response.status === 206 ? from : 0;
  if (filled !== from) await onBytes(filled);
  const reader = response.body.getReader();
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (signal?.aborted) throw error;
      return { done: false, filled };
    }
    if (part.done) break;
    if (filled + part.value.length > bytes.length) {
      await reader.cancel();
      throw longer(name, bytes.length);
    }
    bytes.set(part.value, filled);
    filled += part.value.length;
    await onBytes(filled);
  }
  if (filled < bytes.length) throw new ModelFileError(`The model file “${name}” is incomplete: ${filled} of ${bytes.length} bytes.`);
  return { done: true, filled };
}

/** The file from `from` on, or all of it where the server has no such range, or sends another one. */
async function requestFrom(url, name, signal, from) {
  const ask = (headers) => request(url, name, { signal, headers, cache: "no-store" });
  if (from === 0) return ask({});
  const response = await ask({ Range: `bytes=${from}-` });
  const sent = response.headers.get("Content-Range"); // hidden from us on some other origins
  const fits = response.status !== 206 || sent === null || sent.trim().startsWith(`bytes ${from}-`);
  if (response.status !== 416 && fits) return response;
  await response.body?.cancel();
  return ask({});
}

// Redirects are refused: they could lead to another host, which would then know of the visit.
async function request(url, name, options) {
  try {
    return await fetch(url, { ...options, redirect: "error" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    const reason = (await redirected(url, options.signal))
      ? "the server redirects it, and model files are taken from their own address only."
      : "is the connection working?";
    const unreachable = new ModelFileError(`The file “${name}” could not be fetched: ${reason}`);
    throw Object.assign(unreachable, { unreachable: true });
  }
}

/** Whether a request failed because the server redirects it. */
async function redirected(url, signal) {
  const soon = AbortSignal.timeout(ANSWER_MS);
  const stop = signal ? AbortSignal.any([signal, soon]) : soon;
  try {
    return (await fetch(url, { method: "HEAD", redirect: "manual", cache: "no-store", signal: stop })).type === "opaqueredirect";
  } catch {
    return false;
  }
}

/** The response, if it brings the file. */
function sent(name, response) {
  const { ok, status, headers } = response;
  if (status === 404 || status === 410) throw new ModelFileError(`The file “${name}” is missing on the server (HTTP ${status}).`);
  if (!ok) throw new ModelFileError(`The server does not send the file “${name}” (HTTP ${status}). Try again later.`);
  // Some hosts answer with their start page for a file that they do not have.
  if (/^text\/html/i.test(headers.get("Content-Type") ?? "") && !name.endsWith(".html"))
    throw new ModelFileError(`The file “${name}” is missing on the server: it sent a web page instead.`);
  return response;
}

function longer(name, length) {
  const error = new ModelFileError(`The model file “${name}” is altered: it is longer than the ${length} bytes in the manifest.`);
  return Object.assign(error, { altered: true });
}

function broken({ name, bytes }, filled) {
  return new ModelFileError(
    `The connection broke while fetching “${name}”, after ${filled} of ${bytes.length} bytes. Try again to continue from there.`,
  );
}
