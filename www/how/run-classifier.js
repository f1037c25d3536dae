// In the worker: the linear classifier.
import { Classifier, rungs } from "./pkg/fourstep_how.js";
import { beyondOneCore, timed } from "./run-numbers.js";
import { readPictures } from "./run-pictures.js";

const SEED = 457428938475n;
let model;

export function beginClassifier({ seed = SEED }) {
  model?.free();
  model = new Classifier(seed);
  return { weights: model.weights() };
}

export async function scorePictures({ files, n, burn }, { tell }) {
  model ??= new Classifier(SEED);
  const pictures = await readPictures("train", files);
  const rows = [];
  let first;
  const far = (scores) => scores.reduce((most, score, i) => Math.max(most, Math.abs(score - first[i])), 0);
  for (const rung of rungs()) {
    const scores = model.forward(pictures, n, rung);
    first ??= scores;
    rows.push({ rung, ms: await timed(() => model.forward(pictures, n, rung)), far: far(scores) });
    if (!(await tell({ rows }))) return { rows, stopped: true };
  }
  const [pixels, weights, bias] = [pictures.pixels(n), model.weights(), model.bias()];
  const sizes = [pixels.length / 784, 784, 10];
  for await (const { rung, missing, run, read } of beyondOneCore(pixels, weights, sizes, burn)) {
    const scores = async () => (await run(), (await read()).map((score, i) => score + bias[i % 10]));
    rows.push(missing ? { rung, missing } : { rung, ms: await timed(run), far: far(await scores()) });
    if (!(await tell({ rows }))) return { rows, stopped: true };
  }
  return { rows, probabilities: model.probabilities(pictures.picture(0)), label: pictures.labels()[0] };
}

export async function checkGradient({ files, weights }) {
  model ??= new Classifier(SEED);
  return { found: model.check(await readPictures("train", files), weights) };
}

export async function trainClassifier({ files, passes, batch, rate }, { tell }) {
  model ??= new Classifier(SEED);
  const [learn, test] = [await readPictures("train", files), await readPictures("t10k", files)];
  const tested = `${test.count().toLocaleString("en")} test pictures`;
  model.new_pictures();
  const steps = Math.ceil((learn.count() * passes) / batch);
  const [losses, accuracies] = [[], []];
  const measure = () => {
    const confusion = [...model.confusion(test)];
    accuracies.push([losses.length, share(confusion)]);
    return confusion;
  };
  let confusion = measure();
  const every = Math.max(1, Math.floor(steps / 40));
  while (losses.length < steps) {
    losses.push(...afresh(() => model.train(learn, Math.min(every, steps - losses.length), batch, rate)));
    confusion = measure();
    const news = { losses, accuracies, confusion, steps, tested };
    if (!(await tell(news))) return { ...news, stopped: true, weights: model.weights() };
  }
  return { losses, accuracies, confusion, steps, tested, weights: model.weights() };
}

/** Steps downhill; when these have ruined the weights, the next training begins with new ones. */
function afresh(steps) {
  try {
    return steps();
  } catch (error) {
    if (!error.message.includes("learning rate")) throw error;
    model.free();
    model = undefined;
    throw new Error(`${error.message}: the weights are random numbers again.`);
  }
}

export function readDrawing({ pixels }) {
  model ??= new Classifier(SEED);
  return { probabilities: [...model.probabilities(pixels)] };
}

function share(confusion) {
  const right = Array.from({ length: 10 }, (_, digit) => confusion[11 * digit]).reduce((sum, n) => sum + n);
  return right / confusion.reduce((sum, n) => sum + n);
}
