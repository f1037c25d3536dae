// Stands in for the wasm module in tests of the page itself: draws a disc with a soft edge on transparent ground in the colour
// of the prompt's first letters, in a moment. `self.fake` of the worker may slow it or make it fail.

const NAMES = [
  ["ddim", "DDIM"],
  ["euler_a", "Euler a"],
];
const EDIT = {
  strength: 0.75,
  methods: [
    ["flowedit", "FlowEdit"],
    ["infedit", "InfEdit"],
  ],
};
const fake = (self.fake ??= { pause: 0 });

export default async function init() {
  return { memory: { buffer: new ArrayBuffer(65536) } };
}

export { Suggestions } from "./suggestions.js";

export class Files {
  insert(path, bytes) {
    if (path === "fourstep.json") this.manifest = JSON.parse(new TextDecoder().decode(bytes));
  }

  stream() {}
}

export class Pipeline {
  static async load({ manifest }) {
    await pause();
    const pipeline = new Pipeline();
    pipeline.own = {
      ...(manifest?.defaults ?? { steps: 50, guidance_scale: 7.5, width: 64, height: 64 }),
      large: manifest?.large,
      alpha: true,
    };
    return pipeline;
  }

  free() {}

  defaults() {
    return { ...this.own, sampler: "ddim", samplers: NAMES, size_multiple: 8, edit: EDIT };
  }

  async generate(request, onStep) {
    const { width, height, strength, image } = request;
    const steps = image ? Math.floor(request.steps * strength) : request.steps;
    if (steps === 0) throw new Error(`strength = ${strength} leaves none of ${request.steps} steps`);
    for (let index = 0; index < steps; index++) {
      await pause();
      const preview = disc({ ...request, width: width / 8, height: height / 8 }, (index + 1) / steps);
      if (!(await onStep({ index, steps, timestep: 999 - index, milliseconds: 1, preview }))) return undefined;
    }
    this.last = request;
    const { prompt, negative_prompt: negative, seed } = request;
    const infotext = JSON.stringify({
      prompt,
      negative_prompt: negative,
      seed: String(seed),
      steps: request.steps,
      guidance_scale: request.guidance_scale,
      sampler: request.sampler,
      width,
      height,
      model: request.model,
      strength,
    });
    return { ...disc(request, 1), warnings: [], infotext, noise: disc({ ...request, width: 8, height: 8 }, 0) };
  }

  async large() {
    const { width, height } = this.last;
    return disc({ ...this.last, width: width * this.own.large, height: height * this.own.large }, 1);
  }

  async estimate() {
    return disc({ prompt: "estimate", seed: 1, width: 64, height: 64 }, 0.5);
  }
}

/** A larger picture with a white ring where the given one ends. */
export function outlined(width, height, rgba) {
  const [margin, out] = [4, { width: width + 8, height: height + 8 }];
  const grown = new Uint8ClampedArray(out.width * out.height * 4);
  for (let y = 0; y < out.height; y++)
    for (let x = 0; x < out.width; x++) {
      const [inX, inY] = [x - margin, y - margin];
      const inside = inX >= 0 && inY >= 0 && inX < width && inY < height;
      const from = (inY * width + inX) * 4;
      const shown = inside && rgba[from + 3] > 0;
      grown.set(shown ? rgba.subarray(from, from + 4) : [255, 255, 255, 255], (y * out.width + x) * 4);
    }
  return { ...out, rgba: grown };
}

/** An uncompressed PNG file; only the first frame of several. */
export function encodePng(width, height, rgba, _milliseconds, infotext) {
  const rows = new Uint8Array(height * (width * 4 + 1));
  for (let y = 0; y < height; y++) rows.set(rgba.subarray(y * width * 4, (y + 1) * width * 4), y * (width * 4 + 1) + 1);
  const text = infotext === undefined ? [] : [chunk("tEXt", new TextEncoder().encode(`parameters\0${infotext}`))];
  const header = [...u32(width), ...u32(height), 8, 6, 0, 0, 0];
  const parts = [[137, 80, 78, 71, 13, 10, 26, 10], chunk("IHDR", header), ...text, chunk("IDAT", stored(rows)), chunk("IEND", [])];
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

export function readSettings(bytes) {
  const file = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  if (!file.startsWith("\x89PNG")) throw new Error("this is no PNG file");
  const at = file.indexOf("tEXtparameters\0");
  if (at < 0) return null;
  const length = new DataView(bytes.buffer).getUint32(at - 4);
  return { ...JSON.parse(new TextDecoder().decode(bytes.subarray(at + 15, at + 4 + length))), notes: [] };
}

async function pause() {
  if (fake.fails) throw new Error(fake.fails);
  do await new Promise((resolve) => setTimeout(resolve, fake.pause || 1));
  while (fake.pause === Infinity);
}

/** Radius and hue from prompt and seed; the edge is half transparent. */
function disc({ prompt = "", seed = 0, width, height }, done) {
  const hash = [...`${prompt} ${seed}`].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 9973, 7);
  const colour = [hash % 256, (hash * 7) % 256, (hash * 13) % 256];
  const rgba = new Uint8ClampedArray(width * height * 4);
  const radius = Math.min(width, height) * (0.3 + (hash % 10) / 80);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const far = Math.hypot(x + 0.5 - width / 2, y + 0.5 - height / 2) - radius;
      const alpha = far < -1 ? 255 : far < 1 ? 128 : 0;
      rgba.set([...colour.map((level) => level * done + 128 * (1 - done)), alpha], (y * width + x) * 4);
    }
  return { width, height, rgba };
}

function chunk(type, data) {
  const body = [...type].map((letter) => letter.charCodeAt(0)).concat([...data]);
  return [...u32(data.length), ...body, ...u32(crc32(body))];
}

/** A zlib stream of stored blocks. */
function stored(bytes) {
  const out = [0x78, 0x01];
  for (let at = 0; at < bytes.length; at += 65535) {
    const part = bytes.subarray(at, at + 65535);
    out.push(at + 65535 >= bytes.length ? 1 : 0, part.length & 255, part.length >> 8, ~part.length & 255, (~part.length >> 8) & 255);
    for (const byte of part) out.push(byte); // too many for the arguments of one call
  }
  let [a, b] = [1, 0];
  for (const byte of bytes) [a, b] = [(a + byte) % 65521, (b + a + byte) % 65521];
  return [...out, ...u32(b * 65536 + a)];
}

function u32(value) {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}
