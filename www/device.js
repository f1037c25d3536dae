// Which device draws, and the words for it. The worker asks the browser (`probe`); the page chooses
// (`choose`) from that answer and what the user prefers.

/**
 * @typedef {{state: 'absent'|'none'|'software'|'hardware', name: string}} Probe
 *   absent: the browser has no WebGPU; none: it has, but found no adapter; software: a CPU plays the adapter.
 * @typedef {'auto'|'wgpu'|'cpu'} Choice
 */

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|software|basic render/i;
const VENDORS = { nvidia: "NVIDIA", amd: "AMD", intel: "Intel", apple: "Apple", arm: "Arm", qualcomm: "Qualcomm" };

/** @param {GPU | undefined} gpu navigator.gpu; @returns {Promise<Probe>} */
export async function probe(gpu) {
  if (!gpu) return { state: "absent", name: "" };
  const adapter = await gpu.requestAdapter().catch(() => null);
  if (!adapter) return { state: "none", name: "" };
  const info = adapter.info ?? {};
  const all = [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(" ");
  const software = Boolean(info.isFallbackAdapter || adapter.isFallbackAdapter || SOFTWARE.test(all));
  return { state: software ? "software" : "hardware", name: adapterName(info) };
}

/**
 * @param {Probe} probed @param {Choice} choice
 * @returns {{device: 'wgpu'|'cpu'|null, words: string, slow: boolean}} device null: the choice cannot be had here, and `words` says why
 */
export function choose(probed, choice) {
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
      words: `Drawing with WebGPU on a software adapter (${adapter}), as you chose: slow.`,
      slow: true,
    };
  }
  if (probed.state === "software") {
    return {
      device: "cpu",
      words: `Only a software graphics adapter is here (${adapter}). Drawing on the CPU, slower.`,
      slow: true,
    };
  }
  return { device: "cpu", words: `${missing(probed)} Drawing on the CPU, slower.`, slow: true };
}

/**
 * Hears of devices that this thread asks for from now on, whoever asks: of their loss, and of memory that one did not get.
 * The wasm module takes up its device by itself and would only panic at its next use.
 * @param {{onLost: (message: string) => void, onOutOfMemory: (message: string) => void}} hear
 */
export function watchDevices({ onLost, onOutOfMemory }) {
  if (!globalThis.GPUAdapter) return;
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
  if (SOFTWARE.test(info.architecture ?? ""))
    return info.architecture === "swiftshader" ? "SwiftShader" : info.architecture;
  return [VENDORS[info.vendor] ?? info.vendor, info.device || info.architecture].filter(Boolean).join(" ");
}
