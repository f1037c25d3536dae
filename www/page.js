// The page: joins the form, the picture, the status and the worker. One request runs at a time,
// and the newest wins: asking for a picture while one is drawn stops that one at its next step.

import { Ask, Bridge, Tell } from "./messages.js";
import { choose } from "./device.js";
import { Form } from "./form.js";
import { Picture } from "./picture.js";
import { Status, duration, megabytes } from "./status.js";
import { explain, watchPage } from "./trouble.js";

const CHOICE_KEY = "fourstep.device";
const CHOICES = ["auto", "wgpu", "cpu"];
const SUPERSEDED = "superseded"; // why a running request was stopped when a newer one took its place
const $ = (id) => document.getElementById(id);

const form = new Form($("form"));
const status = new Status({
  frame: $("frame"),
  bar: $("bar"),
  line: $("line"),
  note: $("note"),
  spoken: $("spoken"),
  loadTitle: $("load-title"),
  loadBar: $("load-bar"),
  loadLine: $("load-line"),
  trouble: $("trouble"),
  troubleText: $("trouble-text"),
  troubleDetail: $("trouble-detail"),
  retry: $("retry"),
});
const picture = new Picture({ canvas: $("canvas"), strip: $("strip"), caption: (text) => status.say(text) });
const bridge = new Bridge(new URL("./worker.js", import.meta.url), () => (loaded = null));

let opening; // promise: devices and model are known
let probed; // what the worker found, see www/device.js
let model; // Ask.DESCRIBE's reply
let loaded = null; // Ask.LOAD's reply: the pipeline that the worker holds
let loading = null; // {promise, stop} while it is on its way
let drawing = null; // {stop, done} of the running request
let newest = 0; // number of the last request asked for
let drawn = null; // the request of the picture on the canvas

/** Looks for devices and for the model's description; `opening` is done when both are known, or trouble is shown. */
function open() {
  return (opening = describe());
}

async function describe() {
  try {
    [probed, model] = await Promise.all([bridge.request(Ask.PROBE), bridge.request(Ask.DESCRIBE)]);
  } catch (error) {
    return showTrouble(error, open);
  }
  form.fillDefaults(model.defaults);
  offerExamples(model.examples);
  refreshSummary();
  refreshDevice();
  status.rest(model.cached ? "" : `The first picture fetches the model once: ${megabytes(model.bytes)} MB.`);
  if (model.cached && device().device && !drawing) prepare();
}

function wire() {
  $("generate").addEventListener("click", () => (drawing ? cancel() : draw()));
  $("retry").addEventListener("click", () => {
    status.clearTrouble();
    retry();
  });
  $("dice").addEventListener("click", () => (form.rollSeed(), refreshSummary()));
  $("download").addEventListener("click", download);
  $("form").addEventListener("input", refreshSummary);
  $("form").addEventListener("submit", (event) => event.preventDefault());
  $("examples").addEventListener("click", ({ target }) => {
    const chip = target.closest("button");
    if (!chip) return;
    form.prompt = chip.textContent;
    draw();
  });
  $("device").addEventListener("change", ({ target }) => setDevice(target.value));
  document.addEventListener("keydown", onKey);
}

function onKey(event) {
  if (event.isComposing) return;
  const inField = event.target.matches("#form textarea, #form input:not([type=checkbox])");
  const asked = event.key === "Enter" && (event.ctrlKey || event.metaKey || (inField && !event.shiftKey));
  if (asked) {
    event.preventDefault();
    draw();
  } else if (event.key === "Escape" && drawing) cancel();
}

/** Draws what the form says; a request that is running gives way. */
async function draw() {
  await opening;
  status.clearTrouble();
  const request = form.read();
  refreshSummary();
  if (!request) return showWrongField();
  const number = ++newest;
  drawing?.stop.abort(SUPERSEDED);
  await drawing?.done;
  if (number !== newest) return;
  const stop = new AbortController();
  drawing = { stop, done: null };
  drawing.done = run(request, stop.signal)
    .catch((error) => showTrouble(error, draw))
    .finally(() => {
      drawing = null;
      $("download").disabled = !picture.finished;
      refreshButton();
    });
  refreshButton();
}

async function run(request, signal) {
  $("frame").scrollIntoView({ block: "nearest" });
  $("download").disabled = true;
  const ready = await load(signal);
  if (signal.aborted) return stopped(signal, "Stopped before the first step.");
  const full = { ...request, scheduler: request.scheduler || ready.defaults.scheduler };
  const times = [];
  const begun = performance.now();
  form.markSeedUsed();
  picture.begin(request.steps);
  status.drawing(0, request.steps, times);
  $("frame").classList.add("drawn");
  const onEvent = (event) => {
    times.push(event.milliseconds);
    picture.addStep(
      event,
      `Step ${event.index + 1} of ${event.steps} · timestep ${Math.round(event.timestep)} · ${duration(event.milliseconds)}`,
    );
    if (!signal.aborted) status.drawing(event.index + 1, event.steps, times);
  };
  const result = await bridge.request(Ask.GENERATE, { request: full }, { onEvent, signal });
  if (result.cancelled) return stopped(signal, `Stopped after step ${times.length} of ${request.steps}.`);
  const took = duration(performance.now() - begun);
  const mean = times.length ? ` · ${duration(times.reduce((sum, time) => sum + time, 0) / times.length)} a step` : "";
  const line = `Drawn in ${took} · ${request.steps} step${request.steps === 1 ? "" : "s"}${mean}`;
  picture.finish(result, line);
  $("canvas").setAttribute("aria-label", `Picture of “${request.prompt}”, seed ${request.seed}`);
  drawn = full;
  status.done(line, [...ready.warnings.splice(0), ...result.warnings].join(" "));
}

function stopped(signal, line) {
  if (signal.reason !== SUPERSEDED) status.done(line);
}

/** The pipeline on the chosen device, brought to the worker when it does not hold it; unfinished when `signal` is aborted. */
async function load(signal) {
  if (!probed || !model) throw new Error("The model could not be found. Reload the page to try again.");
  const { device: wanted, words } = device();
  if (!wanted) throw new Error(words);
  if (loading) {
    if (loading.device !== wanted) loading.stop.abort();
    status.loading(loading.event);
    await loading.promise.catch(() => {});
  }
  if (loaded?.device === wanted || signal?.aborted) return loaded;
  return startLoading(wanted).promise;
}

function startLoading(wanted) {
  const job = { device: wanted, stop: new AbortController(), event: { phase: "files" }, promise: null };
  loaded = null;
  const onEvent = (event) => {
    job.event = event;
    if (drawing && event.kind === Tell.LOADING) status.loading(event);
  };
  if (drawing) status.loading(job.event);
  job.promise = bridge
    .request(Ask.LOAD, { model: model.id, device: wanted }, { onEvent, signal: job.stop.signal })
    .then((reply) => {
      if (reply.cancelled) return reply;
      form.fillDefaults(reply.defaults);
      refreshSummary();
      return (loaded = reply);
    })
    .finally(() => (loading = null));
  loading = job;
  return job;
}

/** Builds the pipeline ahead of the first request, from files that are kept here already. */
async function prepare() {
  status.say("Preparing the model…");
  try {
    await load();
    if (!drawing && loaded) status.rest("Ready.");
  } catch (error) {
    if (!drawing) showTrouble(error, prepare);
  }
}

function cancel() {
  newest++;
  drawing.stop.abort();
  status.say(loading ? "Stopping…" : "Stopping after this step…");
  loading?.stop.abort();
}

async function download() {
  try {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await picture.png());
    link.download = fileName(drawn);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    showTrouble(error);
  }
}

let retry = () => {};

function showTrouble(error, again) {
  const { message, detail, offer } = explain(error);
  retry = () => {
    if (offer.device) setDevice(offer.device);
    again();
  };
  status.trouble(message, { detail, retry: again ? offer.label : false });
}

function setDevice(device) {
  $("device").value = device;
  remember(device);
  refreshDevice();
}

function showWrongField() {
  $("settings").open = true;
  form.firstWrong?.focus();
}

function device() {
  return choose(probed, $("device").value);
}

function refreshDevice() {
  if (!probed) return;
  const { words, slow } = device();
  $("device-words").textContent = words;
  $("device-words").dataset.slow = slow;
}

function refreshSummary() {
  $("summary").textContent = form.summary;
  if (!drawing) picture.slots(Number($("steps").value) || 0);
}

function refreshButton() {
  $("generate").textContent = drawing ? "Cancel" : "Generate";
  $("key").textContent = drawing ? "Esc" : "Enter";
  $("generate").classList.toggle("quiet", Boolean(drawing));
}

function offerExamples(examples) {
  if (!examples?.length) return;
  $("examples").replaceChildren(
    ...examples.map((text) => {
      const item = document.createElement("li");
      const chip = document.createElement("button");
      chip.type = "button";
      chip.textContent = text;
      item.append(chip);
      return item;
    }),
  );
}

/** `?device=` of the address, else what was chosen at an earlier visit. */
function preferredDevice() {
  let kept = null;
  try {
    kept = localStorage.getItem(CHOICE_KEY);
  } catch {
    // storage denied: nothing was remembered
  }
  const wanted = [new URLSearchParams(location.search).get("device"), kept];
  return wanted.find((choice) => CHOICES.includes(choice)) ?? "auto";
}

function remember(choice) {
  try {
    localStorage.setItem(CHOICE_KEY, choice);
  } catch {
    // storage denied: the choice holds for this visit
  }
}

function fileName({ prompt, seed }) {
  const words = prompt
    .toLowerCase()
    .normalize("NFC")
    .match(/[\p{L}\p{N}]+/gu) ?? ["sticker"];
  return `fourstep-${words.join("-").slice(0, 48)}-${seed}.png`;
}

form.fillFromAddress(location.search);
$("device").value = preferredDevice();
wire();
watchPage(showTrouble);
refreshSummary();
open();
