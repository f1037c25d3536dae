// Files in and out of the page: a download, a link or a picture to the clipboard or to another program, and files that are
// dropped, pasted or chosen.

import { make } from "./dom.js";

/** Hands a file to the browser to save. */
export function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** `fourstep-a-green-fox-7.png` for these settings. @param {{prompt?: string, seed?: string}} settings */
export function fileName({ prompt = "", seed }, kind = "") {
  const words = prompt
    .toLowerCase()
    .normalize("NFC")
    .match(/[\p{L}\p{N}]+/gu) ?? ["sticker"];
  return `fourstep-${words.join("-").slice(0, 48)}-${seed}${kind}.png`;
}

/** Whether this browser can hand something to another program. */
export const canShare = typeof navigator.share === "function";

/** Whether it can hand over this file. @param {File} file */
export function canShareFile(file) {
  return Boolean(navigator.canShare?.({ files: [file] }));
}

/** Resolves to whether it was shared; false when the user thought better of it. @param {ShareData} what */
export async function share(what) {
  try {
    await navigator.share(what);
    return true;
  } catch (error) {
    if (error.name === "AbortError") return false;
    throw error;
  }
}

/** Puts text on the clipboard. @throws {Error} where the browser does not allow it */
export async function copy(text) {
  if (!navigator.clipboard) throw new Error("This browser does not let the page use the clipboard.");
  await navigator.clipboard.writeText(text);
}

/** Puts a picture on the clipboard. @param {Promise<Blob>} png @throws {Error} where the browser does not allow it */
export async function copyImage(png) {
  if (!navigator.clipboard?.write) throw new Error("This browser does not let the page copy pictures. Download it instead.");
  await navigator.clipboard.write([new ClipboardItem({ "image/png": png })]); // some browsers ask that it begins with the click
}

/** Calls `onFile` for a file that is chosen with `input`. @param {HTMLInputElement} input @param {(file: File) => void} onFile */
export function chosen(input, onFile) {
  input.addEventListener("change", () => {
    if (input.files[0]) onFile(input.files[0]);
    input.value = "";
  });
}

/**
 * Calls `onFile` for a file that is dropped anywhere or pasted, a picture if there is one; `over` is shown while one is held
 * above the page. Where the browser has handles, one of a dropped file or folder comes with it.
 * @param {{over: HTMLElement, onFile: (file: File, handle?: Promise<any>) => void}} parts
 */
export function receive({ over, onFile }) {
  const isPicture = ({ type }) => type.startsWith("image/");
  const file = (data) => {
    const files = [...(data?.files ?? [])];
    return files.find(isPicture) ?? files[0];
  };
  const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let depth = 0; // a drag enters each element that it crosses before it leaves the last
  const enter = (by) => {
    depth = Math.max(0, depth + by);
    over.hidden = depth === 0;
  };
  document.addEventListener("dragenter", (event) => carries(event) && enter(1));
  document.addEventListener("dragleave", (event) => carries(event) && enter(-1));
  document.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!carries(event)) return;
    const taken = event.defaultPrevented; // by the part of the page that it was dropped on
    event.preventDefault();
    enter(-depth);
    const dropped = taken ? null : file(event.dataTransfer);
    if (dropped) onFile(dropped, handleOf(event.dataTransfer, dropped));
  });
  document.addEventListener("paste", (event) => {
    const pasted = file(event.clipboardData);
    if (!pasted) return; // text goes where it is pasted
    event.preventDefault();
    onFile(pasted);
  });
}

/** A dropped file's handle, or null; it must be asked for while the event is handled. @param {DataTransfer} data @param {File} file */
async function handleOf(data, file) {
  const items = [...data.items].filter(({ kind }) => kind === "file");
  const item = /** @type {any} */ (items[[...data.files].indexOf(file)]);
  try {
    return (await item?.getAsFileSystemHandle?.()) ?? null;
  } catch {
    return null;
  }
}
