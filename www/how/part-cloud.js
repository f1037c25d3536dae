// Diffusion on a plane: a cloud, its way into noise, a network that learns the way back, and fewer steps.
import { node, table } from "./cell.js";
import { easel } from "./easel.js";
import { plot } from "./plot.js";

const worker = "cloud";
/** The cells that show what the network has learned. */
const TAUGHT = ["field", "sample", "guide", "guided"];
const UNTRAINED = "The network has learned nothing yet, its weights are random. Train it above.";
const EDGE = 3; // of the plane that is shown, in standard deviations of the cloud
const LABELS = [
  ["0", "none"],
  ["1", "the first colour"],
  ["2", "the second colour"],
];
const plane = {
  x: { label: "x, standard deviations", min: -EDGE, max: EDGE },
  y: { label: "y, standard deviations", min: -EDGE, max: EDGE },
  square: true,
};
const degrees = (value) => `${value}° of 90°`;
const angle = (value) => ({ name: "degrees", label: "Angle", type: "range", min: 0, max: 90, step: 1, value, words: degrees });
const radians = ({ degrees }) => ({ angle: (Math.PI / 180) * Math.max(degrees, 0.5) });
const label = { name: "label", label: "Label", type: "select", value: "1", options: LABELS };
const withNumbers = (values) => ({ label: Number(values.label), ...(values.degrees === undefined ? {} : radians(values)) });

export function cloudCells() {
  const board = easel(LABELS.slice(1));
  return {
    cloud: {
      worker,
      action: "chooseCloud",
      button: "Use this cloud",
      begin: true,
      then: ["noise", ...TAUGHT],
      inputs: [
        {
          name: "shape",
          label: "Cloud",
          type: "select",
          value: "spiral",
          options: [
            ["spiral", "spiral"],
            ["moons", "two moons"],
            ["ring", "ring"],
            ["spots", "eight spots"],
            ["own", "my own, drawn below"],
          ],
        },
      ],
      more: () => board.points(),
      extra: board.element,
      show(output, { points, labels }) {
        output.replaceChildren(plot({ title: "The cloud", ...plane, series: coloured(points, labels) }));
        return `${labels.length} points. The network below knows nothing of them yet.`;
      },
    },
    noise: {
      code: ["forward-noise"],
      formulas: [
        [15, "cos * point[i] + sin * noise[i]"],
        [16, "cos * noise[i] - sin * point[i]"],
      ],
      worker,
      action: "addNoise",
      auto: true,
      inputs: [angle(30)],
      more: radians,
      show(output, { points, labels, v }, { degrees: at }) {
        const few = pairs(points)
          .slice(0, 40)
          .map(([x, y], i) => [x, y, 0.35 * v[2 * i], 0.35 * v[2 * i + 1]]);
        output.replaceChildren(
          node(
            "div",
            { className: "row" },
            plot({
              title: `The cloud at ${degrees(at)}, with v of forty points`,
              ...plane,
              series: [...coloured(points, labels), { kind: "arrows", data: few, name: "v, shortened", colour: 3 }],
            }),
            circle(at),
          ),
        );
      },
    },
    learn: {
      code: ["train-step", "velocity-loss", "network-forward", "silu", "network-backward", "adam"],
      formulas: [
        [17, "f64::from(error * error)"],
        [18, "x / (1.0 + (-x).exp())"],
      ],
      then: TAUGHT,
      worker,
      action: "trainDiffusion",
      button: "Train",
      inputs: [
        { name: "steps", label: "Training steps", type: "number", value: 1500, min: 1, max: 20000 },
        { name: "rate", label: "Learning rate", type: "number", value: 0.003, min: 0, max: 1e38, whole: false },
        angle(30),
      ],
      more: radians,
      show(output, { losses, steps, grid, field, parameters, cloud, labels }, { degrees: at }) {
        output.replaceChildren(
          node(
            "div",
            { className: "row" },
            fieldPlot(`The network's v at ${degrees(at)}, while it learns`, grid, field, cloud, labels),
            plot({
              title: "The loss goes down",
              x: { label: "training step", min: 0, max: steps },
              y: { label: "mean squared error of v", min: 0, max: 1.2 },
              series: [{ kind: "line", data: means(losses, Math.max(10, Math.floor(steps / 60))) }],
            }),
          ),
        );
        return `${losses.length} of ${steps} steps; the network has ${parameters} numbers.`;
      },
    },
    field: {
      worker,
      action: "showField",
      auto: true,
      inputs: [angle(70), label],
      more: withNumbers,
      show(output, { grid, field, trained }, { degrees: at }) {
        output.replaceChildren(fieldPlot(`What the network has learned: v at ${degrees(at)}`, grid, field));
        if (!trained) return UNTRAINED;
      },
    },
    sample: sampling({
      code: ["rotate", "sample"],
      formulas: [[19, "cos * x[i] - sin * v[i]"]],
      inputs: [stepsInput, label, partInput],
    }),
    guided: sampling({ inputs: [scaleInput(2.5), { ...label, options: LABELS.slice(1) }, stepsInput] }),
    guide: {
      code: ["guidance"],
      formulas: [[20, "u[i] + scale * (c[i] - u[i])"]],
      worker,
      action: "pullPoints",
      auto: true,
      inputs: [angle(60), { ...label, options: LABELS.slice(1) }, scaleInput(2.5)],
      more: withNumbers,
      show(output, { points, without, with: led, guided, trained }) {
        const arrows = (v, colour, name) => ({
          kind: "arrows",
          data: pairs(points).map(([x, y], i) => [x, y, -0.5 * v[2 * i], -0.5 * v[2 * i + 1]]),
          colour,
          name,
        });
        output.replaceChildren(
          plot({
            title: "Where the next step leads (against v, shortened)",
            ...plane,
            series: [arrows(without, 5, "without the label"), arrows(led, 1, "with it"), arrows(guided, 2, "guided")],
          }),
        );
        if (!trained) return UNTRAINED;
      },
    },
    distill: {
      code: ["distill-target", "distill-step", "energy-distance"],
      formulas: [
        [21, "(cos * x[i] - end[i]) / sin"],
        [22, "2.0 * mean_distance(a, b)"],
      ],
      worker,
      action: "distill",
      button: "Distill 64 steps into 4",
      inputs: [
        { name: "steps", label: "Training steps a round", type: "number", value: 400, min: 1, max: 5000 },
        { name: "rate", label: "Learning rate", type: "number", value: 0.002, min: 0, max: 1e38, whole: false },
        label,
        scaleInput(1),
      ],
      more: withNumbers,
      show: showDistillation,
    },
  };
}

function scaleInput(value) {
  return { name: "scale", label: "Guidance", type: "range", min: 0, max: 5, step: 0.25, value, words: (at) => `${at}` };
}

const stepsInput = {
  name: "steps",
  label: "Steps",
  type: "select",
  value: "64",
  options: [64, 32, 16, 8, 4, 2, 1].map((n) => [String(n), String(n)]),
};
const partInput = { name: "part", label: "Part of the way", type: "range", min: 0, max: 100, value: 100, words: (value) => `${value} %` };

/** A cell that makes points from noise. */
function sampling(it) {
  return {
    worker,
    action: "samplePoints",
    auto: true,
    more: (values) => ({ ...withNumbers(values), steps: Number(values.steps) }),
    show(output, { path, n, steps, cloud, trained }, { part = 100 }) {
      const at = Math.round((part / 100) * steps);
      const points = pairs(path.slice(2 * n * at, 2 * n * (at + 1)));
      const ways = Array.from({ length: 12 }, (_, i) =>
        Array.from({ length: at + 1 }, (_, step) => [path[2 * (n * step + i)], path[2 * (n * step + i) + 1]]),
      );
      output.replaceChildren(
        plot({
          title: `${n} points after ${at} of ${steps} steps, and the way of twelve of them`,
          ...plane,
          series: [
            { kind: "points", data: pairs(cloud), colour: 5, size: 1, name: "the cloud" },
            ...ways.map((data, i) => ({ kind: "line", data, colour: 3, name: i ? "" : "ways" })),
            { kind: "points", data: points, colour: 1, size: 1.5, name: "made from noise" },
          ],
        }),
      );
      if (!trained) return UNTRAINED;
    },
    ...it,
  };
}

function showDistillation(output, { rounds, steps, teacher, four, cloud, trained }) {
  const losses = rounds.map(({ from, to, losses }, i) => ({
    kind: "line",
    data: means(losses, Math.max(10, Math.floor(steps / 40))),
    name: `${from} to ${to}`,
    colour: i + 1,
  }));
  const done = rounds.filter(({ quality }) => Number.isFinite(quality));
  /** @type {object[]} */
  const series = [
    { kind: "line", data: teacher, name: "teacher", colour: 1 },
    { kind: "points", data: teacher, colour: 1, size: 3 },
  ];
  if (done.length)
    series.push(
      ...["line", "points"].map((kind) => ({
        kind,
        data: done.map(({ to, quality }) => [to, quality]),
        name: kind === "line" ? "students" : "",
        colour: 2,
        size: 3,
      })),
    );
  const parts = [
    plot({
      title: "Each round: a student of a teacher's two steps",
      x: { label: "training step of the round", min: 0, max: steps },
      y: { label: "mean squared error of v", min: 0 },
      series: losses,
    }),
    plot({
      title: "Distance of the sampled points from the cloud",
      x: { label: "number of steps from noise to points", scale: "log", ticks: [2, 4, 8, 16, 32, 64] },
      y: { label: "energy distance, deviations", min: 0 },
      series,
    }),
  ];
  if (four) {
    const made = (title, points) =>
      plot({
        title,
        ...plane,
        series: [
          { kind: "points", data: pairs(cloud), colour: 5, size: 1, name: "the cloud" },
          { kind: "points", data: pairs(points), colour: 1, size: 1.5 },
        ],
      });
    parts.push(
      node("div", { className: "row" }, made("The teacher in 4 steps", four.teacher), made("The last student in 4 steps", four.student)),
    );
    parts.push(
      table(
        [
          ["steps", "teacher", "student"],
          ...teacher.map(([n, far]) => [n, far.toFixed(4), rounds.find(({ to }) => to === n)?.quality.toFixed(4) ?? ""]),
        ],
        "Energy distance from the cloud: less is better",
      ),
    );
  }
  output.replaceChildren(...parts);
  if (four && !trained) return "The first teacher has learned nothing yet, its weights are random. Train it above.";
  return four
    ? ""
    : `Round ${rounds.length} of 4: ${rounds.at(-1).from} steps to ${rounds.at(-1).to}, ${rounds.at(-1).losses.length} of ${steps}.`;
}

/** The quarter turn: the point at one end, noise at the other. */
function circle(at) {
  const arc = Array.from({ length: 46 }, (_, i) => [Math.cos((i * Math.PI) / 90), Math.sin((i * Math.PI) / 90)]);
  const [c, s] = [Math.cos((at * Math.PI) / 180), Math.sin((at * Math.PI) / 180)];
  return plot({
    title: `The angle ${degrees(at)}`,
    square: true,
    x: { label: "share of the point: cos", min: -0.6, max: 1.4 },
    y: { label: "share of the noise: sin", min: -0.4, max: 1.6 },
    series: [
      { kind: "line", data: arc, colour: 5, name: "the way" },
      {
        kind: "line",
        data: [
          [0, 0],
          [c, s],
        ],
        colour: 1,
        name: "x",
      },
      { kind: "arrows", data: [[c, s, -0.4 * s, 0.4 * c]], colour: 3, name: "v" },
    ],
  });
}

function fieldPlot(title, grid, field, cloud, labels) {
  const arrows = pairs(grid).map(([x, y], i) => [x, y, -0.16 * field[2 * i], -0.16 * field[2 * i + 1]]);
  return plot({
    title,
    ...plane,
    series: [
      ...(cloud ? coloured(cloud, labels) : []),
      { kind: "arrows", data: arrows, colour: 3, name: "towards the cloud: against v, shortened" },
    ],
  });
}

function coloured(points, labels) {
  const all = pairs(points);
  return [1, 2].map((label) => ({
    kind: "points",
    data: all.filter((_, i) => labels[i] === label),
    colour: label,
    size: 1.5,
    name: LABELS[label][1],
  }));
}

function pairs(flat) {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
}

function means(values, n) {
  const out = [];
  for (let i = 0; i + n <= values.length; i += n) out.push([i + n, values.slice(i, i + n).reduce((a, b) => a + b) / n]);
  return out;
}
