// The choice of device on the page: what the browser has, what the user prefers (remembered, or named by the address), and
// the words beside it.

import { choose, fitting } from "./device.js";
import { $ } from "./dom.js";
import { recall, remember } from "./memory.js";

const KEY = "fourstep.device";
const CHOICES = ["auto", "wgpu", "cpu"];

export class DeviceChoice {
  #choice;
  #demand;
  #onChange;

  /** What the worker found (Ask.PROBE), once it is known. @type {import("./device.js").Probe | null} */
  probed = null;

  /** @param {{demand: () => object | undefined, onChange: () => void}} page `demand`: what the model needs */
  constructor({ demand, onChange }) {
    this.#demand = demand;
    this.#onChange = onChange;
    const wanted = [new URLSearchParams(location.search).get("device"), recall(KEY)];
    this.#choice = wanted.find((choice) => CHOICES.includes(choice)) ?? "auto";
    $("device").value = this.#choice;
    $("device").addEventListener("input", (event) => event.stopPropagation()); // it is no setting of the picture
    $("device").addEventListener("change", () => this.set($("device").value));
  }

  /** @returns {{device: 'wgpu'|'cpu'|null, words: string, slow: boolean}} as www/device.js has it */
  get chosen() {
    return choose(this.probed, this.#choice, this.#demand());
  }

  /** As `fitting` of www/device.js, for what is found and chosen here. */
  fitting(ways) {
    return fitting(this.probed, this.#choice, ways);
  }

  /** The device in few words. */
  get line() {
    if (!this.probed) return "";
    return { wgpu: "WebGPU", cpu: "CPU" }[this.chosen.device] ?? "no device can draw it";
  }

  set(choice) {
    $("device").value = this.#choice = choice;
    remember(KEY, choice);
    this.refresh();
  }

  /** Says what draws. */
  refresh() {
    if (!this.probed) return;
    const { words, slow } = this.chosen;
    $("device-words").textContent = words;
    $("device-words").dataset.slow = slow;
    this.#onChange();
  }
}
