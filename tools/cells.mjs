// Takes the code that the view "How it works" shows out of the files that run: `node tools/cells.mjs ROOT OUT.json`.
//
// A region lies between `// cell: NAME` and `// end`; OUT holds, for each name, the file, the line and the text without
// the indentation that all of its lines share. A few cells are whole items of files without such marks: those of ITEMS.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const FOLDERS = ["src/foundations", "www/how"];
const ITEMS = [
  {
    name: "wichmann-hill",
    file: "src/random/wichmann_hill.rs",
    items: ["const MODULI", "pub fn new(", "fn from_digits(", "pub fn random("],
  },
  { name: "gauss", file: "src/random/wichmann_hill.rs", items: ["pub fn gauss("] },
  { name: "stream", file: "src/random/mod.rs", items: ["pub fn stream("] },
];

/** `{ NAME: { file, line, text } }` of the checkout at `root`. Throws for a region without an end, or two of one name. */
export function cells(root) {
  const found = {};
  const add = (name, cell) => {
    if (found[name]) throw new Error(`cell ${name} is in ${found[name].file} and in ${cell.file}`);
    found[name] = cell;
  };
  for (const file of FOLDERS.flatMap((folder) => sources(root, folder))) for (const [name, cell] of regions(root, file)) add(name, cell);
  for (const { name, file, items } of ITEMS) add(name, itemsOf(root, file, items));
  return found;
}

function sources(root, folder) {
  return readdirSync(join(root, folder), { recursive: true })
    .map((name) => `${folder}/${name.replaceAll("\\", "/")}`)
    .filter((file) => /\.(rs|js)$/.test(file) && !file.includes("/pkg/"))
    .sort();
}

function regions(root, file) {
  const found = [];
  let open = null;
  readFileSync(join(root, file), "utf8")
    .split("\n")
    .forEach((line, i) => {
      const name = /^\s*\/\/ cell: (\S+)$/.exec(line)?.[1];
      if (name && open) throw new Error(`${file}:${i + 1}: cell ${name} begins before ${open.name} has ended`);
      if (name) open = { name, line: i + 2, lines: [] };
      else if (open && /^\s*\/\/ end$/.test(line)) {
        found.push([open.name, { file, line: open.line, text: outdented(open.lines) }]);
        open = null;
      } else open?.lines.push(line);
    });
  if (open) throw new Error(`${file}: cell ${open.name} has no end`);
  return found;
}

/** Items, each from the comment above it to the brace that closes it; constants to the next empty line. */
function itemsOf(root, file, items) {
  const lines = readFileSync(join(root, file), "utf8").split("\n");
  const parts = items.map((item) => {
    const at = lines.findIndex((line) => line.trimStart().startsWith(item));
    if (at < 0) throw new Error(`${file} has no ${item}`);
    const indent = /^\s*/.exec(lines[at])[0];
    let from = at;
    while (lines[from - 1].startsWith(`${indent}///`)) from -= 1;
    const isLast = item.startsWith("const") ? (i) => lines[i + 1] === "" : (i) => i > at && lines[i] === `${indent}}`;
    const to = lines.findIndex((_, i) => i >= at && isLast(i));
    return { line: from + 1, text: outdented(lines.slice(from, to + 1)) };
  });
  return { file, line: parts[0].line, text: parts.map(({ text }) => text).join("\n\n") };
}

function outdented(lines) {
  const indents = lines.filter((line) => line.trim()).map((line) => /^\s*/.exec(line)[0].length);
  const least = Math.min(...indents);
  return lines
    .map((line) => line.slice(least))
    .join("\n")
    .trim();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [root, out] = process.argv.slice(2);
  if (!out) throw new Error("usage: node tools/cells.mjs ROOT OUT.json");
  writeFileSync(out, JSON.stringify(cells(root)));
}
