// Small models for tests that want several of them, or many pictures in little time: the goldens' tiny pipeline with a
// manifest of its own, served in the place of models/.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const goldens = resolve(dirname(fileURLToPath(import.meta.url)), "../golden/families");
const PARTS = ["scheduler", "text_encoder", "tokenizer", "unet", "vae"];
const DEFAULTS = { steps: 2, guidance_scale: 2, width: 32, height: 32 };

/**
 * A model that draws 32 x 32 pixels of nothing in particular, quickly.
 * @param {{name: string, defaults?: object, needs?: object, padding?: number, pipeline?: string}} manifest `padding`: bytes of a file
 *   that only makes it larger; `pipeline`: another one of the goldens' families @returns {{manifest: object, files: Map<string, Buffer>}} by their paths in the model's folder
 */
export function tinyModel({ defaults, padding = 0, pipeline = "tiny", ...manifest }) {
  const from = join(goldens, "pipelines", pipeline);
  const files = new Map([["model_index.json", readFileSync(join(from, "model_index.json"))]]);
  for (const part of PARTS) {
    const folder = join(from, part);
    for (const name of readdirSync(folder)) files.set(`${part}/${name}`, readFileSync(join(folder, name)));
  }
  for (const name of ["vocab.json", "merges.txt"]) files.set(`tokenizer/${name}`, readFileSync(join(goldens, "tokenizer", name)));
  if (padding) files.set("padding.txt", Buffer.alloc(padding, 120));
  const entries = [...files].map(([path, bytes]) => ({
    path,
    size: bytes.length,
    sha256: createHash("sha256").update(bytes).digest("hex"),
  }));
  return { manifest: { licence: "MIT OR Apache-2.0", ...manifest, files: entries, defaults: { ...DEFAULTS, ...defaults } }, files };
}

/**
 * What a server answers below /models/ when these are its models, the first one first.
 * @param {Record<string, ReturnType<typeof tinyModel>>} models by id
 * @returns {{before: Function, fetched: string[]}} `before` for tools/serve.mjs; `fetched`: paths that were asked for
 */
export function servingModels(models) {
  const fetched = [];
  const list = { models: Object.entries(models).map(([id, { manifest }]) => ({ id, path: `${id}/`, name: manifest.name })) };
  const content = (path) => {
    if (path === "index.json") return Buffer.from(JSON.stringify(list));
    const [id, ...rest] = path.split("/");
    if (rest.join("/") === "fourstep.json") return Buffer.from(JSON.stringify(models[id]?.manifest));
    return models[id]?.files.get(rest.join("/"));
  };
  const before = (request, response) => {
    const path = new URL(request.url, "http://localhost").pathname;
    if (!path.startsWith("/models/")) return false;
    const bytes = content(path.slice("/models/".length));
    fetched.push(path.slice("/models/".length));
    response.writeHead(bytes ? 200 : 404, { "Content-Length": bytes?.length ?? 0 });
    response.end(bytes);
    return true;
  };
  return { before, fetched };
}

/** The tiny model under the name of the one that ships, with its words, so that the page shows its examples. */
export function stickersModel(manifest = {}) {
  const model = tinyModel({ name: "Stickers", words: "words.json", defaults: { steps: 4, width: 64, height: 64 }, ...manifest });
  model.files.set("words.json", readFileSync(join(goldens, "../../../models/stickers/words.json")));
  return model;
}

/** As {@link servingModels}; the list of models is sent only after `open()`. */
export function slowModels(models) {
  const { before } = servingModels(models);
  let open = () => {};
  const opened = new Promise((resolve) => (open = resolve));
  const later = (request, response) => {
    if (request.url !== "/models/index.json") return before(request, response);
    opened.then(() => before(request, response));
    return true;
  };
  return { before: later, open };
}
