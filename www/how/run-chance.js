// In the worker: random numbers and their tests.
import { Wichmann, draw, draw_and_drop, histogram, lag_pairs, tests, worker_numbers } from "./pkg/fourstep_how.js";
import { timed } from "./run-numbers.js";

const GENERATORS = ["wichmann-hill", "philox", "mt19937"];

export function beginWichmannHill({ seed }) {
  const generator = new Wichmann(seed);
  const state = [...generator.state()];
  return { state, numbers: Array.from({ length: 3 }, () => generator.random()) };
}

export function drawNumbers({ generator = "wichmann-hill", seed, n }) {
  return { numbers: draw(generator, seed, n) };
}

export function countNumbers({ seed, n, bins }) {
  return { counts: [...histogram(draw("wichmann-hill", seed, n), bins)] };
}

const EDGE = 4; // of the histogram of normal numbers; one in 16,000 lies beyond it

export function countNormal({ seed, n, bins }) {
  const numbers = Float64Array.from(new Wichmann(seed).normal(n), (x) => (x + EDGE) / (2 * EDGE)).filter((x) => x >= 0 && x < 1);
  return { counts: [...histogram(numbers, bins)], edge: EDGE };
}

export function pairNumbers({ seed, n, lag }) {
  return { pairs: lag_pairs(draw("wichmann-hill", seed, n), lag) };
}

export function testGenerators({ seed, n, bins }) {
  return { rows: GENERATORS.map((generator) => ({ generator, outcomes: [...tests(draw(generator, seed, n), bins)] })) };
}

/** The state that is copied into two workers. */
export function stateOf({ seed }) {
  return { state: [...new Wichmann(seed).state()] };
}

/** What one of two workers draws: from a copied state, or from a stream of its own. */
export function drawAsWorker({ state, seed, worker, n }) {
  return { numbers: state ? Wichmann.from_state(Uint32Array.from(state)).normal(n) : worker_numbers(seed, BigInt(worker), n) };
}

export async function timeGenerators({ n }, { tell }) {
  const times = [];
  for (const generator of GENERATORS) {
    times.push({ generator, ms: await timed(() => draw_and_drop(generator, 1n, n)) });
    if (!(await tell({ times }))) return { times, stopped: true };
  }
  return { times };
}
