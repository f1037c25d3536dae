// The service worker: keeps the page itself, so that it opens without a network. The build writes VERSION and SHELL,
// every file's path and SHA-256, above this line; and VIEW, the same for "How it works", "Go deeper" and "Teach it yours", which
// are kept from when they are first opened. A cache holds one version whole or is not there: it is filled and checked before it is taken into use, and
// a page is served from one version only. Models are kept elsewhere (filecache.js).
/* global VERSION, SHELL, VIEW */

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const SCOPE = new URL(worker.registration.scope);
const FAMILY = `fourstep-shell ${SCOPE.pathname} `;
const CACHE = FAMILY + VERSION;

worker.addEventListener("install", (event) => event.waitUntil(fill()));
worker.addEventListener("activate", (event) => event.waitUntil(dropOthers()));
worker.addEventListener("message", (event) => event.waitUntil(takeOver(event)));
worker.addEventListener("fetch", (event) => {
  const path = shellPath(event.request);
  if (path !== null) event.respondWith(answer(path));
});

/** The file of SHELL or VIEW that answers the request, or null: everything else goes to the network. */
function shellPath({ url, method, mode }) {
  const { origin, pathname } = new URL(url);
  if (method !== "GET" || origin !== SCOPE.origin || !pathname.startsWith(SCOPE.pathname)) return null;
  const path = pathname.slice(SCOPE.pathname.length);
  if (mode === "navigate" && path === "index.html") return "";
  if (mode === "navigate" && path === "www/how/") return "www/how/index.html";
  return path in SHELL || path in VIEW ? path : null;
}

async function answer(path) {
  const kept = await (await caches.open(CACHE)).match(new URL(path, SCOPE));
  return kept ?? repair(path);
}

// A page that has just opened asks the version that waits. Only where no other tab is open, so that none is left with
// code of one version and files of another; the page reloads itself when this one is in charge.
async function takeOver({ data, source }) {
  if (data !== "take over if alone") return;
  const pages = await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  const ours = pages.filter(({ url }) => url.startsWith(SCOPE.href));
  if (ours.length === 1 && ours[0].id === source.id) await worker.skipWaiting();
}

// The browser dropped a part of the cache. The same file may still be on the server; if not, the next load starts from there.
async function repair(path) {
  try {
    const response = await fetchChecked(path);
    await (await caches.open(CACHE)).put(new URL(path, SCOPE), response.clone());
    return response;
  } catch {
    if (path in SHELL) await worker.registration.unregister();
    return Response.error();
  }
}

async function fill() {
  const before = (await caches.keys()).filter((name) => name.startsWith(FAMILY) && name !== CACHE);
  const older = await Promise.all(before.map((name) => caches.open(name)));
  const cache = await caches.open(CACHE);
  try {
    await Promise.all(
      Object.keys(SHELL).map(async (path) => {
        const url = new URL(path, SCOPE);
        const kept = await Promise.all([cache, ...older].map((from) => from.match(url)));
        for (const response of kept) if (response && (await hash(response.clone())) === SHELL[path]) return cache.put(url, response);
        return cache.put(url, await fetchChecked(path));
      }),
    );
    await keepView(cache, older);
  } catch (error) {
    await caches.delete(CACHE);
    throw error;
  }
}

/** What is kept of the view and has not changed. */
async function keepView(cache, older) {
  for (const path of Object.keys(VIEW)) {
    const url = new URL(path, SCOPE);
    for (const response of await Promise.all(older.map((from) => from.match(url))))
      if (response && (await hash(response.clone())) === VIEW[path]) await cache.put(url, response);
  }
}

/** A file from the server, only if it is the one of this version. */
async function fetchChecked(path) {
  const response = await fetch(new URL(path, SCOPE), { cache: "no-cache", redirect: "error" });
  if (!response.ok || (await hash(response.clone())) !== (SHELL[path] ?? VIEW[path]))
    throw new Error(`${path || "index.html"} is not the file of version ${VERSION}`);
  return response;
}

async function hash(response) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await response.arrayBuffer()));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function dropOthers() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(FAMILY) && name !== CACHE).map((name) => caches.delete(name)));
}
