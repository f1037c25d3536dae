// Runs the cells, beside the page: a message { id, action, inputs } is answered with any number of { id, news } and one
// { id, result } or { id, error }. { id, stop } asks a long one to end; one that does not hear it is ended by the page.
import init from "./pkg/fourstep_how.js";
import * as chance from "./run-chance.js";
import * as classifier from "./run-classifier.js";
import * as clouds from "./run-clouds.js";
import * as numbers from "./run-numbers.js";
import * as pictures from "./run-pictures.js";

const actions = { ...chance, ...classifier, ...clouds, ...numbers, ...pictures };
const ready = init();
const stopped = new Set();

addEventListener("message", async ({ data: { id, action, inputs, stop } }) => {
  if (stop) return stopped.add(id);
  const job = {
    /** Tells the page something meanwhile, lets its messages in, and answers whether to go on. */
    async tell(news) {
      postMessage({ id, news });
      await new Promise((done) => setTimeout(done));
      return !stopped.has(id);
    },
  };
  try {
    await ready;
    postMessage({ id, result: await actions[action](inputs, job) });
  } catch (error) {
    // A trap ends the wasm instance: the page starts a new worker then.
    postMessage({ id, error: { message: error.message ?? String(error), fatal: error instanceof WebAssembly.RuntimeError } });
  }
  stopped.delete(id);
});
