// The sets of goldens as the browser tests see them: which runs there are, their files and tensors, and the page's request
// for each. tests/reference.rs reads the same files natively, and strictly.
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const committed = resolve(dirname(fileURLToPath(import.meta.url)), "../golden");
/** Arguments of diffusers' calls that a request of the page has under the same names. */
const EXTRA = [
  "eta",
  "clip_skip",
  "guidance_rescale",
  "nag_scale",
  "nag_tau",
  "nag_alpha",
  "prompt_syntax",
  "prompt_2",
  "negative_prompt_2",
  "original_size",
  "crops_coords_top_left",
  "target_size",
  "negative_original_size",
  "negative_crops_coords_top_left",
  "negative_target_size",
];
const VOCABULARY = ["vocab.json", "merges.txt"];

/**
 * Every set: the folders of tests/golden with `cases/runs/`, or the one of `FOURSTEP_REFERENCE` (with the expectations of
 * `FOURSTEP_REFERENCE_EXPECT` where it has no set.json). `runs` are `{name, manifest, reason}`, with the reason for which
 * the page cannot ask for a run; `mounts` are the folders to serve.
 */
export function sets() {
  const { FOURSTEP_REFERENCE: asked, FOURSTEP_REFERENCE_EXPECT: expected } = process.env;
  if (asked) {
    const own = join(asked, "set.json");
    if (existsSync(own) === Boolean(expected)) throw new Error(`${own} or FOURSTEP_REFERENCE_EXPECT=FILE: one of the two`);
    return [readSet(resolve(asked), expected ?? own)];
  }
  const folders = readdirSync(committed).map((name) => join(committed, name));
  const found = folders.filter((folder) => existsSync(join(folder, "cases/runs")));
  if (found.length === 0) throw new Error(`no set of goldens in ${committed}`);
  return found.sort().map((folder) => readSet(folder, join(folder, "set.json")));
}

function readSet(folder, file) {
  const set = JSON.parse(readFileSync(file));
  const name = basename(folder);
  const excuses = set.not_in_page ?? {};
  const runs = readdirSync(join(folder, "cases/runs"))
    .filter((file) => file.endsWith(".json") && file !== "index.json")
    .map((file) => readManifest(join(folder, "cases/runs", file)))
    .map((manifest) => ({ name: manifest.name, manifest, reason: excuses[`runs/${manifest.name}`] }));
  const named = [...Object.keys(excuses), ...Object.values(set.families ?? {}).map((name) => `runs/${name}`)];
  const models = resolve(folder, set.pipelines ?? "pipelines");
  return {
    name,
    folder,
    models,
    cases: set.cases,
    families: set.families ?? {},
    runs,
    unknown: named.filter((name) => !runs.some((run) => `runs/${run.name}` === name)),
    mounts: { [`/sets/${name}/`]: folder, [`/models-of/${name}/`]: models },
    lora: (lora) => `/sets/${name}/loras/${lora}/pytorch_lora_weights.safetensors`,
  };
}

function readManifest(file) {
  // Python writes infinities in a way that JSON does not know.
  return JSON.parse(readFileSync(file, "utf8").replaceAll("-Infinity", "null"));
}

/** The page's request for a run, and what of the run is `beyond` the page's requests. */
export function pageRequest(manifest) {
  const { prompt, negative_prompt, seed, steps, guidance_scale, width, height, strength, extra = {} } = manifest;
  const beyond = Object.keys(extra).filter((key) => !EXTRA.includes(key));
  if (Array.isArray(seed)) beyond.push("several seeds");
  if ((manifest.num_images_per_prompt ?? 1) > 1) beyond.push("num_images_per_prompt");
  beyond.push(...["controlnets", "embeddings"].filter((key) => key in manifest));
  const scheduler_config = JSON.stringify(manifest.scheduler);
  const asked = { prompt, negative_prompt: negative_prompt ?? "", seed, steps, guidance_scale, width, height, strength };
  return { request: { ...asked, ...extra, scheduler_config, latents: true }, beyond };
}

/** The addresses of a run's model files, by the names that the pipeline asks for. */
export function pageFiles(set, manifest) {
  const files = {};
  const add = (model, into = "") => {
    for (const path of below(join(set.models, model))) {
      if (/\.(json|txt|safetensors)$/.test(path)) files[into + path] = `/models-of/${set.name}/${model}/${path}`;
    }
  };
  add(manifest.pipeline);
  for (const path of Object.keys(files).filter((path) => path.endsWith("/tokenizer_config.json"))) {
    for (const name of VOCABULARY) files[join(dirname(path), name)] ??= `/sets/${set.name}/tokenizer/${name}`;
  }
  if (manifest.vae) {
    for (const path of Object.keys(files).filter((path) => path.startsWith("vae/"))) delete files[path];
    add(manifest.vae, "vae/");
  }
  return files;
}

/** A run's golden tensors. */
export function golden(set, manifest) {
  const bytes = readFileSync(join(set.folder, "cases", manifest.file));
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, start));
  const [from, to] = [0, 1].map((end) => (key) => start + header[key].data_offsets[end]);
  return {
    has: (key) => key in header,
    shape: (key) => header[key].shape,
    bytes: (key) => bytes.subarray(from(key), to(key)),
  };
}

/** All files below a folder, relative to it. */
function below(folder, root = folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? below(path, root) : [relative(root, path)];
  });
}
