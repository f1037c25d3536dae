// Compiled, not run: the types of www/fourstep.d.ts say what a builder writes (tests/browser/module.test.mjs).
import { Cause, WorkerDied, load, type Image, type Model, type Step } from "../../www/fourstep.js";

const stop = new AbortController();
const model: Model = await load({ device: "auto", signal: stop.signal, onProgress: (p) => (p.phase === "files" ? p.loaded / p.total : 0) });
const steps: Step[] = [];
try {
  const image: Image = await model.generate({ prompt: "a cat", steps: 4, onStep: (step) => steps.push(step), signal: stop.signal });
  new ImageData(image.rgba, image.width, image.height);
  // @ts-expect-error a prompt is needed
  await model.generate({ steps: 4 });
} catch (error) {
  if (error instanceof WorkerDied && error.cause === Cause.OUT_OF_MEMORY) model.close();
}
