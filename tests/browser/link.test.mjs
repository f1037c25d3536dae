// Addresses that draw a picture again, and pictures that carry their settings.
import assert from "node:assert/strict";
import { browserTest } from "./harness.mjs";
import { servingModels, tinyModel } from "./models.mjs";
import { canvas, drawBy, dropFile, fields, finished, open, parameters, saved } from "./page.mjs";

const DRAWS = { timeout: 600_000, webgpu: "none" };
const { before } = servingModels({ first: tinyModel({ name: "First" }), second: tinyModel({ name: "Second" }) });

browserTest("a copied link draws the same picture when it is opened", DRAWS, async ({ page, origin }) => {
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin });
  await open(page, `${origin}/?seed=11&steps=2`);
  await page.fill("#prompt", "a teal tractor & “friends”");
  await drawBy(page, "#generate");
  const first = await saved(page, "#download");
  await page.click("#copy");
  await page.locator("#notice", { hasText: "Link copied" }).waitFor();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(link.startsWith(`${origin}/?prompt=`), link);
  assert.deepEqual([...new URL(link).searchParams.keys()], ["prompt", "seed", "steps"], "the model's own settings are left out");
  await page.goto("about:blank");
  await page.goto(link);
  await finished(page); // without a click
  const second = await saved(page, "#download");
  assert.deepEqual(second.bytes, first.bytes);
});

browserTest("a link out of range is brought into it, with a word", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&negative=a+dog&seed=x&steps=0&guidance=900&sampler=nonsense&model=none&new=1`);
  await finished(page);
  const { prompt, negative, steps, guidance, seed } = await fields(page);
  assert.deepEqual([prompt, negative, steps, guidance], ["a cat", "a dog", "1", "3.5"]); // the model's own range is narrower
  assert.match(seed, /^\d+$/);
  const said = await page.textContent("#note");
  for (const word of [/seed/, /steps 0; 1 is used/, /guidance 900; 50 is used/, /nonsense/, /“none”/]) assert.match(said, word);
});

browserTest("a link with every key fills every field, draws, and is copied as it was", { ...DRAWS, before }, async ({ page, origin }) => {
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin });
  const link = `${origin}/?prompt=a+cat&negative=a+dog&seed=7&steps=3&guidance=1.5&sampler=euler_a&size=48x32&model=second`;
  await open(page, link);
  await finished(page);
  const { prompt, negative, seed, steps, guidance, sampler, size, model } = await fields(page);
  assert.deepEqual([prompt, negative, seed, steps, guidance], ["a cat", "a dog", "7", "3", "1.5"]);
  assert.deepEqual([sampler, size, model], ["euler_a", "48x32", "second"]);
  const text = parameters((await saved(page, "#download")).bytes);
  assert.match(text, /^a cat\nNegative prompt: a dog\nSteps: 3, Sampler: Euler a, CFG scale: 1\.5, Seed: 7, Size: 48x32, Model: second/);
  await page.click("#copy");
  await page.locator("#notice", { hasText: "Link copied" }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), link);
});

browserTest("a link that names another host’s model contacts no other host", { ...DRAWS, before }, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=1&model=https%3A%2F%2Fexample.com%2Fmodel%2F`); // the harness sees every request
  await finished(page);
  assert.match(await page.textContent("#note"), /no model called “https:\/\/example\.com\/model\/” here\. Another one is used/);
});

browserTest("where the clipboard is denied the link is shown to be copied by hand", { ...DRAWS, before }, async ({ page, origin }) => {
  await page.addInitScript(() => {
    navigator.clipboard.writeText = () => Promise.reject(new DOMException("Write permission denied.", "NotAllowedError"));
  });
  await open(page, `${origin}/?prompt=a+cat&seed=7`);
  await finished(page);
  await page.click("#copy");
  await page.locator("#trouble-text", { hasText: `${origin}/?prompt=a+cat&seed=7` }).waitFor();
});

browserTest("a link to a large model waits for a click", DRAWS, async ({ page, origin }) => {
  const fetched = [];
  page.on("request", (request) => fetched.push(request.url()));
  await page.route("**/fourstep.json", async (route) => {
    const manifest = await (await route.fetch()).json();
    manifest.files[0].size = 2e9;
    await route.fulfill({ json: manifest });
  });
  await open(page, `${origin}/?prompt=a+cat&seed=1&steps=1`);
  await page.locator("#line", { hasText: "downloaded once, before the first picture: 2015" }).waitFor();
  await page.evaluate(() => new Promise((done) => requestIdleCallback(done))); // what the page does by itself has begun
  assert.equal(await page.textContent("#generate"), "Generate");
  assert.deepEqual(
    fetched.filter((url) => /safetensors|\.wasm/.test(url)),
    [],
  );
});

browserTest("a PNG carries its settings, gives them back when dropped, and need not", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat,+"x":+y&negative=a+dog&seed=5&steps=2&guidance=3&sampler=euler_a`);
  await finished(page);
  const { bytes } = await saved(page, "#download");
  const text = parameters(bytes);
  assert.match(text, /^a cat, "x": y\nNegative prompt: a dog\nSteps: 2, Sampler: Euler a, CFG scale: 3, Seed: 5, Size: \d+x\d+, Model: /);
  assert.match(text, /RNG: CPU, Version: Fourstep /);
  await page.goto("about:blank");
  await open(page, origin);
  await dropFile(page, bytes);
  await page.locator("#notice", { hasText: "Settings taken" }).waitFor({ timeout: 60_000 });
  const { prompt, negative, seed, steps, guidance, sampler } = await fields(page);
  assert.deepEqual([prompt, negative, seed, steps, guidance, sampler], ['a cat, "x": y', "a dog", "5", "2", "3", "euler_a"]);
  await drawBy(page, "#generate");
  assert.deepEqual((await saved(page, "#download")).bytes, bytes, "drawn again from its own settings");
  await page.click("#settings summary");
  await page.uncheck("#infotext");
  const plain = await saved(page, "#download");
  assert.equal(parameters(plain.bytes), undefined);
  await page.setInputFiles("#file", { name: "plain.png", mimeType: "image/png", buffer: plain.bytes });
  await page.locator("#trouble-text", { hasText: "no settings" }).waitFor();
  await page.setInputFiles("#file", { name: "odd.png", mimeType: "image/png", buffer: Buffer.from("GIF89a") });
  await page.locator("#trouble-text", { hasText: "no PNG file" }).waitFor();
});

browserTest("a prompt beyond Latin letters survives the PNG", { ...DRAWS, before }, async ({ page, origin }) => {
  await open(page, `${origin}/?seed=7`);
  await page.fill("#prompt", "قطة خضراء, 緑の狐, “füchse” 🦊");
  await drawBy(page, "#generate");
  const { bytes } = await saved(page, "#download");
  await page.fill("#prompt", "");
  await dropFile(page, bytes);
  await page.locator("#notice", { hasText: "Settings taken" }).waitFor();
  assert.equal(await page.inputValue("#prompt"), "قطة خضراء, 緑の狐, “füchse” 🦊");
});

browserTest("settings of A1111 are taken over, with a word about what differs", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?seed=1&steps=1`);
  await page.fill("#prompt", "a cat");
  await drawBy(page, "#generate");
  const { bytes } = await saved(page, "#download");
  await dropFile(
    page,
    withParameters(
      bytes,
      "a fox, (green:1.2)\nNegative prompt: blurry\nSteps: 7, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 42, Size: 512x768, Model hash: 6ce0161689, Model: v1-5-pruned, Version: v1.10.1",
    ),
  );
  await page.locator("#notice", { hasText: "Settings taken" }).waitFor();
  const { prompt, negative, seed, steps, guidance, sampler, size } = await fields(page);
  assert.deepEqual([prompt, negative, seed, steps], ["a fox, (green:1.2)", "blurry", "42", "7"]);
  assert.deepEqual([guidance, sampler, size], ["6.5", "dpmpp_2m_karras", "512x768"]);
  assert.match(await page.textContent("#notice"), /not drawn by a CPU.*model “v1-5-pruned” is not available here. Another model draws/);
  assert.ok(await canvas(page));
});

/** The PNG with another text in its chunk `parameters`. */
function withParameters(bytes, text) {
  const at = bytes.indexOf("tEXtparameters\0", 0, "latin1") - 4;
  const end = at + 12 + bytes.readUInt32BE(at);
  const body = Buffer.from(`tEXtparameters\0${text}`, "latin1");
  const chunk = Buffer.alloc(body.length + 8);
  chunk.writeUInt32BE(body.length - 4);
  body.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(body), body.length + 4);
  return Buffer.concat([bytes.subarray(0, at), chunk, bytes.subarray(end)]);
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}
