// What the page says while it works: the model's download in bytes, the step and its time, the end, a notice, and trouble.
// Also told to screen readers, but not more often than they can speak.

import { $, button } from "./dom.js";

const SPEAK_EVERY_MS = 5000;

/** @typedef {{label: string, act: () => void}} Offer a button beside some words */

export class Status {
  #state = "rest";
  #spokeAt = 0;
  #loading = ""; // what is said of the model's way here
  #retry = () => {};

  constructor() {
    $("retry").addEventListener("click", () => {
      this.clear();
      this.#retry();
    });
    $("notice-close").addEventListener("click", () => this.notice(""));
  }

  /** Nothing is going on; `line` is the resting text, `note` is about the picture. */
  rest(line, note = "") {
    this.#enter("rest");
    $("line").textContent = line;
    $("note").textContent = note;
  }

  /** A quiet word on the same line, without a change of state. */
  say(line) {
    $("line").textContent = line;
  }

  /** The page looks for its model and devices before it can begin. */
  waiting() {
    this.#load("Getting ready", "Looking for the model", null);
  }

  /** The model is on its way: `event` of Tell.LOADING. */
  loading(event) {
    const words = loadingWords(event);
    this.#load(words.title, words.line, event.total ? event.loaded / event.total : null);
  }

  /** Steps (or what `unit` names) done of all, and their times so far in milliseconds. */
  drawing(done, steps, times, unit = "Step") {
    const first = this.#enter("drawing");
    Object.assign($("bar"), { max: steps, value: done });
    $("note").textContent = "";
    const left = timeLeft(steps - done, times);
    const words = `${unit} ${Math.max(done, 1)} of ${steps}`;
    $("line").textContent = times.length ? `${words} · ${duration(times.at(-1))}${left}` : words;
    this.#speak(first ? "Drawing" : words, first);
  }

  /** The end of a request, well or stopped. */
  done(line, note = "") {
    this.rest(line, note);
    this.#speak(`${line} ${note}`, true);
  }

  /** Words that stay until the user asks for another picture or closes them. @param {string} text @param {Offer[]} offers */
  notice(text, offers = []) {
    $("notice").hidden = text === "";
    $("notice-text").textContent = text;
    $("notice-offers").replaceChildren(
      ...offers.map(({ label, act }) =>
        button(label, () => {
          this.notice("");
          act();
        }),
      ),
    );
  }

  /** Something went wrong: what, how it looks inside (may be ''), and a button that may help. @param {string} message
   *  @param {{detail?: string, offer?: Offer | null, calm?: boolean}} [more] `calm`: it is a question */
  trouble(message, { detail = "", offer = null, calm = false } = {}) {
    this.#enter("rest");
    $("line").textContent = $("note").textContent = "";
    $("trouble").dataset.calm = calm;
    $("trouble-text").textContent = message;
    $("trouble-detail").textContent = detail;
    $("retry").hidden = !offer;
    $("retry").textContent = offer?.label ?? "";
    this.#retry = offer?.act ?? (() => {});
    $("trouble").hidden = false;
  }

  /** Takes trouble and notice away. */
  clear() {
    this.#clearTrouble();
    this.notice("");
  }

  #load(title, line, share) {
    const first = this.#enter("loading") || title !== this.#loading;
    this.#loading = title;
    $("line").textContent = $("note").textContent = "";
    $("load-title").textContent = title;
    $("load-line").textContent = line;
    if (share === null) $("load-bar").removeAttribute("value");
    else $("load-bar").value = share;
    this.#speak(line ? `${title}, ${line}` : title, first);
  }

  #clearTrouble() {
    $("trouble").hidden = true;
    $("trouble-text").textContent = "";
  }

  #enter(name) {
    const changed = this.#state !== name;
    this.#state = $("frame").dataset.state = name;
    if (name !== "rest") this.#clearTrouble();
    return changed;
  }

  #speak(text, now) {
    const time = performance.now();
    if (!now && time - this.#spokeAt < SPEAK_EVERY_MS) return;
    this.#spokeAt = time;
    $("spoken").textContent = text;
  }
}

/** What Tell.LOADING means, in words. @returns {{title: string, line: string}} */
export function loadingWords({ phase, loaded = 0, total = 0, secondsLeft = null }) {
  if (phase === "own") return { title: "Reading your model", line: `${megabytes(loaded)} of ${megabytes(total)} MB` };
  if (phase !== "files") return { title: "Preparing the model", line: "A few seconds, once per visit" };
  if (total === 0) return { title: "Getting ready", line: "" };
  const left = secondsLeft === null || loaded === total ? "" : ` · about ${roughly(secondsLeft)} left`;
  return { title: "Fetching the model", line: `${megabytes(loaded)} of ${megabytes(total)} MB${left}` };
}

/** Bytes as megabytes with one decimal. */
export function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1);
}

/** Milliseconds as people say them. */
export function duration(milliseconds) {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  return seconds < 100 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds / 60)} min`;
}

/** Several words as a list with `between` before the last: "a, b or c". */
export function listed(words, between) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} ${between} ${words.at(-1)}`;
}

/** A time to wait, in seconds, as people say it. */
function roughly(seconds) {
  if (seconds < 100) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.round(seconds / 60)} min`;
}

function timeLeft(steps, times) {
  if (times.length < 2 || steps === 0) return "";
  const rest = (times.reduce((sum, time) => sum + time, 0) / times.length) * steps;
  return rest < 4000 ? "" : ` · about ${duration(Math.round(rest / 1000) * 1000).replace(".0", "")} left`;
}
