// Models of the user's own, as they were picked on this computer: a folder in the layout of diffusers, one checkpoint, or a folder
// with one checkpoint and what it lacks. The files are read where they lie; nothing of them is sent or kept.

const INDEX = "model_index.json";
const MANIFEST = "fourstep.json";
const FOLDER = "folder/"; // before a folder's name: no id of a host's list begins so
const FILE = "file/";
const CHECKPOINT = /\.(safetensors|sft|gguf|ckpt|pt|pth|bin)$/i;
const OF_FOLDER = /^unet\/.*\.(safetensors|bin)(\.index\.json)?$/; // where the layout of diffusers has weights

/**
 * @typedef {{path: string, blob: File}} OwnFile
 * @typedef {{id: string, name: string, bytes: number, files: OwnFile[], single?: string, bits?: 8|4, prediction?: string,
 *            manifest: {examples?: string[]}, demand?: import("./device.js").Demand, defaults?: object}} OwnModel
 *   `single`: the path of the checkpoint that is seen as a folder; `bits`: what its weights are put into on the way, and
 *   `prediction`: what its network predicts, both where that was chosen; `manifest`: what its fourstep.json says, or {};
 *   `demand`: what it needs, once that is known; `defaults`: Ask.LOAD's, once it was loaded
 */

/** Whether a model of this id was the user's own. */
export function isOwn(id) {
  return Boolean(id?.startsWith(FOLDER) || isFile(id));
}

/** Whether it was one file. */
export function isFile(id) {
  return Boolean(id?.startsWith(FILE));
}

/** Whether a file of this name is meant to be a model, one that can be read or not. */
export function isCheckpoint(name) {
  return CHECKPOINT.test(name);
}

/** @param {File} file @returns {OwnModel} */
export function modelInFile(file) {
  const { name, size } = file;
  return { id: FILE + name, name, bytes: size, files: [{ path: name, blob: file }], single: name, manifest: {} };
}

/** @param {string} name the folder's @param {OwnFile[]} inside @returns {Promise<OwnModel>} @throws {Error} where it holds no model */
export async function modelInFolder(name, inside) {
  const files = inside.filter(({ path }) => !/(^|\/)\./.test(path)); // without what a version control or a system put there
  const single = checkpointIn(name, files);
  const read = single ? files.filter(({ path }) => path === single) : files;
  const bytes = read.reduce((sum, { blob }) => sum + blob.size, 0);
  return { id: FOLDER + name, name, bytes, files, single, manifest: single ? {} : await manifestOf(files) };
}

/** The name of a folder and what is in it, from an input that picks folders. @param {File[]} picked */
export function folderPicked(picked) {
  const name = picked[0].webkitRelativePath.split("/")[0];
  return { name, inside: picked.map((blob) => ({ path: blob.webkitRelativePath.slice(name.length + 1), blob })) };
}

/** The same from a folder's handle. @param {any} handle a FileSystemDirectoryHandle */
export async function folderHeld(handle) {
  return { name: handle.name, inside: await below(handle, "") };
}

/** @returns {Promise<OwnFile[]>} */
async function below(handle, path) {
  const found = [];
  for await (const [name, one] of handle.entries()) {
    if (name.startsWith(".")) continue;
    if (one.kind === "directory") found.push(...(await below(one, `${path}${name}/`)));
    else found.push({ path: path + name, blob: await one.getFile() });
  }
  return found;
}

/** The one checkpoint of a folder that is none of diffusers'. @param {OwnFile[]} files @returns {string | undefined} */
function checkpointIn(name, files) {
  const paths = files.map(({ path }) => path).sort();
  const checkpoints = paths.filter((path) => !path.includes("/") && isCheckpoint(path));
  const isFolder = paths.includes(INDEX) && (checkpoints.length === 0 || paths.some((path) => OF_FOLDER.test(path)));
  if (isFolder) return undefined;
  if (checkpoints.length === 1) return checkpoints[0];
  const why = checkpoints.length ? `several models (${checkpoints.slice(0, 3).join(", ")})` : `no model: it has no file ${INDEX}`;
  const what = checkpoints.length ? "Open one of these files." : "Choose the folder that has one, or the file of a checkpoint.";
  throw new Error(`The folder “${name}” holds ${why}. ${what}`);
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
