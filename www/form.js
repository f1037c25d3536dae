// The form's fields: read them into a request, say in words what is wrong with one, fill them from an address, a
// picture's settings, the model's defaults or an example, and keep the seed's rules.

import { LIMITS, sizeOf, sizeText } from "./link.js";

const SEED_DIGITS = /^\d{1,20}$/;
/** Multiples of the model's own size that are offered, width and height. */
const SIZES = [
  [1, 1],
  [1.5, 1],
  [1, 1.5],
  [1.5, 1.5],
  [2, 2],
];

export class Form {
  #fields;
  #errors;
  #touched = new Set();
  #limits = { steps: LIMITS.steps, guidance: LIMITS.guidance };
  #own = { steps: "", guidance: "", sampler: "", size: "" };
  #seedUsed = false;

  /** @param {HTMLFormElement} form with fields named as Settings of www/link.js, `keep`, and an element `NAME-error` for each that can be wrong */
  constructor(form) {
    this.#fields = form.elements;
    this.#errors = new Map(
      ["seed", "steps", "guidance"].map((name) => [name, document.getElementById(`${name}-error`)]),
    );
    this.rollSeed();
    form.addEventListener("input", ({ target }) => {
      this.#touched.add(target.name);
      this.#say(target.name, "");
      if (target.name !== "seed") return;
      this.#seedUsed = false;
      this.#fields.keep.checked = true;
    });
  }

  /** Fills the fields that the settings name. @param {import("./link.js").Settings} settings */
  fill(settings) {
    for (const [name, value] of Object.entries(settings)) {
      const field = this.#fields[name];
      if (!field || value === undefined || value === null) continue;
      if (field.tagName === "SELECT") offer(field, String(value));
      field.value = value;
      this.#touched.add(name);
      this.#say(name, "");
    }
    if (settings.seed !== undefined) this.#seedUsed = false;
  }

  /** As {@link fill}, for all settings of a picture: what it does not name is the model's own, and the seed is kept. */
  restore(settings) {
    this.fill({ negative: "", ...this.#own, ...settings });
    if (settings.seed !== undefined) this.#fields.keep.checked = true;
  }

  /** Fills what the user has not set from `defaults` of the manifest or of Pipeline.defaults(), with its samplers where it has them. */
  fillDefaults({ steps, guidance_scale, guidance_scale_range, width, height, scheduler, schedulers, size_multiple }) {
    const sampler = scheduler ?? this.#own.sampler;
    this.#own = { steps: String(steps), guidance: String(guidance_scale), sampler, size: sizeText(width, height) };
    for (const name of ["steps", "guidance"]) {
      if (!this.#touched.has(name)) this.#fields[name].value = this.#own[name];
    }
    this.#limits.guidance = guidance_scale_range ?? LIMITS.guidance;
    [this.#fields.guidance.min, this.#fields.guidance.max] = this.#limits.guidance;
    const [least, largest] = this.#limits.guidance;
    const guidance = Number(this.#fields.guidance.value);
    if (guidance < least || guidance > largest) this.#fields.guidance.value = Math.min(Math.max(guidance, least), largest);
    this.#listSizes(width, height, size_multiple ?? 8);
    if (schedulers) this.#listSamplers(schedulers, scheduler);
  }

  /** Another model was chosen: all of its own settings are used, as soon as they are known. */
  follow() {
    for (const name of Object.keys(this.#own)) this.#touched.delete(name);
    for (const name of ["steps", "guidance"]) this.#say(name, "");
    this.#own.sampler = "";
    this.#fields.sampler.replaceChildren(new Option("Default", ""));
  }

  /** The model's own settings, which an address leaves out. */
  get own() {
    return this.#own;
  }

  /** What the fields say, as an address has it. @returns {import("./link.js").Settings} */
  get settings() {
    const names = ["prompt", "negative", "seed", "steps", "guidance", "sampler", "size"];
    return Object.fromEntries(names.map((name) => [name, this.#fields[name].value.trim()]));
  }

  get prompt() {
    return this.#fields.prompt.value;
  }

  set prompt(text) {
    this.#fields.prompt.value = text;
  }

  /** A new random seed of 32 bits. */
  rollSeed() {
    this.#fields.seed.value = crypto.getRandomValues(new Uint32Array(1))[0];
    this.#seedUsed = false;
    this.#say("seed", "");
  }

  /** The picture with this seed is being drawn. */
  markSeedUsed() {
    this.#seedUsed = true;
  }

  /**
   * The request for Pipeline.generate, `scheduler` '' meaning the model's own; null when a field is wrong, which then
   * says so. A seed that has drawn a picture already is replaced first, unless it is to be kept, or `roll` is false.
   */
  read({ roll = true } = {}) {
    const { prompt, negative, seed, sampler, size } = this.#fields;
    const steps = this.#number("steps", "Steps", Number.isInteger);
    const guidance = this.#number("guidance", "Guidance", Number.isFinite);
    const seedOk = SEED_DIGITS.test(seed.value.trim());
    this.#say("seed", seedOk ? "" : "A seed is a whole number, 0 or more.");
    if (steps === null || guidance === null || !seedOk) return null;
    if (roll && this.#seedUsed && !this.#fields.keep.checked) this.rollSeed();
    const [width, height] = sizeOf(size.value || this.#own.size) ?? [];
    return {
      prompt: prompt.value,
      negative_prompt: negative.value,
      seed: seed.value.trim(),
      steps,
      guidance_scale: guidance,
      scheduler: sampler.value,
      width,
      height,
    };
  }

  /** The first field that is wrong, or null. */
  get firstWrong() {
    for (const [name, element] of this.#errors) if (element.textContent) return this.#fields[name];
    return null;
  }

  /** The settings in one short line. */
  get summary() {
    const { steps, guidance, seed, keep, negative } = this.#fields;
    const parts = [`${steps.value || "…"} step${steps.value === "1" ? "" : "s"}`, `guidance ${guidance.value || "…"}`];
    parts.push(`seed ${seed.value || "…"}${keep.checked ? ", kept" : ""}`);
    if (negative.value.trim()) parts.push("negative prompt");
    return parts.join(" · ");
  }

  #number(name, label, isKind) {
    const field = this.#fields[name];
    const value = field.value.trim() === "" ? NaN : Number(field.value);
    const [low, high] = this.#limits[name];
    const kind = isKind === Number.isInteger ? "a whole number" : "a number";
    const ok = isKind(value) && value >= low && value <= high;
    this.#say(name, ok ? "" : `${label}: ${kind}, ${low} to ${high}.`);
    return ok ? value : null;
  }

  #say(name, text) {
    const element = this.#errors.get(name);
    if (!element) return;
    element.textContent = text;
    this.#fields[name].setAttribute("aria-invalid", String(text !== ""));
  }

  #listSamplers(schedulers, preferred) {
    const select = this.#fields.sampler;
    const wanted = this.#touched.has("sampler") && select.value ? select.value : preferred;
    select.replaceChildren(...schedulers.map(([name, label]) => new Option(label, name)));
    const known = schedulers.some(([name]) => name === wanted);
    select.value = known ? wanted : preferred;
  }

  #listSizes(width, height, multiple) {
    const select = this.#fields.size;
    const wanted = this.#touched.has("size") && select.value ? select.value : this.#own.size;
    const fits = (side) => Math.round(side / multiple) * multiple;
    const sizes = SIZES.map(([across, down]) => sizeText(fits(width * across), fits(height * down)));
    select.replaceChildren();
    for (const size of [...sizes, wanted]) offer(select, size);
    select.value = wanted;
  }
}

/** Adds what a select does not offer yet; sizes with both sides. */
function offer(select, value) {
  if ([...select.options].some((option) => option.value === value)) return;
  const sides = select.name === "size" ? sizeOf(value) : null;
  select.add(new Option(sides ? sides.join(" × ") : value, value));
}
