// Serves folders as a plain static host would: `node tools/serve.mjs [folder] [port]`, and for the tests `serve()`.
import { createServer } from "node:http";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import sirv from "sirv";
import { HEADERS } from "./headers.mjs";

const OPTIONS = { dev: true, etag: true, brotli: true, gzip: true };

/**
 * Serves `folder` at `/`, and each of `mounts` (`{"/name/": folder}`) in front of it. Files are read again for every
 * request, compressed where PATH.br or PATH.gz is there, and the browser asks each time whether its copy is still good.
 * (The page's service worker shows a rebuilt page at the second reload.) Port 0 takes a free one.
 * `before(request, response)` sees each request first, and answers true when it has taken it over (faults, in tests).
 * `headers` are sent with everything. Returns `{origin, close}`.
 */
export async function serve(folder, { port = 0, mounts = {}, before, headers = HEADERS } = {}) {
  const handlers = Object.entries(mounts).map(([prefix, place]) => [prefix, sirv(place, OPTIONS)]);
  const root = sirv(folder, OPTIONS);
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (before?.(request, response)) return undefined;
    const found = handlers.find(([prefix]) => request.url.startsWith(prefix));
    if (!found) return root(request, response);
    request.url = request.url.slice(found[0].length - 1);
    return found[1](request, response);
  });
  await new Promise((done, fail) => server.once("error", fail).listen(port, "localhost", done));
  const close = () => {
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  };
  return { origin: `http://localhost:${server.address().port}`, close };
}

async function main([folder = "dist", port = "8080"]) {
  try {
    const { origin } = await serve(resolve(folder), { port: Number(port) });
    console.log(`Serving ${folder} at ${origin} (stop with Ctrl-C)`);
  } catch (error) {
    if (error.code !== "EADDRINUSE") throw error;
    console.error(`Port ${port} is in use. Choose another one: PORT=8081 ./build.sh serve`);
    process.exit(1);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main(process.argv.slice(2));
