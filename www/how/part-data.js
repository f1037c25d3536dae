// Data: files, lists, iterators, generators, and the matrix.
import { node, picture, table } from "./cell.js";

const item = { name: "item", label: "Picture", type: "number", value: 7, min: 0, max: 999999 };

export function dataCells(own) {
  const files = () => ({ set: "train", files: own.files });
  return {
    idx: {
      code: ["idx"],
      worker: "data",
      action: "openFile",
      more: files,
      auto: true,
      inputs: [item],
      show(output, { name, size, shape, bytes, first, labels }, { item }) {
        const grid = node("div", { className: "row" });
        grid.append(...first.map((one, i) => picture(one, 28, { zoom: 1.5, label: `a ${labels[i]}` })));
        output.replaceChildren(
          node("p", { textContent: `${name}: ${size.toLocaleString("en")} bytes; the header says ${shape.join(" × ")}.` }),
          node(
            "div",
            { className: "row" },
            picture(
              [...bytes].map((byte) => byte / 255),
              28,
              { zoom: 7, label: `Picture ${item}, a ${labels[item]}` },
            ),
            node("p", {
              textContent: `Picture ${item} shows a ${labels[item] ?? "digit"}. The reader of the file had to go no further than this picture.`,
            }),
          ),
          node("p", { textContent: "The first pictures of the file:" }),
          grid,
        );
      },
    },
    rows: {
      code: ["chunks-slice"],
      worker: "data",
      action: "cutIntoRows",
      more: files,
      auto: true,
      inputs: [item, { name: "width", label: "Numbers in a row", type: "number", value: 28, min: 1, max: 784 }],
      choices: [
        { label: "27", values: { width: 27 } },
        { label: "28", values: { width: 28 } },
        { label: "56", values: { width: 56 } },
      ],
      show(output, { rows }, { width }) {
        const flat = rows.flatMap((row) => [...row, ...Array(width - row.length).fill(0)]);
        output.replaceChildren(
          picture(flat, width, { zoom: Math.max(1, Math.min(7, 600 / width)), label: `The numbers in rows of ${width}` }),
          node("p", {
            textContent: `${rows.length} rows${rows.at(-1).length < width ? `, the last with ${rows.at(-1).length} numbers` : ""}. ${width === 28 ? "This is the picture." : "A wrong width tears the picture: the list itself does not know what it is."}`,
          }),
        );
      },
    },
    iterators: {
      code: ["iterators"],
      worker: "data",
      action: "cutIntoChunks",
      auto: true,
      inputs: [
        { name: "text", label: "Items", type: "text", value: "from noise to picture", long: true },
        { name: "size", label: "Items in a piece", type: "number", value: 4, min: 1, max: 1000 },
      ],
      show(output, { pieces }) {
        output.replaceChildren(node("ol", { className: "pieces" }, ...pieces.map((piece) => node("li", { textContent: `“${piece}”` }))));
        return `${pieces.length} pieces, then the sentinel: an empty one.`;
      },
    },
    generator: {
      code: ["generator"],
      worker: "data",
      action: "generate",
      auto: true,
      inputs: [{ name: "n", label: "How many", type: "number", value: 12, min: 0, max: 200 }],
      show(output, { numbers }, { n }) {
        output.replaceChildren(node("p", { className: "numbers-line", textContent: numbers.join(", ") || "none" }));
        if (numbers.length < n) return `The generator ended after ${numbers.length}: the next number does not fit into 64 bits.`;
      },
    },
    matrix: {
      code: ["matrix"],
      formulas: [[1, "self.values[row * self.columns + column]"]],
      worker: "data",
      action: "oneNumber",
      more: files,
      auto: true,
      inputs: [
        item,
        { name: "row", label: "Row", type: "number", value: 14, min: 0, max: 27 },
        { name: "column", label: "Column", type: "number", value: 13, min: 0, max: 27 },
      ],
      show(output, { number, picture: pixels }, { row, column }) {
        const canvas = picture(pixels, 28, { zoom: 8, label: `The picture, with row ${row}, column ${column} marked` });
        const mark = node("span", { className: "mark" });
        mark.style.inset = `${(row / 28) * 100}% auto auto ${(column / 28) * 100}%`;
        const near = [-2, -1, 0, 1, 2].map((dy) => [-2, -1, 0, 1, 2].map((dx) => [row + dy, column + dx]));
        const value = ([r, c]) => (r < 0 || r > 27 || c < 0 || c > 27 ? "" : pixels[28 * r + c].toFixed(2));
        output.replaceChildren(
          node(
            "div",
            { className: "row" },
            node("div", { className: "marked" }, canvas, mark),
            node(
              "div",
              {},
              node("p", { className: "big", textContent: `m[(${row}, ${column})] = ${number.toFixed(4)}` }),
              table(
                [["", ...near[0].map(([, c]) => c)], ...near.map((line) => [line[0][0], ...line.map(value)])],
                "The numbers around it: rows down, columns across",
              ),
            ),
          ),
        );
      },
    },
  };
}
