// Takes the pictures of the view "How it works" for docs/screens: `node tools/screenshots.mjs how`.
//
// Every cell runs once, from top to bottom, with the inputs that the view offers; then each part is taken at both widths.
import { launch } from "../tests/browser/harness.mjs";
import { save } from "./shot.mjs";

const SCREENS = [
  { width: 1280, height: 900, colorScheme: "light" },
  { width: 390, height: 844, colorScheme: "dark" },
];
const PATIENCE = { timeout: 900_000 };
/** The parts of the view, each from the first element to the beginning of the next part. */
const PARTS = [
  ["first", "body"],
  ["opened", "#opened"],
  ["data", "#data"],
  ["matrix", "#matrix"],
  ["tensors", "#tensors"],
  ["ladder", "#ladder"],
  ["chance", "#chance"],
  ["classifier", "#classifier"],
  ["diffusion", "#diffusion"],
  ["sampling", "#sampling"],
  ["distillation", "#distillation"],
  ["stickers", "#stickers"],
];

/** @param {string} folder @param {Record<string, Record<string, string>>} [inputs] other inputs, by cell */
export async function takeLesson(folder, inputs = {}) {
  const { page, origin, close } = await launch({ webgpu: true, viewport: SCREENS[0], errors: [/WebGPU|powerPreference/i] });
  try {
    await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
    await page.goto(`${origin}/www/how/index.html?prompt=a+green+fox&seed=7`);
    for (const cell of await page.$$eval("[data-cell]", (all) => all.map(({ dataset }) => dataset.cell))) {
      const start = Date.now();
      await runCell(page, cell, inputs[cell] ?? {});
      console.log(`${cell}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
    }
    for (const { colorScheme, ...viewport } of SCREENS) {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme: /** @type {"light" | "dark"} */ (colorScheme), reducedMotion: "reduce" });
      await page.waitForTimeout(500);
      for (const [name, top, bottom] of await places(page))
        await save(page, `${folder}${viewport.width}-${colorScheme}-how-${name}.webp`, { top, bottom });
    }
  } finally {
    await close();
  }
}

/** `[name, top, bottom]` of each part that is there, in pixels of the document. */
async function places(page) {
  const tops = await page.evaluate(
    (parts) => parts.map(([name, selector]) => [name, document.querySelector(selector).getBoundingClientRect().top + scrollY]),
    PARTS,
  );
  const end = await page.evaluate(() => document.documentElement.scrollHeight);
  return tops.map(([name, top], i) => [name, Math.max(0, top), tops[i + 1]?.[1] ?? end]);
}

async function runCell(page, cell, inputs) {
  const place = `[data-cell="${cell}"]`;
  await page.locator(place).scrollIntoViewIfNeeded();
  await page.waitForSelector(`${place} form, ${place} .output`);
  for (const [name, value] of Object.entries(inputs)) await page.fill(`${place} [name="${name}"]`, value);
  const settled = () =>
    page.waitForFunction((place) => ["done", "trouble"].includes(document.querySelector(place).dataset.state), place, PATIENCE);
  if (await page.locator(`${place} .run`).count()) {
    await page.waitForFunction((place) => document.querySelector(place).dataset.state !== "running", place, PATIENCE);
    await page.click(`${place} .run`);
  }
  await settled();
  const [state, words] = await page.$eval(place, (one) => [one.dataset.state, one.querySelector(".said").textContent]);
  if (state !== "done") throw new Error(`${cell}: ${words}`);
}
