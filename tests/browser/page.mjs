// What tests of the page do again and again.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { crc32, deflateSync } from "node:zlib";
import { WAIT_MS } from "./harness.mjs";

const PATIENCE = 300_000; // a picture on a busy machine's CPU

/** Opens an address and waits until the model's defaults are in. */
export async function open(page, address) {
  await page.goto(address);
  await page.locator("#summary", { hasText: /guidance \d/ }).waitFor();
}

/** Waits for a finished picture; words of trouble end the wait at once. */
export async function finished(page) {
  await page.waitForSelector("#download:enabled, #trouble:not([hidden])", { timeout: PATIENCE });
  if (await page.isVisible("#trouble")) assert.fail(`the page says: ${await page.textContent("#trouble")}`);
}

/** Presses a button that begins drawing, and waits for the end: the line says something new, and nothing is drawn any more. */
export async function drawBy(page, button) {
  await page.evaluate(() => {
    const line = document.getElementById("line");
    globalThis.spoke = false;
    const observer = new MutationObserver(() => {
      globalThis.spoke = true;
      observer.disconnect();
    });
    observer.observe(line, { childList: true });
  });
  await page.click(button);
  await page.waitForFunction(() => globalThis.spoke || !document.getElementById("trouble").hidden, null, { timeout: PATIENCE });
  await finished(page);
}

/** Opens a part of the page that is folded. */
export async function unfold(page, id) {
  if (!(await page.$eval(`#${id}`, (details) => details.open))) await page.click(`#${id} > summary`);
}

/** Waits until the model is here and made ready, as a visit does by itself. */
export async function ready(page) {
  await page.locator("#setup-line", { hasText: "saved in this browser" }).waitFor({ timeout: PATIENCE });
}

/** Waits until the page has so many workers: Playwright hears of a worker's end a moment after the page. */
export async function workers(page, count) {
  const until = Date.now() + WAIT_MS;
  while (page.workers().length !== count) {
    assert.ok(Date.now() < until, `the page has ${page.workers().length} workers, expected ${count}`);
    await page.waitForTimeout(20);
  }
}

/** The bytes of the file that a button saves, and its name. */
export async function saved(page, button) {
  const [file] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
  return { name: file.suggestedFilename(), bytes: await readFile(await file.path()) };
}

/** A PNG's chunks: `[type, data]`. */
export function chunks(bytes) {
  assert.equal(bytes.subarray(0, 8).toString("latin1"), "\x89PNG\r\n\x1a\n");
  const found = [];
  for (let at = 8; at < bytes.length;) {
    const length = bytes.readUInt32BE(at);
    found.push([bytes.toString("latin1", at + 4, at + 8), bytes.subarray(at + 8, at + 8 + length)]);
    at += length + 12;
  }
  return found;
}

/** The text of the chunk `parameters`, or undefined. */
export function parameters(bytes) {
  const text = chunks(bytes).find(([type, data]) => type === "tEXt" && data.toString("latin1").startsWith("parameters\0"));
  return text?.[1].toString("latin1").slice("parameters\0".length);
}

/** The values of the form's fields by their ids. */
export function fields(page) {
  return page.$$eval("#form :is(input, select, textarea)[id]", (all) => Object.fromEntries(all.map(({ id, value }) => [id, value])));
}

/** The colours of the canvas, to tell pictures apart. */
export function canvas(page, id = "canvas") {
  return page.$eval(`#${id}`, (element) => element.toDataURL());
}

/** Drops a file on the page, as from another program. */
export async function dropFile(page, bytes, name = "dropped.png", type = "image/png") {
  await page.evaluate(
    ([base64, name, type]) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name, { type }));
      for (const type of ["dragenter", "dragover", "drop"])
        document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
    },
    [Buffer.from(bytes).toString("base64"), name, type],
  );
}

/** A PNG file of `colour(x, y)`, without settings. */
export function png(width, height, colour) {
  const rows = Array.from({ length: height }, (_, y) => [0, ...Array.from({ length: width }, (_, x) => colour(x, y)).flat()]);
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8); // 8 bits a channel, RGB
  const data = deflateSync(Buffer.from(rows.flat()));
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", data), chunk("IEND", Buffer.alloc(0))]);
}

/** The pixels of a PNG file, as the browser reads them: four numbers each. */
export function pixels(page, bytes) {
  return page.evaluate(async (base64) => {
    const file = new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], { type: "image/png" });
    const bitmap = await createImageBitmap(file);
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    context.drawImage(bitmap, 0, 0);
    return Array.from(context.getImageData(0, 0, bitmap.width, bitmap.height).data);
  }, Buffer.from(bytes).toString("base64"));
}
