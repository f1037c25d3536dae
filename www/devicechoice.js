// The choice of device on the page: what the browser has, what the user prefers (remembered, or named by the address), and
// the words beside it.

import { choose } from "./device.js";
import { recall, remember } from "./memory.js";

const KEY = "fourstep.device";
const CHOICES = ["auto", "wgpu", "cpu"];

export class DeviceChoice {
  #select;
  #words;
  #demand;

  /** What the worker found (Ask.PROBE), once it is known. */
  probed = null;

  /** @param {{select: HTMLSelectElement, words: HTMLElement}} parts @param {() => object | undefined} demand what the model needs */
  constructor({ select, words }, demand) {
    this.#select = select;
    this.#words = words;
    this.#demand = demand;
    const wanted = [new URLSearchParams(location.search).get("device"), recall(KEY)];
    select.value = wanted.find((choice) => CHOICES.includes(choice)) ?? "auto";
    select.addEventListener("change", () => this.set(select.value));
  }

  /** @returns {{device: 'wgpu'|'cpu'|null, words: string, slow: boolean}} as www/device.js has it */
  get chosen() {
    return choose(this.probed, this.#select.value, this.#demand());
  }

  set(choice) {
    this.#select.value = choice;
    remember(KEY, choice);
    this.refresh();
  }

  /** Says what draws. */
  refresh() {
    if (!this.probed) return;
    const { words, slow } = this.chosen;
    this.#words.textContent = words;
    this.#words.dataset.slow = slow;
  }
}
