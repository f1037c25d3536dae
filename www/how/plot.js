// Plots as SVG: axes with units, light and dark by the page's colours, words for those who cannot see them.
//
// plot({ title, x, y, series, square }) returns a figure. An axis is { label, min, max, scale: "log" }; what is not given
// comes from the data. A series is { kind: "line" | "points" | "bars" | "arrows", data, name, colour: 1..5 }: data are
// [x, y], for arrows [x, y, dx, dy] in the axes' own units, and for bars [name, value].

/** @typedef {{label?: string, min?: number, max?: number, scale?: string, ticks?: number[]}} Axis */

const SPACE = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, SIDE] = [560, 300, 420];
const MARGIN = { left: 74, right: 14, top: 14, bottom: 48 };

/** @param {{title: string, x?: Axis, y?: Axis, series: any[], square?: boolean}} options */
export function plot({ title, x = {}, y = {}, series, square = false }) {
  const size = { width: square ? SIDE : WIDTH, height: square ? SIDE : HEIGHT };
  const box = { left: MARGIN.left, right: size.width - MARGIN.right, top: MARGIN.top, bottom: size.height - MARGIN.bottom };
  const drawn = series.filter(({ kind }) => kind !== "bars");
  const across = scale(
    x,
    drawn.flatMap(({ data }) => data.map(([value]) => value)),
    [box.left, box.right],
  );
  const up = scale(
    y,
    drawn.flatMap(({ data }) => data.map(([, value]) => value)),
    [box.bottom, box.top],
  );
  const svg = element("svg", { viewBox: `0 0 ${size.width} ${size.height}`, role: "img", "aria-label": described(title, x, y, series) });
  svg.append(axis(across, box, x.label, true), axis(up, box, y.label, false));
  const clip = element("svg", {
    x: box.left,
    y: box.top,
    width: box.right - box.left,
    height: box.bottom - box.top,
    viewBox: `${box.left} ${box.top} ${box.right - box.left} ${box.bottom - box.top}`,
  });
  for (const one of drawn) clip.append(mark(one, across, up));
  svg.append(clip);
  return figure(title, svg, series, square);
}

/**
 * Bars with a name each, lying, on a scale that may be logarithmic.
 * @param {{title: string, x?: Axis, bars: {name: string, value: number, text: string, colour?: number}[]}} options
 */
export function barPlot({ title, x = {}, bars }) {
  const row = 26;
  const left = 190;
  const height = bars.length * row + MARGIN.top + MARGIN.bottom;
  const box = { left, right: WIDTH - 76, top: MARGIN.top, bottom: height - MARGIN.bottom };
  const across = scale(
    x,
    bars.map(({ value }) => value),
    [box.left, box.right],
  );
  const words = `${title}: ${bars.map(({ name, text }) => `${name} ${text}`).join(", ")}`;
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": words });
  svg.append(axis(across, box, x.label, true));
  bars.forEach(({ name, value, text, colour = 1 }, i) => {
    const top = box.top + i * row;
    const end = Math.max(across.at(value), box.left + 1);
    svg.append(
      element("rect", { x: box.left, y: top + 4, width: end - box.left, height: row - 8, class: `fill-${colour}` }),
      label(name, box.left - 8, top + row / 2, "end"),
      label(text, end + 6, top + row / 2, "start"),
    );
  });
  return figure(title, svg, [], false);
}

/** A table of counts as coloured squares with their numbers: rows and columns are named by their index. */
export function heatMap({ title, x, y, values, columns }) {
  const rows = values.length / columns;
  const cell = 32;
  const [left, top] = [44, 8];
  const [width, height] = [left + columns * cell + 8, top + rows * cell + 44];
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}. ${x} across, ${y} down.` });
  const largest = Math.max(...values, 1);
  values.forEach((value, i) => {
    const [column, row] = [i % columns, Math.floor(i / columns)];
    const at = { x: left + column * cell, y: top + row * cell, width: cell - 1, height: cell - 1 };
    svg.append(element("rect", { ...at, class: "heat", "fill-opacity": (value / largest) ** 0.5 }));
    if (value) svg.append(label(String(value), at.x + cell / 2, at.y + cell / 2, "middle", value / largest > 0.35 ? "on-heat" : ""));
  });
  for (let i = 0; i < columns; i++) svg.append(label(String(i), left + (i + 0.5) * cell, top + rows * cell + 14, "middle"));
  for (let i = 0; i < rows; i++) svg.append(label(String(i), left - 8, top + (i + 0.5) * cell, "end"));
  svg.append(label(x, left + (columns * cell) / 2, height - 8, "middle", "axis-name"));
  const side = label(y, 10, top + (rows * cell) / 2, "middle", "axis-name");
  side.setAttribute("transform", `rotate(-90 10 ${top + (rows * cell) / 2})`);
  svg.append(side);
  return figure(title, svg, [], true);
}

/** @param {Axis} axis @param {number[]} values @param {[number, number] | number[]} ends */
function scale({ min, max, scale: kind, ticks: wanted }, values, [from, to]) {
  const finite = values.filter(Number.isFinite);
  let low = min ?? finite.reduce((a, b) => Math.min(a, b), Infinity);
  let high = max ?? finite.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!(low <= high)) [low, high] = [0, 1];
  if (kind === "log") {
    [low, high] = [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high) + 1e-9)];
    if (low === high) high = low * 10;
    const [a, b] = [Math.log10(low), Math.log10(high)];
    const step = Math.ceil((b - a) / 7);
    const ticks = Array.from({ length: Math.floor((b - a) / step + 1e-6) + 1 }, (_, i) => 10 ** (a + i * step));
    return { ticks: wanted ?? ticks, at: (value) => from + ((Math.log10(Math.max(value, low)) - a) / (b - a)) * (to - from) };
  }
  if (low === high) [low, high] = [low - 1, high + 1];
  const step = nice((high - low) / 6);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  return { ticks: wanted ?? ticks, at: (value) => from + ((value - low) / (high - low)) * (to - from) };
}

function nice(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return power * [1, 2, 5, 10].find((n) => n * power >= step * 0.999);
}

function axis({ ticks, at }, box, name, across) {
  const group = element("g", { class: "axis" });
  for (const tick of ticks) {
    const place = at(tick);
    group.append(
      across
        ? element("line", { x1: place, x2: place, y1: box.top, y2: box.bottom })
        : element("line", { x1: box.left, x2: box.right, y1: place, y2: place }),
      across ? label(short(tick), place, box.bottom + 16, "middle") : label(short(tick), box.left - 8, place, "end"),
    );
  }
  if (name) {
    const middle = across ? (box.left + box.right) / 2 : (box.top + box.bottom) / 2;
    const words = across ? label(name, middle, box.bottom + 38, "middle", "axis-name") : label(name, 14, middle, "middle", "axis-name");
    if (!across) words.setAttribute("transform", `rotate(-90 14 ${middle})`);
    group.append(words);
  }
  return group;
}

/** @param {{kind: string, data: any[][], name?: string, colour?: number, size?: number}} series */
function mark({ kind, data, colour = 1, size = 2 }, across, up) {
  const whole = data.filter((place) => place.every(Number.isFinite));
  const [px, py] = [(value) => across.at(value).toFixed(1), (value) => up.at(value).toFixed(1)];
  if (kind === "line")
    return element("path", { d: whole.map(([x, y], i) => `${i ? "L" : "M"}${px(x)} ${py(y)}`).join(""), class: `line-${colour}` });
  if (kind === "points")
    return element("path", {
      d: whole.map(([x, y]) => `M${px(x)} ${py(y)}h0`).join(""),
      class: `points-${colour}`,
      "stroke-width": 2 * size,
    });
  const arrow = ([x, y, dx, dy]) => {
    const [x0, y0, x1, y1] = [across.at(x), up.at(y), across.at(x + dx), up.at(y + dy)];
    const part = Math.min(0.3, 11 / Math.max(1, Math.hypot(x1 - x0, y1 - y0)));
    const [ux, uy] = [(x1 - x0) * part, (y1 - y0) * part];
    const head = `M${(x1 - ux - uy / 2).toFixed(1)} ${(y1 - uy + ux / 2).toFixed(1)}L${x1.toFixed(1)} ${y1.toFixed(1)}L${(x1 - ux + uy / 2).toFixed(1)} ${(y1 - uy - ux / 2).toFixed(1)}`;
    return `M${x0.toFixed(1)} ${y0.toFixed(1)}L${x1.toFixed(1)} ${y1.toFixed(1)}${head}`;
  };
  return element("path", { d: whole.map(arrow).join(""), class: `line-${colour} thin` });
}

function figure(title, svg, series, square) {
  const whole = document.createElement("figure");
  whole.className = square ? "plot square" : "plot";
  const caption = document.createElement("figcaption");
  caption.append(title);
  for (const { name, colour = 1 } of series.filter(({ name }) => name)) {
    const key = document.createElement("span");
    key.className = "key";
    const dot = document.createElement("span");
    dot.className = `dot back-${colour}`;
    key.append(dot, name);
    caption.append(" ", key);
  }
  whole.append(caption, svg);
  return whole;
}

function described(title, x, y, series) {
  const names = series
    .map(({ name }) => name)
    .filter(Boolean)
    .join(", ");
  return `${title}. Across: ${x.label}. Up: ${y.label}.${names ? ` Shown: ${names}.` : ""}`;
}

function label(text, x, y, anchor, kind = "") {
  const words = element("text", { x, y, "text-anchor": anchor, "dominant-baseline": "central", class: kind });
  words.textContent = text;
  return words;
}

function short(value) {
  if (value === 0) return "0";
  if (Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3) return value.toExponential(0).replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

function element(name, attributes = {}) {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
