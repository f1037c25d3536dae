// The form's fields: read them into a request, say in words what is wrong with one, fill them from
// the address, the model's defaults or an example, and keep the seed's rules.

const SEED_DIGITS = /^\d{1,20}$/;
const LIMITS = { steps: [1, 1000], guidance: [0, 100] };
/** Keys of the address, as in `?prompt=a+green+fox&seed=7`, and the fields that they fill. */
const ADDRESS_KEYS = ["prompt", "negative", "seed", "steps", "guidance", "sampler"];

export class Form {
  #fields;
  #errors;
  #touched = new Set();
  #seedUsed = false;

  /** @param {HTMLFormElement} form with fields named as ADDRESS_KEYS, `keep`, and an element `NAME-error` for each that can be wrong */
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

  /** Fills the fields that the address names. */
  fillFromAddress(search) {
    const given = new URLSearchParams(search);
    for (const name of ADDRESS_KEYS) {
      const value = given.get(name);
      if (value === null) continue;
      if (name === "sampler") this.#offerSampler(value);
      this.#fields[name].value = value;
      this.#touched.add(name);
    }
  }

  /** Fills what the user has not set from `defaults` of the manifest or of Pipeline.defaults(), with its samplers where it has them. */
  fillDefaults({ steps, guidance_scale, scheduler, schedulers }) {
    if (!this.#touched.has("steps")) this.#fields.steps.value = steps;
    if (!this.#touched.has("guidance")) this.#fields.guidance.value = guidance_scale;
    if (schedulers) this.#listSamplers(schedulers, scheduler);
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
   * says so. A seed that has drawn a picture already is replaced first, unless it is to be kept.
   */
  read() {
    const { prompt, negative, seed, sampler } = this.#fields;
    const steps = this.#number("steps", "Steps", Number.isInteger);
    const guidance = this.#number("guidance", "Guidance", Number.isFinite);
    const seedOk = SEED_DIGITS.test(seed.value.trim());
    this.#say("seed", seedOk ? "" : "A seed is a whole number, 0 or more.");
    if (steps === null || guidance === null || !seedOk) return null;
    if (this.#seedUsed && !this.#fields.keep.checked) this.rollSeed();
    return {
      prompt: prompt.value,
      negative_prompt: negative.value,
      seed: seed.value.trim(),
      steps,
      guidance_scale: guidance,
      scheduler: sampler.value,
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
    const [low, high] = LIMITS[name];
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
    const wanted = select.value || preferred;
    select.replaceChildren(...schedulers.map(([name, label]) => new Option(label, name)));
    this.#offerSampler(wanted); // one that the model does not know stays, and the engine refuses it in words
    select.value = wanted;
  }

  #offerSampler(name) {
    const select = this.#fields.sampler;
    if (![...select.options].some((option) => option.value === name)) select.add(new Option(name, name));
  }
}
