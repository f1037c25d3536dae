// The worker's end of the messages: { id, action, inputs } is answered with any number of { id, news } and one
// { id, result } or { id, error }. { id, stop } asks a long one to end; one that does not hear it is ended by the page.

/** Answers with `actions`: functions of the inputs and a job, whose `tell` is to be awaited now and then. */
export function serve(actions, ready) {
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
}
