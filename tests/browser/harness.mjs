// What every browser test needs: the built page on a local server and a Chromium of its own, both closed at the end.
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { serve } from "../../tools/serve.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../..");
const screenshots = join(root, "target", "screenshots");
const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const SCREEN = { width: 1280, height: 900 };
const QUIET = ["--disable-component-update", "--disable-sync"];
/** How long a test waits for a condition, in ms: 30 s, or FOURSTEP_WAIT seconds on a busy machine. */
export const WAIT_MS = Number(process.env.FOURSTEP_WAIT ?? 30) * 1000;
const PATIENCE = Math.max(1, WAIT_MS / 30_000);

/**
 * Declares one test that runs in a Chromium of its own.
 * `options`: `webgpu` (default true: WebGPU, on SwiftShader where there is no GPU; "none": a browser that finds no
 * adapter; false: one that does not know WebGPU at all), `serviceWorkers` ("allow", or "block" as by default, since
 * Playwright cannot change requests that pass through one), `folder` to serve instead of dist/, `mounts` of further folders, `before`
 * and `headers` (see tools/serve.mjs), `fake` (the program in tests/browser/fake draws instead of the wasm), `saveData` (the browser asks to save
 * data), `flags` for the browser, `touch`, `timeout` in ms (default 120,000), `skip` (a reason), `errors` (regular expressions
 * of console errors that the test expects; any other one fails it).
 * `body` gets what `launch` returns, and the test's own context last.
 */
export function browserTest(name, options, body) {
  const { timeout: asked = 120_000, skip = false, ...rest } = options;
  const timeout = asked * PATIENCE;
  test(name, { skip, timeout: timeout + 60_000 }, async (context) => {
    const session = await launch(rest);
    try {
      await within(timeout, body(session, context));
    } catch (error) {
      await within(10_000, session.screenshot(`failed ${name}`)).catch(() => {});
      throw new Error(described(error, session.problems));
    } finally {
      await session.close();
    }
    if (session.problems.length > 0) throw new Error(described("the page reported errors", session.problems));
  });
}

/**
 * Starts the server and a browser with one empty page. `/` is dist/, `/tests/` is tests/browser, and `mounts` are
 * further folders.
 * Returns `{page, origin, problems, screenshot(name), inWorker(script, message), close()}`. `problems` collects console
 * errors, uncaught exceptions (also of workers) and every request that leaves the origin.
 */
export async function launch({ webgpu = true, serviceWorkers = "block", errors = [], viewport = SCREEN, touch = false, ...more } = {}) {
  const dist = join(root, "dist");
  if (!existsSync(join(dist, "pkg"))) throw new Error("dist/ is not built: run ./build.sh build first");
  const mounts = { "/tests/": here, ...more.mounts };
  const before = more.fake ? withFake(more.before) : more.before;
  const server = await serve(more.folder ?? dist, { mounts, before, headers: more.headers });
  const browser = await chromium.launch({ executablePath: browserPath(), headless: true, args: [...flags(webgpu), ...(more.flags ?? [])] });
  // The browser without WebGPU starts workers from blobs, which the page's policy forbids.
  const context = await browser.newContext({ viewport, bypassCSP: webgpu === false, serviceWorkers, hasTouch: touch, isMobile: touch });
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();
  if (more.saveData) await page.addInitScript(() => Object.defineProperty(navigator.connection, "saveData", { get: () => true }));
  if (webgpu === false) await page.addInitScript(hideWebGpu);
  const problems = [];
  watch(page, server.origin, errors, problems);
  return {
    page,
    browser,
    origin: server.origin,
    problems,
    folder: more.folder ?? dist,
    stopServer: server.close,
    screenshot: (name) => screenshot(page, name),
    inWorker: (script, message) => inWorker(page, server.origin, script, message),
    close: async () => {
      await browser.close();
      await server.close();
    },
  };
}

/** Saves the page as target/screenshots/NAME.png and returns the path. */
async function screenshot(page, name) {
  mkdirSync(screenshots, { recursive: true });
  const path = join(screenshots, `${name.replace(/[^\w.-]+/g, "-")}.png`);
  await page.screenshot({ path, fullPage: true, timeout: 4 * WAIT_MS }); // a long page takes its time
  return path;
}

/**
 * Runs tests/browser/SCRIPT as a dedicated module worker, posts `message` to it and resolves to its first answer.
 * An answer `{error}` or an uncaught exception in the worker rejects.
 */
async function inWorker(page, origin, script, message) {
  const address = `${origin}/tests/${script}`;
  if (!page.url().startsWith(origin)) await page.goto(`${origin}/tests/blank.html`);
  return page.evaluate(
    ([address, message]) =>
      new Promise((done, fail) => {
        const worker = new Worker(address, { type: "module" });
        worker.onmessage = ({ data }) => (data?.error ? fail(new Error(data.error)) : done(data));
        worker.onerror = (event) => fail(new Error(event.message ?? `${address} could not be loaded`));
        worker.postMessage(message);
      }),
    [address, message],
  );
}

function watch(page, origin, errors, problems) {
  const note = (text) => {
    if (!errors.some((pattern) => pattern.test(text))) problems.push(text);
  };
  page.on("console", (message) => {
    if (message.type() === "error") note(`console error: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => note(`uncaught: ${error.stack ?? error}`));
  page.on("crash", () => note("the page crashed"));
  page.context().on("request", (request) => {
    const { protocol, origin: target } = new URL(request.url());
    if (/^https?:$|^wss?:$/.test(protocol) && target !== origin) note(`request to another host: ${request.url()}`);
  });
}

/** Answers requests for the wasm module with tests/browser/fake. */
function withFake(before) {
  return (request, response) => {
    if (before?.(request, response)) return true;
    const [, name] = /^\/pkg\/(fourstep|suggestions)\.js$/.exec(new URL(request.url, "http://localhost").pathname) ?? [];
    if (!name) return false;
    response.writeHead(200, { "Content-Type": "text/javascript" });
    response.end(readFileSync(join(here, "fake", `${name}.js`)));
    return true;
  };
}

function flags(webgpu) {
  const common = [...FLAGS, ...QUIET];
  if (webgpu === true) return [...common, "--enable-unsafe-webgpu"];
  return [...common, "--disable-gpu"];
}

function browserPath() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const found = BROWSERS.find((path) => existsSync(path));
  if (!found) throw new Error("no Chromium found: install it, or name it in the environment variable CHROMIUM");
  return found;
}

/** Rejects when `work` takes longer than `limit` ms; the caller then closes the browser, which ends the work too. */
function within(limit, work) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`took longer than ${limit / 1000} s`)), limit);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function described(error, problems) {
  const reported = problems.map((problem) => `\n  the page: ${problem}`).join("");
  return `${error.stack ?? error}${reported}`;
}

/** Runs in the page before its scripts: takes WebGPU away there and in the module workers that it starts. */
function hideWebGpu() {
  delete Navigator.prototype.gpu;
  const hide = "data:text/javascript,delete WorkerNavigator.prototype.gpu";
  window.Worker = class extends Worker {
    constructor(script, options) {
      const source = `import ${JSON.stringify(hide)}; import ${JSON.stringify(new URL(script, location.href).href)};`;
      super(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), options);
    }
  };
}
