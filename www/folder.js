// A model of the user's own: a folder that is picked on this computer, in the layout of diffusers. Its files are read where
// they lie; nothing of it is sent or kept.

const INDEX = "model_index.json";
const MANIFEST = "fourstep.json";
const ID = "folder/"; // before the folder's name: no id of a host's list begins so

/** @typedef {{id: string, name: string, bytes: number, bits?: number, files: {path: string, blob: File}[], manifest: object,
 *             defaults?: object}} Folder `manifest`: what its fourstep.json says, or {}; `defaults`: Ask.LOAD's, once it was loaded */

/** Whether a model of this id was a folder. */
export function isFolder(id) {
  return Boolean(id?.startsWith(ID));
}

/** Where the browser lets no page read a folder, `field` goes.
 *  @param {{field: HTMLElement, open: HTMLButtonElement, input: HTMLInputElement, bits: HTMLSelectElement}} parts
 *  @param {{opened: (folder: Folder) => void, trouble: (error: Error) => void}} acts */
export function pickFolders({ field, open, input, bits }, { opened, trouble }) {
  field.hidden = !("webkitdirectory" in input);
  bits.addEventListener("input", (event) => event.stopPropagation()); // it is no setting of the picture
  open.addEventListener("click", () => input.click());
  input.addEventListener("change", async () => {
    const files = [...input.files];
    input.value = "";
    if (!files.length) return;
    try {
      opened(await folderOf(files, Number(bits.value) || undefined));
    } catch (error) {
      trouble(error);
    }
  });
}

/** @param {File[]} picked with their paths below the folder that was picked @returns {Promise<Folder>} */
async function folderOf(picked, bits) {
  const name = picked[0].webkitRelativePath.split("/")[0];
  const inside = picked.map((blob) => ({ path: blob.webkitRelativePath.slice(name.length + 1), blob }));
  const files = inside.filter(({ path }) => !/(^|\/)\./.test(path)); // what a version control or a system put there
  if (!files.some(({ path }) => path === INDEX))
    throw new Error(`The folder “${name}” holds no model: it has no file ${INDEX}. Choose the folder that has one.`);
  const bytes = files.reduce((sum, { blob }) => sum + blob.size, 0);
  return { id: ID + name, name, bytes, bits, files, manifest: await manifestOf(files) };
}

async function manifestOf(files) {
  const file = files.find(({ path }) => path === MANIFEST);
  if (!file) return {};
  try {
    return JSON.parse(await file.blob.text());
  } catch {
    throw new Error(`The file “${MANIFEST}” in the folder is not valid JSON.`);
  }
}
