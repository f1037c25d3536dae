// In the worker: diffusion on a plane.
import { Cloud, Diffusion, Round, energy_distance } from "./pkg/fourstep_how.js";

const SEED = 1;
const POINTS = 600;
const BATCH = 192;
const NEWS_EVERY = 20; // steps
const STEPS = [64, 32, 16, 8, 4, 2];
let cloud, model;
let trained = 0; // steps of the model

const theCloud = () => (cloud ??= Cloud.made("spiral", POINTS, SEED));
const theModel = () => (model ??= new Diffusion(SEED));

/** A cloud that is made, or the reader's own points. */
export function chooseCloud({ shape, points, labels }) {
  const next = shape === "own" ? Cloud.drawn(Float32Array.from(points), Uint8Array.from(labels)) : Cloud.made(shape, POINTS, SEED);
  cloud?.free();
  model?.free();
  [cloud, model, trained] = [next, undefined, 0];
  return { points: cloud.points(), labels: cloud.labels() };
}

export function addNoise({ angle }) {
  const points = theCloud();
  return { points: points.noised(angle, SEED), labels: points.labels(), v: points.velocities(angle, SEED) };
}

export async function trainDiffusion({ steps, rate, angle }, { tell }) {
  const [points, network] = [theCloud(), theModel()];
  const losses = [];
  const state = () => ({
    losses,
    steps,
    ...fieldOf(network, angle, 0, 1),
    parameters: network.parameters(),
    cloud: points.points(),
    labels: points.labels(),
  });
  while (losses.length < steps) {
    keepCloud(network);
    losses.push(...afresh(() => network.train(points, Math.min(NEWS_EVERY, steps - losses.length), BATCH, rate)));
    trained += NEWS_EVERY;
    if (!(await tell(state()))) return { ...state(), stopped: true };
  }
  return state();
}

/** Throws if another cloud was chosen meanwhile, and with it another network. */
function keepCloud(network) {
  if (network !== model) throw new Error("Another cloud was chosen. Train a network for it.");
}

/** Steps downhill; when these have ruined the network, the next training begins with a new one. */
function afresh(steps) {
  try {
    return steps();
  } catch (error) {
    if (!error.message.includes("learning rate")) throw error;
    model.free();
    [model, trained] = [undefined, 0];
    throw new Error(`${error.message}: the network is a new one, with random weights.`);
  }
}

export function showField({ angle, label }) {
  return { ...fieldOf(theModel(), angle, label, 1), trained };
}

export function samplePoints({ steps, label, scale = 1, n = 400 }) {
  const path = theModel().sample(n, SEED, steps, label, scale);
  return { path, n, steps, cloud: pick(theCloud(), label), trained };
}

/** At some points of noise on their way: v without the label, with it, and guided. */
export function pullPoints({ angle, label, scale }) {
  const points = theCloud()
    .noised(angle, SEED)
    .slice(0, 2 * 40);
  const v = (label, scale) => theModel().field(points, angle, label, scale);
  return { points, without: v(0, 1), with: v(label, 1), guided: v(label, scale), trained };
}

/** 64 to 32 to 16 to 8 to 4 steps: each student is the next teacher. The first round can also learn the guidance. */
export async function distill({ steps, rate, scale, label }, { tell }) {
  const points = theCloud();
  const wanted = pick(points, label);
  const quality = (network, steps, scale) => energy_distance(last(network.sample(400, SEED, steps, label, scale), 400), wanted);
  const teacher = STEPS.map((n) => [n, quality(theModel(), n, scale)]);
  const rounds = [];
  const first = theModel();
  let from = first;
  for (const n of STEPS.slice(0, -2)) {
    const round = new Round(from, n, n === STEPS[0] ? scale : 1);
    const now = { from: n, to: n / 2, losses: [], quality: NaN };
    rounds.push(now);
    while (now.losses.length < steps) {
      keepCloud(first);
      now.losses.push(...round.train(points, Math.min(NEWS_EVERY, steps - now.losses.length), BATCH, rate));
      if (!(await tell({ rounds, steps, teacher }))) return { rounds, steps, teacher, stopped: true };
    }
    from = round.student();
    now.quality = quality(from, n / 2, 1);
    round.free();
  }
  const compare = (network, scale) => last(network.sample(400, SEED, rounds.at(-1).to, label, scale), 400);
  return {
    rounds,
    steps,
    teacher,
    four: { teacher: compare(first, scale), student: compare(from, 1) },
    cloud: wanted,
    trained,
  };
}

/** The network's v on a grid over the plane. */
function fieldOf(network, angle, label, scale) {
  const grid = [];
  for (let y = -2.25; y <= 2.3; y += 0.375) for (let x = -2.25; x <= 2.3; x += 0.375) grid.push(x, y);
  return { grid, field: network.field(Float32Array.from(grid), angle, label, scale) };
}

function last(path, n) {
  return path.slice(-2 * n);
}

function pick(cloud, label) {
  const [points, labels] = [cloud.points(), cloud.labels()];
  return Float32Array.from(points.filter((_, i) => label === 0 || labels[i >> 1] === label));
}
