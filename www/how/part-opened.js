// The picture, opened: the reader's own prompt and seed, with everything that was on the way. All values are those of the
// run; the model is fetched when the reader asks for it.
import { ask, node, picture, signed, signedKey } from "./cell.js";
import { plot } from "./plot.js";

const WORKER = "opened";
/** What the page asks for that one came from, in the address; without a prompt, an example. */
const asked = new URLSearchParams(location.search);
const OWN = asked.get("prompt");
const PROMPT = OWN || "a green fox";
const NEGATIVE = asked.get("negative") ?? (OWN ? "" : "a red background");
const SEED = /^\d{1,20}$/.test(asked.get("seed") ?? "") ? asked.get("seed") : "7";
const GUIDANCE = { min: 1, max: 3.5, step: 0.25 };
const STRENGTH = Math.max(GUIDANCE.min, Math.min(GUIDANCE.max, Number(asked.get("guidance")) || 2)); // 2 is the model's own

export function openedCells() {
  return {
    opened: {
      worker: WORKER,
      action: "openPicture",
      button: "Open it up",
      inputs: [
        { name: "prompt", label: "Prompt", type: "text", value: PROMPT, long: true },
        { name: "negative", label: "Negative prompt", type: "text", value: NEGATIVE, long: true },
        { name: "seed", label: "Seed", type: "seed", value: SEED },
        { name: "guidance", label: "Guidance", type: "range", ...GUIDANCE, value: STRENGTH, words: (at) => `${at}` },
      ],
      show(output, result) {
        if (result.line) return result.line;
        output.replaceChildren(...explorer(result));
        return `${result.steps.length} steps with guidance ${result.scale}.`;
      },
    },
  };
}

function explorer(run) {
  const state = { step: run.steps.length - 1, token: Math.min(run.prompt.length - 2, 2), maps: new Map(), buttons: [] };
  const parts = [tokens(run, state), features(run), noise(run), steps(run, state), attention(run, state), guidance(run), latents(run)];
  return parts.map(([title, words, ...inside]) => {
    const part = node("section", { className: "opened" }, node("h3", { textContent: title }), node("p", { textContent: words }), ...inside);
    part.setAttribute("aria-label", title);
    return part;
  });
}

/** The tokens as buttons: the map of the one that is pointed at is shown. */
function tokenRows(run, state) {
  const row = (list, offset, name) =>
    node(
      "div",
      { className: "tokens", role: "group", ariaLabel: name },
      ...list.map(([id, text], i) => {
        const button = node(
          "button",
          { type: "button", className: "token" },
          text || (i ? "end" : "begin"),
          node("small", { textContent: ` ${id}` }),
        );
        button.dataset.token = offset + i;
        for (const event of ["pointerenter", "focus", "click"]) button.addEventListener(event, () => choose(state, offset + i));
        return button;
      }),
    );
  const parts = [row(run.prompt, 0, "Tokens of the prompt")];
  if (run.tokens >= 2 * run.prompt.length && run.negative.length > 2)
    parts.push(
      node("p", { textContent: "The negative prompt, which this model reads along with it:" }),
      row(run.negative, run.tokens / 2, "Tokens of the negative prompt"),
    );
  state.buttons.push(...parts.flatMap((part) => [...part.querySelectorAll("button")]));
  return parts;
}

function tokens(run, state) {
  return [
    "Words become tokens",
    "The prompt is cut into tokens: words, or parts of rare words. Each has a number in the model's vocabulary.",
    ...tokenRows(run, state),
  ];
}

function features(run) {
  const width = run.features.length / run.tokens;
  const canvas = picture([...run.features], width, {
    zoom: 4,
    colours: signed(3),
    label: `Text features: ${run.tokens} rows of ${width} numbers`,
  });
  return [
    "Tokens become features",
    `The text encoder makes ${width} numbers of each token, which also depend on the words around it: the features. This is all that the network learns of the prompt.`,
    node("p", {
      className: "small",
      textContent: `Down: ${run.tokens} places for tokens${run.tokens >= 2 * run.prompt.length && run.negative.length > 2 ? ", the second half for the negative prompt" : ""}; those that are left over are filled up. Across: the ${width} features of each.`,
    }),
    node("div", { className: "scroll", tabIndex: 0, role: "group", ariaLabel: "Text features" }, canvas),
    signedKey(3),
  ];
}

function noise(run) {
  const one = (values, name) => node("div", {}, node("p", { className: "small", textContent: name }), channels(values, run.shape, name));
  return [
    "The seed becomes noise",
    `The network does not draw pixels. It draws latents: a small picture of ${run.shape[1]} × ${run.shape[2]} places with ${run.shape[0]} numbers at each place, the channels, which a decoder later turns into pixels. At first they are noise: ${run.noise.length.toLocaleString("en")} random numbers, which the seed determines. Another seed gives other noise, and so another picture.`,
    one(run.noise, "This seed: one small picture for each channel"),
    one(run.other, "The next seed"),
    signedKey(3),
  ];
}

function steps(run, state) {
  const place = node("div");
  const slider = node("input", { type: "range", min: 1, max: run.steps.length, step: 1, value: state.step + 1 });
  slider.setAttribute("aria-label", "Step");
  const line = node("p", { className: "small" });
  const show = () => {
    const at = Number(slider.value) - 1;
    const step = run.steps[at];
    const degrees = (180 / Math.PI) * step.angle;
    line.textContent = `Step ${at + 1} of ${run.steps.length}: ${degrees.toFixed(1)}° of 90° (timestep ${step.timestep} of the 1,000 that the training counts)`;
    const [c, s] = [Math.cos(step.angle), Math.sin(step.angle)];
    const arc = Array.from({ length: 46 }, (_, i) => [Math.cos((i * Math.PI) / 90), Math.sin((i * Math.PI) / 90)]);
    const stops = run.steps.map(({ angle }) => [Math.cos(angle), Math.sin(angle)]);
    place.replaceChildren(
      node(
        "div",
        { className: "row" },
        rgba(step.sample, "The sample that goes in, as the decoder sees it", `Sample of step ${at + 1}`),
        rgba(step.decoded, "The estimate of the finished picture", `Estimate of step ${at + 1}`),
        plot({
          title: "Where the step stands",
          square: true,
          x: { label: "share of the picture: cos", min: -0.2, max: 1.2 },
          y: { label: "share of the noise: sin", min: -0.2, max: 1.2 },
          series: [
            { kind: "line", data: arc, colour: 5 },
            { kind: "points", data: stops, colour: 2, size: 3, name: "steps" },
            { kind: "arrows", data: [[0, 0, c, s]], colour: 1, name: "this one" },
          ],
        }),
      ),
      node("p", { className: "small", textContent: "What the network predicted: v, one small picture for each channel" }),
      channels(step.v, run.shape, "v"),
      signedKey(3),
    );
    state.step = at;
    state.look?.();
  };
  slider.addEventListener("input", show);
  show();
  return [
    "Four steps",
    "The latents are a mixture of picture and noise, and the mixture moves along a quarter of a circle: at 90° it is all noise, at 0° all picture. In each step the network sees the mixture (the sample) and predicts v, the direction in which it would move towards more noise. Turning back against v gives the estimate of the finished picture and, a smaller turn, the next sample. Part 7 explains it.",
    slider,
    line,
    place,
  ];
}

function attention(run, state) {
  const layer = node("select", { ariaLabel: "Layer" });
  const place = node("div", { className: "row" });
  const line = node("p", { className: "small" });
  const show = () => {
    const maps = state.maps.get(state.step);
    const words = [...run.prompt.map(([, text], i) => text || (i ? "end" : "begin"))];
    const second = run.tokens / 2;
    const name = state.token < run.prompt.length ? words[state.token] : run.negative[state.token - second]?.[1] || "a mark";
    if (!maps) return;
    const map = maps[Number(layer.value)];
    const places = map.rows * map.columns;
    const weights = map.weights.subarray(state.token * places, (state.token + 1) * places);
    const most = Math.max(...weights);
    line.textContent = `“${name}” in step ${state.step + 1}, layer ${map.layer + 1}: at most ${(100 * most).toFixed(1)} % of a place's attention.`;
    place.replaceChildren(overlay(run.steps.at(-1).decoded, weights, map, most, name));
    for (const button of state.buttons) button.setAttribute("aria-pressed", String(Number(button.dataset.token) === state.token));
  };
  layer.addEventListener("input", show);
  state.look = async () => {
    const step = state.step;
    try {
      if (!state.maps.has(step)) state.maps.set(step, (await ask(WORKER, "lookAt", { step }).result).maps);
      if (!layer.options.length) {
        state.maps
          .get(step)
          .forEach((map, i) =>
            layer.append(node("option", { value: i, textContent: `layer ${i + 1}: ${map.rows} × ${map.columns} places` })),
          );
        layer.value = String(mostOf(state.maps.get(step), state.token));
      }
      if (step === state.step) show();
    } catch (error) {
      line.textContent = error.message;
    }
  };
  state.show = show;
  state.look();
  return [
    "Where the network looked",
    "Some layers of the network let each place of the picture take something from each token, in shares that add up to 100 %. This is called cross-attention. Point at a token: the brighter a place, the larger this token's share there. The step is the one that is chosen above.",
    ...tokenRows(run, state),
    node("div", { className: "inputs" }, node("label", { className: "field" }, node("span", { textContent: "Layer" }), layer)),
    line,
    place,
  ];
}

/** The layer that looked for a token the most. */
function mostOf(maps, token) {
  const peak = ({ rows, columns, weights }) => Math.max(...weights.subarray(token * rows * columns, (token + 1) * rows * columns));
  const peaks = maps.map(peak);
  return peaks.indexOf(Math.max(...peaks));
}

function choose(state, token) {
  state.token = token;
  state.show();
}

function guidance(run) {
  const [plain, ...rest] = run.others;
  const guided = { name: `guidance ${run.scale}`, v: run.steps[0].v, last: run.steps.at(-1).decoded };
  const all = [plain, guided, ...rest];
  const across = unit(minus(guided.v, plain.v));
  const free = rest[0] ? minus(rest[0].v, guided.v) : guided.v.map(() => 0);
  const up = unit(free.map((value, i) => value - dot(free, across) * across[i]));
  const at = (v) => [dot(minus(v, plain.v), across), dot(minus(v, plain.v), up)];
  /** @type {any[]} */
  const series = [{ kind: "arrows", data: [[0, 0, ...at(guided.v)]], colour: 2, name: "the pull of the prompt" }];
  if (rest[0]) {
    const [from, to] = [at(rest[0].v), at(guided.v)];
    series.push({
      kind: "arrows",
      data: [[...from, to[0] - from[0], to[1] - from[1]]],
      colour: 3,
      name: "the pull of the negative prompt",
    });
  }
  all.forEach(({ name, v }, i) => series.push({ kind: "points", data: [at(v)], colour: [5, 1, 4][i], size: 4, name }));
  const [wide, high] = [0, 1].map((axis) => (axis && !rest[0] ? { min: -1, max: 1 } : around(all.map(({ v }) => at(v)[axis]))));
  return [
    "Guidance as an arrow",
    "Guidance says how strongly the prompt pulls. The v of the first step is a list of numbers, so it is a point in a space with as many dimensions. Here are the v of the same seed without guidance (1) and with it; if there is a negative prompt, also without that, in the plane through these points. Guidance moves v along one arrow, the negative prompt along another. Below are their pictures.",
    plot({
      title: "v of the first step",
      x: { label: "distance along guidance, units of a latent", ...wide },
      y: { label: "across it, units of a latent", ...high },
      series,
    }),
    node("div", { className: "row" }, ...all.map(({ name, last }) => rgba(last, name, `The picture with ${name}`))),
  ];
}

function latents(run) {
  const last = run.steps.at(-1);
  const [count, rows, columns] = run.shape;
  const channel = node(
    "select",
    {},
    ...Array.from({ length: count }, (_, i) => node("option", { value: i, textContent: `channel ${i + 1}` })),
  );
  const amount = node("input", { type: "range", min: -4, max: 4, step: 0.5, value: 2 });
  const part = node(
    "select",
    {},
    ...[
      ["all", "everywhere"],
      ["middle", "in the middle"],
    ].map(([value, textContent]) => node("option", { value, textContent })),
  );
  const place = node("div", { className: "row" });
  const show = async () => {
    const changed = Float32Array.from(last.estimate, (value, i) => {
      const [row, column] = [Math.floor(i / columns) % rows, i % columns];
      const inside =
        part.value === "all" || (Math.abs(row - rows / 2 + 0.5) < rows / 4 && Math.abs(column - columns / 2 + 0.5) < columns / 4);
      return Math.floor(i / (rows * columns)) === Number(channel.value) && inside ? value + Number(amount.value) : value;
    });
    const { picture: after } = await ask(WORKER, "nudge", { latents: changed, shape: run.shape }).result;
    place.replaceChildren(
      rgba(last.decoded, "as it was", "The finished picture"),
      rgba(
        after,
        `channel ${Number(channel.value) + 1} ${amount.value >= 0 ? "+" : "−"} ${Math.abs(amount.value)}`,
        "The picture with the change",
      ),
    );
  };
  for (const control of [channel, amount, part])
    control.addEventListener("input", () =>
      show().catch((error) => place.replaceChildren(node("p", { className: "wrong", textContent: error.message }))),
    );
  show().catch((error) => place.replaceChildren(node("p", { className: "wrong", textContent: error.message })));
  const labelled = (text, control) => node("label", { className: "field" }, node("span", { textContent: text }), control);
  return [
    "Latents become pixels",
    `After the last step these are the latents, ${run.shape[0]} channels of ${run.shape[1]} × ${run.shape[2]} numbers, and the decoder makes the picture of them. Change a channel and see what it stands for.`,
    channels(last.estimate, run.shape, "latents"),
    signedKey(3),
    node("div", { className: "inputs" }, labelled("Channel", channel), labelled("Change", amount), labelled("Where", part)),
    place,
  ];
}

/** Each channel as a small picture: blue below 0, orange above. */
function channels(values, [count, rows, columns], name) {
  const one = (i) =>
    picture([...values.subarray(i * rows * columns, (i + 1) * rows * columns)], columns, {
      zoom: Math.max(2, 64 / columns),
      colours: signed(3),
      label: `${name}, channel ${i + 1}`,
    });
  return node("div", { className: "row" }, ...Array.from({ length: count }, (_, i) => one(i)));
}

function rgba({ width, height, rgba: pixels }, caption, label) {
  const canvas = node("canvas", { width, height, className: "drawn" });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels), width, height), 0, 0);
  return node("figure", { className: "small-picture" }, canvas, node("figcaption", { textContent: caption }));
}

function overlay(image, weights, { rows, columns }, most, name) {
  const figure = rgba(image, "", `Where the network looked for ${name}`);
  const canvas = figure.querySelector("canvas");
  const context = canvas.getContext("2d");
  const [w, h] = [canvas.width / columns, canvas.height / rows];
  weights.forEach((weight, i) => {
    context.fillStyle = `rgb(20 20 40 / ${0.85 * (1 - weight / most)})`;
    context.fillRect((i % columns) * w, Math.floor(i / columns) * h, w, h);
  });
  canvas.classList.add("large");
  return figure;
}

/** A range with some room around values. */
function around(values) {
  const [min, max] = [Math.min(...values), Math.max(...values)];
  const room = 0.1 * (max - min || 1);
  return { min: min - room, max: max + room };
}

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const minus = (a, b) => Float32Array.from(a, (value, i) => value - b[i]);
const unit = (a) => a.map((value) => value / Math.max(1e-12, Math.sqrt(dot(a, a))));
