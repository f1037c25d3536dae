// A picture's address, `?prompt=a+green+fox&seed=7`: read, checked and brought into range with a word about each
// change, and written short, with the model's own settings left out.

/** @typedef {{prompt?: string, negative?: string, seed?: string, steps?: string, guidance?: string, sampler?: string,
 *             size?: string, strength?: string, model?: string}} Settings all of them as the address says them; size is
 *             `64` or `96x64`, strength that of a start picture, which no address can carry */

/** Lowest and highest. */
export const LIMITS = { steps: [1, 1000], guidance: [0, 50], size: [8, 2048], strength: [0, 1] };
const KEYS = ["prompt", "negative", "seed", "steps", "guidance", "sampler", "size", "strength", "model"];
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
    const value = CHECKS[key](given.get(key).trim(), (note) => notes.push(note));
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

/** `[width, height]` of `64` or `96x64`, or null. */
export function sizeOf(text) {
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
    if (/^\d{1,20}$/.test(value) && BigInt(value) <= LARGEST_SEED) return value;
    say("The link’s seed is no whole number from 0; a random one is used.");
    return null;
  },
  steps: (value, say) => number("steps", Math.round(Number(value)), value, say),
  guidance: (value, say) => number("guidance", Number(value), value, say),
  sampler: (value) => value.slice(0, 60),
  size(value, say) {
    const sides = sizeOf(value);
    if (!sides) {
      say("The link’s size cannot be read; the model’s own is used.");
      return null;
    }
    const [low, high] = LIMITS.size;
    const fitted = sides.map((side) => Math.min(Math.max(Math.round(side / 8) * 8, low), high));
    const asked = sizeText(...fitted);
    if (asked !== sizeText(...sides)) say(`The link’s size ${value.slice(0, 12)} became ${asked}.`);
    return asked;
  },
  strength(value, say) {
    say("This picture began with another picture, which a link cannot carry: drop, paste or choose that one to draw it again.");
    return number("strength", Number(value), value, say);
  },
  model: (value) => value.slice(0, 60),
};

function text(value, say) {
  if (value.length > LONGEST_TEXT) say("The link’s text was too long and was cut.");
  return value.slice(0, LONGEST_TEXT);
}

function number(key, value, given, say) {
  const [low, high] = LIMITS[key];
  if (given === "" || !Number.isFinite(value)) {
    say(`The link’s ${key} is no number; the model’s own is used.`);
    return null;
  }
  const fitted = Math.min(Math.max(value, low), high);
  if (fitted !== Number(given)) say(`The link’s ${key} ${given.slice(0, 12)} became ${fitted}.`);
  return String(fitted);
}
