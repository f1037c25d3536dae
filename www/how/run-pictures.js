// In the worker: digits as they are read from files.
import { Pictures, chunks, fibonacci, idx_item, idx_shape, rows } from "./pkg/fourstep_how.js";

const OURS = ["images-idx3", "labels-idx1"];
const MOST = 60_000;
const TEST = /t10k|test/i; // in the name of a file to test with
const kept = new Map();

/**
 * The pictures of a set, "train" or "t10k": those that ship, or the reader's own `files`, in any order: pictures and labels
 * to learn from, and perhaps as many to test with. Where these are missing, the last sixth of the others is the test.
 * @param {string} set @param {File[]} [files]
 */
export async function readPictures(set, files) {
  const source = files?.length ? files.map(({ name, size, lastModified }) => `${name} ${size} ${lastModified}`).join() : "ours";
  const key = `${set} of ${source}`;
  if (kept.has(key)) return kept.get(key);
  for (const other of kept.keys()) if (!other.endsWith(source)) kept.delete(other);
  const read = files?.length === 2 ? parted(await readPair(set, files), set) : await readPair(set, files);
  kept.set(key, read);
  return read;
}

async function readPair(set, files) {
  const pair = files?.length ? await ordered(set, files) : await Promise.all(OURS.map((kind) => fetched(`${set}-${kind}-ubyte.gzip`)));
  return Pictures.read(pair[0].name, pair[0].bytes, pair[1].name, pair[1].bytes, MOST);
}

/** The first five sixths to learn from, or the rest to test with. */
function parted(all, set) {
  const border = Math.ceil((5 / 6) * all.count());
  try {
    return set === "train" ? all.part(0, border) : all.part(border, all.count());
  } finally {
    all.free();
  }
}

/** The header, one picture and what it shows, and the first pictures of the set. */
export async function openFile({ set, files, item }) {
  const [images] = files?.length ? await ordered(set, files) : [await fetched(`${set}-${OURS[0]}-ubyte.gzip`)];
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

/** The files of a set: pictures first, then labels, which are the smaller file. */
async function ordered(set, files) {
  const tests = files.filter(({ name }) => TEST.test(name));
  const whole = files.length === 2 || (files.length === 4 && tests.length === 2);
  if (!whole) {
    if (files.length === 1) idx_shape(files[0].name, await bytesOf(files[0])); // says what it is, if it is no IDX file
    throw new Error(
      `Two files are needed, one of pictures and one of labels, or MNIST's four with their names; here ${files.length === 1 ? "is one" : `are ${files.length}`}.`,
    );
  }
  const pair = files.length === 2 ? files : files.filter((file) => tests.includes(file) === (set !== "train"));
  const [labels, images] = [...pair].sort((a, b) => a.size - b.size);
  return Promise.all([images, labels].map(async (file) => ({ name: file.name, bytes: await bytesOf(file) })));
}

async function bytesOf(file) {
  return new Uint8Array(await file.arrayBuffer());
}

async function fetched(name) {
  const answer = await fetch(new URL(`digits/${name}`, import.meta.url));
  if (!answer.ok) throw new Error(`${name} could not be fetched (${answer.status})`);
  return { name, bytes: new Uint8Array(await answer.arrayBuffer()) };
}
