// A cell: code that runs, its inputs, and what came of it. The code comes from the build (tools/cells.mjs), so that what
// is shown is what runs; it runs in a worker, so that it can be stopped and never blocks the page.

const HEARD_MS = 500; // how long a worker may take to hear "stop" before it is ended
const AFTER_TYPING_MS = 250;
const KEYWORDS =
  /\b(pub|fn|let|mut|for|in|if|else|match|return|impl|struct|enum|use|const|static|move|while|loop|self|Self|where|as|dyn|unsafe|async|await|var|function|type)\b/;
const TOKENS = new RegExp(
  `(?<comment>//.*|/\\*.*?\\*/)|(?<string>"(?:[^"\\\\\\n]|\\\\.)*")|(?<number>\\b\\d[\\d_.]*(?:e-?\\d+)?(?:[iuf]\\d+|usize)?\\b)|(?<word>${KEYWORDS.source})`,
  "g",
);

let sources; // a promise of what the build wrote
const workers = new Map();
let lastId = 0;

/**
 * Fills `place` with the cell that `it` describes:
 * - `code`: names of regions, shown one after the other, or a function of the inputs' values that returns them
 * - `formulas`: `[[number, code], …]`: the formula of this number in the text is computed by the lines that contain this code
 * - `inputs`: `{ name, label, type: "number" | "range" | "text" | "select" | "seed", value, min, max, step, options, choices }`;
 *   `choices` are buttons that fill several inputs: `[{ label, values }]`
 * - `action`, `worker`: what is run, and the worker (by any name; cells that share a state share one; `opened` has the model)
 * - `more(values)`: further inputs for the action, not shown
 * - `auto`: runs when it comes into view and when an input changes; `begin`: only the former
 * - `run(values, tell)`: instead of `action`, for what the page does itself; gets `{ send, tell, signal }`
 * - `then`: names of cells that show what this one has changed: they run again after it, if they have run before
 * - `button`: its words; `extra`: an element of its own below the output
 * - `show(output, result, values)`: draws news and results; returns words for the line below, if there are any
 */
export async function makeCell(place, it) {
  place.classList.add("cell");
  const parts = build(place, it);
  const state = { job: null };
  const start = () => run(parts, it, state);
  parts.run?.addEventListener("click", () => (state.job ? state.job.stop() : start()));
  parts.form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!state.job) start();
  });
  let timer;
  parts.form.addEventListener("input", () => {
    showCode(parts, it);
    if (!it.auto) return;
    clearTimeout(timer);
    timer = setTimeout(() => (state.job ? (state.again = true) : start()), AFTER_TYPING_MS);
  });
  state.start = start;
  place.rerun = () => (state.job ? (state.again = true) : start());
  place.follow = () => place.dataset.state && place.rerun();
  if (it.auto || it.begin) whenSeen(place, start);
  await showCode(parts, it);
}

/** Sends an action to a worker; `{ result, stop }`: a promise and a way to end it. */
export function ask(worker, action, inputs, onNews = () => {}) {
  const id = ++lastId;
  const found = workers.get(worker) ?? startWorker(worker);
  let stop;
  const result = new Promise((done, fail) => {
    found.jobs.set(id, { done, fail, onNews });
    stop = () => {
      found.port.postMessage({ id, stop: true });
      setTimeout(() => found.jobs.has(id) && endWorker(worker, found), HEARD_MS);
    };
  });
  found.port.postMessage({ id, action, inputs });
  return { result, stop };
}

function startWorker(name) {
  const port = new Worker(new URL(name === "opened" ? "opened-worker.js" : "worker.js", import.meta.url), {
    type: "module",
    name: `how ${name}`,
  });
  const found = { port, jobs: new Map() };
  port.onmessage = ({ data: { id, news, result, error } }) => {
    const job = found.jobs.get(id);
    if (!job) return;
    if (news) return job.onNews(news);
    found.jobs.delete(id);
    if (!error) return job.done(result);
    job.fail(new Error(error.message));
    if (error.fatal) endWorker(name, found);
  };
  port.onerror = (event) => {
    event.preventDefault();
    for (const { fail } of found.jobs.values()) fail(new Error(event.message || "The worker could not be loaded. Is there a network?"));
    found.jobs.clear();
    endWorker(name, found);
  };
  workers.set(name, found);
  return found;
}

function endWorker(name, found) {
  found.port.terminate();
  if (workers.get(name) === found) workers.delete(name);
  for (const { fail } of found.jobs.values()) fail(new Stopped());
  found.jobs.clear();
}

class Stopped extends Error {
  constructor() {
    super("Stopped. This part starts again from the beginning.");
  }
}

async function run(parts, it, state) {
  const values = read(parts, it);
  if (!values) return;
  parts.place.dataset.state = "running";
  if (parts.run) parts.run.textContent = "Stop";
  if (!it.auto) say(parts, "Running …");
  const show = (result) => {
    const words = it.show(parts.output, result, values);
    if (words) say(parts, words);
    return words;
  };
  try {
    const inputs = { ...values, ...(it.more?.(values) ?? {}) };
    const work = it.run ? ownWork(it, inputs, show) : ask(it.worker, it.action, inputs, show);
    state.job = work;
    const start = performance.now();
    const result = await work.result;
    const words = show(result);
    if (result?.stopped) say(parts, `Stopped. ${words ?? ""}`);
    else if (!words) say(parts, it.auto ? "" : `Done in ${((performance.now() - start) / 1000).toFixed(1)} s.`);
    parts.place.dataset.state = "done";
    for (const name of it.then ?? []) /** @type {any} */ (document.querySelector(`[data-cell="${name}"]`)).follow();
  } catch (error) {
    say(parts, error.message, !(error instanceof Stopped));
    parts.place.dataset.state = "trouble";
  }
  state.job = null;
  if (parts.run) parts.run.textContent = it.button ?? "Run";
  if (state.again) {
    state.again = false;
    state.start();
  }
}

/** Work that the page does itself, in the shape of `ask`. */
function ownWork(it, inputs, show) {
  const running = new Set();
  let stopped = false;
  const send = (worker, action, values) => {
    const job = ask(worker, action, values, () => {});
    running.add(job);
    return job.result.finally(() => running.delete(job));
  };
  const stop = () => {
    stopped = true;
    for (const job of running) job.stop();
  };
  return {
    result: it.run(inputs, {
      send,
      tell: (news) => (show(news), !stopped),
      end: (worker) => workers.has(worker) && endWorker(worker, workers.get(worker)),
    }),
    stop,
  };
}

function build(place, it) {
  const code = node("div", { className: "code" });
  const form = node("form", { className: "inputs", noValidate: true });
  const fields = (it.inputs ?? []).map((input) => [input, field(input)]);
  form.append(...fields.map(([, { row }]) => row));
  for (const { label, values } of it.choices ?? []) {
    const button = node("button", { type: "button", textContent: label, className: "choice" });
    button.addEventListener("click", () => {
      for (const [input, { control }] of fields) if (input.name in values) control.value = values[input.name];
      form.dispatchEvent(new Event("input"));
    });
    form.append(button);
  }
  const run = it.auto ? null : node("button", { type: "button", textContent: it.button ?? "Run", className: "run" });
  if (run) form.append(run);
  const output = node("div", { className: "output" });
  const line = node("p", { className: "said", role: "status" });
  if (it.code) place.append(code);
  if (fields.length || run || it.choices) place.append(form);
  place.append(output, ...(it.extra ? [it.extra] : []), line);
  return { place, code, form, fields, run, output, line };
}

async function showCode({ code, fields }, it) {
  if (!it.code) return;
  sources ??= fetch(new URL("cells.json", import.meta.url)).then((answer) => answer.json());
  const values = Object.fromEntries(fields.map(([{ name }, { control }]) => [name, control.value]));
  const names = typeof it.code === "function" ? it.code(values) : it.code;
  if (code.dataset.names === names.join()) return;
  code.dataset.names = names.join();
  const all = await sources;
  code.replaceChildren(
    ...names.map((name) => {
      const { file, line, text } = all[name];
      const block = node("pre", { tabIndex: 0 });
      block.setAttribute("role", "region");
      block.setAttribute("aria-label", `Code of ${name}, ${file}`);
      const inside = node("code");
      inside.append(...text.split("\n").flatMap((line, i) => [i ? "\n" : "", ...codeLine(line, it.formulas)]));
      block.append(inside);
      const whole = node("div");
      whole.append(node("p", { className: "file", textContent: `${file}, line ${line}` }), block);
      return whole;
    }),
  );
}

/** A line of code; beside one that computes a formula stands its number, in the margin, where it is not copied. */
function codeLine(line, formulas = []) {
  const numbers = formulas.filter(([, code]) => line.includes(code)).map(([number]) => `(${number})`);
  if (!numbers.length) return coloured(line);
  const marked = node("span", { className: "computes" }, ...coloured(line));
  marked.dataset.formula = numbers.join(" ");
  return [marked];
}

function coloured(text) {
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(TOKENS)) {
    const kind = Object.keys(match.groups).find((name) => match.groups[name] !== undefined);
    parts.push(text.slice(at, match.index), node("span", { className: `is-${kind}`, textContent: match[0] }));
    at = match.index + match[0].length;
  }
  return [...parts, text.slice(at)];
}

function field(input) {
  const row = node("label", { className: "field" });
  const control = input.type === "select" ? node("select", { name: input.name }) : node("input", { name: input.name });
  if (input.type === "select") {
    control.append(...input.options.map(([value, text]) => node("option", { value, textContent: text })));
  } else {
    control.type = { range: "range", number: "number" }[input.type] ?? "text";
    if (control.type === "text") control.spellcheck = false;
    for (const key of ["min", "max", "step"]) if (input[key] !== undefined) control[key] = input[key];
    if (input.type === "number" || input.type === "range") control.step = input.step ?? "any";
    if (input.long) row.classList.add("long");
  }
  control.value = String(input.value);
  row.append(node("span", { textContent: input.label }), control);
  if (input.type === "range") {
    const shown = node("output");
    const show = () => (shown.textContent = input.words ? input.words(Number(control.value)) : control.value);
    control.addEventListener("input", show);
    row.addEventListener("refresh", show);
    show();
    row.append(shown);
  }
  return { row, control };
}

/** The inputs' values, or null after saying which one cannot be read. */
function read(parts, it) {
  const values = {};
  for (const [input, { control }] of parts.fields) {
    const words = trouble(input, control.value);
    control.setAttribute("aria-invalid", String(Boolean(words)));
    if (words) {
      say(parts, words, true);
      parts.place.dataset.state = "trouble";
      return null;
    }
    values[input.name] = parsed(input, control.value);
  }
  return values;
}

function trouble({ label, type, min = -Infinity, max = Infinity, whole = true }, text) {
  const range = Number.isFinite(min) && Number.isFinite(max) ? ` from ${min} to ${max}` : "";
  if (type === "number") {
    const value = Number(text);
    if (text.trim() === "" || !Number.isFinite(value) || (whole && !Number.isInteger(value)) || value < min || value > max)
      return `${label}: ${text || "nothing"} is not a ${whole ? "whole " : ""}number${range}.`;
  }
  if (type === "seed" && (!/^\d{1,20}$/.test(text.trim()) || BigInt(text.trim()) >= 1n << 64n))
    return `${label}: a whole number from 0 to 18446744073709551615 is needed.`;
  if (type === "sizes" && text.trim() !== "" && !text.split(",").every((part) => /^\s*\d{1,9}\s*$/.test(part)))
    return `${label}: whole numbers with commas between them are needed, such as 2, 3, 4.`;
  return null;
}

function parsed({ type }, text) {
  if (type === "number" || type === "range") return Number(text);
  if (type === "seed") return BigInt(text.trim());
  if (type === "sizes") return Uint32Array.from(text.trim() === "" ? [] : text.split(",").map(Number));
  return text;
}

function say({ line }, words, wrong = false) {
  line.textContent = words;
  line.classList.toggle("wrong", wrong);
}

function whenSeen(place, start) {
  const watch = new IntersectionObserver(
    (entries) => {
      if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
      watch.disconnect();
      start();
    },
    { rootMargin: "300px" },
  );
  watch.observe(place);
}

/** An element with properties and children. */
export function node(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** A table of rows, the first one its head. */
export function table([head, ...rows], caption) {
  const made = node("table");
  if (caption) made.append(node("caption", { textContent: caption }));
  const cells = (row, kind) =>
    node(
      "tr",
      {},
      ...row.map((one) => (kind === "th" && one !== "" ? node("th", { scope: "col" }, String(one)) : node("td", {}, String(one)))),
    );
  made.append(node("thead", {}, cells(head, "th")), node("tbody", {}, ...rows.map((row) => cells(row, "td"))));
  return node("div", { className: "scroll", tabIndex: 0, role: "group", ariaLabel: caption ?? "Table" }, made);
}

/**
 * A canvas of grey values, 0 white and 1 ink, `zoom` screen pixels for each.
 * @param {Float32Array | number[]} values @param {number} width
 * @param {{zoom?: number, label?: string, colours?: any}} [options]
 */
export function picture(values, width, { zoom = 6, label, colours } = {}) {
  const height = Math.max(1, Math.ceil(values.length / width));
  const canvas = node("canvas", { width, height, className: "pixels" });
  canvas.style.width = `${width * zoom}px`;
  canvas.style.aspectRatio = `${width} / ${height}`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  const image = new ImageData(width, height);
  values.forEach((value, i) => image.data.set(colours ? colours(value) : [0, 0, 0].map(() => 255 - 255 * value).concat(255), 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** What the colours of `signed` mean: a strip from the smallest to the largest. */
export function signedKey(largest) {
  const strip = picture(
    Array.from({ length: 61 }, (_, i) => i - 30),
    61,
    { zoom: 2, colours: signed(30), label: `Blue is below 0, white 0, orange above; full colour at ${largest.toPrecision(2)}` },
  );
  strip.classList.add("scale");
  const end = (value) => node("span", { textContent: String(Number(value.toPrecision(2))) });
  return node("p", { className: "small scale-line" }, end(-largest), strip, end(largest));
}

/** Blue below 0, white at 0, orange above: for weights and noise. */
export function signed(largest) {
  return (value) => {
    const part = Math.max(-1, Math.min(1, value / largest));
    const [r, g, b] = part < 0 ? [30, 90, 200] : [215, 85, 10];
    const mix = (colour) => 255 + (colour - 255) * Math.abs(part);
    return [mix(r), mix(g), mix(b), 255];
  };
}
