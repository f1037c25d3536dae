// The matrix product by several cores: a page has no threads, but workers, each with a core and a wasm module of its own.

/**
 * `{ name, run, read, free }` for a x b, sizes [rows, inner, columns]: every worker keeps a share of the rows of `a`. A string
 * where there is nothing to share.
 */
export async function multiplyOnWorkers(a, b, [rows, inner]) {
  const cores = navigator.hardwareConcurrency || 1;
  if (cores < 2) return "this device has one core";
  if (rows < 2) return "one row cannot be shared";
  const each = Math.ceil(rows / Math.min(rows, cores)) * inner;
  const workers = Array.from({ length: Math.ceil(a.length / each) }, startWorker);
  const shares = workers.map((worker, i) => worker.ask("takeShare", { a: a.slice(i * each, (i + 1) * each), b, inner }));
  await Promise.all(shares);
  return {
    name: `threads (${workers.length} workers)`,
    run: () => multiplyShares(workers),
    read: async () => joined(await Promise.all(workers.map((worker) => worker.ask("readShare")))),
    free: () => workers.forEach((worker) => worker.end()),
  };
}

// cell: multiply-workers
/** Every worker multiplies its share of the rows, all at the same time. The product is there when the last one is ready. */
async function multiplyShares(workers) {
  await Promise.all(workers.map((worker) => worker.ask("multiplyShare")));
}
// end

/** A worker like this one, which answers one question after the other. */
function startWorker() {
  const port = new Worker(new URL("worker.js", import.meta.url), { type: "module", name: "how share" });
  const waiting = [];
  port.onmessage = ({ data: { result, error } }) => {
    const { done, fail } = waiting.shift();
    if (error) fail(new Error(error.message));
    else done(result);
  };
  port.onerror = ({ message }) => waiting.splice(0).forEach(({ fail }) => fail(new Error(message || "a worker could not be started")));
  return {
    ask: (action, inputs) =>
      new Promise((done, fail) => {
        waiting.push({ done, fail });
        port.postMessage({ id: waiting.length, action, inputs });
      }),
    end: () => port.terminate(),
  };
}

function joined(parts) {
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
