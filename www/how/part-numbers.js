// Tensors, broadcasting, and the ladder of matrix products.
import { node, table } from "./cell.js";
import { barPlot } from "./plot.js";

const RUNGS = [
  ["three loops", "multiply-loops"],
  ["slices", "multiply-slices"],
  ["iterators", "multiply-iterators"],
  ["blocked", "multiply-blocked"],
  ["SIMD", "multiply-simd"],
  ["threads", "multiply-threads"],
  ["threads in a page", "multiply-workers"],
  ["WebGPU naive", "multiply-webgpu-naive"],
  ["WebGPU tiled", "multiply-webgpu-tiled"],
];
/** The lesson's own figures, in milliseconds, for 5 x 784 x 10 and 50,000 x 784 x 10: another machine's. */
/** @type {[string, [string, number][]][]} */
const LESSON = [
  [
    "5,784,10",
    [
      ["loops", 421],
      ["elementwise", 0.598],
      ["dot", 0.481],
      ["broadcast", 0.0701],
    ],
  ],
  [
    "50000,784,10",
    [
      ["broadcast", 663],
      ["einsum", 15.1],
      ["GPU", 0.458],
    ],
  ],
];

export const BURN = {
  name: "burn",
  label: "With burn, the library",
  type: "select",
  value: "no",
  options: [
    ["no", "no"],
    ["yes", "yes: fetches the drawing program"],
  ],
};

const sizes = (name, label, value) => ({ name, label, type: "sizes", value });
const shapeText = (shape) => (shape.length ? shape.join(" × ") : "one number");
const list = (values) => `[${[...values].join(", ")}]`;

export function numberCells() {
  return {
    tensor: {
      code: ["tensor"],
      formulas: [[2, "i * stride).sum()"]],
      worker: "numbers",
      action: "describeTensor",
      auto: true,
      inputs: [sizes("shape", "Shape", "2, 3, 4"), sizes("index", "Index", "1, 2, 3")],
      choices: [
        ["rank 0", "", ""],
        ["rank 1", "5", "3"],
        ["rank 2", "3, 4", "1, 2"],
        ["rank 3", "2, 3, 4", "1, 2, 3"],
        ["rank 4", "2, 2, 3, 4", "1, 0, 2, 1"],
      ].map(([label, shape, index]) => ({ label, values: { shape, index } })),
      show(output, { shape, strides, values, at }, { index }) {
        const sum = [...index].map((i, axis) => `${i} · ${strides[axis]}`).join(" + ") || "0";
        output.replaceChildren(
          table([
            ["rank", "shape", "strides", "index", "place in memory", "value"],
            [shape.length, list(shape), list(strides), list(index), `${sum} = ${at}`, at],
          ]),
          memory(values, new Set([at])),
        );
      },
    },
    views: {
      code: ["views"],
      worker: "numbers",
      action: "viewTensor",
      auto: true,
      inputs: [
        sizes("shape", "Shape", "2, 3, 4"),
        {
          name: "how",
          label: "View",
          type: "select",
          value: "transpose",
          options: [
            ["transpose", "transpose: two axes"],
            ["slice", "slice: axis, from, to"],
            ["select", "select: axis, entry"],
            ["unsqueeze", "new axis: place"],
            ["reshape", "reshape: sizes"],
            ["expand", "stretch: sizes"],
          ],
        },
        sizes("numbers", "Its numbers", "0, 2"),
      ],
      choices: [
        ["t.transpose(0, 2)", "transpose", "0, 2"],
        ["t[:, 1:3]", "slice", "1, 1, 3"],
        ["t[1]", "select", "0, 1"],
        ["t[None]", "unsqueeze", "0"],
        ["t.reshape(6, 4)", "reshape", "6, 4"],
        ["t.expand(2, 2, 3, 4)", "expand", "2, 2, 3, 4"],
      ].map(([label, how, numbers]) => ({ label, values: { shape: "2, 3, 4", how, numbers } })),
      show(output, { before, after }) {
        output.replaceChildren(
          table([
            ["", "shape", "strides", "begins at", "numbers copied"],
            ["before", list(before.shape), list(before.strides), before.offset, ""],
            [
              "after",
              list(after.shape),
              list(after.strides),
              after.offset,
              after.isView ? "none: a view" : "all: they no longer lie in order",
            ],
          ]),
          node("p", { textContent: "What is read, one after the other:" }),
          memory(after.values),
        );
      },
    },
    broadcast: {
      code: ["broadcast"],
      worker: "numbers",
      action: "combineShapes",
      auto: true,
      inputs: [sizes("a", "Shape of a", "3, 4"), sizes("b", "Shape of b", "4")],
      choices: [
        ["a number", "3, 4", ""],
        ["a row", "3, 4", "4"],
        ["a column", "3, 4", "3, 1"],
        ["column and row", "3, 1", "4"],
        ["pictures and colours", "2, 3, 2, 2", "3, 1, 1"],
        ["does not fit", "3, 4", "3"],
      ].map(([label, a, b]) => ({ label, values: { a, b } })),
      show(output, { shape, a, b, stretched, sum }) {
        output.replaceChildren(
          table([
            ["", "shape", "strides", "stretched to", "strides then"],
            ...[
              ["a", a, stretched[0]],
              ["b", b, stretched[1]],
            ].map(([name, one, wide]) => [name, list(one.shape), list(one.strides), list(shape), list(wide.strides)]),
          ]),
          ...(shape.length <= 2
            ? [
                node(
                  "div",
                  { className: "row sums" },
                  grid(a),
                  node("span", { textContent: "+" }),
                  grid(b),
                  node("span", { textContent: "=" }),
                  grid(sum),
                ),
              ]
            : [node("p", { textContent: `a + b, ${shapeText(shape)}:` }), memory(sum.values)]),
        );
      },
    },
    matmul: {
      code: ["matmul-by-broadcasting"],
      worker: "numbers",
      action: "multiplyByBroadcasting",
      auto: true,
      inputs: [
        ["rows", 2],
        ["inner", 3],
        ["columns", 4],
      ].map(([name, value]) => ({
        name,
        label: { rows: "Rows of a", inner: "Columns of a, rows of b", columns: "Columns of b" }[name],
        type: "number",
        value,
        min: 1,
        max: 8,
      })),
      show(output, { a, b, stretched, product }) {
        output.replaceChildren(
          node(
            "div",
            { className: "row sums" },
            grid(a),
            node("span", { textContent: "times" }),
            grid(b),
            node("span", { textContent: "=" }),
            grid(product),
          ),
          node("p", {
            textContent: `(${stretched[0]}, ${stretched[1]}, 1) and (1, ${stretched[1]}, ${stretched[2]}) stretch to (${stretched.join(", ")}); the sum over the middle axis leaves (${stretched[0]}, ${stretched[2]}).`,
          }),
        );
      },
    },
    ladder: {
      code: ({ shown }) => [shown],
      formulas: [[3, "out[(i, j)] += a[(i, k)] * b[(k, j)]"]],
      worker: "ladder",
      action: "climb",
      button: "Climb the ladder",
      inputs: [
        { name: "shown", label: "Code shown", type: "select", value: "multiply-loops", options: RUNGS.map(([name, code]) => [code, name]) },
        ...[
          ["rows", "Rows", 5, 50000],
          ["inner", "Inner", 784, 4096],
          ["columns", "Columns", 10, 4096],
        ].map(([name, label, value, max]) => ({ name, label, type: "number", value, min: 1, max })),
        BURN,
      ],
      choices: [
        ["5 × 784 × 10", 5],
        ["50,000 × 784 × 10", 50000],
      ].map(([label, rows]) => ({ label, values: { rows, inner: 784, columns: 10 } })),
      show: showLadder,
    },
  };
}

function showLadder(output, { times }, { rows, inner, columns }) {
  const done = times.filter(({ ms }) => ms !== undefined);
  if (!done.length) return;
  const operations = 2 * rows * inner * columns;
  const row = ({ rung, ms, error, missing }) =>
    missing ? [rung, missing, "", ""] : [rung, milliseconds(ms), `${(operations / ms / 1e6).toFixed(2)}`, error.toExponential(1)];
  const lesson = LESSON.find(([key]) => key === [rows, inner, columns].join())?.[1] ?? [];
  const bars = [
    ...done.map(({ rung, ms }) => ({ name: rung, value: ms, text: milliseconds(ms), colour: 1 })),
    ...lesson.map(([name, ms]) => ({ name: `the lesson: ${name}`, value: ms, text: milliseconds(ms), colour: 4 })),
  ];
  output.replaceChildren(
    table(
      [["rung", "time", "billion operations a second", "largest distance from float64"], ...times.map(row)],
      `${rows.toLocaleString("en")} × ${inner} times ${inner} × ${columns}`,
    ),
    barPlot({
      title: lesson.length
        ? "Time for one product: here, and (other colour) the lesson's figures from another machine"
        : "Time for one product",
      x: { label: "time, milliseconds: each line ten times the one before", scale: "log" },
      bars,
    }),
  );
}

export function milliseconds(ms) {
  if (ms >= 1000) return `${(ms / 1000).toPrecision(3)} s`;
  return ms >= 1 ? `${ms.toPrecision(3)} ms` : `${(1000 * ms).toPrecision(3)} µs`;
}

/** Numbers as they lie in memory. */
function memory(values, marked = new Set()) {
  const cells = values.map((value, i) => node("span", { textContent: value, className: marked.has(i) ? "here" : "" }));
  return node("div", { className: "memory", tabIndex: 0, role: "group", ariaLabel: "Numbers in memory" }, ...cells);
}

/** A tensor of rank 0 to 2 as rows and columns. */
function grid({ shape, values }) {
  const columns = shape.at(-1) ?? 1;
  const made = node("div", { className: "grid" }, ...values.map((value) => node("span", { textContent: value })));
  made.style.gridTemplateColumns = `repeat(${columns}, auto)`;
  return node("div", { className: "scroll" }, made, node("p", { className: "small", textContent: shapeText(shape) }));
}
