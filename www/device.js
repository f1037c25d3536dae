// Which device draws, and the words for it. The worker asks the browser (`probe`); the page chooses
// (`choose`) from that answer, what the model needs and what the user prefers.

/**
 * @typedef {{state: 'absent'|'none'|'software'|'hardware', name: string, buffer?: number, memory?: number}} Probe
 *   absent: the browser has no WebGPU; none: it has, but found no adapter; software: a CPU plays the adapter. `buffer`:
 *   the largest buffer that the adapter binds, `memory`: the machine's, where the browser tells; both in bytes.
 * @typedef {{bytes: number, needs?: {weights: number, largest_buffer: number, activations: number},
 *            module?: {wgpu: number, cpu: number}}} Demand a model's files, and what it needs (src/pipeline/plan/mod.rs), in bytes;
 *   `module`: the most that the wasm module holds with each device, where it was planned (src/web/own.rs)
 * @typedef {'auto'|'wgpu'|'cpu'} Choice
 */

const WASM_MEMORY = 2 ** 32; // bytes that a wasm module can have
const LARGEST_FIT = 1e9; // bytes of weights as floats
const CARD = 2.5e9; // bytes that a graphics card is taken to have for the page; browsers do not tell
const TELLS_NO_MORE = 8 * 2 ** 30; // browsers call every larger machine one of 8 GiB
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|software|basic render/i;
const VENDORS = { nvidia: "NVIDIA", amd: "AMD", intel: "Intel", apple: "Apple", arm: "Arm", qualcomm: "Qualcomm" };

/** @param {GPU | undefined} gpu navigator.gpu; @param {number} [deviceMemory] navigator's, in GiB @returns {Promise<Probe>} */
export async function probe(gpu, deviceMemory) {
  const memory = deviceMemory * 2 ** 30 < TELLS_NO_MORE ? deviceMemory * 2 ** 30 : undefined;
  if (!gpu) return { state: "absent", name: "", memory };
  const adapter = await gpu.requestAdapter().catch(() => null);
  if (!adapter) return { state: "none", name: "", memory };
  const info = adapter.info ?? {};
  const all = [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(" ");
  const software = Boolean(info.isFallbackAdapter || adapter.isFallbackAdapter || SOFTWARE.test(all));
  const { maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
  const buffer = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  return { state: software ? "software" : "hardware", name: adapterName(info), buffer, memory };
}

/**
 * Why a model cannot be drawn on a device here, in words; '' where it can, or where its manifest does not say.
 * @param {Demand | undefined} demand @param {Probe} probed @param {'wgpu'|'cpu'} device
 */
export function misfit(demand, probed, device) {
  if (!demand?.needs) return "";
  const { weights, largest_buffer: largest, activations } = demand.needs;
  // The files pass through the wasm module on their way to either device; the weights stay there only on the CPU.
  const inModule = demand.module?.[device] ?? demand.bytes + (device === "cpu" ? weights + activations : 2 * largest);
  if (inModule > WASM_MEMORY)
    return `This model needs ${sizeWords(inModule)} of memory in the page, which can have ${sizeWords(WASM_MEMORY)}.`;
  const planned = demand.module && inModule + (device === "cpu" ? 0 : weights + activations);
  const inAll = planned ?? 2 * demand.bytes + weights + activations;
  if (inAll > probed.memory)
    return `This model needs about ${sizeWords(inAll)} of memory, and this machine has ${sizeWords(probed.memory)}.`;
  if (device === "wgpu" && largest > probed.buffer)
    return `This model needs graphics buffers of ${sizeWords(largest)}, and ${probed.name || "this adapter"} has at most ${sizeWords(probed.buffer)}.`;
  return "";
}

/** Why a model cannot be fitted to a picture here, in words; '' where it can. Fitting takes all weights as floats, which are in files
 *  of two bytes each or fewer. @param {Demand | undefined} demand */
export function tooLargeToFit(demand) {
  const floats = demand ? Math.max(2 * demand.bytes, demand.needs?.weights ?? 0) : 0;
  if (floats <= LARGEST_FIT) return "";
  return `This model is too large to be fitted to a picture here: about ${sizeWords(floats)}, and a page can take ${sizeWords(LARGEST_FIT)}.`;
}

/**
 * @param {Probe} probed @param {Choice} choice @param {Demand} [demand] what the model needs, once that is known
 * @returns {{device: 'wgpu'|'cpu'|null, words: string, slow: boolean}} device null: the choice cannot be had here, and `words` says why
 */
export function choose(probed, choice, demand) {
  const chosen = preferred(probed, choice);
  const reason = chosen.device && misfit(demand, probed, chosen.device);
  if (!reason) return chosen;
  const onCpu = choice === "auto" && chosen.device === "wgpu" && !misfit(demand, probed, "cpu");
  if (onCpu) return { device: "cpu", words: `${reason} Drawing on the CPU instead, which is slower.`, slow: true };
  const devices = /** @type {const} */ (["wgpu", "cpu"]);
  const other = devices.some((device) => preferred(probed, device).device && !misfit(demand, probed, device));
  const advice = other ? "Another device can draw it." : "Nothing was fetched.";
  return { device: null, words: `${reason} ${advice}`, slow: true };
}

/**
 * Which of the ways to load a model is taken, and the device that then draws: the first that is light enough for a graphics card,
 * else the last that the same device can draw, else one for another device.
 * @template {Demand} D @param {Probe} probed @param {Choice} choice @param {D[]} ways the best picture first
 * @returns {D & {device: 'wgpu'|'cpu'}} @throws {Error} in words where none fits
 */
export function fitting(probed, choice, ways) {
  const on = (way) => choose(probed, choice, way).device;
  const { device: wanted, words } = preferred(probed, choice);
  const light = (/** @type {D} */ { needs }) => wanted === "cpu" || needs.weights + needs.activations <= CARD;
  const same = ways.filter((way) => wanted && on(way) === wanted);
  const way = same.find(light) ?? same.at(-1) ?? ways.find(on);
  if (way) return { ...way, device: on(way) };
  throw new Error(wanted ? misfit(ways.at(-1), probed, wanted) : words);
}

/** Bytes in few words. */
export function sizeWords(bytes) {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** @param {Probe} probed @param {Choice} choice @returns {{device: 'wgpu'|'cpu'|null, words: string, slow: boolean}} */
function preferred(probed, choice) {
  const adapter = probed.name || "this graphics adapter";
  const usable = probed.state === "software" || probed.state === "hardware";
  if (choice === "cpu") return { device: "cpu", words: "Drawing on the CPU, as you chose.", slow: true };
  if (choice === "wgpu" && !usable) {
    return { device: null, words: `${missing(probed)} WebGPU cannot be used; choose Automatic or CPU.`, slow: true };
  }
  if (probed.state === "hardware") return { device: "wgpu", words: `Drawing with WebGPU on ${adapter}.`, slow: false };
  if (choice === "wgpu") {
    return {
      device: "wgpu",
      words: `Drawing with WebGPU on a software adapter (${adapter}), as you chose (slow).`,
      slow: true,
    };
  }
  if (probed.state === "software") {
    return {
      device: "cpu",
      words: `The only graphics adapter is a software one (${adapter}). Drawing on the CPU instead, which is slower.`,
      slow: true,
    };
  }
  return { device: "cpu", words: `${missing(probed)} Drawing on the CPU instead, which is slower.`, slow: true };
}

/**
 * Hears of devices that this thread asks for from now on, whoever asks: of their loss, and of memory that one did not get.
 * The wasm module takes up its device by itself and would only panic at its next use.
 * @param {{onLost: (message: string) => void, onOutOfMemory: (message: string) => void}} hear
 */
export function watchDevices({ onLost, onOutOfMemory }) {
  if (typeof GPUAdapter === "undefined") return;
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (descriptor) {
    const device = await requestDevice.call(this, descriptor);
    device.lost.then(({ message }) => onLost(message));
    device.addEventListener("uncapturederror", ({ error }) => {
      if (error instanceof GPUOutOfMemoryError) onOutOfMemory(error.message);
    });
    return device;
  };
}

function missing(probed) {
  return probed.state === "absent" ? "This browser has no WebGPU." : "WebGPU found no graphics adapter.";
}

function adapterName(info) {
  if (info.description) return info.description;
  if (SOFTWARE.test(info.architecture ?? "")) return info.architecture === "swiftshader" ? "SwiftShader" : info.architecture;
  return [VENDORS[info.vendor] ?? info.vendor, info.device || info.architecture].filter(Boolean).join(" ");
}
