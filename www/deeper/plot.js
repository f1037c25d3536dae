// The loss of each step as a line, while the model is fitted to a picture.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, EDGE] = [300, 72, 3]; // of the drawing's own units
const SMOOTH = 0.9; // share of the mean so far in the next one: a loss alone says more about its timesteps than about the model
const HIGHEST = 2; // times the largest mean: what is above is cut off
const SAY_EVERY = 10; // steps

export class Plot {
  #svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", class: "loss" });
  #raw = element("polyline", { class: "raw" });
  #mean = element("polyline", { class: "mean" });
  #losses = [];

  constructor() {
    this.#svg.append(this.#raw, this.#mean);
    this.#svg.setAttribute("aria-label", "Error of each step");
  }

  get element() {
    return this.#svg;
  }

  /** @param {number} loss of the next step @param {number} steps how many there will be */
  add(loss, steps) {
    if (!Number.isFinite(loss)) return;
    this.#losses.push(loss);
    const means = [];
    for (const each of this.#losses) means.push(means.length ? SMOOTH * means.at(-1) + (1 - SMOOTH) * each : each);
    const most = Math.min(Math.max(...this.#losses), HIGHEST * Math.max(...means));
    const points = (values) =>
      values
        .map((value, at) => `${(at / Math.max(1, steps - 1)) * WIDTH},${HEIGHT - EDGE - Math.min(1, value / most) * (HEIGHT - 2 * EDGE)}`)
        .join(" ");
    this.#raw.setAttribute("points", points(this.#losses));
    this.#mean.setAttribute("points", points(means));
    const count = this.#losses.length;
    if (count % SAY_EVERY && count !== steps) return;
    const words = `Error of each step: ${means[0].toPrecision(2)} at first, ${means.at(-1).toPrecision(2)} after ${count} steps`;
    this.#svg.setAttribute("aria-label", words);
  }
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
