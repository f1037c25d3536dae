// What tools/pack.mjs makes of a folder: it fails over budget, and its lists and compressed files are right.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { dist } from "./visit.mjs";

const COMMENTED =
  "// one\nlet a = 1; // two\n  /** three\n   * four */\n/** @type {any} */ (a).b = `\n// five\n/** six */\n`;\n/** seven */\n";
const UNCOMMENTED = "let a = 1; // two\n/** @type {any} */ (a).b = `\n// five\n/** six */\n`;\n";
const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

test("the build lists and compresses the page, and fails when either budget is broken", () => {
  const folder = mkdtempSync(join(tmpdir(), "fourstep-"));
  const made = join(folder, "dist");
  try {
    for (const place of ["www", "pkg", "models/stickers"]) mkdirSync(join(made, place), { recursive: true });
    cpSync(join(root, "index.html"), join(made, "index.html"));
    cpSync(join(root, "www/sw.js"), join(made, "www/sw.js"));
    cpSync(join(dist, "models/stickers/fourstep.json"), join(made, "models/stickers/fourstep.json"));
    writeFileSync(join(made, "pkg/small.wasm"), Buffer.alloc(5_000_000));
    writeFileSync(join(made, "www/said.js"), COMMENTED);
    const pack = () => spawnSync("node", ["tools/pack.mjs", made, join(folder, "cache")], { cwd: root, encoding: "utf8" });
    const fits = pack();
    assert.equal(fits.status, 0, fits.stderr);
    assert.equal(readFileSync(join(made, "www/said.js"), "utf8"), UNCOMMENTED);
    const page = readFileSync(join(made, "index.html"));
    assert.deepEqual(brotliDecompressSync(readFileSync(join(made, "index.html.br"))), page);
    assert.deepEqual(gunzipSync(readFileSync(join(made, "index.html.gz"))), page);
    const list = readFileSync(join(made, "sw.js"), "utf8");
    assert.ok(list.includes(`"": "${createHash("sha256").update(page).digest("hex")}"`), "the page and its hash are listed");
    assert.ok(list.includes('"pkg/small.wasm"') && !list.includes("models/"), "the wasm is listed, models are not");

    cpSync(join(root, "www/sw.js"), join(made, "www/sw.js"));
    writeFileSync(join(made, "pkg/large.wasm"), randomBytes(3_000_001));
    const over = pack();
    assert.equal(over.status, 1);
    assert.match(over.stderr, /OVER BUDGET: wasm, glue and page, compressed: 3\.\d\d MB of at most 3\.00 MB/);
    assert.match(over.stderr, /pkg\/large\.wasm/);

    rmSync(join(made, "pkg/large.wasm"));
    cpSync(join(root, "www/sw.js"), join(made, "www/sw.js"));
    mkdirSync(join(made, "models/stickers/unet"));
    writeFileSync(join(made, "models/stickers/unet/diffusion_pytorch_model.safetensors"), Buffer.alloc(25_000_000));
    const heavy = pack();
    assert.equal(heavy.status, 1);
    assert.match(heavy.stderr, /OVER BUDGET: the whole first visit with Stickers: 25\.\d\d MB of at most 25\.00 MB/);
    assert.match(heavy.stderr, /unet\/diffusion_pytorch_model\.safetensors/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
