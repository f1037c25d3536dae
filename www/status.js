// What the page says while it works: loading in bytes, the step and its time, the end, and trouble
// in calm words. Also told to screen readers, but not more often than they can speak.

const SPEAK_EVERY_MS = 5000;
/** Ids of the elements that it writes to. */
const PARTS = [
  ...["frame", "bar", "line", "note", "offer", "spoken"],
  ...["load-title", "load-bar", "load-line"],
  ...["trouble", "trouble-text", "trouble-detail", "retry"],
];

export class Status {
  #parts;
  #spokeAt = 0;
  #act = () => {}; // of the offer

  constructor() {
    const camel = (id) => id.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
    const parts = Object.fromEntries(PARTS.map((id) => [camel(id), document.getElementById(id)]));
    this.#parts = parts;
    parts.offer.addEventListener("click", () => this.#act());
  }

  /** Nothing is going on; `line` is the resting text. @param {{label: string, act: () => void} | null} offer a button beside it */
  rest(line, note = "", offer = null) {
    this.#state("rest");
    this.#parts.line.textContent = line;
    this.#parts.note.textContent = note;
    this.#parts.offer.hidden = !offer;
    this.#parts.offer.textContent = offer?.label ?? "";
    this.#act = offer?.act ?? (() => {});
  }

  /** A quiet word on the same line, without a change of state. */
  say(line) {
    this.#parts.line.textContent = line;
  }

  /** The model is on its way: `event` of Tell.LOADING. */
  loading({ phase, loaded = 0, total = 0, secondsLeft = null }) {
    const { loadTitle, loadBar, loadLine, line, note } = this.#parts;
    const first = this.#state("loading");
    line.textContent = note.textContent = "";
    const fetching = phase === "files" && total > 0;
    loadTitle.textContent = fetching ? "Fetching the model" : "Preparing the model";
    const left = secondsLeft === null || loaded === total ? "" : ` · about ${roughly(secondsLeft)} left`;
    loadLine.textContent = fetching
      ? `${megabytes(loaded)} of ${megabytes(total)} MB${left}`
      : "A few seconds, once a visit";
    if (fetching) {
      loadBar.max = total;
      loadBar.value = loaded;
    } else loadBar.removeAttribute("value");
    this.#speak(fetching ? `${loadTitle.textContent}, ${loadLine.textContent}` : loadTitle.textContent, first);
  }

  /** Steps (or what `unit` names) done of all, and their times so far in milliseconds. */
  drawing(done, steps, times, unit = "Step") {
    const first = this.#state("drawing");
    this.#parts.bar.max = steps;
    this.#parts.bar.value = done;
    this.#parts.note.textContent = "";
    const left = timeLeft(steps - done, times);
    const words = `${unit} ${Math.max(done, 1)} of ${steps}`;
    this.#parts.line.textContent = times.length ? `${words} · ${duration(times.at(-1))}${left}` : words;
    this.#speak(first ? "Drawing" : words, first);
  }

  /** The end of a request, well or stopped. */
  done(line, note = "", offer = null) {
    this.rest(line, note, offer);
    this.#speak(`${line} ${note}`, true);
  }

  /** Something went wrong: what, how it looks inside (may be ''), and the label of the button that may help (true: "Try again"). */
  trouble(message, { detail = "", retry = false } = {}) {
    this.#state("rest");
    const { trouble, troubleText, troubleDetail, retry: button, line, note } = this.#parts;
    line.textContent = note.textContent = "";
    troubleText.textContent = message;
    troubleDetail.textContent = detail;
    button.hidden = !retry;
    button.textContent = retry === true ? "Try again" : retry;
    trouble.hidden = false;
  }

  /** Takes the trouble away. */
  clearTrouble() {
    this.#parts.trouble.hidden = true;
    this.#parts.troubleText.textContent = "";
  }

  #state(name) {
    const changed = this.#parts.frame.dataset.state !== name;
    this.#parts.frame.dataset.state = name;
    this.#parts.offer.hidden = true;
    if (name !== "rest") this.clearTrouble();
    return changed;
  }

  #speak(text, now) {
    const time = performance.now();
    if (!now && time - this.#spokeAt < SPEAK_EVERY_MS) return;
    this.#spokeAt = time;
    this.#parts.spoken.textContent = text;
  }
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
