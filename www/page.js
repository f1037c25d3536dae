// The page: joins the form, the start picture, the picture, the status and the engine.

import { DeviceChoice } from "./devicechoice.js";
import { Engine } from "./engine.js";
import { Examples } from "./examples.js";
import { canShare } from "./files.js";
import { pickFolders } from "./folder.js";
import { Form } from "./form.js";
import { Gallery } from "./gallery.js";
import { History } from "./history.js";
import { Incoming } from "./incoming.js";
import { Jobs } from "./jobs.js";
import { hearKeys } from "./keys.js";
import { readLink, sizeOf, sizeText, writeLink } from "./link.js";
import { Live } from "./live.js";
import { recall, remember } from "./memory.js";
import { Models } from "./models.js";
import { More } from "./more.js";
import { Numbers } from "./numbers.js";
import { Picture, imageOf } from "./picture.js";
import { PromptHelp } from "./prompthelp.js";
import { completed, requestOf, settingsOf, settingsOfFile, startOf } from "./settings.js";
import { Shown } from "./shown.js";
import { Start } from "./start.js";
import { Storage } from "./storage.js";
import { Status, duration, megabytes } from "./status.js";
import { explain, watchPage } from "./trouble.js";

const INFOTEXT_KEY = "fourstep.infotext";
const KEEP_LIVE_MS = 2500; // a picture that followed the typing is kept when nothing followed it for so long
const $ = (id) => document.getElementById(id);

const form = new Form($("form"));
const status = new Status();
const engine = new Engine({
  onLoading: (event) => jobs.running && status.loading(event),
  onLoaded: ({ model, defaults, cached }) => {
    if (model !== models.model.id) return;
    models.cached = cached;
    form.fillDefaults(defaults);
    refreshSummary();
    storage.refresh();
  },
});
const jobs = new Jobs({ onChange: refreshButtons, onTrouble: showTrouble });
const models = new Models(
  engine,
  { select: $("model"), words: $("model-words"), forget: $("model-forget") },
  { describe, follow: () => form.follow(), removed: (line) => (status.done(line), storage.refresh()), trouble: showTrouble },
);
const device = new DeviceChoice({ select: $("device"), words: $("device-words") }, () => models.demand);
const start = new Start({ choose: () => $("start-file").click(), onChange: changed });
const picture = new Picture({
  canvas: $("canvas"),
  strip: $("strip"),
  slider: $("slider"),
  caption: (text) => status.say(text),
  estimate: (index) => (jobs.running ? null : engine.estimate(shown.one?.result, index)),
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
const storage = new Storage({ words: $("storage-words"), keep: $("storage-keep") });
const gallery = new Gallery(
  new History(),
  { section: $("history"), list: $("kept"), note: $("kept-note"), save: $("kept-save"), clear: $("kept-clear") },
  {
    onOpen: showKept,
    onChange: () => storage.refresh(),
    onDownload: (kept) => shown.download(kept).catch(showTrouble),
    onDownloadAll: (all) => shown.downloadAll(all).catch(showTrouble),
  },
);
const shown = new Shown({ engine, gallery, status, link: linkOf, withSettings: () => $("infotext").checked, onChange: refreshButtons });
const more = new More({
  request: () => ({ ...requestOf(shown.one.settings, models.model.id), ...shown.one.start }),
  several,
  take,
  png: (images, options) => engine.png(images, options),
  trouble: (error) => showTrouble(error),
});

const examples = new Examples($("examples"), drawExample);

let linkNotes = []; // about the address, said with its picture
let retry = () => {};

/** Looks for devices and for a model's description, and fills the page with them; or shows trouble. */
async function describe(wanted) {
  let model;
  try {
    const note = (words) => linkNotes.push(words);
    [device.probed, model] = await Promise.all([device.probed ?? engine.probe(), models.describe(wanted, note)]);
  } catch (error) {
    return showTrouble(error, () => models.open(wanted));
  }
  form.fillDefaults(model.defaults);
  examples.model = models.first;
  help.examples = model.examples ?? [];
  help.words = model.words ?? null;
  $("surprise").hidden = help.surprise() === null;
  refreshSummary();
  device.refresh();
  const ready = model.cached ? "" : `The first picture fetches the model once: ${megabytes(model.bytes)} MB.`;
  const { device: possible, words } = device.chosen;
  status.rest(possible ? ready : words, linkNotes.join(" "));
  if (model.cached && possible && !jobs.running && !asked()) prepare();
}

/** Whether the address asks for a picture that can be drawn without a click. One that began with another picture cannot. */
function asked() {
  const query = new URLSearchParams(location.search);
  return query.has("prompt") && !query.has("strength") && models.drawsUnasked;
}

function wire() {
  $("generate").addEventListener("click", () => (jobs.busy ? cancel() : draw()));
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
  $("change").addEventListener("click", () => {
    start.set(shown.one.result);
    start.reveal();
  });
  $("infotext").checked = recall(INFOTEXT_KEY) !== "off";
  $("infotext").addEventListener("change", ({ target }) => remember(INFOTEXT_KEY, target.checked ? "on" : "off"));
  $("open").addEventListener("click", () => $("file").click());
  new Incoming(
    { over: $("over"), settingsFile: $("file"), startFile: $("start-file") },
    { engine, status, trouble: showTrouble, restore, start: begin },
  );
  pickFolders(
    { field: $("folder-field"), open: $("folder-open"), input: $("folder"), bits: $("folder-bits") },
    { opened: openFolder, trouble: (error) => showTrouble(error) },
  );
  hearKeys({ draw: () => draw(), stop: () => jobs.running && cancel() });
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
  await models.ready;
  if (quiet && engine.loaded?.model !== models.model?.id) return; // typing fetches no model
  if (!quiet) status.clearTrouble();
  const request = form.read({ roll: !quiet });
  refreshSummary();
  if (!request) return quiet ? undefined : showWrongField();
  Object.assign(request, start.read(request.width, request.height));
  return jobs.begin((signal) => run(request, signal, quiet), () => draw(), quiet);
}

async function run(request, signal, quiet) {
  if (!quiet) $("frame").scrollIntoView({ block: "nearest" });
  const ready = await load(signal);
  if (signal.aborted) return stopped(signal, "Stopped before the first step.");
  const { full, notes } = completed(request, ready.defaults, models.model.id);
  const times = [];
  let { steps } = full; // fewer where it starts from a picture
  const begun = performance.now();
  form.markSeedUsed();
  picture.begin({ quiet });
  if (!quiet) status.drawing(0, full.steps, times);
  $("frame").classList.add("drawn");
  const onEvent = (event) => {
    if (times.length === 0) drop(quiet);
    times.push(event.milliseconds);
    steps = event.steps;
    numbers.add(event);
    picture.addStep(event, `Step ${event.index + 1} of ${event.steps} · ${duration(event.milliseconds)}`);
    if (!signal.aborted && !quiet) status.drawing(event.index + 1, event.steps, times);
  };
  const result = await engine.generate(full, { onEvent, signal });
  if (result.cancelled) return stopped(signal, `Stopped after step ${times.length} of ${steps}.`);
  const took = performance.now() - begun;
  live.measured(took);
  const mean = duration(times.reduce((sum, time) => sum + time, 0) / times.length);
  const line = `Drawn in ${duration(took)} · ${times.length} step${times.length === 1 ? "" : "s"} of ${mean}`;
  picture.finish(result, line, result.noise);
  const words = [...linkNotes.splice(0), ...notes, ...ready.warnings.splice(0), ...result.warnings].join(" ");
  if (quiet) status.rest(line, words);
  else status.done(line, words);
  show({ settings: settingsOf(full, models.nameInLink), result, infotext: result.infotext, start: startOf(full) });
  shown.keep(quiet ? KEEP_LIVE_MS : 0);
}

function stopped(signal, line) {
  if (!Jobs.superseded(signal)) status.done(line);
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
  const settings = settingsOf(request, models.nameInLink);
  form.restore(settings);
  help.refresh();
  refreshSummary();
  picture.still(result);
  numbers.clear();
  status.rest(`Seed ${request.seed}`);
  show({ settings, result, infotext: result.infotext, start: startOf(request) });
  shown.keep();
}

async function showKept(kept) {
  if (jobs.running) cancel();
  await jobs.idle;
  const result = await imageOf(kept.png);
  const note = await models.use(kept.settings.model || models.first);
  form.restore(kept.settings);
  const began = kept.start && { image: await imageOf(kept.start.image), mask: kept.start.mask && (await imageOf(kept.start.mask)) };
  if (began) start.set(began.image, { strength: kept.settings.strength, mask: began.mask });
  else start.remove();
  help.refresh();
  refreshSummary();
  picture.still(result);
  numbers.clear();
  status.rest(`Drawn ${new Date(kept.time).toLocaleString()}`, note);
  show({ ...kept, result, start: began && { ...began, strength: Number(kept.settings.strength) } });
  $("frame").scrollIntoView({ block: "nearest" });
}

/** An example's link says what is not the first model's own. */
async function drawExample(settings) {
  await models.use(models.first);
  start.remove();
  form.fill({ negative: "", ...form.own, ...settings });
  help.refresh();
  refreshSummary();
  draw();
}

/** The settings that a picture file carries fill the form; resolves to a word about its model. Its own start picture is not in it. */
async function restore(found) {
  const note = await models.use(found.model);
  const settings = settingsOfFile(found);
  form.restore(settings);
  if (settings.strength === undefined) start.remove();
  else start.strength = settings.strength;
  help.refresh();
  changed();
  return note;
}

/** A picture becomes the start picture. */
function begin(image) {
  start.set(image);
  start.reveal();
  changed();
}

/**
 * Draws several pictures as one job, with the count of those done.
 * @param {{count: number, job: Function, line: string, again: () => void, done?: () => void}} what `job` draws each with
 *   the function that it is given, tells the count so far, and resolves to false when it was stopped
 */
function several({ count, job, line, again, done = () => {} }) {
  live.forget();
  jobs.begin(async (signal) => {
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
  if (!device.probed || !models.model) throw new Error("The model could not be found. Reload the page to try again.");
  const { device: wanted, words } = device.chosen;
  if (!wanted) throw new Error(words);
  return engine.load(models.model.id, wanted, signal);
}

/** Goes over to a model in a folder of the user's, as soon as it proves to be one. */
function openFolder(folder) {
  jobs.begin(async (signal) => {
    await models.ready;
    const { device: wanted, words } = device.chosen;
    if (!wanted) throw new Error(words);
    const loaded = await engine.loadFolder(folder, wanted, signal);
    if (signal.aborted || !loaded) return stopped(signal, "Stopped.");
    folder.defaults = loaded.defaults;
    await models.open(folder.id);
    status.done(`“${folder.name}” is ready to draw.`);
  }, () => openFolder(folder));
}

/** Builds the pipeline ahead of the first request, from files that are kept here already. */
async function prepare() {
  const words = "Preparing the model…";
  status.say(words);
  try {
    await load();
    if (!jobs.running && engine.loaded && $("line").textContent === words) status.rest("Ready.");
  } catch (error) {
    if (!jobs.running) showTrouble(error, prepare);
  }
}

function cancel() {
  jobs.cancel();
  status.say(engine.loading ? "Stopping…" : "Stopping after this step…");
  engine.stopLoading();
}

function showTrouble(error, again) {
  const [width, height] = sizeOf(form.settings.size || form.own.size) ?? [];
  const { message, detail, offer } = explain(error, { width, height, smallest: Math.min(...(sizeOf(form.own.size) ?? [64])) });
  retry = () => {
    if (offer.device) device.set(offer.device);
    if (offer.width) form.fill({ size: sizeText(offer.width, offer.height) });
    again();
  };
  status.trouble(message, { detail, retry: again ? offer.label : false });
}

function showWrongField() {
  $("settings").open = true;
  form.firstWrong?.focus();
}

function refreshSummary() {
  $("summary").textContent = form.summary;
  const size = sizeOf(form.settings.size || form.own.size);
  if (size) start.size = size;
  if (!jobs.running) picture.slots(Number($("steps").value) || 0);
}

function refreshButtons() {
  const { busy } = jobs;
  $("generate").textContent = busy ? "Cancel" : "Generate";
  $("key").textContent = busy ? "Esc" : "Enter";
  $("generate").classList.toggle("quiet", busy);
  for (const id of ["download", "copy", "share", "change"]) $(id).disabled = busy || !shown.one;
  more.ready = !busy && shown.one !== null;
  if (shown.one) $("more").hidden = false;
}

function linkOf(settings) {
  return new URL(writeLink(settings, form.own), location.href.split(/[?#]/)[0]).href;
}

const { settings, notes } = readLink(location.search);
linkNotes = notes;
form.fill(settings);
if (settings.strength) start.strength = settings.strength;
wire();
watchPage(showTrouble);
refreshSummary();
refreshButtons();
gallery.open();
models.open(settings.model).then(() => models.model && asked() && !jobs.running && draw());
