// Neither the page nor its worker reaches another origin, whether the host sends our headers or none; and the headers are there
// for the common hosts.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { browserTest } from "./harness.mjs";
import { servingModels, stickersModel, tinyModel } from "./models.mjs";
import { finished, open } from "./page.mjs";
import { dist, inEveryWorker, trouble } from "./visit.mjs";
import { HEADERS, HEADER_FILES } from "../../tools/headers.mjs";

const { before } = servingModels({ stickers: stickersModel() });
const REFUSED = [/Content Security Policy|Failed to load resource|ERR_|violates|another host/];
const DRAWS = { webgpu: "none", fake: true, before, errors: REFUSED };

/** A server on another origin that lets everybody in, and notes who comes. */
async function otherHost(context) {
  const visits = [];
  const server = createServer((request, response) => {
    visits.push(request.url);
    response.writeHead(200, {
      "Access-Control-Allow-Origin": "*",
      "Cross-Origin-Resource-Policy": "cross-origin",
      "Content-Type": "text/javascript",
    });
    response.end("export default 1;");
  });
  server.on("upgrade", (request, socket) => socket.end(visits.push(request.url)));
  await new Promise((done) => server.listen(0, "localhost", done));
  context.after(() => (server.closeAllConnections(), server.close()));
  return { origin: `http://localhost:${server.address().port}`, visits };
}

for (const [name, headers] of [
  ["with the headers", HEADERS],
  ["on a host that sends none", {}],
]) {
  browserTest(`neither page nor worker reaches another origin ${name}`, { ...DRAWS, headers }, async ({ page, origin }, context) => {
    const other = await otherHost(context);
    await open(page, `${origin}/?prompt=a+cat&seed=5`);
    await finished(page);
    const [worker] = page.workers();
    assert.deepEqual(await page.evaluate(tryToReach, other.origin), [], "the page");
    assert.deepEqual(await worker.evaluate(tryToReach, other.origin), [], "the worker");
    assert.deepEqual(other.visits, []);
    assert.equal(
      await page.evaluate(async (origin) => (await fetch(`${origin}/index.html`)).status, origin),
      200,
      "its own host it reaches",
    );
  });
}

browserTest("a worker that is loaded over the network has the policy of its own headers", DRAWS, async ({ page, origin }, context) => {
  const other = await otherHost(context);
  await page.goto(`${origin}/tests/blank.html`);
  await page.evaluate(async () => {
    const { load } = await import("/www/fourstep.js"); // as another page uses it
    globalThis.model = await load({ device: "cpu" });
  });
  assert.deepEqual(await page.workers()[0].evaluate(tryToReach, other.origin), []);
  assert.deepEqual(other.visits, []);
});

browserTest("the page is told apart from other sites: no framing, no sniffing, isolated", DRAWS, async ({ page, origin }) => {
  for (const path of ["/", "/www/worker.js", "/models/index.json", "/nothing"]) {
    const sent = (await page.request.get(origin + path)).headers();
    for (const [name, value] of Object.entries(HEADERS)) assert.equal(sent[name.toLowerCase()], value, `${name} of ${path}`);
  }
  assert.match(HEADERS["Content-Security-Policy"], /^default-src 'none';.*; frame-ancestors 'self'$/);
  await open(page, origin);
  assert.equal(await page.evaluate(() => crossOriginIsolated), true);
  assert.ok(HEADERS["Content-Security-Policy"].startsWith(await page.getAttribute("meta[http-equiv=Content-Security-Policy]", "content")));
});

browserTest("dist/ holds the headers for common hosts", DRAWS, async () => {
  for (const [name, text] of Object.entries(HEADER_FILES)) {
    assert.equal(readFileSync(join(dist, name), "utf8"), text);
    for (const value of Object.values(HEADERS)) assert.ok(text.includes(value), `${name}: ${value}`);
  }
});

{
  const far = "https://models.example/tiny/";
  const tiny = servingModels({ tiny: tinyModel({ name: "Tiny" }) });
  const elsewhere = (request, response) => {
    if (request.url !== "/models/index.json") return tiny.before(request, response);
    response.end(JSON.stringify({ models: [{ id: "tiny", path: far, name: "Tiny" }] }));
    return true;
  };
  browserTest(
    "a list that names a model on another host is refused in words",
    { ...DRAWS, before: elsewhere, errors: [] },
    async ({ page, origin }) => {
      await page.goto(origin);
      assert.match(await trouble(page), /“https:\/\/models\.example\/tiny\/” is on another host, and models come from the page’s own/);
    },
  );
}

browserTest(
  "a worker that cannot start under the page's policy is trouble in words, and the page lives",
  { ...DRAWS, errors: [...REFUSED, /boom/] },
  async ({ page, origin }) => {
    await inEveryWorker(page, () => {
      throw new Error("boom");
    });
    await page.goto(origin);
    assert.match(await trouble(page), /could not be started/);
  },
);

/** Runs in page or worker: tries every way to another origin, and tells which ones led there. */
async function tryToReach(origin) {
  const ways = {
    fetch: () => fetch(`${origin}/fetch`, { mode: "no-cors" }),
    beacon: async () => {
      if (!navigator.sendBeacon?.(`${origin}/beacon`)) throw new Error("refused");
      throw new Error("sent, perhaps: the server counts it");
    },
    module: () => import(`${origin}/module.js`),
    socket: () => opened(new WebSocket(`${origin.replace("http", "ws")}/socket`), "open"),
    events: () => opened(new EventSource(`${origin}/events`), "open"),
    request: () => {
      const request = new XMLHttpRequest();
      request.open("GET", `${origin}/request`);
      request.send();
      return opened(request, "load");
    },
  };
  if (globalThis.document) {
    ways.image = () => opened(Object.assign(new Image(), { src: `${origin}/image` }), "load");
    ways.script = () =>
      opened(document.head.appendChild(Object.assign(document.createElement("script"), { src: `${origin}/script` })), "load");
    ways.frame = () =>
      opened(document.body.appendChild(Object.assign(document.createElement("iframe"), { src: `${origin}/frame`, hidden: true })), "never");
  } else ways.scripts = async () => importScripts(`${origin}/scripts`);
  const reached = [];
  for (const [name, way] of Object.entries(ways)) {
    const limit = new Promise((_, fail) => setTimeout(() => fail(new Error("late")), 2000));
    await Promise.race([way(), limit]).then(
      () => reached.push(name),
      () => {},
    );
  }
  return reached;

  function opened(target, event) {
    return new Promise((resolve, reject) => {
      target.addEventListener(event, resolve);
      target.addEventListener("error", reject);
    });
  }
}
