// In the worker: the linear classifier.
import { Classifier, rungs } from "./pkg/fourstep_how.js";
import { timed } from "./run-numbers.js";
import { readPictures } from "./run-pictures.js";

const SEED = 457428938475n;
let model;

export function beginClassifier({ seed = SEED }) {
  model?.free();
  model = new Classifier(seed);
  return { weights: model.weights() };
}

export async function scorePictures({ files, n }, { tell }) {
  model ??= new Classifier(SEED);
  const pictures = await readPictures("train", files);
  const rows = [];
  let first;
  for (const rung of rungs()) {
    const scores = model.forward(pictures, n, rung);
    first ??= scores;
    const far = scores.reduce((most, score, i) => Math.max(most, Math.abs(score - first[i])), 0);
    rows.push({ rung, ms: await timed(() => model.forward(pictures, n, rung)), far });
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
  const [learn, test] = [await readPictures("train", files), files?.length ? null : await readPictures("t10k")];
  model.new_pictures();
  const steps = Math.ceil((learn.count() * passes) / batch);
  const [losses, accuracies] = [[], []];
  const measure = () => {
    const confusion = [...model.confusion(test ?? learn)];
    accuracies.push([losses.length, share(confusion)]);
    return confusion;
  };
  let confusion = measure();
  const every = Math.max(1, Math.floor(steps / 40));
  while (losses.length < steps) {
    losses.push(...model.train(learn, Math.min(every, steps - losses.length), batch, rate));
    confusion = measure();
    const news = { losses, accuracies, confusion, steps, tested: test ? "the test pictures" : "your pictures" };
    if (!(await tell(news))) return { ...news, stopped: true, weights: model.weights() };
  }
  return { losses, accuracies, confusion, steps, tested: test ? "the test pictures" : "your pictures", weights: model.weights() };
}

export function readDrawing({ pixels }) {
  model ??= new Classifier(SEED);
  return { probabilities: [...model.probabilities(pixels)] };
}

function share(confusion) {
  const right = Array.from({ length: 10 }, (_, digit) => confusion[11 * digit]).reduce((sum, n) => sum + n);
  return right / confusion.reduce((sum, n) => sum + n);
}
