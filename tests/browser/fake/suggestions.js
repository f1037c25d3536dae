// Stands in for the wasm module's Suggestions: it knows words.json word by word, and things by their related words.

const SMALL = new Set(["a", "an", "the", "at", "on", "in", "and", "of", "to"]);

export class Suggestions {
  constructor(text) {
    this.list = JSON.parse(text);
    this.words = new Set(this.list.words);
  }

  free() {}

  advise(prompt, caret) {
    const all = Array.from(prompt.matchAll(/[\p{L}\p{N}]+/gu), ({ 0: word, index }) => ({ word, start: index, end: index + word.length }));
    const telling = all.filter(({ word }) => !SMALL.has(word.toLowerCase()));
    const strange = telling.filter(({ word }) => !this.words.has(word.toLowerCase()));
    const unknown = strange.map((one) => ({ ...one, why: one.word === "flag" ? "flag" : "never_seen", instead: this.instead(one.word) }));
    const next = caret === undefined ? [] : this.next(prompt.slice(0, caret));
    return { unknown, nothing: prompt.trim() !== "" && telling.length === strange.length, next };
  }

  instead(word) {
    return this.list.concepts.filter(({ also }) => also.includes(word)).map(({ name }) => name);
  }

  next(before) {
    const typed = /\w+$/.exec(before)?.[0] ?? "";
    const names = this.list.concepts.map(({ name }) => name);
    if (names.includes(typed)) return [{ text: " on a red background", start: before.length, label: "on a red background" }];
    const begun = typed.length > 1 && !this.words.has(typed) ? names.filter((name) => name.startsWith(typed)) : [];
    return begun.slice(0, 6).map((text) => ({ text, start: before.length - typed.length, label: text }));
  }
}
