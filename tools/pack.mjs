// Finishes dist/: `node tools/pack.mjs dist CACHE_FOLDER` takes the comments out of the scripts, writes the service worker's
// list of files with their hashes, the headers for common hosts, brotli and gzip beside every file that shrinks, and checks the
// first visit against its budgets. Compressing the wasm
// takes a minute, so results are kept in CACHE_FOLDER under the hash of what they were made from.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { HEADER_FILES } from "./headers.mjs";

/** Bytes over the network at a first visit. */
const BUDGETS = [
  { what: "wasm, glue and page, compressed", limit: 3_000_000, of: ({ shell }) => shell },
  { what: "the whole first visit with Stickers", limit: 25_000_000, of: ({ shell, model }) => shell + model },
  { what: 'the view "How it works", when it is opened', limit: 400_000, of: ({ view }) => view },
  { what: '"Go deeper" or "Teach it yours", when it is first used', limit: 3_300_000, of: ({ deeper }) => deeper },
  { what: "CLIP's vocabulary, when a model in one file is opened", limit: 200_000, of: ({ clip }) => clip },
];
const MODEL = "models/stickers";
/** Come only when they are opened, and are kept from then on. */
const VIEW = /^www\/how\//;
const DEEPER = /^www\/deeper\//;
const CLIP = /^www\/clip\//;
const NOT_SHELL = /^(models\/|NOTICE$|sw\.js$|www\/(how|deeper|clip)\/|www\/.*\.d\.ts$|www\/example\.)|\.(br|gz)$/;
const SCRIPT = /^(www|pkg)\/.*\.js$/;
const FOR_HOSTS = new Set(Object.keys(HEADER_FILES));
const COMPRESSIBLE = /\.(html|js|css|svg|json|txt|wasm|webmanifest|ts)$|^www\/clip\//;

const [dist = "dist", cache = "target/compressed"] = process.argv.slice(2);
mkdirSync(cache, { recursive: true });
for (const path of files()) if (SCRIPT.test(path)) writeFileSync(join(dist, path), withoutComments(read(path).toString()));
writeServiceWorker();
for (const [name, text] of Object.entries(HEADER_FILES)) writeFileSync(join(dist, name), text);
const sizes = new Map(files().map((path) => [path, compress(path)]));
checkBudgets();

/** The source without comments that have lines of their own, a quarter of what travels; not those inside a template literal. */
function withoutComments(source) {
  return source.replace(/^[ \t]*(\/\*\*(?:(?!\*\/)[\s\S])*\*\/|\/\/.*)[ \t]*\n/gm, (comment, _, at) => {
    const inside = source.slice(0, at).split("`").length % 2 === 0;
    return inside ? comment : "";
  });
}

/** Puts sw.js at the top, with the list of what it keeps and a version that changes with any of it. */
function writeServiceWorker() {
  const source = readFileSync(join(dist, "www/sw.js"), "utf8");
  rmSync(join(dist, "www/sw.js"));
  const shell = {};
  for (const path of files()) if (!NOT_SHELL.test(path)) shell[path === "index.html" ? "" : path] = sha256(read(path));
  const view = Object.fromEntries(
    files()
      .filter((path) => VIEW.test(path) || DEEPER.test(path))
      .map((path) => [path, sha256(read(path))]),
  );
  const version = sha256(source + JSON.stringify([shell, view])).slice(0, 16);
  const lists = [
    ["VERSION", version],
    ["SHELL", shell],
    ["VIEW", view],
  ];
  const list = lists.map(([name, value]) => `const ${name} = ${JSON.stringify(value, null, 1)};\n`).join("");
  writeFileSync(join(dist, "sw.js"), list + source);
}

/** Writes PATH.br and PATH.gz where they are smaller, and returns the fewest bytes that the file can travel in. */
function compress(path) {
  const bytes = read(path);
  if (!COMPRESSIBLE.test(path)) return bytes.length;
  const name = join(cache, sha256(bytes));
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: 11,
    [constants.BROTLI_PARAM_LGWIN]: 24, // the largest window that browsers take
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  };
  const encodings = [
    ["br", () => brotliCompressSync(bytes, { params })],
    ["gz", () => gzipSync(bytes, { level: 9 })],
  ];
  let fewest = bytes.length;
  for (const [suffix, encode] of encodings) {
    const kept = `${name}.${suffix}`;
    if (!existsSync(kept)) writeFileSync(kept, encode());
    const encoded = readFileSync(kept);
    if (encoded.length >= bytes.length) continue;
    writeFileSync(join(dist, `${path}.${suffix}`), encoded);
    fewest = Math.min(fewest, encoded.length);
  }
  return fewest;
}

function checkBudgets() {
  const sum = (isIn) => [...sizes].reduce((total, [path, size]) => total + (isIn(path) ? size : 0), 0);
  const { files: ofModel } = JSON.parse(read(`${MODEL}/fourstep.json`));
  const fetched = new Set(["fourstep.json", ...ofModel.map(({ path }) => path)].map((path) => `${MODEL}/${path}`));
  const visit = {
    shell: sum((path) => !NOT_SHELL.test(path) || path === "sw.js"),
    model: sum((path) => fetched.has(path)),
    view: sum((path) => VIEW.test(path)),
    deeper: sum((path) => DEEPER.test(path)),
    clip: sum((path) => CLIP.test(path)),
  };
  for (const { what, limit, of } of BUDGETS) {
    const bytes = of(visit);
    const words = `${what}: ${megabytes(bytes)} MB of at most ${megabytes(limit)} MB`;
    if (bytes <= limit) {
      console.error(words);
      continue;
    }
    console.error(`OVER BUDGET: ${words}. The largest files:`);
    const largest = [...sizes].filter(([path]) => !NOT_SHELL.test(path) || (of({ shell: 0, model: 1 }) && fetched.has(path)));
    for (const [path, size] of largest.sort((a, b) => b[1] - a[1]).slice(0, 5)) console.error(`  ${megabytes(size)} MB ${path}`);
    process.exitCode = 1;
  }
}

/** Every file below dist/, by its path with slashes; not what this program made. */
function files() {
  return readdirSync(dist, { recursive: true })
    .filter((name) => statSync(join(dist, name)).isFile() && !/\.(br|gz)$/.test(name))
    .map((name) => relative(dist, join(dist, name)).split(sep).join("/"))
    .filter((name) => !FOR_HOSTS.has(name))
    .sort();
}

function read(path) {
  return readFileSync(join(dist, path));
}

function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(2);
}
