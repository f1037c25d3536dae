// Takes the pictures of docs/screens from the built page: `node tools/screenshots.mjs [1280|390] [light|dark]`; those of the
// view "How it works": `node tools/screenshots.mjs how`.
import { mkdirSync } from "node:fs";
import { launch } from "../tests/browser/harness.mjs";
import { finished, open } from "../tests/browser/page.mjs";
import { inEveryWorker } from "../tests/browser/visit.mjs";
import { takeLesson } from "./screenshots-how.mjs";
import { save } from "./shot.mjs";

const FOLDER = new URL("../docs/screens/", import.meta.url).pathname;
const SCREENS = [
  { width: 1280, height: 900 },
  { width: 390, height: 844 },
];
const PATIENCE = { timeout: 300_000 };
const PROMPTS = ["a purple butterfly", "an avocado on a black background", "a teal tractor"];
const wanted = process.argv.slice(2);

mkdirSync(FOLDER, { recursive: true });
if (wanted.includes("how")) await takeLesson(FOLDER);
else await takePage();

async function takePage() {
  for (const viewport of SCREENS)
    for (const colorScheme of ["light", "dark"]) {
      const name = `${viewport.width}-${colorScheme}`;
      if (wanted.every((part) => name.includes(part))) await take(viewport, colorScheme, name);
    }
}

async function take(viewport, colorScheme, name) {
  const { page, origin, close } = await launch({ webgpu: "none", viewport, errors: [/404/], saveData: true });
  const shot = (state, whole) => save(page, `${FOLDER}${name}-${state}.webp`, { whole });
  try {
    await page.emulateMedia({ colorScheme });
    await inEveryWorker(page, slowOnRequest);
    await open(page, `${origin}/?seed=7`);
    await shot("first");
    await fail(page);
    await shot("error", false);
    await drawSlowly(page);
    await shot("drawing", false);
    await page.workers()[0].evaluate(() => (self.slow = false));
    await finished(page);
    await drawOnce(page, "a green fox"); // again, at its own speed
    await shot("finished");
    for (const prompt of PROMPTS) await drawOnce(page, prompt);
    await page.click("#more-4");
    await page.locator("#variations button").nth(3).waitFor(PATIENCE);
    await finished(page);
    await shot("gallery");
    await edit(page, "a pink tractor on a yellow background");
    await shot("edit");
    await page.click("#edit-deeper");
    await page.locator("#line", { hasText: /step 5\d of/ }).waitFor(PATIENCE);
    await shot("deeper-running");
    await page.locator("#line", { hasText: /^Fitted/ }).waitFor(PATIENCE);
    await shot("deeper");
    await page.click("#edit-close");
    await teach(page);
    await page.locator("#line", { hasText: /step [4-9]\d of/ }).waitFor(PATIENCE);
    await shot("teach");
    await page.click("#teach-go"); // again: stops
    await page.locator("#line", { hasText: /^Stopped/ }).waitFor(PATIENCE);
    await page.click("#teach summary");
    await mark(page);
    await shot("start");
  } finally {
    await close();
  }
}

/** Runs in the worker: while `slow` is set, there is time to look between two steps. */
function slowOnRequest() {
  const { setTimeout } = self;
  self.setTimeout = (act, milliseconds) => setTimeout(act, milliseconds ?? (self.slow ? 2000 : 0));
}

async function fail(page) {
  await page.route("**/*.safetensors", (route) => route.fulfill({ status: 404, body: "" }));
  await page.fill("#prompt", "a grean fox");
  await page.click("#generate");
  await page.locator("#trouble").waitFor();
  await page.unroute("**/*.safetensors");
}

async function drawSlowly(page) {
  await page.workers()[0].evaluate(() => (self.slow = true));
  await page.fill("#prompt", "a green fox");
  await page.click("#generate");
  await page.locator(".thumb").nth(1).waitFor(PATIENCE);
}

async function drawOnce(page, prompt) {
  await page.fill("#prompt", prompt);
  const seed = await page.inputValue("#seed");
  await page.click("#generate");
  await page.waitForFunction((seed) => document.getElementById("seed").value !== seed, seed, PATIENCE);
  await page.locator(`#canvas[aria-label*="${prompt}"]`).waitFor(PATIENCE);
  await finished(page);
}

/** Edits the picture by words. */
async function edit(page, words) {
  await page.click("#edit-open");
  await page.fill("#edit-words", words);
  await page.locator(`#canvas[aria-label*="${words}"]`).waitFor(PATIENCE);
  await finished(page);
}

/** Begins to teach the model a word from pictures of the gallery. */
async function teach(page) {
  await page.click("#teach summary");
  await page.click("#teach :text('From your pictures')");
  for (const at of [0, 1, 2]) await page.click(`#teach [aria-label="Your pictures"] button >> nth=${at}`);
  await page.fill("#teach-word", "zib");
  await page.click("#teach-go");
}

/** Marks a part of the picture to be redrawn. */
async function mark(page) {
  await page.uncheck("#live"); // nothing else is drawn meanwhile
  await page.click("#change");
  await page.locator("#start-canvas").hover(); // waits until it stands still
  const { x, y, width, height } = await page.locator("#start-canvas").boundingBox();
  await page.mouse.move(x + width * 0.2, y + height * 0.25);
  await page.mouse.down();
  await page.mouse.move(x + width * 0.75, y + height * 0.3, { steps: 6 });
  await page.mouse.up();
}
