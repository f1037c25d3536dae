// All model work happens here, off the page's thread: bring the files, build the pipeline, draw.
// Moves messages (www/messages.js) between the page and the wasm module; does no arithmetic itself.

import { Ask, Cause, Tell, WITH_GRADIENTS } from "./messages.js";
import { misfit, probe, watchDevices } from "./device.js";
import {
  ModelFileError,
  fill,
  findModel,
  forgetModel,
  isCached,
  listModels,
  loadFiles,
  readJson,
  readSmall,
  totalBytes,
} from "./modelfiles.js";

const DEEPER = self.name.startsWith(WITH_GRADIENTS);
const MODELS = new URL("../models/index.json", import.meta.url);
const MERGES = new URL("./clip/merges.bin", import.meta.url); // CLIP's vocabulary: checkpoints hold none
const DEVICE_ERROR = /^device: (?!no WebGPU device)/; // as src/error.rs words it
const LOSS_KNOWN_MS = 500;
const NEARLY_FULL = 3 * 2 ** 30; // bytes, of the 4 GiB that a wasm module can have
const running = new Map(); // request id -> AbortController
let engine; // promise of the wasm module's exports
let pipeline;
let fitted; // the last edit that the model was fitted for
let memory; // the wasm module's, once it runs
let merges; // CLIP's, once a model in one file was opened
let suggestions = null; // {id, of}: of the model that was asked for last
let lastPanic = "";
let ended = false; // the page was told that this worker cannot go on

const handlers = {
  [Ask.MEMORY]: async () => ({ wasm: memory?.buffer.byteLength ?? 0 }),
  [Ask.PROBE]: probed,
  [Ask.DESCRIBE]: describe,
  [Ask.FORGET]: async ({ model }) => (await forgetModel(model), {}),
  [Ask.INSPECT]: async ({ own, buffer }) => (await storeOf(own)).described(buffer),
  [Ask.LOAD]: load,
  [Ask.GENERATE]: generate,
  [Ask.ESTIMATE]: ({ index }) => loadedPipeline().estimate(index),
  [Ask.LARGE]: () => loadedPipeline().large(),
  [Ask.FIT]: fit,
  [Ask.FITTED]: ({ eta }) => lastFit().draw(loadedPipeline(), eta),
  [Ask.SAVE_FIT]: async () => ({ bytes: await lastFit().toBytes() }),
  [Ask.OPEN_FIT]: openFit,
  [Ask.ADAPT]: ({ id, request, every }, signal) => loadedPipeline().adapt(request, onFitting(id, signal), every),
  [Ask.RECOGNISE]: recognise,
  [Ask.ADVISE]: advise,
  [Ask.OUTLINE]: async ({ width, height, rgba }) => (await startEngine()).outlined(width, height, rgba),
  [Ask.PNG]: png,
  [Ask.SETTINGS]: async ({ bytes }) => ({ settings: (await startEngine()).readSettings(bytes) }),
};

// Held until the worker ends, however it ends, so that the page hears of it (see Bridge).
const held = new Promise((resolve) => {
  if (!navigator.locks || !self.name) return resolve();
  navigator.locks.request(self.name, () => (resolve(), new Promise(() => {}))).catch(resolve);
});

self.onmessage = async ({ data: message }) => {
  const { id, kind } = message;
  if (kind === Ask.CANCEL) return running.get(id)?.abort();
  const stop = new AbortController();
  running.set(id, stop);
  await held;
  try {
    const value = await handlers[kind](message, stop.signal);
    postMessage({ id, kind: Tell.REPLY, value }, value.rgba ? [value.rgba.buffer] : []);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) trapped(error);
    else if (DEVICE_ERROR.test(words(error))) await deviceFailed(error);
    else if (stop.signal.aborted) postMessage({ id, kind: Tell.REPLY, value: { cancelled: true } });
    else postMessage({ id, kind: Tell.ERROR, name: error?.name ?? "Error", message: words(error) });
  } finally {
    running.delete(id);
  }
};

async function describe({ model: wanted }) {
  const model = await findModel(MODELS, wanted);
  const { name, licence, defaults, examples, needs, offers } = model.manifest;
  const words = await wordsOf(model).catch(() => null); // no reason not to draw
  return {
    surprises: words && (words.surprises.length ? words.surprises : words.concepts.map(({ one }) => one)),
    models: await listModels(MODELS, model.models),
    id: model.id,
    name,
    licence,
    defaults,
    examples,
    needs,
    offers,
    bytes: totalBytes(model.manifest),
    cached: await isCached(model),
  };
}

/** The model's list of words, or null where it has none. @param {{base: URL, manifest: import("./modelfiles.js").Manifest}} model */
async function wordsOf({ base, manifest: { words } }) {
  return words ? readJson(new URL(words, base), words) : null;
}

async function advise({ model: wanted, prompt, caret, wait }) {
  if (!memory && !wait) return { advice: null };
  const { Suggestions } = await startEngine();
  if (suggestions?.id !== wanted) {
    const before = suggestions;
    const made = async () => {
      const words = await wordsOf(await findModel(MODELS, wanted));
      return words && new Suggestions(JSON.stringify(words));
    };
    suggestions = { id: wanted, of: made() };
    before?.of.then((old) => old?.free()).catch(() => {});
  }
  const known = await suggestions.of.catch((error) => {
    suggestions = null;
    throw error;
  });
  return { advice: known?.advise(prompt, caret) ?? null };
}

function probed() {
  return probe(navigator.gpu, navigator.deviceMemory);
}

async function load({ id, model: wanted, device, own, loras }, signal) {
  pipeline?.free();
  pipeline = undefined;
  if (own) return loadOwn({ id, own, device, loras }, signal);
  const model = await findModel(MODELS, wanted);
  const { needs } = model.manifest;
  const reason = needs && misfit({ bytes: totalBytes(model.manifest), needs }, await probed(), device);
  if (reason) throw new ModelFileError(reason);
  const onProgress = (progress) => postMessage({ id, kind: Tell.LOADING, phase: "files", ...progress });
  const starting = startEngine();
  starting.catch(() => {}); // reported by the await below, after the files
  const { files, warnings } = await loadFiles(model, { signal, onProgress });
  postMessage({ id, kind: Tell.LOADING, phase: "model" });
  const { Files, Pipeline } = await starting;
  signal.throwIfAborted();
  const store = new Files();
  fill(store, files);
  store.insert("fourstep.json", new TextEncoder().encode(JSON.stringify(model.manifest)));
  pipeline = await Pipeline.load(store, device, undefined, loras);
  return { device, warnings, defaults: pipeline.defaults(), cached: await isCached(model) };
}

async function loadOwn({ id, own, device, loras }, signal) {
  postMessage({ id, kind: Tell.LOADING, phase: "model" });
  const { Pipeline } = await startEngine();
  let [loaded, told] = [0, 0];
  const total = own.files.find(({ path }) => path === own.single)?.blob.size ?? 0;
  const store = await storeOf(own, (bytes) => {
    loaded += bytes;
    if (loaded - told < total / 100 || loaded > total) return;
    told = loaded;
    postMessage({ id, kind: Tell.LOADING, phase: "own", loaded, total });
  });
  signal.throwIfAborted();
  pipeline = await Pipeline.load(store, device, own.bits, loras);
  return { device, warnings: [], defaults: pipeline.defaults(), cached: true };
}

/** The files of a model of the user's own, as the wasm module reads them. */
async function storeOf({ files, single, prediction }, onRead = /** @type {(bytes: number) => void} */ (() => {})) {
  const { Files } = await startEngine();
  const store = new Files();
  fill(store, files, onRead);
  if (!single) return store;
  merges ??= await readSmall(MERGES, "clip/merges.bin");
  store.single(single, merges.bytes, prediction);
  await merges.keep();
  return store;
}

async function png({ width, height, frames, milliseconds = 0, infotext }) {
  const { encodePng } = await startEngine();
  const all = new Uint8Array(await new Blob(frames).arrayBuffer());
  return { bytes: encodePng(width, height, all, milliseconds, infotext) };
}

function loadedPipeline() {
  if (!pipeline) throw new Error("No model is loaded.");
  return pipeline;
}

async function generate({ id, request }, signal) {
  const picture = await loadedPipeline().generate(request, async (event) => {
    postMessage({ ...event, id, kind: Tell.STEP }, [event.preview.rgba.buffer]);
    await macrotask(); // lets a cancel message in
    return !signal.aborted;
  });
  return signal.aborted ? { cancelled: true } : picture;
}

async function fit({ id, request, every }, signal) {
  fitted?.free();
  fitted = undefined;
  fitted = await loadedPipeline().imagic(request, onFitting(id, signal), every);
  return signal.aborted ? { cancelled: true } : { warnings: fitted.warnings() };
}

/** Tells of a step of fitting, and answers whether to go on. */
function onFitting(id, signal) {
  return async (event) => {
    postMessage({ ...event, id, kind: Tell.FITTING }, event.picture ? [event.picture.rgba.buffer] : []);
    await macrotask();
    return !signal.aborted;
  };
}

async function openFit({ name, bytes, model }) {
  const { Imagic } = await startEngine();
  fitted?.free();
  fitted = undefined;
  fitted = Imagic.open(loadedPipeline(), name, bytes, model);
  return { request: fitted.request() };
}

async function recognise({ name, blob }) {
  const module = await startEngine();
  const store = new module.Files();
  fill(store, [{ path: name, blob }]);
  return { found: module.recognise(store, name) };
}

function lastFit() {
  if (!fitted) throw new Error("The model was not fitted to a picture.");
  return fitted;
}

/** Imports and starts the wasm module once; after a failure the next call tries again. */
function startEngine() {
  engine ??= importEngine().catch((error) => {
    engine = undefined;
    throw error;
  });
  return engine;
}

async function importEngine() {
  try {
    const module = await (DEEPER ? import("./deeper/pkg/fourstep_deeper.js") : import("../pkg/fourstep.js"));
    ({ memory } = await module.default());
    return module;
  } catch (error) {
    throw new Error(`The drawing program could not be started: ${words(error)}`);
  }
}

function macrotask() {
  return new Promise((resolve) => setTimeout(resolve));
}

function words(error) {
  return typeof error === "string" ? error : (error?.message ?? String(error));
}

// A trap ends the wasm instance; its promise then never settles, so the page must hear of it from here. Where an
// allocation fails, Rust leaves a trap without a panic's words; which trap depends on who asked for the memory.
function trapped(error) {
  const silent = error instanceof WebAssembly.RuntimeError && !lastPanic;
  const full = /unreachable/.test(error?.message) || memory?.buffer.byteLength >= NEARLY_FULL;
  fatal(lastPanic || words(error), silent && full ? Cause.OUT_OF_MEMORY : Cause.CRASH);
}

// A device that fails once is of no use any more. Whether it was lost is known a moment later (watchDevices).
async function deviceFailed(error) {
  await new Promise((resolve) => setTimeout(resolve, LOSS_KNOWN_MS));
  fatal(words(error), Cause.CRASH);
}

function fatal(message, cause) {
  if (ended) return;
  ended = true;
  postMessage({ kind: Tell.FATAL, message, cause });
}

watchDevices({
  onLost: (message) => fatal(message, Cause.DEVICE_LOST),
  onOutOfMemory: (message) => fatal(message, Cause.OUT_OF_MEMORY),
});

self.addEventListener("error", (event) => {
  event.preventDefault();
  trapped(event.error ?? event.message);
});
self.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  trapped(event.reason);
});

// console_error_panic_hook prints the panic's words just before the trap, whose own message is only "unreachable".
const printError = console.error;
console.error = (...parts) => {
  const text = String(parts[0]);
  if (/panicked at/.test(text)) lastPanic = text.split("\n\nStack")[0];
  printError.apply(console, parts);
};
