// Takes the pictures of the view "How it works" for docs/screens: `node tools/screenshots.mjs how`.
//
// Every cell runs once, from top to bottom, with the inputs that the view offers; then each part is taken at both widths, with
// the code cut short and both smaller than they are, so that all of docs/screens together stays below 3 MB.
import { launch } from "../tests/browser/harness.mjs";
import { save } from "./shot.mjs";

const SCREENS = [
  { width: 1280, height: 900, colorScheme: "light", scale: 0.75 },
  { width: 390, height: 844, colorScheme: "dark", scale: 0.8 },
];
const QUALITY = 20; // of WebP, in percent
const CODE = "130px"; // as much of each piece of code
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

/** @param {string} folder */
export async function takeLesson(folder) {
  const { page, origin, close } = await launch({ webgpu: true, viewport: SCREENS[0], errors: [/WebGPU|powerPreference/i] });
  try {
    await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
    await page.goto(`${origin}/www/how/index.html?prompt=a+green+fox&negative=a+red+background&seed=7`);
    for (const cell of await page.$$eval("[data-cell]", (all) => all.map(({ dataset }) => dataset.cell))) {
      const start = Date.now();
      await runCell(page, cell);
      console.log(`${cell}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
    }
    await page.$$eval("pre", (all, height) => all.forEach((code) => (code.style.maxHeight = height)), CODE);
    for (const { colorScheme, scale, ...viewport } of SCREENS) {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme: /** @type {"light" | "dark"} */ (colorScheme), reducedMotion: "reduce" });
      await page.waitForTimeout(500);
      for (const [name, top, bottom] of await places(page))
        await save(page, `${folder}${viewport.width}-${colorScheme}-how-${name}.webp`, { top, bottom, quality: QUALITY, scale });
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

async function runCell(page, cell) {
  const place = `[data-cell="${cell}"]`;
  await page.locator(place).scrollIntoViewIfNeeded();
  await page.waitForSelector(`${place} form, ${place} .output`);
  const settled = () =>
    page.waitForFunction((place) => ["done", "trouble"].includes(document.querySelector(place).dataset.state), place, PATIENCE);
  if (await page.locator(`${place} .run`).count()) {
    await page.waitForFunction((place) => document.querySelector(place).dataset.state !== "running", place, PATIENCE);
    await page.click(`${place} .run`);
  }
  await settled();
  if (cell === "draw") await drawSeven(page, `${place} canvas`);
  const [state, words] = await page.$eval(place, (one) => [one.dataset.state, one.querySelector(".said").textContent]);
  if (state !== "done") throw new Error(`${cell}: ${words}`);
}

/** Draws a seven with the mouse on the board for digits. */
async function drawSeven(page, board) {
  await page.locator(board).scrollIntoViewIfNeeded();
  const { x, y, width, height } = await page.locator(board).boundingBox();
  const places = [
    [0.3, 0.25],
    [0.7, 0.25],
    [0.45, 0.8],
  ].map(([right, down]) => [x + right * width, y + down * height]);
  await page.mouse.move(...places[0]);
  await page.mouse.down();
  for (const place of places.slice(1)) await page.mouse.move(...place, { steps: 8 });
  await page.mouse.up();
  await page.locator('[data-cell="draw"] .plot').waitFor(PATIENCE);
}
