// In the worker: digits as they are read from files.
import { Pictures, chunks, fibonacci, idx_item, idx_shape, rows } from "./pkg/fourstep_how.js";

const OURS = ["images-idx3", "labels-idx1"];
const MOST = 60_000;
const kept = new Map();

/**
 * The pictures of a set, "train" or "t10k": those that ship, or the reader's own `files`, one of pictures and one of
 * labels, whose order does not matter.
 */
export async function readPictures(set, files) {
  const key = files?.length ? files.map(({ name, size, lastModified }) => `${name} ${size} ${lastModified}`).join() : set;
  if (kept.has(key)) return kept.get(key);
  const pair = files?.length ? await ordered(files) : await Promise.all(OURS.map((kind) => fetched(`${set}-${kind}-ubyte.gzip`)));
  const read = Pictures.read(pair[0].name, pair[0].bytes, pair[1].name, pair[1].bytes, MOST);
  kept.clear();
  kept.set(key, read);
  return read;
}

/** The header, one picture and what it shows, and the first pictures of the set. */
export async function openFile({ set, files, item }) {
  const [images] = files?.length ? await ordered(files) : [await fetched(`${set}-${OURS[0]}-ubyte.gzip`)];
  const shape = idx_shape(images.name, images.bytes);
  const bytes = idx_item(images.name, images.bytes, item);
  const all = await readPictures(set, files);
  const first = Array.from({ length: Math.min(60, all.count()) }, (_, i) => all.picture(i));
  return { name: images.name, size: images.bytes.length, shape, bytes, first, labels: all.labels() };
}

export async function cutIntoRows({ set, files, item, width }) {
  return { rows: rows((await readPictures(set, files)).picture(item), width) };
}

export async function oneNumber({ set, files, item, row, column }) {
  const all = await readPictures(set, files);
  return { number: all.number_at(item, row, column), picture: all.picture(item) };
}

export function cutIntoChunks({ text, size }) {
  return { pieces: chunks(text, size) };
}

export function generate({ n }) {
  return { numbers: Array.from(fibonacci(n), String) };
}

/** Pictures first, then labels: labels are the smaller file. */
async function ordered(files) {
  if (files.length !== 2)
    throw new Error(`Two files are needed, one of pictures and one of labels; here is ${files.length === 1 ? "one" : files.length}.`);
  const [labels, images] = [...files].sort((a, b) => a.size - b.size);
  return Promise.all([images, labels].map(async (file) => ({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) })));
}

async function fetched(name) {
  const answer = await fetch(new URL(`digits/${name}`, import.meta.url));
  if (!answer.ok) throw new Error(`${name} could not be fetched (${answer.status})`);
  return { name, bytes: new Uint8Array(await answer.arrayBuffer()) };
}
