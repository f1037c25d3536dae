// Random numbers, whether they are, and what a copied state does.
import { node, picture, signed, signedKey, table } from "./cell.js";
import { barPlot, plot } from "./plot.js";
import { milliseconds } from "./part-numbers.js";

const SEED = "457428938475";
/** What Python's lesson prints for its seed. */
const LESSON = { state: [4976, 20238, 499], numbers: [0.7645251082582081, 0.7920889799553945, 0.06912886811267205] };
const SIDE = 32;
const NAMES = { "wichmann-hill": "Wichmann-Hill", philox: "Philox 4x32-10", mt19937: "MT19937" };

const seed = { name: "seed", label: "Seed", type: "seed", value: SEED };
const count = (value, max = 100000) => ({ name: "n", label: "How many numbers", type: "number", value, min: 2, max });

export function chanceCells() {
  return {
    "wichmann-hill": {
      code: ["wichmann-hill"],
      formulas: [
        [4, "*value = factor * *value % modulus"],
        [5, "sum += f64::from(*value)"],
        [5, "sum % 1.0"],
      ],
      worker: "chance",
      action: "beginWichmannHill",
      auto: true,
      inputs: [seed],
      choices: [
        { label: "the lesson's seed", values: { seed: SEED } },
        { label: "1", values: { seed: "1" } },
      ],
      show(output, { state, numbers }, { seed }) {
        const isLesson = String(seed) === SEED;
        const same = isLesson && state.join() === LESSON.state.join() && numbers.join() === LESSON.numbers.join();
        output.replaceChildren(
          table([
            ["", "here", ...(isLesson ? ["the lesson, in Python"] : [])],
            ["state x, y, z", state.join(", "), ...(isLesson ? [LESSON.state.join(", ")] : [])],
            ...numbers.map((number, i) => [`number ${i + 1}`, number, ...(isLesson ? [LESSON.numbers[i]] : [])]),
          ]),
        );
        if (isLesson) return same ? "The same, to the last digit." : "NOT the same as the lesson's.";
      },
    },
    "line-plot": {
      worker: "chance",
      action: "drawNumbers",
      auto: true,
      inputs: [seed, count(200, 2000)],
      show: (output, { numbers }) =>
        output.replaceChildren(
          plot({
            title: "One number after the other",
            x: { label: "which number, counted from 1" },
            y: { label: "value, 0 to 1", min: 0, max: 1 },
            series: [{ kind: "line", data: [...numbers].map((y, i) => [i + 1, y]) }],
          }),
        ),
    },
    histogram: {
      code: ["histogram"],
      worker: "chance",
      action: "countNumbers",
      auto: true,
      inputs: [seed, count(10000), { name: "bins", label: "Bins", type: "number", value: 20, min: 1, max: 200 }],
      show(output, { counts }, { n, bins }) {
        output.replaceChildren(
          plot({
            title: `${n.toLocaleString("en")} numbers in ${bins} bins`,
            x: { label: "value, 0 to 1", min: 0, max: 1 },
            y: { label: "numbers in the bin", min: 0, max: 1.15 * Math.max(...counts) },
            series: [
              { kind: "line", data: steps(counts, (i) => i / bins), name: "counted" },
              {
                kind: "line",
                data: [
                  [0, n / bins],
                  [1, n / bins],
                ],
                name: "equal shares",
                colour: 2,
              },
            ],
          }),
        );
      },
    },
    lag: {
      code: ["lag"],
      worker: "chance",
      action: "pairNumbers",
      auto: true,
      inputs: [seed, count(5000, 20000), { name: "lag", label: "Lag", type: "number", value: 1, min: 1, max: 1000 }],
      show(output, { pairs }, { lag }) {
        const data = Array.from({ length: pairs.length / 2 }, (_, i) => [pairs[2 * i], pairs[2 * i + 1]]);
        output.replaceChildren(
          plot({
            square: true,
            title: `Each number and the one ${lag} later`,
            x: { label: "a number, 0 to 1", min: 0, max: 1 },
            y: { label: `${lag} later, 0 to 1`, min: 0, max: 1 },
            series: [{ kind: "points", data, size: 0.9 }],
          }),
        );
      },
    },
    tests: {
      code: ["chi-square", "runs", "serial-correlation"],
      formulas: [[6, "(count as f64 - expected).powi(2) / expected"]],
      worker: "chance",
      action: "testGenerators",
      auto: true,
      inputs: [seed, count(10000), { name: "bins", label: "Bins", type: "number", value: 20, min: 2, max: 200 }],
      show(output, { rows }, { bins }) {
        const words = ([statistic, p]) => `${statistic.toFixed(2)} (p ${p.toPrecision(2)})`;
        output.replaceChildren(
          table([
            ["generator", `chi-square, ${bins} bins`, "runs, in deviations", "serial correlation, in deviations"],
            ...rows.map(({ generator, outcomes }) => [NAMES[generator], ...[0, 2, 4].map((i) => words(outcomes.slice(i, i + 2)))]),
          ]),
        );
      },
    },
    normal: {
      code: ["gauss"],
      formulas: [
        [7, "let r ="],
        [7, "r * theta.cos()"],
      ],
      worker: "chance",
      action: "countNormal",
      auto: true,
      inputs: [seed, count(10000), { name: "bins", label: "Bins", type: "number", value: 32, min: 1, max: 200 }],
      show: showNormal,
    },
    fork: {
      code: ["fork", "copied-state"],
      button: "Start two workers",
      inputs: [seed],
      run: (values, tools) => twoWorkers(values, tools, true),
      show: (output, result) => showWorkers(output, result),
    },
    cure: {
      code: ["own-streams", "stream"],
      button: "Start two workers",
      inputs: [seed],
      run: (values, tools) => twoWorkers(values, tools, false),
      show: (output, result) => showWorkers(output, result),
    },
    speed: {
      worker: "chance",
      action: "timeGenerators",
      button: "Time them",
      inputs: [{ ...count(7840, 1000000), min: 1 }],
      show(output, { times }, { n }) {
        output.replaceChildren(
          barPlot({
            title: `Time for ${n.toLocaleString("en")} numbers in single precision`,
            x: { label: "time, microseconds", min: 0 },
            bars: times.map(({ generator, ms }) => ({ name: NAMES[generator], value: 1000 * ms, text: milliseconds(ms) })),
          }),
        );
      },
    },
  };
}

function showNormal(output, { counts, edge }, { n, bins }) {
  const width = (2 * edge) / bins;
  const bell = Array.from({ length: 81 }, (_, i) => edge * (i / 40 - 1));
  output.replaceChildren(
    plot({
      title: `${n.toLocaleString("en")} normal numbers in ${bins} bins`,
      x: { label: `value, -${edge} to ${edge}`, min: -edge, max: edge },
      y: { label: "numbers in the bin", min: 0, max: 1.15 * Math.max(...counts) },
      series: [
        { kind: "line", data: steps(counts, (i) => -edge + i * width), name: "counted" },
        {
          kind: "line",
          data: bell.map((x) => [x, (n * width * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI)]),
          name: "the bell curve",
          colour: 2,
        },
      ],
    }),
  );
}

/** The outline of a histogram whose bin `i` begins at `from(i)`. */
function steps(counts, from) {
  const tops = counts.flatMap((count, i) => [
    [from(i), count],
    [from(i + 1), count],
  ]);
  return [[from(0), 0], ...tops, [from(counts.length), 0]];
}

/** The noise of two fresh workers, from one copied state or from a stream for each. */
async function twoWorkers({ seed }, { send, end }, copied) {
  const { state } = copied ? await send("chance", "stateOf", { seed }) : {};
  const names = ["first of two", "second of two"];
  try {
    return await Promise.all(names.map((name, worker) => send(name, "drawAsWorker", { state, seed, worker, n: SIDE * SIDE }))).then(
      ([a, b]) => ({ a: a.numbers, b: b.numbers }),
    );
  } finally {
    names.forEach(end);
  }
}

function showWorkers(output, { a, b }) {
  const same = a.every((number, i) => number === b[i]);
  const shown = (numbers, name) =>
    node(
      "figure",
      { className: "small-picture" },
      picture([...numbers], SIDE, { zoom: 5, colours: signed(3), label: `Noise of the ${name}` }),
      node("figcaption", { textContent: `${name}: ${[...numbers.slice(0, 3)].map((x) => x.toFixed(4)).join(", ")}, …` }),
    );
  output.replaceChildren(node("div", { className: "row" }, shown(a, "first worker"), shown(b, "second worker")), signedKey(3));
  return same
    ? "Both drew the same picture of noise: two workers did the work of one."
    : `Two pictures of noise: ${a.filter((number, i) => number === b[i]).length} of ${a.length} numbers agree.`;
}
