// What several browser tests do on the page: open it, wait for a picture or for words of trouble, damage what is kept.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const dist = resolve(dirname(fileURLToPath(import.meta.url)), "../../dist");
export const DRAWS = { timeout: 600_000 }; // a picture on a busy machine's CPU
export const PATIENCE = 300_000;

/** The model's files, the largest one first. */
export const modelFiles = JSON.parse(readFileSync(join(dist, "models/stickers/fourstep.json"))).files.sort((a, b) => b.size - a.size);

/** Opens the page and waits until the model's defaults are in. */
export async function open(page, address) {
  await page.goto(address);
  await page.locator("#summary", { hasText: /guidance \d/ }).waitFor();
}

/** Opens the page, asks for the picture and waits for it. */
export async function draw(page, address) {
  await open(page, address);
  await ask(page);
  await finished(page);
}

/** Asks for the picture; an address with a prompt did so already. */
export async function ask(page) {
  if (!new URL(page.url()).searchParams.has("prompt")) await page.click("#generate");
}

/** Waits for a finished picture; words of trouble end the wait at once. */
export async function finished(page) {
  await page.waitForSelector("#download:enabled, #trouble:not([hidden])", { timeout: PATIENCE });
  if (await page.isVisible("#trouble")) assert.fail(`the page says: ${await page.textContent("#trouble")}`);
}

/** Waits for words of trouble and returns them. */
export async function trouble(page) {
  await page.locator("#trouble").waitFor({ timeout: PATIENCE });
  return page.textContent("#trouble-text");
}

/** Runs `script` in every worker of the page before the worker's own code. */
export async function inEveryWorker(page, script) {
  await page.route("**/www/worker.js", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: `(${script})();\n${await answer.text()}` });
  });
}

/** Flips a bit in the middle of the first kept piece of the model file; asserts that there is one. */
export async function alterKept(page, { sha256 }) {
  const altered = await page.evaluate(async (sha256) => {
    const cache = await caches.open("fourstep-model-stickers");
    const key = (await cache.keys()).find(({ url }) => url.endsWith(`/${sha256}/0`));
    if (!key) return false;
    const bytes = new Uint8Array(await (await cache.match(key)).arrayBuffer());
    bytes[bytes.length >> 1] ^= 1;
    await cache.put(key, new Response(bytes));
    return true;
  }, sha256);
  assert.ok(altered, "the file is in the cache");
}

/** Waits until a piece of a model's file is kept, while it is still on its way. */
export async function untilKept(page, { sha256 }, model = "stickers") {
  const found = async ([name, sha256]) => (await (await caches.open(name)).keys()).some(({ url }) => url.includes(`/${sha256}/`));
  const until = Date.now() + PATIENCE;
  // Not waitForFunction: it takes a promise for a yes.
  while (!(await page.evaluate(found, [`fourstep-model-${model}`, sha256]))) {
    assert.ok(Date.now() < until, "a piece of the file is kept in time");
    await page.waitForTimeout(20);
  }
}
