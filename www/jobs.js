// One request runs at a time, and the newest wins: asking for a picture while one is drawn stops that one at its next step.

const SUPERSEDED = "superseded"; // why a running request was stopped when a newer one took its place

export class Jobs {
  #running = null; // {stop, done, quiet}
  #newest = 0; // number of the last request asked for
  #onChange;
  #onTrouble;

  /** @param {{onChange: () => void, onTrouble: (error: Error, again: () => void) => void}} acts */
  constructor({ onChange, onTrouble }) {
    this.#onChange = onChange;
    this.#onTrouble = onTrouble;
  }

  /** Whether something is drawn at all. */
  get running() {
    return this.#running !== null;
  }

  /** Whether something is drawn that the user asked for, and may cancel. */
  get busy() {
    return this.running && !this.#running.quiet;
  }

  /** Resolves when nothing of what runs now runs any more. */
  get idle() {
    return this.#running?.done;
  }

  /**
   * Runs a job alone: what runs already is stopped, and of several that wait the newest begins.
   * @param {(signal: AbortSignal) => Promise<void>} job @param {() => void} again asks for the same once more
   * @param {boolean} quiet it follows the typing, without a fuss
   */
  async begin(job, again, quiet = false) {
    const number = ++this.#newest;
    this.#running?.stop.abort(SUPERSEDED);
    await this.#running?.done;
    if (number !== this.#newest) return;
    const stop = new AbortController();
    this.#running = { stop, done: null, quiet };
    this.#running.done = job(stop.signal)
      .catch((error) => this.#onTrouble(error, again))
      .finally(() => {
        this.#running = null;
        this.#onChange();
      });
    this.#onChange();
  }

  /** Stops what runs for something newer that is still to come; done when nothing runs any more. */
  async giveWay() {
    this.#newest++;
    this.#running?.stop.abort(SUPERSEDED);
    await this.idle;
  }

  /** Stops what runs, and what waits behind it. */
  cancel() {
    this.#newest++;
    this.#running?.stop.abort();
  }

  /** Whether a job was stopped only because a newer one took its place. */
  static superseded(signal) {
    return signal.reason === SUPERSEDED;
  }
}
