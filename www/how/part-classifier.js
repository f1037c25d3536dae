// The linear classifier: from random weights to reading the reader's own digit.
import { ask, node, picture, signed, signedKey, table } from "./cell.js";
import { barPlot, heatMap, plot } from "./plot.js";
import { BURN, milliseconds } from "./part-numbers.js";

const SIDE = 28;

export function classifierCells(own) {
  const files = () => ({ files: own.files });
  const worker = "classifier";
  return {
    "linear-init": {
      code: ["linear-init"],
      worker,
      action: "beginClassifier",
      button: "Start again from random weights",
      inputs: [{ name: "seed", label: "Seed", type: "seed", value: "457428938475" }],
      show: (output, { weights }) => {
        output.replaceChildren(...weightPictures(weights));
        return "Ten pictures of weights, one for each digit: only random numbers so far.";
      },
    },
    "linear-forward": {
      code: ["linear-forward"],
      formulas: [
        [8, "rung.multiply(images, &self.weights)"],
        [8, "*score += bias"],
      ],
      worker,
      action: "scorePictures",
      more: files,
      button: "Score on each rung",
      inputs: [{ name: "n", label: "Pictures", type: "number", value: 5, min: 1, max: 60000 }, BURN],
      show(output, { rows, probabilities, label }) {
        const parts = [
          table([
            ["rung", "time", "largest distance from the first rung"],
            ...rows.map(({ rung, missing, ms, far }) =>
              missing ? [rung, missing, ""] : [rung, milliseconds(ms), far ? far.toExponential(1) : "0"],
            ),
          ]),
        ];
        if (probabilities)
          parts.push(
            barPlot({
              title: `Chances for the first picture, which shows a ${label}`,
              x: { label: "probability, 0 to 1", min: 0, max: 1 },
              bars: probabilityBars(probabilities, label),
            }),
          );
        output.replaceChildren(...parts);
      },
    },
    gradient: {
      code: ["softmax", "linear-gradient", "finite-differences"],
      formulas: [
        [9, "(*score - largest).exp()"],
        [9, "*score /= sum"],
        [10, ").ln();"],
        [11, "errors[(row, usize::from(label))] -= 1.0"],
        [12, "error / labels.len()"],
        [12, "multiply(&images.transposed(), &errors)"],
        [13, "loss_at(h)? - loss_at(-h)?"],
      ],
      worker,
      action: "checkGradient",
      more: files,
      button: "Check the gradient",
      inputs: [{ name: "weights", label: "Weights to try", type: "number", value: 8, min: 1, max: 64 }],
      show(output, { found }) {
        const rows = Array.from({ length: found.length / 4 }, (_, i) => found.slice(4 * i, 4 * i + 4));
        output.replaceChildren(
          table([
            ["weight: pixel row, column, and digit", "slope by the formula", "slope by trying", "difference"],
            ...[...rows].map(([pixel, digit, formula, tried]) => [
              `${Math.floor(pixel / SIDE)}, ${pixel % SIDE}, ${digit}`,
              formula.toFixed(6),
              tried.toFixed(6),
              Math.abs(formula - tried).toExponential(1),
            ]),
          ]),
        );
      },
    },
    train: {
      code: ["linear-step"],
      formulas: [
        [14, "*weight -= rate * slope"],
        [14, "*bias -= rate * slope"],
      ],
      worker,
      action: "trainClassifier",
      more: files,
      button: "Train",
      inputs: [
        { name: "passes", label: "Passes over the pictures", type: "number", value: 30, min: 1, max: 500 },
        { name: "batch", label: "Pictures in a step", type: "number", value: 50, min: 1, max: 1000 },
        { name: "rate", label: "Learning rate", type: "number", value: 0.1, min: 0, max: 1e38, whole: false },
      ],
      choices: [
        { label: "a rate that is too high", values: { rate: 300 } },
        { label: "0.1", values: { rate: 0.1 } },
      ],
      show: showTraining,
    },
    draw: {
      begin: true,
      ...drawing(worker),
    },
  };
}

function showTraining(output, { losses, accuracies, confusion, steps, tested, weights }) {
  const mean = smooth(losses, Math.max(1, Math.floor(steps / 100)));
  output.replaceChildren(
    plot({
      title: "The loss goes down",
      x: { label: "training step", min: 0, max: steps },
      y: { label: "loss: cross-entropy, nats", min: 0 },
      series: [{ kind: "line", data: mean }],
    }),
    plot({
      title: `Right answers on ${tested}`,
      x: { label: "training step", min: 0, max: steps },
      y: { label: "right answers, %", min: 0, max: 100 },
      series: [{ kind: "line", data: accuracies.map(([step, share]) => [step, 100 * share]), colour: 2 }],
    }),
    heatMap({
      title: "Which digit was read as which: numbers of pictures",
      x: "read as the digit",
      y: "is the digit",
      values: confusion,
      columns: 10,
    }),
    ...(weights
      ? [
          node("p", { textContent: "The weights now. Orange: ink here speaks for the digit; blue: against it." }),
          ...weightPictures(weights),
        ]
      : []),
  );
  return `${losses.length} of ${steps} steps; ${(100 * accuracies.at(-1)[1]).toFixed(1)} % right.`;
}

/** A canvas to draw a digit on, by pointer or with the arrow keys and Space. */
function drawing(worker) {
  const pixels = new Float32Array(SIDE * SIDE);
  const pen = { x: 14, y: 6, down: false };
  let canvas, probabilities, timer;
  const paint = () => {
    const context = canvas.getContext("2d");
    const image = new ImageData(SIDE, SIDE);
    pixels.forEach((value, i) => image.data.set([0, 0, 0].map(() => 255 - 255 * value).concat(255), 4 * i));
    context.putImageData(image, 0, 0);
    if (document.activeElement === canvas) {
      context.strokeStyle = "#d04a00";
      context.strokeRect(Math.round(pen.x) - 1.5, Math.round(pen.y) - 1.5, 4, 4);
    }
  };
  const dot = (x, y) => {
    for (let row = 0; row < SIDE; row++)
      for (let column = 0; column < SIDE; column++) {
        const ink = Math.max(0, Math.min(1, 2 - Math.hypot(column - x, row - y)));
        pixels[SIDE * row + column] = Math.max(pixels[SIDE * row + column], ink);
      }
  };
  const lineTo = (x, y) => {
    const steps = Math.ceil(2 * Math.hypot(x - pen.x, y - pen.y)) || 1;
    for (let i = 1; i <= steps; i++) dot(pen.x + ((x - pen.x) * i) / steps, pen.y + ((y - pen.y) * i) / steps);
  };
  const readIt = () => {
    clearTimeout(timer);
    if (!pixels.some(Boolean)) return probabilities.replaceChildren(node("p", { textContent: "Nothing is drawn yet." }));
    timer = setTimeout(async () => {
      try {
        const { probabilities: found } = await ask(worker, "readDrawing", { pixels: centred(pixels) }).result;
        const best = found.indexOf(Math.max(...found));
        probabilities.replaceChildren(
          barPlot({ title: `Read as ${best}`, x: { label: "probability, 0 to 1", min: 0, max: 1 }, bars: probabilityBars(found, best) }),
        );
      } catch (error) {
        probabilities.replaceChildren(node("p", { className: "wrong", textContent: error.message }));
      }
    }, 60);
  };
  return {
    button: "Clear and read again",
    async run() {
      return {};
    },
    show(output) {
      pixels.fill(0);
      Object.assign(pen, { x: 14, y: 6, down: false });
      if (!canvas) {
        canvas = node("canvas", { width: SIDE, height: SIDE, className: "pixels easel", tabIndex: 0 });
        canvas.setAttribute("role", "application");
        canvas.setAttribute("aria-label", "Draw a digit. Arrow keys move the pen, Space puts it down or lifts it.");
        probabilities = node("div", { className: "grow" });
        const place = (event) => [(event.offsetX / canvas.clientWidth) * SIDE - 0.5, (event.offsetY / canvas.clientHeight) * SIDE - 0.5];
        canvas.addEventListener("pointerdown", (event) => {
          canvas.setPointerCapture(event.pointerId);
          [pen.x, pen.y] = place(event);
          pen.drag = true;
          dot(pen.x, pen.y);
          paint();
        });
        canvas.addEventListener("pointermove", (event) => {
          if (!pen.drag) return;
          const [x, y] = place(event);
          lineTo(x, y);
          [pen.x, pen.y] = [x, y];
          paint();
          readIt();
        });
        for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => ((pen.drag = false), readIt()));
        canvas.addEventListener("keydown", (event) => {
          const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
          if (!move && event.key !== " ") return;
          event.preventDefault();
          if (event.key === " ") pen.down = !pen.down;
          const [x, y] = [0, 1].map((axis) => Math.max(1, Math.min(26, [pen.x, pen.y][axis] + (move?.[axis] ?? 0))));
          if (pen.down) lineTo(x, y);
          [pen.x, pen.y] = [x, y];
          paint();
          if (pen.down) readIt();
        });
        for (const name of ["focus", "blur"]) canvas.addEventListener(name, paint);
        output.replaceChildren(node("div", { className: "row" }, canvas, probabilities));
      }
      paint();
      readIt();
      return "Draw with the pointer; or move the pen with the arrow keys, and put it down or lift it with Space.";
    },
  };
}

/** The drawing, moved so that its ink is in the middle, as the pictures that were learned from are. */
function centred(pixels) {
  let [sum, x, y] = [0, 0, 0];
  pixels.forEach((ink, i) => {
    sum += ink;
    x += ink * (i % SIDE);
    y += ink * Math.floor(i / SIDE);
  });
  if (!sum) return pixels;
  const [dx, dy] = [Math.round(x / sum - 13.5), Math.round(y / sum - 13.5)];
  return Float32Array.from(pixels, (_, i) => {
    const [column, row] = [(i % SIDE) + dx, Math.floor(i / SIDE) + dy];
    return column < 0 || column >= SIDE || row < 0 || row >= SIDE ? 0 : pixels[SIDE * row + column];
  });
}

function weightPictures(weights) {
  const largest = weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 1e-9);
  const one = (digit) => Array.from({ length: SIDE * SIDE }, (_, pixel) => weights[10 * pixel + digit]);
  const shown = (digit) =>
    node(
      "figure",
      { className: "small-picture" },
      picture(one(digit), SIDE, { zoom: 3, colours: signed(largest), label: `Weights for ${digit}` }),
      node("figcaption", { textContent: digit }),
    );
  return [node("div", { className: "row" }, ...Array.from({ length: 10 }, (_, digit) => shown(digit))), signedKey(largest)];
}

function probabilityBars(probabilities, right) {
  return [...probabilities].map((value, digit) => ({
    name: String(digit),
    value,
    text: `${(100 * value).toFixed(1)} %`,
    colour: digit === right ? 2 : 1,
  }));
}

/** The mean of every `n` values, at its last step. */
function smooth(values, n) {
  const out = [];
  for (let i = 0; i + n <= values.length; i += n) out.push([i + n, values.slice(i, i + n).reduce((a, b) => a + b) / n]);
  return out;
}
