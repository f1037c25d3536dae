// What the page does: it finds a model and a device, draws one request at a time, and keeps the address, the buttons and the
// gallery in step with the picture. The parts that it is given show its state; nothing of it is read back from them.

import { Advice } from "./advice.js";
import { $ } from "./dom.js";
import { Jobs } from "./jobs.js";
import { isHeavy, readLink, sizeOf, sizeText, writeLink } from "./link.js";
import { left } from "./revisit.js";
import { completed, settingsOf, startOf } from "./settings.js";
import { duration, loadingWords, megabytes } from "./status.js";
import { explain } from "./trouble.js";

const SLOW_MS = 600; // an edit that takes longer says how far it is
const KEEP_LIVE_MS = 2500; // a picture that followed the typing is saved when nothing followed it for so long

export class Studio {
  /** The page's parts; page.js fills them in. @type {Record<string, any>} */
  #parts;
  #jobs = new Jobs({ onChange: () => this.refreshButtons(), onTrouble: (error, again) => this.trouble(error, again) });
  #notes = []; // about the address, said with its picture
  #begun = false; // the visit's first model was looked for
  #advice;

  constructor(parts) {
    this.#parts = parts;
    this.#advice = new Advice(parts, () => this.draw());
  }

  get jobs() {
    return this.#jobs;
  }

  /** Begins a visit: with the address's picture, with what a reload left, or with an empty canvas.
   *  @param {(kept: object, prompt: string) => Promise<void>} show shows a picture of the gallery, with another prompt in the form */
  async begin(show) {
    const { form, start, models, gallery } = this.#parts;
    const { settings, notes } = readLink(location.search);
    this.#notes = notes;
    form.fill(settings);
    start.strength = settings.edit ? undefined : settings.strength;
    this.refresh();
    this.refreshButtons();
    const opening = models.open(settings.model);
    const before = left();
    await gallery.open();
    const kept = before && gallery.find(before.picture);
    if (kept && !this.#jobs.running) await show(kept, before.prompt);
    else if (before) form.prompt = before.prompt;
    await opening;
    this.#begun = true;
    if (!models.model || this.#jobs.running) return;
    if (kept || settings.prompt === undefined || settings.strength !== undefined || !this.#drawsUnasked()) this.#prepare();
    else this.draw();
  }

  /** A model's description is there, with a note about it or ''. */
  described(note) {
    const { form, start, more, help, examples, device, status, models, shown } = this.#parts;
    const { defaults, offers, surprises, examples: prompts, bytes } = models.model;
    if (note) this.#notes.push(note);
    form.fillDefaults(defaults, offers?.sizes);
    start.offered = offers?.strengths;
    more.offered = offers?.variations;
    help.know(models.model.id, examples.show(models.first) ? [] : (prompts ?? []), surprises ?? null);
    Object.assign($("surprise"), { disabled: false, hidden: help.surprise() === undefined });
    this.refresh();
    device.refresh();
    if (this.#jobs.running) return;
    const { device: possible, words: why } = device.chosen;
    const first = models.comesUnasked ? "" : `The model is downloaded once, before the first picture: ${megabytes(bytes)} MB.`;
    if (!possible || !shown.one) status.rest(possible ? first : why, this.#notes.join(" "));
    if (this.#begun && models.model.cached) this.#prepare();
  }

  /** Shows which model and device draw. */
  refreshSetup() {
    const { models, device } = this.#parts;
    $("setup-line").textContent = [models.line, device.line].filter(Boolean).join(" · ");
  }

  /** Shows what the settings, the model and the device are now. */
  refresh() {
    const { form, start, edit } = this.#parts;
    this.refreshSetup();
    $("summary").textContent = form.summary;
    const { size } = form.settings;
    const steps = Math.max(1, Math.round(Number(form.settings.steps)) || 1);
    const sides = sizeOf(size || form.own.size);
    if (sides) start.suit(sides, steps);
    edit.suit(steps);
  }

  /** A field was changed, by hand or from here. */
  changed() {
    this.refresh();
    if (this.#parts.engine.loaded) this.#parts.live.changed();
  }

  /** Draws what the form says; a request that is running gives way. With `quiet` it follows the typing, without a fuss. */
  draw({ quiet = false } = {}) {
    const { form, live, status, models, engine } = this.#parts;
    if (quiet && !form.prompt.trim()) return;
    if (quiet && (!engine.loaded || engine.loaded.model !== models.model?.id)) return; // typing fetches no model
    live.forget();
    if (!quiet) status.clear();
    if (models.model && !this.#fieldsAreRight(quiet)) return;
    const job = async (signal) => {
      if (!(await this.#ready(signal))) return this.#stopped(signal, "Stopped.");
      const request = await this.#request(quiet);
      if (!request) return undefined;
      if (!quiet) $("frame").scrollIntoView({ block: "nearest" });
      const ready = await this.#readied(signal, "Stopped before the first step.");
      if (ready) await this.#run(request, ready, signal, { quiet });
      return ready && !signal.aborted && !quiet ? this.#advice.on(request.prompt) : undefined;
    };
    this.#jobs.begin(job, () => this.draw(), quiet);
  }

  /** Draws an edit by words; the picture that is there stays until the edit is done.
   *  @param {{request: (defaults: object) => object, ended: () => void, again: () => void}} what `request` says what to draw with
   *   the model's settings; `ended`: nothing is drawn any more, well or not */
  edit({ request, ended, again }) {
    this.#parts.live.forget();
    const job = async (signal) => {
      try {
        const ready = await this.#readied(signal, "Stopped.");
        if (ready) await this.#run(request(ready.defaults), ready, signal, { quiet: true, edit: true });
      } finally {
        ended();
      }
    };
    this.#jobs.begin(job, again, true);
  }

  /**
   * Draws several pictures as one job, with the count of those done.
   * @param {{count: number, job: Function, line: string, again: () => void, done?: () => void, large?: boolean}} what `job` draws
   *   each with the function that it is given, tells the count so far, and resolves to false when it was stopped; `large`: they
   *   are wanted by the model's large decoder too, where it has one
   */
  several({ count, job, line, again, done = () => {}, large = false }) {
    const { live, status, engine, models } = this.#parts;
    live.forget();
    this.#jobs.begin(async (signal) => {
      if (!(await this.#readied(signal, "Stopped."))) return undefined;
      const say = (finished) => status.drawing(finished, count, [], "Picture");
      say(0);
      const draw = async (request) => {
        const result = await engine.generate({ ...request, model: models.model.id }, { signal });
        return result.cancelled || !large ? result : { ...result, large: await engine.large(result) };
      };
      const whole = await job(draw, say);
      if (!whole) return this.#stopped(signal, "Stopped.");
      status.done(line);
      return done();
    }, again);
  }

  /** The canvas shows a finished picture, and everything that can be done with it refers to that one. */
  show(one) {
    const { prompt, seed } = one.settings;
    $("canvas").setAttribute("aria-label", `Picture of “${prompt}”, seed ${seed}`);
    $("frame").classList.add("drawn");
    document.title = prompt ? `${prompt} · Fourstep` : "Fourstep";
    this.#parts.shown.one = one;
    this.#follow(one.settings);
  }

  /** The address that draws a picture with these settings. */
  linkOf(settings) {
    return new URL(writeLink(settings, this.#parts.form.own), location.href.split(/[?#]/)[0]).href;
  }

  cancel() {
    const { status, engine } = this.#parts;
    this.#jobs.cancel();
    status.say(engine.loading ? "Stopping…" : "Stopping after this step…");
    engine.stopLoading();
  }

  /** @param {Error} error @param {() => void} [again] what the button does */
  trouble(error, again) {
    const { form, device, status } = this.#parts;
    const [width, height] = sizeOf(form.settings.size || form.own.size) ?? [];
    const { message, detail, offer } = explain(error, { width, height, smallest: Math.min(...(sizeOf(form.own.size) ?? [64])) });
    const act = () => {
      if (offer.device) device.set(offer.device);
      if (offer.width) form.fill({ size: sizeText(offer.width, offer.height) });
      again();
    };
    status.trouble(message, { detail, offer: again ? { label: offer.label, act } : null });
  }

  /** The worker brings a model: `event` of Tell.LOADING. */
  onLoading(event) {
    const { status, models } = this.#parts;
    const { line } = loadingWords(event);
    models.coming = event.total ? line : "getting ready";
    if (this.#jobs.running) status.loading(event);
  }

  /** The worker holds a pipeline: Ask.LOAD's reply. */
  onLoaded({ model, defaults, cached }) {
    const { models, form, storage, start, edit, help } = this.#parts;
    if (model !== models.model.id) return;
    models.cached = cached;
    form.fillDefaults(defaults, models.model.offers?.sizes);
    start.clear = Boolean(defaults.alpha);
    edit.own = defaults.edit;
    help.refresh(); // the program that knows the words is there
    this.refresh();
    storage.refresh();
  }

  /** Whether the address's picture may be drawn without a click; where not, says why. */
  #drawsUnasked() {
    const { form, models, status } = this.#parts;
    if (!models.drawsUnasked) return false;
    const { settings, own } = form;
    if (!isHeavy(settings, own)) return true;
    status.notice(
      `This link asks for ${settings.steps} steps at ${settings.size || own.size} px, which takes a long time. Press Generate to draw it.`,
    );
    return false;
  }

  /** Waits until there is a model to draw with; resolves to whether the request still stands. */
  async #ready(signal) {
    const { models, status } = this.#parts;
    if (!models.model) status.waiting();
    const stopped = new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    await Promise.race([models.whenReady(), stopped]);
    return !signal.aborted;
  }

  #fieldsAreRight(quiet) {
    const wrong = this.#parts.form.check();
    if (wrong && !quiet) {
      $("settings").open = true;
      wrong.field.focus({ preventScroll: true });
      wrong.field.scrollIntoView({ block: "center" });
    }
    return !wrong;
  }

  /** What the form and the start picture say, or null where the user is asked first. */
  async #request(quiet) {
    const { form, help, start, status, engine } = this.#parts;
    if (!this.#fieldsAreRight(quiet)) return null;
    if (!quiet && !engine.loaded) status.waiting();
    if (!quiet && !form.prompt.trim() && !start.there) this.surprise();
    if (!quiet && (await this.#advice.isGuess())) return null;
    const request = form.read({ roll: !quiet });
    help.refresh();
    this.refresh();
    return Object.assign(request, start.read(request.width, request.height));
  }

  /** Writes a prompt that the model draws well, where it knows words. */
  surprise() {
    const { form, help } = this.#parts;
    form.prompt = help.surprise() ?? form.prompt;
    help.refresh();
  }

  /** Draws on the canvas with the pipeline of `ready`. With `quiet` the picture that is there stays until the end; an `edit` says
   *  how far it is when that takes long, and leaves the form's seed and the switch for drawing while typing alone. */
  async #run(request, ready, signal, { quiet = false, edit = false }) {
    const { form, picture, status, numbers, engine, live, shown, models } = this.#parts;
    const { full, notes } = completed(request, ready.defaults, models.model.id);
    const times = [];
    let { steps } = full; // fewer where it starts from a picture
    const begun = performance.now();
    if (!edit) form.markSeedUsed();
    picture.begin({ quiet });
    if (!quiet) status.drawing(0, full.steps, times);
    $("frame").classList.add("drawn");
    const onEvent = (event) => {
      if (times.length === 0) this.#drop(quiet);
      times.push(event.milliseconds);
      steps = event.steps;
      numbers.add(event);
      picture.addStep(event, `Step ${event.index + 1} of ${event.steps} · ${duration(event.milliseconds)}`);
      const told = !quiet || (edit && performance.now() - begun > SLOW_MS);
      if (!signal.aborted && told) status.drawing(event.index + 1, event.steps, times);
    };
    const result = await engine.generate(full, { onEvent, signal });
    if (result.cancelled) return void this.#stopped(signal, `Stopped after step ${times.length} of ${steps}.`);
    const took = performance.now() - begun;
    if (!edit) live.measured(took);
    const mean = duration(times.reduce((sum, time) => sum + time, 0) / times.length);
    const line = `${edit ? "Edited" : "Drawn"} in ${duration(took)} · ${times.length === 1 ? "1 step" : `${times.length} steps`}, ${mean} each`;
    picture.finish(result, line, result.noise);
    const words = [...this.#notes.splice(0), ...notes, ...ready.warnings.splice(0), ...result.warnings].join(" ");
    if (quiet && !edit) status.rest(line, words);
    else status.done(line, words);
    const enlarge = () => engine.large(result);
    this.show({ settings: settingsOf(full, models.nameInLink), result, infotext: result.infotext, start: startOf(full), enlarge });
    shown.keep(quiet ? KEEP_LIVE_MS : 0);
  }

  #stopped(signal, line) {
    if (!Jobs.superseded(signal)) this.#parts.status.done(line);
  }

  /** Half of another picture is there; one that follows the typing leaves the last on the canvas until it is done. */
  #drop(quiet) {
    this.#parts.numbers.clear();
    if (!quiet) this.#parts.shown.one = null;
  }

  /** The device that draws. @throws {Error} in words where none can */
  #device() {
    const { device, words } = this.#parts.device.chosen;
    if (!device) throw new Error(words);
    return device;
  }

  /** The pipeline, once there is a model and it is loaded; null where the request was stopped meanwhile, which `line` says. */
  async #readied(signal, line) {
    const ready = (await this.#ready(signal)) && (await this.#load(signal));
    if (ready && !signal.aborted) return ready;
    this.#stopped(signal, line);
    return null;
  }

  async #load(signal) {
    const { engine, models } = this.#parts;
    try {
      return await engine.load(models.model.id, this.#device(), signal);
    } finally {
      models.coming = "";
    }
  }

  /** Fetches the model where that costs little, and builds the pipeline ahead of the first request. */
  async #prepare() {
    const { models, device, engine } = this.#parts;
    if (this.#jobs.running || !models.comesUnasked || !device.chosen.device || engine.loaded?.model === models.model.id) return;
    try {
      await this.#load();
    } catch {
      models.coming = "not ready: press Generate to try again"; // and says what is wrong: nobody asked for it yet
    }
  }

  // The address is that of the picture; what it says beside the picture stays.
  #follow(settings) {
    const address = new URL(this.linkOf(settings));
    const device = new URLSearchParams(location.search).get("device");
    if (device) address.searchParams.set("device", device);
    try {
      history.replaceState(history.state, "", address);
    } catch {
      // Some browsers allow this only so often.
    }
  }

  /** Shows what can be done now. */
  refreshButtons() {
    const { shown, more, edit } = this.#parts;
    const { busy } = this.#jobs;
    $("generate").textContent = busy ? "Cancel" : "Generate";
    $("generate").classList.toggle("quiet", busy);
    const ready = !busy && shown.one !== null;
    $("change").disabled = !ready;
    shown.ready = more.ready = edit.ready = ready;
    const { edit: edited } = shown.one?.start ?? {};
    const fitted = edited?.method === "imagic"; // by a model that is gone
    this.#refuse(["morph-go"], edited && "A picture that was edited by words cannot be morphed."); // a morph begins with noise
    this.#refuse(["more-4", "more-9"], fitted && "“Go deeper” made this picture: there are no variations of it.");
  }

  /** Disables buttons for a reason, or takes the reason away. */
  #refuse(ids, reason) {
    for (const id of ids) {
      if (reason) $(id).disabled = true;
      $(id).title = reason || "";
    }
  }
}
