// Takes a picture apart, with the model and the drawing program of the page: only this worker loads them. The same
// messages as worker.js.
import { fill, findModel, loadFiles } from "../modelfiles.js";
import { serve } from "./serve.js";

const MODELS = new URL("../../models/index.json", import.meta.url);
const DEVICE = "cpu"; // everywhere the same
let engine; // a promise of the wasm module's exports and the model
let opened;

serve({
  /** Draws, keeping all that was on the way; `{ prompt, negative, features, tokens, steps, picture, noise, other }`. */
  async openPicture({ prompt, negative, seed, guidance }, { tell }) {
    const { module, pipeline, model } = await (engine ??= start(tell).catch((error) => ((engine = undefined), Promise.reject(error))));
    const { steps, guidance_scale_range: range } = pipeline.defaults();
    const scale = range ? Math.max(range[0], Math.min(range[1], guidance)) : guidance;
    const request = { prompt, negative_prompt: negative, seed: String(seed), guidance_scale: scale, model };
    const draw = (change, onStep) => pipeline.open({ ...request, ...change }, onStep);
    opened?.free();
    opened = await draw({}, async ({ index }) => tell({ line: `Step ${index + 1} of ${steps}` }));
    const text = await pipeline.opened_text(opened);
    const all = [];
    for (let i = 0; i < opened.steps(); i++) all.push(await taken(pipeline, opened, i));
    const { shape } = all[0];
    const n = shape.reduce((a, b) => a * b);
    await tell({ line: "Drawing the same seed without guidance and without the negative prompt" });
    const others = [];
    for (const [name, change] of [
      ["guidance 1", { guidance_scale: 1 }],
      ...(negative ? [["no negative prompt", { negative_prompt: "" }]] : []),
    ]) {
      const other = await draw(change, () => true);
      const { v, estimate } = await pipeline.opened_step(other, 0);
      others.push({
        name,
        v,
        picture: await decoded(pipeline, estimate, shape),
        last: (await taken(pipeline, other, other.steps() - 1)).decoded,
      });
      other.free();
    }
    return { ...text, steps: all, shape, scale, others, noise: module.noiseOf(seed, n), other: module.noiseOf(seed + 1n, n) };
  },
  /** The cross-attention maps of a step. */
  async lookAt({ step }) {
    const { pipeline } = await engine;
    return { maps: await pipeline.opened_attention(opened, step) };
  },
  /** What the decoder makes of changed latents. */
  async nudge({ latents, shape }) {
    const { pipeline } = await engine;
    return { picture: await decoded(pipeline, latents, shape) };
  },
});

async function taken(pipeline, opened, index) {
  const step = await pipeline.opened_step(opened, index);
  const shape = [...step.shape];
  return { ...step, shape, decoded: await decoded(pipeline, step.estimate, shape), sample: await decoded(pipeline, step.input, shape) };
}

function decoded(pipeline, latents, shape) {
  const [channels, height, width] = shape;
  return pipeline.decode_latents(latents, channels, height, width);
}

async function start(tell) {
  await tell({ line: "Fetching the model" });
  const model = await findModel(MODELS);
  const percent = ({ loaded, total }) => tell({ line: `Fetching the model: ${Math.round((100 * loaded) / total)} %` });
  const [module, { files }] = await Promise.all([import("../../pkg/fourstep.js"), loadFiles(model, { onProgress: percent })]);
  await module.default();
  await tell({ line: "Building the model" });
  const store = new module.Files();
  fill(store, files);
  store.insert("fourstep.json", new TextEncoder().encode(JSON.stringify(model.manifest)));
  return { module, pipeline: await module.Pipeline.load(store, DEVICE), model: model.id };
}
