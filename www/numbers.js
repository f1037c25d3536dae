// The table about each step, for those who want it.

export class Numbers {
  #body;

  /** @param {HTMLTableSectionElement} body */
  constructor(body) {
    this.#body = body;
  }

  clear() {
    this.#body.replaceChildren();
  }

  /** @param {{index: number, timestep: number, sigma?: number, milliseconds: number}} step */
  add({ index, timestep, sigma, milliseconds }) {
    const row = this.#body.insertRow();
    for (const text of [index + 1, round(timestep), sigma === undefined ? "–" : round(sigma), Math.round(milliseconds)]) {
      row.insertCell().textContent = String(text);
    }
  }
}

function round(value) {
  return String(Number(value.toPrecision(4)));
}
