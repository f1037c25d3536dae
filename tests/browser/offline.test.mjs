// After one visit the page and the model are kept, whole and of one version, and nothing kept is trusted unseen.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { browserTest } from "./harness.mjs";
import { ready } from "./page.mjs";
import { DRAWS, alterKept, dist, draw, modelFiles, open, trouble, untilKept } from "./visit.mjs";

const LINK = "?prompt=a+cat&seed=1&steps=1";
const [largest] = modelFiles;
const isLargest = ({ url }) => url.endsWith(`/${largest.path}`);

{
  const sent = []; // what the server sent: {path, bytes} of every answer that was not "as you have it"
  const before = (request, response) => {
    const path = new URL(request.url, "http://localhost").pathname;
    const { writeHead } = response;
    response.writeHead = (status, headers) => {
      if (status === 200) sent.push({ path, bytes: headers["Content-Length"] });
      return writeHead.call(response, status, headers);
    };
  };
  const options = { ...DRAWS, serviceWorkers: "allow", before, errors: [/Failed to load resource|ERR_/] };
  browserTest("after one visit, in budget, everything works with the network off", options, async (session) => {
    const { page, origin } = session;
    await draw(page, `${origin}/${LINK}`);
    await kept(page);
    const files = sent.filter(({ path }) => path !== "/"); // a document is not shared with what a script fetches
    const twice = files.filter(({ path }, at) => files.findIndex((other) => other.path === path) !== at);
    assert.deepEqual(twice, [], "no file travels twice");
    const page_ = sent.filter(({ path }) => !path.startsWith("/models/"));
    const bytes = page_.reduce((sum, file) => sum + file.bytes, 0);
    assert.ok(bytes < 3_000_000, `wasm, glue and page travelled in ${bytes} bytes`);
    const visit = sent.reduce((sum, file) => sum + file.bytes, 0);
    assert.ok(visit > bytes && visit < 25_000_000, `the whole first visit travelled in ${visit} bytes`);

    const installing = await page.context().newCDPSession(page);
    const { installabilityErrors } = await installing.send("Page.getInstallabilityErrors");
    const unavoidable = ["in-incognito"]; // every test's window is a private one
    assert.deepEqual(
      installabilityErrors.filter(({ errorId }) => !unavoidable.includes(errorId)),
      [],
      "it can be installed",
    );

    await session.stopServer();
    await page.context().setOffline(true);
    await draw(page, `${origin}/?prompt=a+green+fox&seed=2&steps=1`);
    const styled = await page.evaluate(() => getComputedStyle(document.querySelector("main form")).display);
    assert.equal(styled, "grid", "the style is there too");
    const drawn = await page.evaluate(async () => (await fetch("www/icon.svg")).ok && (await fetch("www/example.js").catch(() => null)));
    assert.equal(drawn, null, "what is not of the page is not kept");
  });
}

browserTest(
  "after one visit without a picture everything works with the network off",
  { ...DRAWS, serviceWorkers: "allow", errors: [/Failed to load resource|ERR_/] },
  async (session) => {
    const { page, origin } = session;
    await open(page, origin);
    await ready(page);
    await kept(page);
    await session.stopServer();
    await page.context().setOffline(true);
    await page.goto("about:blank");
    await draw(page, `${origin}/?prompt=a+green+fox&seed=2&steps=1`);
  },
);

browserTest("where the browser asks to save data a visit fetches no model", { ...DRAWS, saveData: true }, async ({ page, origin }) => {
  const fetched = [];
  page.on("request", (request) => fetched.push(request.url()));
  await open(page, origin);
  await page.locator("#line", { hasText: "The model is downloaded once" }).waitFor();
  await page.evaluate(() => new Promise((done) => requestIdleCallback(done))); // what the page does by itself has begun
  assert.deepEqual(
    fetched.filter((url) => /safetensors|wasm/.test(url)),
    [],
  );
  await draw(page, `${origin}/${LINK}`);
});

browserTest("one altered byte in the cache is seen, and that file alone fetched again", DRAWS, async ({ page, origin }) => {
  const fetched = [];
  page.on("request", (request) => fetched.push(new URL(request.url()).pathname));
  await draw(page, `${origin}/${LINK}`);
  await alterKept(page, largest);
  fetched.length = 0;
  await draw(page, `${origin}/${LINK}`);
  const again = () => fetched.filter((path) => modelFiles.some((file) => path.endsWith(`/${file.path}`)));
  assert.deepEqual(again(), [`/models/stickers/${largest.path}`]);
  fetched.length = 0;
  await draw(page, `${origin}/${LINK}`);
  assert.deepEqual(again(), [], "and the cache is whole again");
});

for (const [name, ranges, spoil] of [
  ["goes on where it broke off", true, false],
  ["begins again where the server knows no ranges", false, false],
  ["begins again when what is kept was altered", true, true],
]) {
  const asked = []; // ranges of the requests for the largest file
  let broken = true;
  let cut = () => {};
  const before = (request, response) => {
    if (!isLargest(request)) return false;
    asked.push(request.headers.range ?? "all");
    if (!ranges) delete request.headers.range;
    if (!broken) return false;
    if (asked.length > 1) return Boolean(request.socket.destroy());
    response.writeHead(200, { "Content-Length": largest.size });
    const half = readFileSync(join(dist, "models/stickers", largest.path)).subarray(0, largest.size >> 1);
    response.write(half);
    cut = () => request.socket.destroy();
    return true;
  };
  const options = { ...DRAWS, before, errors: [/Failed to load resource|ERR_/] };
  browserTest(`a download that broke off ${name}, and is verified`, options, async ({ page, origin }) => {
    await open(page, `${origin}/${LINK}`);
    await untilKept(page, largest);
    cut();
    const said = await trouble(page);
    assert.match(said, /broke|could not be fetched/);
    assert.ok(said.includes(largest.path), said);
    if (spoil) await alterKept(page, largest);
    broken = false;
    asked.length = 0;
    await draw(page, `${origin}/${LINK}`);
    assert.match(asked[0], /^bytes=[1-9]\d{5,}-$/);
    assert.deepEqual(asked.slice(1), spoil ? ["all"] : []);
  });
}

browserTest("an update comes whole or not at all", { ...DRAWS, serviceWorkers: "allow", ...copyOfDist() }, async (session, context) => {
  const { page, origin, folder } = session;
  context.after(() => rmSync(folder, { recursive: true }));
  const version = () =>
    page.evaluate(async () => ({
      page: document.documentElement.dataset.page,
      code: document.documentElement.dataset.code,
      style: getComputedStyle(document.documentElement).getPropertyValue("--version").trim(),
    }));
  const all = (name) => ({ page: name, code: name, style: name });
  deploy(folder, "1");
  await open(page, origin);
  await kept(page);
  await page.reload();
  assert.deepEqual(await version(), all("1"));

  deploy(folder, "2", { forget: "www/style.css" }); // a server in the middle of its update
  assert.equal(await update(page), "failed");
  await page.reload();
  assert.deepEqual(await version(), all("1"), "half an update changes nothing");

  deploy(folder, "2");
  assert.equal(await update(page), "waiting");
  const beside = await page.context().newPage();
  await open(beside, origin);
  await open(page, origin);
  assert.deepEqual(await version(), all("1"), "two open tabs stay on one version");
  await beside.close();
  // The last tab goes and comes again. (Reloading it does too, but Chromium may first wait minutes for the old worker.)
  for (let visits = 0; (await version()).page !== "2"; visits++) {
    assert.ok(visits < 100, "the new version is not used");
    await page.goto("about:blank");
    await open(page, origin);
  }
  await page.waitForFunction(() => document.documentElement.dataset.code === "2");
  assert.deepEqual(await version(), all("2"), "the next visit brings all of the new one");
  const names = await page.evaluate(() => caches.keys());
  assert.equal(names.filter((name) => name.startsWith("fourstep-shell")).length, 1, "the old cache is gone");
});

browserTest(
  "a file that the browser dropped from the page's cache is fetched again",
  { ...DRAWS, serviceWorkers: "allow" },
  async ({ page, origin }) => {
    await open(page, origin);
    await kept(page);
    await page.evaluate(async () => {
      const name = (await caches.keys()).find((key) => key.startsWith("fourstep-shell"));
      await (await caches.open(name)).delete(new URL("www/page.js", location.href));
    });
    await open(page, origin);
    await open(page, origin);
  },
);

browserTest("the policy allows no inline code and no other host", { errors: [/Content Security Policy/] }, async ({ page, origin }) => {
  await open(page, origin);
  const policy = await page.getAttribute("meta[http-equiv=Content-Security-Policy]", "content");
  assert.match(policy, /default-src 'none'; script-src 'self' 'wasm-unsafe-eval';/);
  assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval(?<!wasm-unsafe-eval)|https?:|\*/);
  const ran = await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "globalThis.inline = true";
    document.head.append(script);
    return globalThis.inline === true;
  });
  assert.equal(ran, false);
  const manifest = await (await page.request.get(`${origin}/www/manifest.webmanifest`)).json();
  for (const { src } of manifest.icons) assert.ok((await page.request.get(`${origin}/www/${src}`)).ok(), src);
  const session = await page.context().newCDPSession(page);
  const { errors } = await session.send("Page.getAppManifest");
  assert.deepEqual(errors, []);
});

/** Waits until the service worker keeps the page. */
function kept(page) {
  return page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
}

/** Has the browser look for an update now; tells what became of it. */
function update(page) {
  return page.evaluate(async () => {
    const registration = await navigator.serviceWorker.ready;
    if (registration.waiting) return "waiting";
    const found = new Promise((resolve) =>
      registration.addEventListener("updatefound", () => resolve(registration.installing), { once: true }),
    );
    await registration.update();
    const worker = await found;
    return new Promise((resolve) => {
      const look = () => {
        if (worker.state === "installed") resolve("waiting");
        if (worker.state === "redundant") resolve("failed");
      };
      worker.addEventListener("statechange", look);
      look();
    });
  });
}

/** A copy of the page, without the compressed files, that a test may change. */
function copyOfDist() {
  const folder = mkdtempSync(join(tmpdir(), "fourstep-"));
  cpSync(dist, folder, { recursive: true, filter: (path) => !/\.(br|gz)$|safetensors$/.test(path) });
  return { folder };
}

/** Marks page, code and style of the copy with a version, and lists their hashes; the file `forget` keeps its old content. */
function deploy(folder, name, { forget } = {}) {
  let worker = readFileSync(join(dist, "sw.js"), "utf8").replace(/VERSION = "[^"]*"/, `VERSION = "${name}${forget ?? ""}"`);
  for (const [path, change] of [
    ["index.html", (text) => text.replace("<html ", `<html data-page="${name}" `)],
    ["www/page.js", (text) => `${text}\ndocument.documentElement.dataset.code = "${name}";\n`],
    ["www/style.css", (text) => `${text}\n:root { --version: ${name}; }\n`],
  ]) {
    const original = readFileSync(join(dist, path), "utf8");
    const changed = change(original);
    worker = worker.replace(sha256(original), sha256(changed));
    if (path !== forget) writeFileSync(join(folder, path), changed);
  }
  writeFileSync(join(folder, "sw.js"), worker);
}

function sha256(text) {
  return createHash("sha256").update(text).digest("hex");
}
