// The page: joins the form, the picture, the status and the engine. One request runs at a time, and the newest wins:
// asking for a picture while one is drawn stops that one at its next step.

import { choose } from "./device.js";
import { Engine } from "./engine.js";
import { canShare, receive } from "./files.js";
import { Form } from "./form.js";
import { Gallery } from "./gallery.js";
import { History } from "./history.js";
import { readLink, sizeOf, sizeText, writeLink } from "./link.js";
import { Live } from "./live.js";
import { recall, remember } from "./memory.js";
import { More } from "./more.js";
import { Numbers } from "./numbers.js";
import { Picture, imageOf } from "./picture.js";
import { PromptHelp } from "./prompthelp.js";
import { requestOf, settingsOf, settingsOfFile } from "./settings.js";
import { Shown } from "./shown.js";
import { Status, duration, megabytes } from "./status.js";
import { explain, watchPage } from "./trouble.js";

const DEVICE_KEY = "fourstep.device";
const DEVICES = ["auto", "wgpu", "cpu"];
const INFOTEXT_KEY = "fourstep.infotext";
const SUPERSEDED = "superseded"; // why a running request was stopped when a newer one took its place
const SMALL_MODEL = 64e6; // bytes; a link may fetch so much without a click
const KEEP_LIVE_MS = 2500; // a picture that followed the typing is kept when nothing followed it for so long
const $ = (id) => document.getElementById(id);

const form = new Form($("form"));
const [frame, bar, line, note, spoken] = ["frame", "bar", "line", "note", "spoken"].map($);
const status = new Status({
  frame,
  bar,
  line,
  note,
  spoken,
  loadTitle: $("load-title"),
  loadBar: $("load-bar"),
  loadLine: $("load-line"),
  trouble: $("trouble"),
  troubleText: $("trouble-text"),
  troubleDetail: $("trouble-detail"),
  retry: $("retry"),
});
const engine = new Engine({
  onLoading: (event) => drawing && status.loading(event),
  onLoaded: ({ defaults }) => {
    form.fillDefaults(defaults);
    refreshSummary();
  },
});
const picture = new Picture({
  canvas: $("canvas"),
  strip: $("strip"),
  slider: $("slider"),
  caption: (text) => status.say(text),
  estimate: (index) => (drawing ? null : engine.estimate(shown.one?.result, index)),
});
const numbers = new Numbers($("numbers-body"));
const help = new PromptHelp({
  field: $("prompt"),
  row: $("help"),
  link: (prompt) => writeLink({ prompt }, {}),
  onPick: (prompt) => {
    form.prompt = prompt;
    draw();
  },
  onChange: () => live.changed(),
});
const live = new Live($("live"), () => draw({ live: true }));
const gallery = new Gallery(
  new History(),
  { section: $("history"), list: $("kept"), note: $("kept-note"), clear: $("kept-clear") },
  { onOpen: showKept, onDownload: (kept) => shown.download(kept).catch(showTrouble) },
);
const shown = new Shown({ engine, gallery, status, link: linkOf, withSettings: () => $("infotext").checked, onChange: refreshButtons });
const more = new More({
  request: () => requestOf(shown.one.settings, model.id),
  several,
  take,
  png: (images, options) => engine.png(images, options),
  trouble: (error) => showTrouble(error),
});

let opening; // promise: devices and model are known
let probed; // what the worker found, see www/device.js
let model; // Ask.DESCRIBE's reply
let drawing = null; // {stop, done, quiet} of the running request
let newest = 0; // number of the last request asked for
let linkNotes = []; // about the address, said with its picture

/** Looks for devices and for the model's description; `opening` is done when both are known, or trouble is shown. */
function open(wanted) {
  return (opening = describe(wanted));
}

async function describe(wanted) {
  try {
    [probed, model] = await Promise.all([probed ?? engine.probe(), describeModel(wanted)]);
  } catch (error) {
    return showTrouble(error, () => open(wanted));
  }
  form.fillDefaults(model.defaults);
  help.examples = model.examples ?? [];
  help.words = model.words ?? null;
  $("surprise").hidden = help.surprise() === null;
  offerModels();
  refreshSummary();
  refreshDevice();
  const ready = model.cached ? "" : `The first picture fetches the model once: ${megabytes(model.bytes)} MB.`;
  status.rest(ready, linkNotes.join(" "));
  if (model.cached && device().device && !drawing && !asked()) prepare();
}

/** A model that the address names but is not here gives way to the first one, with a word. */
async function describeModel(wanted) {
  try {
    return await engine.describe(wanted || undefined);
  } catch (error) {
    if (!wanted || !/no model called/.test(error.message)) throw error;
    linkNotes.push(`${error.message} Another one is used.`);
    return engine.describe();
  }
}

/** Whether the address asks for a picture that can be drawn without a click. */
function asked() {
  return new URLSearchParams(location.search).has("prompt") && (model.cached || model.bytes <= SMALL_MODEL);
}

function wire() {
  $("generate").addEventListener("click", () => (drawing && !drawing.quiet ? cancel() : draw()));
  $("retry").addEventListener("click", () => {
    status.clearTrouble();
    retry();
  });
  $("dice").addEventListener("click", () => (form.rollSeed(), changed()));
  $("surprise").addEventListener("click", () => {
    form.prompt = help.surprise();
    help.refresh();
    draw();
  });
  $("download").addEventListener("click", () => shown.download().catch(showTrouble));
  $("copy").addEventListener("click", () => shown.copyLink());
  $("share").hidden = !canShare;
  $("share").addEventListener("click", () => shown.share().catch(showTrouble));
  $("form").addEventListener("input", changed);
  $("form").addEventListener("submit", (event) => event.preventDefault());
  $("model").addEventListener("change", ({ target }) => open(target.value));
  $("device").addEventListener("change", ({ target }) => setDevice(target.value));
  $("infotext").checked = recall(INFOTEXT_KEY) !== "off";
  $("infotext").addEventListener("change", ({ target }) => remember(INFOTEXT_KEY, target.checked ? "on" : "off"));
  $("open").addEventListener("click", () => $("file").click());
  receive({ over: $("over"), input: $("file"), onFile: restore });
  document.addEventListener("keydown", onKey);
}

function onKey(event) {
  if (event.isComposing) return;
  const inField = event.target.matches("#form textarea, #form input:not([type=checkbox], [type=range])");
  const asked = event.key === "Enter" && (event.ctrlKey || event.metaKey || (inField && !event.shiftKey));
  if (asked) {
    event.preventDefault();
    draw();
  } else if (event.key === "Escape" && drawing) cancel();
}

/** A field was changed, by hand or from here. */
function changed() {
  refreshSummary();
  if (engine.loaded) live.changed();
}

/** Draws what the form says; a request that is running gives way. With `live` it follows the typing, without a fuss. */
async function draw({ live: quiet = false } = {}) {
  if (quiet && !form.prompt.trim()) return;
  live.forget();
  await opening;
  if (!quiet) status.clearTrouble();
  const request = form.read({ roll: !quiet });
  refreshSummary();
  if (!request) return quiet ? undefined : showWrongField();
  return begin((signal) => run(request, signal, quiet), () => draw(), quiet);
}

/** Runs a job alone: what runs already is stopped, and of several that wait the newest begins. */
async function begin(job, again, quiet = false) {
  const number = ++newest;
  drawing?.stop.abort(SUPERSEDED);
  await drawing?.done;
  if (number !== newest) return;
  const stop = new AbortController();
  drawing = { stop, done: null, quiet };
  drawing.done = job(stop.signal)
    .catch((error) => showTrouble(error, again))
    .finally(() => {
      drawing = null;
      refreshButtons();
    });
  refreshButtons();
}

async function run(request, signal, quiet) {
  if (!quiet) $("frame").scrollIntoView({ block: "nearest" });
  const ready = await load(signal);
  if (signal.aborted) return stopped(signal, "Stopped before the first step.");
  const { full, notes } = complete(request, ready);
  const times = [];
  const begun = performance.now();
  form.markSeedUsed();
  picture.begin(full.steps, { quiet });
  if (!quiet) status.drawing(0, full.steps, times);
  $("frame").classList.add("drawn");
  const onEvent = (event) => {
    if (times.length === 0) drop(quiet);
    times.push(event.milliseconds);
    numbers.add(event);
    picture.addStep(event, `Step ${event.index + 1} of ${event.steps} · ${duration(event.milliseconds)}`);
    if (!signal.aborted && !quiet) status.drawing(event.index + 1, event.steps, times);
  };
  const result = await engine.generate(full, { onEvent, signal });
  if (result.cancelled) return stopped(signal, `Stopped after step ${times.length} of ${full.steps}.`);
  const took = performance.now() - begun;
  live.measured(took);
  const mean = times.length ? ` · ${duration(times.reduce((sum, time) => sum + time, 0) / times.length)} a step` : "";
  const line = `Drawn in ${duration(took)} · ${full.steps} step${full.steps === 1 ? "" : "s"}${mean}`;
  picture.finish(result, line, result.noise);
  const words = [...linkNotes.splice(0), ...notes, ...ready.warnings.splice(0), ...result.warnings].join(" ");
  if (quiet) status.rest(line, words);
  else status.done(line, words);
  show({ settings: settingsOf(full, modelId()), result, infotext: result.infotext });
  shown.keep(quiet ? KEEP_LIVE_MS : 0);
}

/** The request with everything that the model settles, and a word about a sampler that it does not know. */
function complete(request, { defaults }) {
  const known = defaults.schedulers.some(([name]) => name === request.scheduler);
  const notes = request.scheduler && !known ? [`The sampler “${request.scheduler}” is not known; the model’s own drew.`] : [];
  return { full: { ...request, scheduler: known ? request.scheduler : defaults.scheduler, model: model.id }, notes };
}

function stopped(signal, line) {
  if (signal.reason !== SUPERSEDED) status.done(line);
}

/** The canvas shows a finished picture, and everything that can be done with it refers to that one. */
function show(one) {
  $("canvas").setAttribute("aria-label", `Picture of “${one.settings.prompt}”, seed ${one.settings.seed}`);
  $("frame").classList.add("drawn");
  shown.one = one;
}

/** Half of another picture is there; one that follows the typing leaves the last on the canvas until it is done. */
function drop(quiet) {
  numbers.clear();
  if (!quiet) shown.one = null;
}

/** A picture drawn elsewhere on the page takes the canvas. */
function take(request, result) {
  const settings = settingsOf(request, modelId());
  form.restore(settings);
  help.refresh();
  refreshSummary();
  picture.still(result);
  numbers.clear();
  status.rest(`Seed ${request.seed}`);
  show({ settings, result, infotext: result.infotext });
  shown.keep();
}

async function showKept(kept) {
  if (drawing) cancel();
  await drawing?.done;
  const result = await imageOf(kept.png);
  await useModel(kept.settings.model || model.models[0].id);
  form.restore(kept.settings);
  help.refresh();
  refreshSummary();
  picture.still(result);
  numbers.clear();
  status.rest(`Drawn ${new Date(kept.time).toLocaleString()}`);
  show({ ...kept, result });
  $("frame").scrollIntoView({ block: "nearest" });
}

/** A picture file was dropped, pasted or chosen: its settings fill the form. */
async function restore(file) {
  status.clearTrouble();
  try {
    const found = await engine.settings(file);
    if (!found) return status.trouble("This picture carries no settings. Those that Fourstep or A1111 saved do.");
    await useModel(found.model);
    form.restore(settingsOfFile(found));
    help.refresh();
    changed();
    status.done("Settings taken from the picture.", found.notes.join(" "));
  } catch (error) {
    showTrouble(error);
  }
}

/**
 * Draws several pictures as one job, with the count of those done.
 * @param {{count: number, job: Function, line: string, again: () => void, done?: () => void}} what `job` draws each with
 *   the function that it is given, tells the count so far, and resolves to false when it was stopped
 */
function several({ count, job, line, again, done = () => {} }) {
  begin(async (signal) => {
    await load(signal);
    if (signal.aborted) return stopped(signal, "Stopped.");
    const say = (finished) => status.drawing(finished, count, [], "Picture");
    say(0);
    const whole = await job((request) => engine.generate(request, { signal }), say);
    if (!whole) return stopped(signal, "Stopped.");
    status.done(line);
    done();
  }, again);
}

async function load(signal) {
  if (!probed || !model) throw new Error("The model could not be found. Reload the page to try again.");
  const { device: wanted, words } = device();
  if (!wanted) throw new Error(words);
  return engine.load(model.id, wanted, signal);
}

/** Builds the pipeline ahead of the first request, from files that are kept here already. */
async function prepare() {
  status.say("Preparing the model…");
  try {
    await load();
    if (!drawing && engine.loaded) status.rest("Ready.");
  } catch (error) {
    if (!drawing) showTrouble(error, prepare);
  }
}

function cancel() {
  newest++;
  drawing.stop.abort();
  status.say(engine.loading ? "Stopping…" : "Stopping after this step…");
  engine.stopLoading();
}

let retry = () => {};

function showTrouble(error, again) {
  const [width, height] = sizeOf(form.settings.size || form.own.size) ?? [];
  const { message, detail, offer } = explain(error, { width, height, smallest: Math.min(...(sizeOf(form.own.size) ?? [64])) });
  retry = () => {
    if (offer.device) setDevice(offer.device);
    if (offer.width) form.fill({ size: sizeText(offer.width, offer.height) });
    again();
  };
  status.trouble(message, { detail, retry: again ? offer.label : false });
}

function setDevice(device) {
  $("device").value = device;
  remember(DEVICE_KEY, device);
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

function refreshButtons() {
  const busy = Boolean(drawing) && !drawing.quiet;
  $("generate").textContent = busy ? "Cancel" : "Generate";
  $("key").textContent = busy ? "Esc" : "Enter";
  $("generate").classList.toggle("quiet", busy);
  for (const id of ["download", "copy", "share"]) $(id).disabled = busy || !shown.one;
  more.ready = !busy && shown.one !== null;
  if (shown.one) $("more").hidden = false;
}

function offerModels() {
  const several = (model.models ?? []).length > 1;
  $("model-field").hidden = !several;
  $("model").replaceChildren(...(model.models ?? []).map(({ id, name }) => new Option(name ?? id, id)));
  $("model").value = model.id;
}

/** Goes over to another of the models that are here. */
async function useModel(id) {
  await opening;
  if (id !== model?.id && model?.models.some((one) => one.id === id)) await open(id);
}

/** As an address names it: the first one needs no name. */
function modelId() {
  return model.models?.[0]?.id === model.id ? "" : model.id;
}

function linkOf(settings) {
  return new URL(writeLink(settings, form.own), location.href.split(/[?#]/)[0]).href;
}

/** `?device=` of the address, else what was chosen at an earlier visit. */
function preferredDevice() {
  const wanted = [new URLSearchParams(location.search).get("device"), recall(DEVICE_KEY)];
  return wanted.find((choice) => DEVICES.includes(choice)) ?? "auto";
}

const { settings, notes } = readLink(location.search);
linkNotes = notes;
form.fill(settings);
$("device").value = preferredDevice();
wire();
watchPage(showTrouble);
refreshSummary();
refreshButtons();
gallery.open();
open(settings.model).then(() => model && asked() && !drawing && draw());
