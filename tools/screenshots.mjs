// Takes the pictures of docs/screens from the built page: `node tools/screenshots.mjs [1280|390] [light|dark]`.
import { mkdirSync } from "node:fs";
import { launch } from "../tests/browser/harness.mjs";
import { finished, open } from "../tests/browser/page.mjs";

const FOLDER = new URL("../docs/screens/", import.meta.url).pathname;
const SCREENS = [
  { width: 1280, height: 900 },
  { width: 390, height: 844 },
];
const wanted = process.argv.slice(2);

mkdirSync(FOLDER, { recursive: true });
for (const viewport of SCREENS)
  for (const colorScheme of ["light", "dark"]) {
    const name = `${viewport.width}-${colorScheme}`;
    if (wanted.every((part) => name.includes(part))) await take(viewport, colorScheme, name);
  }

async function take(viewport, colorScheme, name) {
  const { page, origin, close } = await launch({ webgpu: "none", viewport, errors: [/404/] });
  const shot = (state) => page.screenshot({ path: `${FOLDER}${name}-${state}.jpg`, type: "jpeg", quality: 80, fullPage: true });
  try {
    await page.emulateMedia({ colorScheme });
    await open(page, `${origin}/?seed=7`);
    await page.waitForTimeout(500);
    await shot("first");
    await page.route("**/*.safetensors", (route) => route.fulfill({ status: 404, body: "" }));
    await page.fill("#prompt", "a grean fox");
    await page.click("#generate");
    await page.locator("#trouble").waitFor();
    await shot("error");
    await page.unroute("**/*.safetensors");
    await page.fill("#prompt", "a green fox");
    await page.click("#generate");
    await page.locator(".thumb").nth(1).waitFor({ timeout: 300_000 });
    await shot("drawing");
    await finished(page);
    await shot("finished");
    for (const prompt of ["a purple butterfly", "an avocado on a black background", "a teal tractor"]) {
      await page.fill("#prompt", prompt);
      await page.click("#generate");
      await page.locator(`#canvas[aria-label*="${prompt}"]`).waitFor({ timeout: 300_000 });
    }
    await finished(page);
    await page.click("#more-4");
    await page.locator("#variations button").nth(3).waitFor({ timeout: 300_000 });
    await page.waitForTimeout(500);
    await shot("gallery");
    await page.click("#change");
    const { x, y, width, height } = await page.locator("#start-canvas").boundingBox();
    await page.mouse.move(x + width * 0.2, y + height * 0.25);
    await page.mouse.down();
    await page.mouse.move(x + width * 0.75, y + height * 0.3, { steps: 6 });
    await page.mouse.up();
    await page.mouse.move(0, 0);
    await page.waitForTimeout(300);
    await shot("start");
  } finally {
    await close();
  }
}
