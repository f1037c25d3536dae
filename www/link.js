// A picture's address, `?prompt=a+green+fox&seed=7`. Values are checked and brought into range, with a note about each
// change. Settings equal to the model's defaults are omitted.

/** @typedef {{prompt?: string, negative?: string, seed?: string, steps?: string, guidance?: string, sampler?: string,
 *             size?: string, strength?: string, edit?: string, from?: string, model?: string}} Settings all of them as the address
 *             says them; size is `64` or `96x64`, strength that of a start picture, which no address can carry; edit is the method
 *             by which that one was edited by words, from what it showed */

/** Lowest and highest. */
export const LIMITS = { steps: [1, 1000], guidance: [0, 50], size: [8, 2048], strength: [0, 1] };
/** What a link may ask for without a click: so many steps, and so many pixels (or four times the model's own). */
const UNASKED = { steps: 100, pixels: 512 * 512 };
const KEYS = ["prompt", "negative", "seed", "steps", "guidance", "sampler", "size", "strength", "edit", "from", "model"];
const LONGEST_TEXT = 2000; // characters of a prompt, several times what a model reads
const LARGEST_SEED = 2n ** 64n - 1n;

/**
 * What an address asks for; keys that are not known are passed over.
 * @param {string} search location.search @returns {{settings: Settings, notes: string[]}} notes: what was changed, in words
 */
export function readLink(search) {
  const given = new URLSearchParams(search);
  const settings = {};
  const notes = [];
  for (const key of KEYS) {
    if (!given.has(key)) continue;
    const value = CHECKS[key](given.get(key).trim(), (note) => notes.push(note), given);
    if (value !== null) settings[key] = value;
  }
  return { settings, notes };
}

/** The address's query for these settings, without those that are the model's own. @param {Settings} settings @param {Settings} own */
export function writeLink(settings, own) {
  const query = new URLSearchParams();
  for (const key of KEYS) {
    const value = String(settings[key] ?? "");
    if (value !== "" && value !== String(own[key] ?? "")) query.set(key, value);
  }
  if (!query.has("prompt")) query.set("prompt", "");
  return `?${query}`;
}

/** Whether these settings take so long that they need a click. @param {Settings} settings @param {Settings} own the model's */
export function isHeavy({ steps, size }, own) {
  const pixels = (text) => (sizeOf(text) ?? [0, 0]).reduce((product, side) => product * side);
  return Number(steps) > Math.max(UNASKED.steps, Number(own.steps)) || pixels(size) > Math.max(UNASKED.pixels, 4 * pixels(own.size));
}

/** What is wrong with a seed, or ''. */
export function seedProblem(text) {
  if (!/^\d+$/.test(text)) return "Seed: a whole number, 0 or more.";
  if (text.length < 100 && BigInt(text) <= LARGEST_SEED) return "";
  return `Seed: too large. The largest is ${LARGEST_SEED} (20 digits).`;
}

/** `[width, height]` of `64` or `96x64`, or null. @param {string} [text] */
export function sizeOf(text = "") {
  const match = /^(\d{1,5})(?:[x×](\d{1,5}))?$/i.exec(text.replace(/\s/g, ""));
  return match && [Number(match[1]), Number(match[2] ?? match[1])];
}

/** The other way: squares as one number. */
export function sizeText(width, height) {
  return width === height ? `${width}` : `${width}x${height}`;
}

const CHECKS = {
  prompt: text,
  negative: text,
  seed(value, say) {
    const problem = seedProblem(value);
    if (!problem) return value;
    say(`The link’s seed cannot be used, so a random one is used. ${problem}`);
    return null;
  },
  steps: (value, say) => number("steps", Math.round(Number(value)), value, say),
  guidance: (value, say) => number("guidance", Number(value), value, say),
  sampler: (value) => value.slice(0, 60),
  size(value, say) {
    const sides = sizeOf(value);
    if (!sides) {
      say("The link’s size cannot be read, so the model’s own is used.");
      return null;
    }
    const [low, high] = LIMITS.size;
    const fitted = sides.map((side) => Math.min(Math.max(Math.round(side / 8) * 8, low), high));
    const asked = sizeText(...fitted);
    if (asked !== sizeText(...sides)) say(`The link asks for size ${value.slice(0, 12)}; ${asked} is used.`);
    return asked;
  },
  strength(value, say, given) {
    const again = given.has("edit") ? "Add that picture and edit it by words again." : "Add that picture to draw this one again.";
    say(`This picture was made from a start picture, which a link cannot contain. ${again}`);
    return number("strength", Number(value), value, say);
  },
  edit: (value) => value.slice(0, 60),
  from: text,
  model: (value) => value.slice(0, 60),
};

function text(value, say) {
  if (value.length > LONGEST_TEXT) say("The link’s text was too long and was cut off.");
  return value.slice(0, LONGEST_TEXT);
}

function number(key, value, given, say) {
  const [low, high] = LIMITS[key];
  if (given === "" || !Number.isFinite(value)) {
    say(`The link’s ${key} is not a number, so the model’s own is used.`);
    return null;
  }
  const fitted = Math.min(Math.max(value, low), high);
  if (fitted !== Number(given)) say(`The link asks for ${key} ${given.slice(0, 12)}; ${fitted} is used.`);
  return String(fitted);
}
