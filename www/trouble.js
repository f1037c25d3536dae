// What the page says of trouble, and what it offers: the one place where an error becomes words.

import { Cause } from "./messages.js";

const DEEPER = { what: "Going deeper", purpose: "go deeper", kept: "Your picture and the model are as they were." };

/**
 * @param {Error & {cause?: any, started?: boolean}} error of the worker, or of the page itself
 * @param {{width?: number, height?: number, multiple?: number, smallest?: number}} request what was being drawn
 * @returns {{message: string, detail: string, offer: {label: string, device?: 'cpu', width?: number, height?: number}}}
 *   `offer`: what the button does before it draws again
 */
export function explain(error, request = {}) {
  if (error.name === "WorkerDied") return died(error, request);
  if (/no WebGPU device/.test(error.message)) {
    const message = "The graphics adapter could not be used. The CPU draws the same picture, more slowly.";
    return { message, detail: error.message, offer: { label: "Draw on the CPU", device: "cpu" } };
  }
  return { message: error.message, detail: typeof error.cause === "string" ? error.cause : "", offer: { label: "Try again" } };
}

/** The same for a fit by "Go deeper", or for another one. @param {Error & {cause?: any}} error
 *  @param {any} [words] `{what, purpose, kept}` @returns {Error} in words, for {@link explain} */
export function explainFit(error, { what, purpose, kept } = DEEPER) {
  if (error.name !== "WorkerDied") return new Error(`${what} failed: ${error.message.replace(/\.?$/, ".")} ${kept}`);
  const full = error.cause === Cause.OUT_OF_MEMORY;
  return new Error(full ? `There was not enough memory to ${purpose}. ${kept}` : `${what} stopped unexpectedly. ${kept}`, {
    cause: error.message,
  });
}

/** Half the size, rounded to what the model can draw, or null when that is less than `smallest`. */
export function smaller({ width, height, multiple = 8, smallest = 64 }) {
  const half = (size) => Math.floor(size / 2 / multiple) * multiple;
  if (!width || !height || Math.min(half(width), half(height)) < smallest) return null;
  return { width: half(width), height: half(height) };
}

/** Hears of errors of the page's own code that nobody caught. @param {(error: Error) => void} show */
export function watchPage(show) {
  const told = (reason) => {
    const words = reason?.message ?? String(reason ?? "unknown");
    show(new Error(`Something went wrong in the page itself (${words}). If it happens again, reload the page.`));
  };
  addEventListener("error", (event) => event.error && told(event.error));
  addEventListener("unhandledrejection", (event) => told(event.reason));
}

function died(error, request) {
  const again = { label: "Try again" };
  const detail = error.message;
  if (error.cause === Cause.DEVICE_LOST) {
    const message = "The graphics device was lost: the system or the browser took it back. Try again; nothing has to be fetched.";
    return { message, detail, offer: again };
  }
  if (error.cause === Cause.OUT_OF_MEMORY) return outOfMemory(detail, request);
  if (!error.started) {
    return { message: "The drawing program could not be started. Is the connection working?", detail, offer: again };
  }
  return { message: "Drawing stopped unexpectedly. Try again; nothing has to be fetched.", detail, offer: again };
}

function outOfMemory(detail, request) {
  const size = smaller(request);
  const what = request.width ? ` for ${request.width} × ${request.height} pixels` : "";
  if (size) {
    const label = `Draw ${size.width} × ${size.height}`;
    return { message: `There was not enough memory${what}. A smaller picture needs less.`, detail, offer: { label, ...size } };
  }
  const message = `There was not enough memory${what}. Closing other tabs may help.`;
  return { message, detail, offer: { label: "Try again" } };
}
