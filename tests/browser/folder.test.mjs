// A model of the user's own: a folder on this computer is opened, draws, and is neither sent nor kept; what is wrong with it
// is said with the file's name.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { browserTest } from "./harness.mjs";
import { servingModels, tinyModel } from "./models.mjs";
import { canvas, drawBy, finished, open, parameters, saved, unfold } from "./page.mjs";
import { trouble } from "./visit.mjs";

const UNET = "unet/diffusion_pytorch_model.safetensors";
const { before, fetched } = servingModels({ tiny: tinyModel({ name: "Tiny" }) });
const DRAWS = { timeout: 300_000, webgpu: "none", before, saveData: true };

browserTest(
  "a folder of the user's own is opened and draws, with its weights as they are or in blocks",
  DRAWS,
  async ({ page, origin }, context) => {
    const folder = modelFolder(context);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin });
    await open(page, `${origin}/?seed=7&steps=2&guidance=3`);
    await page.fill("#prompt", "a cat");
    await openFolder(page, folder);
    assert.equal(await page.inputValue("#model"), "folder/my-model");
    assert.match(await page.textContent("#model-words"), /^50 steps, \d+ px, read from your folder\.$/, "diffusers' own settings");
    assert.equal(await page.isVisible("#model-forget"), false, "nothing of it is kept here");
    const drawn = [];
    for (const bits of ["", "8", "4"]) {
      if (bits) await isReady(page, () => page.selectOption("#own-bits", bits)); // it is opened again
      await page.fill("#steps", "2");
      await page.fill("#seed", "7");
      await drawBy(page, "#generate");
      drawn.push(await canvas(page));
    }
    assert.equal(new Set(drawn).size, 3, "each number of bits draws a little differently");
    assert.match(parameters((await saved(page, "#download")).bytes), /Model: folder\/my-model,/);
    await page.click("#copy");
    await page.locator("#notice", { hasText: "only on this computer" }).waitFor();
    assert.deepEqual(
      fetched.filter((path) => /safetensors/.test(path)),
      [],
      "no model was fetched",
    );
    assert.deepEqual(await page.evaluate(keptFiles), [], "no model is kept");
  },
);

browserTest(
  "the host's models and the folder are changed for each other, also after the worker died",
  DRAWS,
  async ({ page, origin }, context) => {
    const folder = modelFolder(context);
    await open(page, `${origin}/?seed=7`);
    await page.fill("#prompt", "a cat");
    await openFolder(page, folder);
    await page.fill("#steps", "3");
    await drawBy(page, "#generate");
    await page.selectOption("#model", "tiny");
    await page.locator("#model-words", { hasText: "to fetch" }).waitFor();
    await drawBy(page, "#generate");
    assert.match(parameters((await saved(page, "#download")).bytes), /Model: tiny,/);
    await page.selectOption("#model", "folder/my-model");
    await page.locator("#model-words", { hasText: "read from your folder" }).waitFor();
    await page.fill("#steps", "400");
    await page.click("#generate");
    await page.locator(".thumb").nth(1).waitFor();
    await page.workers()[0].evaluate(() => self.close());
    assert.match(await trouble(page), /stopped unexpectedly/);
    await page.fill("#steps", "3");
    await page.click("#retry");
    await finished(page);
    assert.match(parameters((await saved(page, "#download")).bytes), /Model: folder\/my-model,/);
    await page.locator("#kept li").nth(2).waitFor();
    await page.reload(); // the page may not open the folder again by itself
    await page.locator("#summary", { hasText: /guidance \d/ }).waitFor();
    await page.locator("#kept .open").first().click();
    await page.locator("#notice", { hasText: "The model “folder/my-model” is not available here. Another model draws" }).waitFor();
  },
);

const FAULTS = [
  ["holds no model", (files) => files.delete("model_index.json"), /“my-model” holds no model: it has no file model_index\.json/],
  ["lacks its weights", (files) => files.delete(UNET), /unet/],
  [
    "has weights that are cut short",
    (files) => files.set(UNET, files.get(UNET).subarray(0, 50_000)),
    /diffusion_pytorch_model\.safetensors/,
  ],
  [
    "has a manifest that is no JSON",
    (files) => files.set("fourstep.json", Buffer.from("<html>")),
    /“fourstep\.json” in the folder is not valid JSON/,
  ],
];
for (const [name, spoil, words] of FAULTS) {
  browserTest(`a folder that ${name} is refused in words, and the model of before draws`, DRAWS, async ({ page, origin }, context) => {
    await open(page, `${origin}/?prompt=a+cat&seed=7`);
    await finished(page);
    await page.setInputFiles("#folder", modelFolder(context, spoil));
    assert.match(await trouble(page), words);
    assert.equal(await page.inputValue("#model"), "tiny");
    await drawBy(page, "#generate");
    await page.setInputFiles("#folder", modelFolder(context));
    await page.locator("#line", { hasText: "is ready to draw" }).waitFor({ timeout: 60_000 });
  });
}

function openFolder(page, folder) {
  return isReady(page, () => page.setInputFiles("#folder", folder));
}

/** Does what opens the folder, and waits until it is open. */
async function isReady(page, act) {
  await page.evaluate(() => (document.getElementById("line").textContent = ""));
  await act();
  await page.locator("#line", { hasText: "“my-model” is ready to draw." }).waitFor({ timeout: 60_000 });
  for (const id of ["settings", "setup"]) await unfold(page, id);
}

/** Runs in the page: addresses of the pieces of models that are kept. */
async function keptFiles() {
  const all = await Promise.all((await caches.keys()).map(async (name) => (await caches.open(name)).keys()));
  return all
    .flat()
    .map(({ url }) => url)
    .filter((url) => /sha256/.test(url));
}

/** A folder with the tiny model's files, without a manifest, as `spoil` leaves them; it goes with the test. */
function modelFolder(context, spoil = () => {}) {
  const place = mkdtempSync(join(tmpdir(), "fourstep-"));
  context.after(() => rmSync(place, { recursive: true }));
  const { files } = tinyModel({ name: "Own" });
  spoil(files);
  for (const [path, bytes] of [...files, [".git/config", Buffer.from("x")]]) {
    const file = join(place, "my-model", path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
  }
  return join(place, "my-model");
}
