// Files in and out of the page: a download, a link to the clipboard or to another program, and pictures that are
// dropped, pasted or chosen.

/** Hands a file to the browser to keep. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** `fourstep-a-green-fox-7.png` for these settings. */
export function fileName({ prompt, seed }, kind = "") {
  const words = prompt
    .toLowerCase()
    .normalize("NFC")
    .match(/[\p{L}\p{N}]+/gu) ?? ["sticker"];
  return `fourstep-${words.join("-").slice(0, 48)}-${seed}${kind}.png`;
}

/** Whether this browser can hand a link to another program. */
export const canShare = typeof navigator.share === "function";

/** Resolves to whether it was shared; false when the user thought better of it. */
export async function share(url, title) {
  try {
    await navigator.share({ title, url });
    return true;
  } catch (error) {
    if (error.name === "AbortError") return false;
    throw error;
  }
}

/** Puts text on the clipboard. @throws {Error} where the browser does not allow it */
export async function copy(text) {
  if (!navigator.clipboard) throw new Error("This browser lets no page use the clipboard here.");
  await navigator.clipboard.writeText(text);
}

/** Calls `onFile` for a file that is chosen with `input`. @param {HTMLInputElement} input @param {(file: File) => void} onFile */
export function chosen(input, onFile) {
  input.addEventListener("change", () => {
    if (input.files[0]) onFile(input.files[0]);
    input.value = "";
  });
}

/**
 * Calls `onFile` for a picture that is dropped anywhere or pasted; `over` is shown while one is held above the page.
 * @param {{over: HTMLElement, onFile: (file: File) => void}} parts
 */
export function receive({ over, onFile }) {
  const file = (data) => [...(data?.files ?? [])].find(({ type }) => type.startsWith("image/"));
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
    event.preventDefault();
    enter(-depth);
    const dropped = file(event.dataTransfer);
    if (dropped) onFile(dropped);
  });
  document.addEventListener("paste", (event) => {
    const pasted = file(event.clipboardData);
    if (!pasted) return; // text goes where it is pasted
    event.preventDefault();
    onFile(pasted);
  });
}
