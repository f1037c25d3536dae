// Hosts that answer badly when a model is downloaded: each answer becomes one clear sentence that names the file, nothing
// of it is used, and trying again draws the picture that a good host's files give.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { browserTest } from "./harness.mjs";
import { servingModels, tinyModel } from "./models.mjs";
import { canvas, finished, open } from "./page.mjs";
import { trouble, untilKept } from "./visit.mjs";

const FILE = "padding.txt"; // three pieces of the cache (www/filecache.js)
const model = tinyModel({ name: "Tiny", padding: 2.5e6 });
const good = model.files.get(FILE);
const paddingFile = model.manifest.files.find(({ path }) => path === FILE);
const LINK = "?prompt=a+cat&seed=4";
const DRAWS = { timeout: 300_000, webgpu: "none", errors: [/Failed to load resource|ERR_|request to another host/] }; // which is announced, but not sent
const PAGE = { "Content-Type": "text/html; charset=utf-8" };
const html = (response, headers = {}) => (
  response.writeHead(200, { ...PAGE, ...headers }),
  response.end("<!doctype html><title>Welcome</title>")
);
const status = (code) => (response) => (response.writeHead(code, PAGE), response.end("<h1>Sorry</h1>"));
const whole = (bytes) => (response) => (response.writeHead(200, { "Content-Length": bytes.length }), response.end(bytes));
const other = Buffer.from(good).fill(121);
const visitors = []; // of the other hosts

/** What the host answers, and what the page then says of it. */
const ANSWERS = [
  ["404", status(404), /“padding\.txt” is missing on the server \(HTTP 404\)/],
  ["503", status(503), /server does not send the file “padding\.txt” \(HTTP 503\)/],
  ["a web page with status 200", html, /“padding\.txt” is missing on the server: it sent a web page instead/],
  [
    "a redirect to its start page",
    redirect("/"),
    /“padding\.txt” could not be fetched: the server redirects it, and model files are taken from their own address only/,
  ],
  ["a redirect to another host’s web page", elsewhere(), /“padding\.txt” could not be fetched: the server redirects it/],
  [
    "a redirect to another host’s web page that anyone may read",
    elsewhere({ "Access-Control-Allow-Origin": "*" }),
    /“padding\.txt” could not be fetched: the server redirects it/,
  ],
  ["a longer file", whole(Buffer.concat([good, good])), /“padding\.txt” is altered: it is longer than the 2500000 bytes/],
  ["a shorter file", whole(good.subarray(0, 9e5)), /“padding\.txt” is incomplete: 900000 of 2500000 bytes/],
  ["another file of the same length", whole(other), /“padding\.txt” is damaged or altered/],
];

for (const [name, answer, words] of ANSWERS) {
  const host = hostWith(answer);
  browserTest(
    `a host that answers with ${name} is told from a good one, and trying again draws`,
    { ...DRAWS, before: host.before },
    async ({ page, origin }) => {
      await open(page, `${origin}/${LINK}`); // draws at once
      assert.match(await trouble(page), words);
      assert.equal(await keptPieces(page), 0, "nothing of it is kept");
      assert.match(await page.textContent("#model-words"), /to fetch/, "the model does not count as kept");
      assert.deepEqual(visitors, [], "no other host hears of it");
      await drawsAgain(page, host);
    },
  );
}

/** What the host answers to the request for the rest of a file, when the first request broke off. */
const RESUMES = [
  ["416", (response) => (response.writeHead(416, { "Content-Range": `bytes */${good.length}` }), response.end()), null],
  [
    "another range",
    (response) => (response.writeHead(206, { "Content-Range": `bytes 7-99/${good.length}` }), response.end(good.subarray(7, 100))),
    null,
  ],
  ["the whole file", whole(good), null],
  ["a web page", html, /“padding\.txt” is missing on the server: it sent a web page instead/],
  [
    "the rest of another file",
    (response, from) => (
      response.writeHead(206, { "Content-Range": `bytes ${from}-${good.length - 1}/${good.length}` }),
      response.end(other.subarray(from))
    ),
    null,
  ],
];

for (const [name, answer, words] of RESUMES) {
  const host = hostWith(breakOff);
  browserTest(
    `a host that answers with ${name} when a download goes on ${words ? "is an error" : "costs nothing but the bytes"}`,
    { ...DRAWS, before: host.before },
    async ({ page, origin }) => {
      await open(page, `${origin}/${LINK}`);
      await untilKept(page, paddingFile, "tiny");
      breakOff.now();
      assert.match(await trouble(page), /“padding\.txt”/);
      assert.ok((await keptPieces(page)) > 0, "the part that came is kept");
      host.bad = (response, from) => (from > 0 ? answer(response, from) : whole(good)(response));
      host.asked.length = 0;
      await page.click("#retry");
      if (words) assert.match(await trouble(page), words);
      else await finished(page);
      assert.match(host.asked[0], /^bytes=\d{7}-$/, "it was to go on");
      await drawsAgain(page, host);
    },
  );
}

for (const [list, path] of [
  ["the list of models", "index.json"],
  ["a model’s manifest", "tiny/fourstep.json"],
]) {
  const host = hostWith(html, `/models/${path}`);
  browserTest(
    `a host that answers with a web page for ${list} is an error that names it`,
    { ...DRAWS, before: host.before },
    async ({ page, origin }) => {
      await page.goto(`${origin}/?seed=4`);
      assert.match(await trouble(page), new RegExp(`“models/${path}” is missing on the server: it sent a web page instead`));
      host.bad = null;
      await page.click("#retry");
      await page.locator("#summary", { hasText: /guidance \d/ }).waitFor();
      assert.equal(await page.isVisible("#trouble"), false);
    },
  );
}

/** Serves the tiny model; `bad(response, from)` answers for one path until it is null. @returns {{before, asked, bad}} `asked`: ranges */
function hostWith(bad, path = `/models/tiny/${FILE}`) {
  const { before } = servingModels({ tiny: model });
  const host = { asked: [], bad };
  host.before = (request, response) => {
    if (request.url === path) host.asked.push(request.headers.range ?? "all");
    if (!host.bad || request.url !== path) return before(request, response);
    host.bad(response, Number(/^bytes=(\d+)-/.exec(request.headers.range)?.[1] ?? 0));
    return true;
  };
  return host;
}

/** Trying again with a good host gives the picture of a first visit to it. */
async function drawsAgain(page, host) {
  host.bad = null;
  if (await page.isVisible("#trouble")) await page.click("#retry");
  await finished(page);
  const drawn = await canvas(page);
  await page.evaluate(() => caches.keys().then((names) => Promise.all(names.map((name) => caches.delete(name)))));
  const address = page.url();
  await page.goto("about:blank");
  await page.goto(address);
  await finished(page);
  assert.equal(await canvas(page), drawn);
}

/** How many pieces of the file are in the model's cache. */
function keptPieces(page) {
  const { sha256 } = paddingFile;
  return page.evaluate(async (sha256) => {
    const cache = await caches.open("fourstep-model-tiny");
    return (await cache.keys()).filter(({ url }) => url.includes(`/${sha256}/`)).length;
  }, sha256);
}

/** Sends more than a piece, and then nothing more until `breakOff.now()` ends the connection. */
function breakOff(response, from) {
  if (response.req.method === "HEAD") return response.end(); // the page asks whether the server redirects
  if (from > 0) return response.socket.destroy();
  response.writeHead(200, { "Content-Length": good.length });
  response.write(good.subarray(0, 2e6));
  breakOff.now = () => response.socket.destroy();
  return true;
}

function redirect(to) {
  return (response) => (response.writeHead(302, { Location: to }), response.end());
}

/** A redirect to a second server, which has a web page only, and notes who comes. */
function elsewhere(headers) {
  const server = createServer((request, response) => {
    visitors.push(request.url);
    html(response, headers);
  }).listen(0, "localhost");
  server.unref();
  return (response) => redirect(`http://localhost:${server.address().port}/welcome`)(response);
}
