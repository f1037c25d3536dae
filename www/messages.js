// The one list of messages between the page and its worker, and the bridge that carries them.
//
// Every message is a plain object with `id`, the number of the request it belongs to, and `kind`.
// A request gets any number of events and then exactly one reply or error. A worker that dies
// (a trap in the wasm, a lost graphics device) sends `fatal` or nothing at all; the bridge then
// rejects what was pending with `WorkerDied`, and the next request starts a fresh worker.

/** Page to worker. */
export const Ask = Object.freeze({
  /** {} -> {wasm}: bytes of memory that the wasm module holds; 0 before it is started. */
  MEMORY: "memory",
  /** {} -> {@link Probe} of www/device.js: what graphics this browser has. */
  PROBE: "probe",
  /** {model?: id} -> {id, name, licence?, bytes, needs?, cached, defaults, offers?, examples?, surprises?,
   *  models: {id, name, bytes?, cached?}[]}: the model, before anything large is fetched; `needs` is what it takes of a
   *  machine, `offers` what it draws well (Offers of www/modelfiles.js), `surprises` prompts that work, `models` all that are here. */
  DESCRIBE: "describe",
  /** {model: id} -> {}: remove what is kept of the model's files. */
  FORGET: "forget",
  /** {own: {files: {path, blob}[], single?: path, prediction?: 'epsilon'|'v_prediction'}, buffer?} -> what `Files.described` of
   *  src/web/own.rs says of a model of the user's own; `single`: one of the files is the whole model, the others are what it
   *  lacks; `buffer`: the largest of the graphics adapter. */
  INSPECT: "inspect",
  /** {model?: id, device: 'wgpu'|'cpu', own?: as INSPECT's, with bits?: 8|4, loras?: Lora[]}, events {@link Tell.LOADING}
   *  -> {defaults, device, cached, warnings: string[]}. `loras` are added to the weights: {name, bytes, edit?: boolean}, `edit`
   *  where the file is a saved FIT. */
  LOAD: "load",
  /** {request} as Pipeline.generate takes it (with `image` and `mask` as {width, height, rgba} it begins there, with
   *  `edit` {from, method} the image is edited by words), events {@link Tell.STEP}
   *  -> {width, height, rgba, warnings: string[], infotext, noise?: {width, height, rgba}} or {cancelled: true}. */
  GENERATE: "generate",
  /** {index} -> {width, height, rgba}: the whole picture of a step of the last GENERATE. */
  ESTIMATE: "estimate",
  /** {} -> {width, height, rgba}: the picture of the last GENERATE by the model's large decoder (`large` of its defaults). */
  LARGE: "large",
  /** {model?: id, prompt, caret?, wait?: boolean} -> {advice: Advice | null}: what to say about a prompt, null where the model has no
   *  list of words. Where the program is not started yet it is null too, or with `wait` it is started. `caret`: where somebody is
   *  typing. */
  ADVISE: "advise",
  /** {request, every} of an edit, only in a worker with gradients ({@link WITH_GRADIENTS}): fits the model to the image, events
   *  {@link Tell.FITTING} with the picture in every `every`-th step -> {warnings: string[]} or {cancelled: true}. */
  FIT: "fit",
  /** {eta} -> {width, height, rgba, infotext}: the picture of the last FIT, from 0 (the given one) to 1 (what the words ask for). */
  FITTED: "fitted",
  /** {} -> {bytes}: the last FIT as a file, for `fourstep generate --edit`. */
  SAVE_FIT: "save fit",
  /** {name, bytes, model: id} of a saved FIT, whose adapters were loaded with the model -> {request}: what it was fitted for. It is
   *  then what FITTED draws. */
  OPEN_FIT: "open fit",
  /** {request: {images, prompt, seed}, every}, only in a worker with gradients: teaches the model what the images show, events
   *  {@link Tell.FITTING} -> {bytes, diverged, warnings: string[]}, a LoRA file. CANCEL ends it with what it has learned. */
  ADAPT: "adapt",
  /** {name, blob} -> {found: {kind: 'edit'|'adapter', prompt?} | null}: what a safetensors file is, from its header; null for anything
   *  else. */
  RECOGNISE: "recognise",
  /** {width, height, rgba} -> the same picture with a white outline, larger where it needs room. */
  OUTLINE: "outline",
  /** {width, height, frames: rgba[], milliseconds?, infotext?} -> {bytes}: a PNG file, animated when there are several. */
  PNG: "png",
  /** {bytes} of a PNG file -> {settings} as readSettings of src/web/files.rs has them, or {settings: null}. */
  SETTINGS: "settings",
  /** {} with the id of the running request: stop it at the next step or file. No reply of its own. */
  CANCEL: "cancel",
});

/** Worker to page. */
export const Tell = Object.freeze({
  /** {value}: the request is done. */
  REPLY: "reply",
  /** {message, name}: the request failed; the worker goes on and takes the next one. */
  ERROR: "error",
  /** {message, cause}: the worker cannot go on. `id` is absent; `cause` is one of {@link Cause}. */
  FATAL: "fatal",
  /** {phase: 'files', loaded, total, secondsLeft: number | null} in bytes, {phase: 'own', loaded, total} while a file of the user's
   *  is read, or {phase: 'model'} while the network is built. */
  LOADING: "loading",
  /** {index, steps, timestep, sigma?, milliseconds, preview: {width, height, rgba}}. */
  STEP: "step",
  /** {stage: 'embedding'|'adapters', index, steps, left, loss, milliseconds, picture?: {width, height, rgba}}; `left`: steps in all. */
  FITTING: "fitting",
});

/** Why a worker could not go on. */
export const Cause = Object.freeze({
  /** The browser took the graphics device away: a driver's restart, a laptop's sleep, another page's fault. */
  DEVICE_LOST: "device lost",
  /** No memory was left, in the wasm module or on the graphics device. */
  OUT_OF_MEMORY: "out of memory",
  /** A panic or a trap in the wasm module, with its words. */
  CRASH: "crash",
  /** The worker vanished without a word, or was never started. */
  GONE: "gone",
  /** The page ended it. */
  RESTART: "restart",
});

/** What the name of a worker begins with that runs the wasm module with gradients. */
export const WITH_GRADIENTS = "fourstep-deeper";

/** The worker ended in the middle of a request. `message` is what it said last, or ''; `started`: whether it ever ran;
 *  `cause`: one of Cause. */
export class WorkerDied extends Error {
  name = "WorkerDied";

  constructor(message, started, cause) {
    super(message);
    this.started = started;
    this.cause = cause;
  }
}

/** The page's end: turns messages into promises, and replaces the worker when it dies. */
export class Bridge {
  #url;
  #worker;
  #spoke = false;
  #pending = new Map();
  #nextId = 1;
  #onDeath;
  #name;

  /** @param {URL | string} url the module worker; @param {(reason: string) => void} onDeath called after each death or restart
   *  @param {string} name what the worker's name begins with */
  constructor(url, onDeath = () => {}, name = "fourstep") {
    this.#url = url;
    this.#name = name;
    this.#onDeath = onDeath;
  }

  /**
   * @param {string} kind one of Ask
   * @param {object} body what that message carries
   * @param {{onEvent?: (event: object) => void, signal?: AbortSignal}} options `signal` sends a cancel message
   */
  request(kind, body = {}, { onEvent = () => {}, signal } = {}) {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, onEvent });
      this.#worker ??= this.#start();
      this.#worker.postMessage({ ...body, id, kind });
      const cancel = () => this.#pending.has(id) && this.#worker?.postMessage({ id, kind: Ask.CANCEL });
      if (signal?.aborted) cancel();
      signal?.addEventListener("abort", cancel, { once: true });
    });
  }

  /**
   * Ends the worker, whatever it is doing; the next request meets a new one that has loaded nothing.
   * @param {string} [reason] @param {string} [cause] one of Cause
   */
  restart(reason = "", cause = Cause.RESTART) {
    this.#worker?.terminate();
    this.#worker = undefined;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    this.#onDeath(reason);
    for (const { reject } of pending) reject(new WorkerDied(reason, this.#spoke, cause));
  }

  #start() {
    this.#spoke = false;
    const name = `${this.#name}-${crypto.randomUUID?.() ?? Math.random()}`;
    const worker = new Worker(this.#url, { type: "module", name });
    worker.onmessage = ({ data }) => {
      if (worker !== this.#worker) return;
      if (!this.#spoke) this.#watch(worker, name);
      this.#receive(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      if (worker === this.#worker) this.restart(event.message ?? "", Cause.GONE);
    };
    return worker;
  }

  // A worker holds a Web Lock of its own name from before its first message to its end. No event tells of a worker that was
  // killed, so the page waits for the lock.
  #watch(worker, name) {
    navigator.locks?.request(name, () => {
      if (worker === this.#worker) this.restart("", Cause.GONE);
    });
  }

  #receive(message) {
    this.#spoke = true;
    if (message.kind === Tell.FATAL) return this.restart(message.message, message.cause);
    const request = this.#pending.get(message.id);
    if (!request) return;
    if (message.kind === Tell.REPLY || message.kind === Tell.ERROR) this.#pending.delete(message.id);
    if (message.kind === Tell.REPLY) request.resolve(message.value);
    else if (message.kind === Tell.ERROR) request.reject(Object.assign(new Error(message.message), { name: message.name }));
    else request.onEvent(message);
  }
}
