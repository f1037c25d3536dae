// What to say about a prompt: words that the model does not know, with what they could mean, and what could come next. This
// is the only module that reads a model's list of words (words.json); the page shows what it answers (www/prompthelp.js).

const WORD = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu;
const MOST = 6;
const CONTINUATIONS = 3; // of each sort
/** Words that say nothing of what is in the picture. */
const SMALL = new Set(
  "a an the and or of with without in on at to for by from as is are it its my your our his her their this that these those some very".split(
    " ",
  ),
);

/**
 * @typedef {{word: string, start: number, end: number, instead: string[]}} Unknown where it stands in the prompt, and words
 *   to put in its place, the likeliest first
 * @typedef {{text: string, start: number, label: string}} Offer replaces the prompt from `start` to the caret; `label` is shown
 * @typedef {{unknown: Unknown[], nothing: boolean, next: Offer[]}} Advice `nothing`: no word that matters is known
 */

/** @param {string} prompt @param {object} list a model's words.json @param {number} [caret] @returns {Advice} */
export function suggest(prompt, list, caret = prompt.length) {
  const world = worldOf(list);
  const all = words(prompt);
  const telling = all.filter(({ word }) => !SMALL.has(word.toLowerCase()));
  const strange = telling.filter(({ word }) => !world.knows(word.toLowerCase()));
  const nothing = telling.length === strange.length && prompt.trim() !== "";
  const next = world.next(prompt.slice(0, caret));
  const seen = new Set();
  // A word that is being typed and may become a known one is not strange yet.
  const unknown = strange.filter(({ word, end }) => {
    const first = !seen.has(word.toLowerCase());
    seen.add(word.toLowerCase());
    return first && (end !== caret || next.length === 0);
  });
  return { unknown: unknown.map((one) => ({ ...one, instead: world.instead(one.word.toLowerCase()) })), nothing, next };
}

/** A caption that works. @param {object} list a model's words.json */
export function surprise({ surprises, concepts }, random = Math.random) {
  const from = surprises.length ? surprises : concepts.map(({ one }) => one);
  return from[Math.floor(random() * from.length)];
}

const worlds = new WeakMap();

function worldOf(list) {
  if (!worlds.has(list)) worlds.set(list, new World(list));
  return worlds.get(list);
}

class World {
  #list;
  #words;
  #things; // concepts by their names in lower case
  #phrases; // all that can be offered, things first
  #whole; // words and phrases that need nothing behind them

  constructor(list) {
    this.#list = list;
    this.#words = new Set(list.words);
    this.#things = new Map(list.concepts.map((thing) => [thing.name.toLowerCase(), thing]));
    const sorts = [list.colours, list.counts, list.sizes, list.turns, list.styles, list.places];
    this.#phrases = [...new Set([...list.concepts.map(({ name }) => name), ...sorts.flat()])];
    this.#whole = new Set([...this.#words, ...this.#phrases.map((phrase) => phrase.toLowerCase())]);
  }

  knows(word) {
    if (this.#words.has(word)) return true;
    const parts = word.split(/['’-]/);
    return parts.length > 1 && parts.every((part) => this.#words.has(part) || part === "s");
  }

  /** What an unknown word could mean: a number's name, its singular, a thing of that other name, a slip of the keyboard. */
  instead(word, most = 2) {
    const count = this.#list.counts[Number(word) - 2]; // the first is two
    if (count) return [count];
    const forms = [word, ...singularsOf(word)];
    const stems = forms.filter((one) => one !== word && this.#words.has(one));
    // Of things with that keyword, those with the fewest other ones mean it most.
    const meant = this.#list.concepts.filter(({ also }) => also.some((other) => forms.includes(other)));
    const named = meant.sort((a, b) => a.also.length - b.also.length || a.name.length - b.name.length).map(({ name }) => name);
    const found = [...new Set([...stems, ...named])];
    return (found.length ? found : this.#slips(word)).slice(0, most);
  }

  // Few edits, and the same first letter: people rarely miss that one, and without it other words come near ("love", "dove").
  #slips(word) {
    const allowed = word.length < 3 ? 0 : word.length < 8 ? 1 : 2;
    return [...this.#words]
      .filter((known) => known.length > 2 && known[0] === word[0])
      .map((known) => ({ known, steps: distance(word, known, allowed) }))
      .filter(({ steps }) => steps <= allowed)
      .sort((a, b) => a.steps - b.steps || a.known.length - b.known.length)
      .map(({ known }) => known);
  }

  /** What could stand before the caret, and what could come next. @returns {Offer[]} */
  next(before) {
    const typed = /(?:[\p{L}\p{N}'’-]+ ){0,3}[\p{L}\p{N}'’-]+$/u.exec(before)?.[0] ?? "";
    if (!typed && !/\s$/.test(before)) return [];
    const begun = this.#begun(typed.toLowerCase());
    const offers = begun.phrases.map((text) => this.#placed(text, before, before.length - begun.length));
    if (begun.open) return offers;
    const spaced = typed ? `${before} ` : before;
    const further = this.#further(before.trim().toLowerCase()).map((text) => this.#placed(text, spaced, spaced.length));
    const joined = further.map((one) => (one.start > before.length ? { ...one, text: ` ${one.text}`, start: before.length } : one));
    return [...offers, ...joined].slice(0, MOST);
  }

  // The phrases that the last words begin, for the longest such beginning; `open`: those words are none by themselves.
  #begun(typed) {
    for (let part = typed; part.length > 1; part = part.replace(/^\S+ ?/, "")) {
      const open = !this.#whole.has(part);
      const phrases = this.#phrases.filter((phrase) => phrase.toLowerCase().startsWith(open ? part : `${part} `));
      if (phrases.length) return { phrases: phrases.slice(0, MOST), length: part.length, open };
    }
    return { phrases: [], length: 0, open: false };
  }

  // After a thing, what can stand beside or behind it; after an article or a colour, a thing. A sentence that has its
  // background or place already, or that ends in something else, is complete.
  #further(said) {
    const { backgrounds, places, colours } = this.#list;
    const turn = (list) => list.slice(said.length % Math.max(1, list.length - CONTINUATIONS)).slice(0, CONTINUATIONS);
    const things = turn([...this.#things.keys()]);
    const last = /\S*$/.exec(said)[0];
    if (/^an?$/.test(last)) return [...turn(colours), ...things];
    if (colours.includes(last) && !/\bon an? \S+$/.test(said)) return things;
    const complete = /\bbackground$/.test(said) || places.some((one) => said.includes(` ${one} `));
    if (complete || !this.#endsInThing(said)) return [];
    return [...turn(backgrounds).map((colour) => `on ${article(colour)} ${colour} background`), ...turn(places)];
  }

  #endsInThing(said) {
    const parts = said.split(/\s+/).slice(-4);
    return parts.some((_, at) => {
      const name = parts.slice(at).join(" ");
      return [name, ...singularsOf(name)].some((one) => this.#things.has(one));
    });
  }

  // "a" before an owl becomes "an", and the other way about.
  #placed(text, before, start) {
    const match = /\b(an?) $/i.exec(before.slice(0, start));
    const thing = this.#things.get(text.toLowerCase());
    const wanted = match && (thing ? thing.one.slice(0, -text.length).trim() : article(text));
    if (!wanted || wanted === match[1].toLowerCase()) return { text, start, label: text };
    return { text: `${wanted} ${text}`, start: match.index, label: text };
  }
}

function words(prompt) {
  return Array.from(prompt.matchAll(WORD), ({ 0: word, index }) => ({ word, start: index, end: index + word.length }));
}

function article(word) {
  return /^[aeiou]/.test(word) ? "an" : "a";
}

function singularsOf(word) {
  /** @type {[RegExp, string][]} */
  const ends = [
    [/ies$/, "y"],
    [/ves$/, "f"],
    [/es$/, ""],
    [/s$/, ""],
  ];
  return ends.filter(([end]) => end.test(word)).map(([end, by]) => word.replace(end, by));
}

/** Edits that make one word another (a letter more, less, changed, or two exchanged); more than `most` count as Infinity. */
export function distance(a, b, most = Infinity) {
  if (Math.abs(a.length - b.length) > most) return Infinity;
  let [older, old] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      row[j] = Math.min(old[j] + 1, row[j - 1] + 1, old[j - 1] + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) row[j] = Math.min(row[j], older[j - 2] + 1);
    }
    [older, old] = [old, row];
  }
  return old[b.length] > most ? Infinity : old[b.length];
}
