// In the worker: tensors, broadcasting, and the ladder of products.
import { Numbers, Product, broadcast, rungs } from "./pkg/fourstep_how.js";
import { multiplyOnGpu } from "./gpu.js";
import { multiplyOnWorkers } from "./threads.js";

const ENOUGH_MS = 400; // of repetitions for one time
const SHOWN = 400; // numbers

const described = (tensor) => ({
  shape: [...tensor.shape()],
  strides: [...tensor.strides()],
  offset: tensor.offset(),
  values: [...tensor.values().slice(0, SHOWN)],
  isView: tensor.is_view(),
});

export function describeTensor({ shape, index }) {
  const tensor = Numbers.arange(shape);
  return { ...described(tensor), at: tensor.at(index) };
}

export function viewTensor({ shape, how, numbers }) {
  return { before: described(Numbers.arange(shape)), after: described(Numbers.arange(shape).view(how, numbers)) };
}

export function combineShapes({ a, b }) {
  const shape = [...broadcast(a, b)];
  const [left, right] = [Numbers.arange(a), Numbers.arange(b)];
  const stretched = [left, right].map((one) => described(one.view("expand", Uint32Array.from(shape))));
  return { shape, a: described(left), b: described(right), stretched, sum: described(left.plus(right)) };
}

export function multiplyByBroadcasting({ rows, inner, columns }) {
  const [a, b] = [Numbers.arange(Uint32Array.of(rows, inner)), Numbers.arange(Uint32Array.of(inner, columns))];
  const stretched = [rows, inner, columns];
  return { a: described(a), b: described(b), stretched, product: described(a.matmul(b)) };
}

/** Times each rung of the ladder on one product, and says how far each is from float64; with `burn`, the library too. */
export async function climb({ rows, inner, columns, burn }, { tell }) {
  const product = new Product(rows, inner, columns, 1);
  const times = [];
  try {
    for (const rung of rungs()) {
      const once = () => product.run(rung);
      times.push({ rung, ms: await timed(once), error: product.error(new Float32Array()) });
      if (!(await tell({ times }))) return { times, stopped: true };
    }
    for await (const { rung, missing, run, read } of beyondOneCore(product.a(), product.b(), [rows, inner, columns], burn)) {
      times.push(missing ? { rung, missing } : { rung, ms: await timed(run), error: product.error(await read()) });
      if (!(await tell({ times }))) return { times, stopped: true };
    }
    return { times };
  } finally {
    product.free();
  }
}

/**
 * The rungs that one core does not have, one after the other: `{ rung, run, read }`, where `run` multiplies once and `read` brings
 * the result, or `{ rung, missing }` with the reason.
 */
export async function* beyondOneCore(a, b, sizes, burn) {
  const ways = [
    ["threads", () => multiplyOnWorkers(a, b, sizes)],
    ["WebGPU naive", () => multiplyOnGpu("naive", a, b, sizes)],
    ["WebGPU tiled", () => multiplyOnGpu("tiled", a, b, sizes)],
    ["burn, processor", () => multiplyByBurn("cpu", a, b, sizes)],
    ["burn, WebGPU", () => multiplyByBurn("wgpu", a, b, sizes)],
  ];
  for (const [rung, prepare] of /** @type {[string, () => Promise<any>][]} */ (burn === "yes" ? ways : ways.slice(0, 3))) {
    const product = await prepare();
    if (typeof product === "string") {
      yield { rung, missing: product };
      continue;
    }
    try {
      yield { rung: product.name ?? rung, run: product.run, read: product.read };
    } finally {
      product.free();
    }
  }
}

async function multiplyByBurn(device, a, b, [, inner]) {
  try {
    const loaded = await (await drawingProgram()).BurnProduct.load(device, a, b, inner);
    let out = await loaded.run(); // compiles its kernels, which is not what is timed
    return { run: async () => (out = await loaded.run()), read: async () => out, free: () => loaded.free() };
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) throw error;
    return error.message;
  }
}

/** The module that draws the pictures: with it comes burn, the tensor library. */
async function drawingProgram() {
  const module = await import("../../pkg/fourstep.js");
  await module.default();
  return module;
}

let share; // of a product, in one of several workers

export function takeShare({ a, b, inner }) {
  share?.free();
  share = Product.of(a, b, inner);
}

export function multiplyShare() {
  share.run("SIMD");
}

export function readShare() {
  return share.out();
}

/** Milliseconds for one run: the mean over as many as fit into a moment, after one that warms up if it was short. */
export async function timed(run) {
  const time = async (runs) => {
    const start = performance.now();
    for (let i = 0; i < runs; i++) await run();
    return (performance.now() - start) / runs;
  };
  const first = await time(1);
  if (first > ENOUGH_MS) return first;
  return time(Math.max(1, Math.min(1000, Math.floor(ENOUGH_MS / Math.max(first, 0.05)))));
}
