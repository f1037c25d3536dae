// What the model knows, by the words of the captions that it learned from: which words of a prompt it has never seen,
// what they could have meant, and what could come next. No page in here; www/prompthelp.js shows it.

const WORD = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu;
const MOST = 6;
const CONTINUATIONS = 3; // of each sort, where a new word begins

export class World {
  #words;
  #phrases; // all that can be offered, things first
  #things;
  #list;

  /** @param {object} list a model's words.json, as `fourstep dataset words` writes it */
  constructor(list) {
    this.#list = list;
    this.#words = new Set(list.words);
    this.#things = list.concepts;
    const sorts = [list.colours, list.counts, list.sizes, list.turns, list.styles, list.places, list.backgrounds];
    this.#phrases = [...new Set([...list.concepts.map(({ name }) => name), ...sorts.flat()])];
  }

  /** A caption that works. */
  surprise(random = Math.random) {
    const { surprises, concepts } = this.#list;
    const from = surprises.length ? surprises : concepts.map(({ one }) => one);
    return from[Math.floor(random() * from.length)];
  }

  /** The words of a prompt that the model has never seen, each once: `{word, start, end}` in the text. */
  unknown(prompt) {
    const seen = new Set();
    const found = [];
    for (const match of prompt.matchAll(WORD)) {
      const word = match[0].toLowerCase();
      if (seen.has(word) || this.#knows(word)) continue;
      seen.add(word);
      found.push({ word: match[0], start: match.index, end: match.index + match[0].length });
    }
    return found;
  }

  /** What an unknown word could have meant, the nearest first. */
  suggest(given, most = 2) {
    const word = given.toLowerCase();
    const number = Number(word);
    const count = this.#list.counts[number - 2]; // the first is two
    if (count) return [count];
    const singulars = [word, ...singularsOf(word)];
    const meant = this.#things.filter(({ also }) => also.some((other) => singulars.includes(other)));
    const named = meant.map(({ name }) => name).sort((a, b) => a.length - b.length);
    const stems = singulars.filter((one) => one !== word && this.#words.has(one));
    const allowed = word.length <= 4 ? 1 : 2;
    const near = [...this.#words]
      .map((known) => [known, distance(word, known, allowed)])
      .filter(([known, steps]) => steps <= allowed && known.length > 2)
      .sort((a, b) => a[1] - b[1] || a[0].length - b[0].length)
      .map(([known]) => known);
    return [...new Set([...stems, ...named, ...near])].slice(0, most);
  }

  /**
   * What could stand before the caret: `{text, start}`, to replace the prompt from `start` to the caret.
   * @param {string} before the prompt up to the caret
   */
  complete(before) {
    const typed = /(?:[\p{L}\p{N}'’-]+ ){0,3}[\p{L}\p{N}'’-]+$/u.exec(before)?.[0];
    if (!typed) return this.#next(before);
    const lower = typed.toLowerCase();
    for (let at = 0; at >= 0; ) {
      const part = lower.slice(at);
      const found = this.#phrases.filter((phrase) => phrase.toLowerCase().startsWith(part) && phrase.toLowerCase() !== part);
      if (found.length && part.length > 1) {
        const start = before.length - part.length;
        return found.slice(0, MOST).map((text) => this.#placed(text, before, start));
      }
      const space = lower.indexOf(" ", at);
      at = space < 0 ? -1 : space + 1;
    }
    return [];
  }

  // A new word begins: after a thing what can stand beside it, else a colour, a number, a thing.
  #next(before) {
    if (!/\s$/.test(before)) return [];
    const { backgrounds, places, colours, counts } = this.#list;
    const said = before.trim().toLowerCase();
    const after = this.#things.some(({ name }) => said.endsWith(name.toLowerCase()));
    const turn = (list) => list.slice(said.length % Math.max(1, list.length - CONTINUATIONS)).slice(0, CONTINUATIONS);
    const behind = turn(backgrounds).map((colour) => `on ${article(colour)} ${colour} background`);
    const texts = after ? [...behind, ...turn(places)] : /\b(a|an)$/.test(said) ? turn(colours) : turn(counts);
    const more = after || !said ? [] : turn(this.#things.map(({ name }) => name));
    return [...texts, ...more].map((text) => this.#placed(text, before, before.length));
  }

  // "a" before an owl becomes "an", and the other way about.
  #placed(text, before, start) {
    const match = /\b(an?) $/i.exec(before.slice(0, start));
    if (!match) return { text, start, label: text };
    const thing = this.#things.find(({ name }) => name === text);
    const wanted = thing ? thing.one.slice(0, -text.length).trim() : article(text);
    if (!wanted || wanted === match[1].toLowerCase()) return { text, start, label: text };
    return { text: `${wanted} ${text}`, start: match.index, label: text };
  }

  #knows(word) {
    if (this.#words.has(word)) return true;
    const parts = word.split(/['’-]/);
    return parts.length > 1 && parts.every((part) => this.#words.has(part) || part === "s");
  }
}

function article(word) {
  return /^[aeiou]/.test(word) ? "an" : "a";
}

function singularsOf(word) {
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
