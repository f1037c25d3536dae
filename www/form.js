// The form's fields: read them into a request, say what is wrong with one, fill them from an address, a picture's settings,
// the model's defaults or an example, and decide which seed the next picture has.

import { $ } from "./dom.js";
import { LIMITS, seedProblem, sizeOf, sizeText } from "./link.js";

/** The fields that a picture's settings name; others of the form are none of theirs. */
const NAMES = ["prompt", "negative", "seed", "steps", "guidance", "sampler", "size"];
const OF_MODEL = ["steps", "guidance", "sampler", "size"];
const CHECKED = ["seed", "steps", "guidance"];
/** Multiples of the model's own size that are offered where it does not name its sizes, width and height. */
const SIZES = [
  [1, 1],
  [1.5, 1],
  [1, 1.5],
  [1.5, 1.5],
  [2, 2],
];

export class Form {
  #fields = Object.fromEntries([...NAMES, "keep"].map((name) => [name, $(name)]));
  #wrong = new Map(); // name -> what is wrong with the field
  #touched = new Set();
  #limits = { steps: LIMITS.steps, guidance: LIMITS.guidance };
  /** The model's own settings; none until they are known. @type {import("./link.js").Settings} */
  #own = {};
  #seedUsed = false;
  /** Who keeps the seed: the user, until released; or the picture whose settings these are, until the prompt changes. */
  #keptBy = null;
  #kept = ""; // the settings of the picture that keeps the seed, where it is on the canvas

  constructor() {
    this.rollSeed();
    $("form").addEventListener("input", ({ target }) => this.#onInput(target));
    $("seed-kept").addEventListener("click", () => {
      this.#keep(null);
      this.#seedUsed = true;
      $("generate").focus();
    });
  }

  /** Fills the fields that the settings name. @param {import("./link.js").Settings} settings */
  fill(settings) {
    for (const name of NAMES) {
      const value = settings[name];
      if (value === undefined || value === null) continue;
      const field = this.#fields[name];
      if (field.tagName === "SELECT") offer(field, String(value));
      field.value = value;
      this.#touched.add(name);
      this.#say(name, "");
    }
    if (settings.seed !== undefined) this.#seedUsed = false;
    this.#showKept();
  }

  /** As {@link fill}, for all settings of a picture: what it does not name is the model's own, and its seed is kept as long
   *  as its prompt. @param {import("./link.js").Settings} settings @param {{shown?: boolean}} [more] whether the picture is on the canvas */
  restore(settings, { shown = true } = {}) {
    this.fill({ negative: "", ...this.#own, ...settings });
    if (settings.seed !== undefined) this.#keep("picture");
    this.#kept = shown ? this.#key() : "";
  }

  /** Fills what the user has not set from `defaults` of the manifest or of Pipeline.defaults(), with its samplers where it has
   *  them, and offers `sizes`, or some multiples of the model's own. */
  fillDefaults({ steps, guidance_scale, guidance_scale_range, width, height, sampler, samplers, size_multiple }, sizes) {
    const size = sizeText(width, height);
    this.#own = { steps: String(steps), guidance: String(guidance_scale), sampler: sampler ?? this.#own.sampler ?? "", size };
    const { guidance } = this.#fields;
    for (const name of ["steps", "guidance"]) {
      if (!this.#touched.has(name)) this.#fields[name].value = this.#own[name];
    }
    const [least, largest] = (this.#limits.guidance = guidance_scale_range ?? LIMITS.guidance);
    Object.assign(guidance, { min: least, max: largest });
    if (guidance.value < least || guidance.value > largest) guidance.value = Math.min(Math.max(guidance.value, least), largest);
    this.#listSizes(sizes ?? multiples(width, height, size_multiple ?? 8));
    if (samplers) this.#listSamplers(samplers, sampler);
  }

  /** Another model was chosen: all of its own settings are used, as soon as they are known. */
  follow() {
    for (const name of OF_MODEL) this.#touched.delete(name);
    for (const name of ["steps", "guidance"]) this.#say(name, "");
    this.#own.sampler = "";
    this.#fields.sampler.replaceChildren(new Option("Default", ""));
  }

  /** The model's own settings, which an address omits. */
  get own() {
    return this.#own;
  }

  /** What the fields say, as an address has it. @returns {import("./link.js").Settings} */
  get settings() {
    return Object.fromEntries(NAMES.map((name) => [name, this.#fields[name].value.trim()]));
  }

  get prompt() {
    return this.#fields.prompt.value;
  }

  set prompt(text) {
    if (text === this.#fields.prompt.value) return;
    this.#fields.prompt.value = text;
    this.#newPrompt();
  }

  /** A new random seed of 32 bits. */
  rollSeed() {
    this.#fields.seed.value = crypto.getRandomValues(new Uint32Array(1))[0];
    this.#seedUsed = false;
    this.#say("seed", "");
    this.#showKept();
  }

  /** The picture with these settings is being drawn. */
  markSeedUsed() {
    this.#seedUsed = true;
    if (this.#keptBy === "picture") this.#kept = this.#key();
  }

  /** Checks the fields; resolves to what is wrong with the first wrong one and the field itself, or null. */
  check() {
    this.#number("steps", "Steps", Number.isInteger);
    this.#number("guidance", "Guidance", Number.isFinite);
    this.#say("seed", seedProblem(this.#fields.seed.value.trim()));
    const name = CHECKED.find((one) => this.#wrong.has(one));
    return name ? { words: this.#wrong.get(name), field: this.#fields[name] } : null;
  }

  /**
   * The request for Pipeline.generate, `sampler` '' meaning the model's own. A seed that has drawn a picture already is
   * replaced first, unless it is to be kept, or `roll` is false.
   */
  read({ roll = true } = {}) {
    if (roll) this.#renew();
    const { prompt, negative, seed, steps, guidance, sampler, size } = this.settings;
    const [width, height] = sizeOf(size || this.#own.size) ?? [];
    return {
      prompt,
      negative_prompt: negative,
      seed,
      steps: Number(steps),
      guidance_scale: Number(guidance),
      sampler,
      width,
      height,
    };
  }

  /** The settings in one short line. */
  get summary() {
    const { steps, guidance, seed, negative } = this.settings;
    const parts = [`${steps || "…"} step${steps === "1" ? "" : "s"}`, `guidance ${guidance || "…"}`];
    parts.push(`seed ${seed || "…"}${this.#keptBy ? ", kept" : ""}`);
    if (negative) parts.push("negative prompt");
    return parts.join(" · ");
  }

  #onInput({ id, checked }) {
    this.#touched.add(id);
    this.#say(id, "");
    if (id === "prompt") this.#newPrompt();
    if (id === "keep") this.#keep(checked ? "user" : null);
    if (id !== "seed") return;
    this.#seedUsed = false;
    this.#keep("user");
  }

  // A picture's seed belongs to its prompt. One that the user keeps stays.
  #newPrompt() {
    if (this.#keptBy !== "picture") return;
    this.#keep(null);
    this.rollSeed();
  }

  // The settings of a picture that is there already are asked for again: another picture is wanted.
  #renew() {
    if (this.#keptBy === "picture" && this.#kept === this.#key()) {
      this.#keep(null);
      this.#seedUsed = true;
    }
    if (this.#seedUsed && !this.#keptBy) this.rollSeed();
  }

  #keep(by) {
    this.#keptBy = by;
    this.#fields.keep.checked = by !== null;
    this.#showKept();
  }

  #showKept() {
    $("seed-kept").hidden = this.#keptBy === null;
    $("seed-kept-number").textContent = this.#fields.seed.value;
  }

  #key() {
    return JSON.stringify(this.settings);
  }

  #number(name, label, isKind) {
    const text = this.#fields[name].value.trim();
    const value = text === "" ? NaN : Number(text);
    const [low, high] = this.#limits[name];
    const kind = isKind === Number.isInteger ? "a whole number" : "a number";
    const ok = isKind(value) && value >= low && value <= high;
    this.#say(name, ok ? "" : `${label}: ${kind} from ${low} to ${high}.`);
  }

  #say(name, text) {
    if (!CHECKED.includes(name)) return;
    if (text) this.#wrong.set(name, text);
    else this.#wrong.delete(name);
    $(`${name}-error`).textContent = text;
    this.#fields[name].setAttribute("aria-invalid", String(text !== ""));
  }

  #listSamplers(samplers, preferred) {
    const select = this.#fields.sampler;
    const wanted = this.#touched.has("sampler") && select.value ? select.value : preferred;
    select.replaceChildren(...samplers.map(([name, label]) => new Option(label, name)));
    const known = samplers.some(([name]) => name === wanted);
    select.value = known ? wanted : preferred;
  }

  #listSizes(sizes) {
    const select = this.#fields.size;
    const wanted = this.#touched.has("size") && select.value ? select.value : this.#own.size;
    select.replaceChildren();
    for (const size of [...sizes.map(([width, height]) => sizeText(width, height)), wanted]) offer(select, size);
    select.value = wanted;
    $("size-field").hidden = select.options.length < 2;
  }
}

function multiples(width, height, multiple) {
  const fits = (side) => Math.round(side / multiple) * multiple;
  return SIZES.map(([across, down]) => [fits(width * across), fits(height * down)]);
}

/** Adds what a select does not offer yet; sizes with both sides. */
function offer(select, value) {
  if ([...select.options].some((option) => option.value === value)) return;
  const sides = select.id === "size" ? sizeOf(value) : null;
  select.add(new Option(sides ? sides.join(" × ") : value, value));
}
