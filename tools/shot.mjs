// Saves a part of a page as WebP, for the pictures of docs/screens.
import { writeFileSync } from "node:fs";

const QUALITY = 60; // of WebP, in percent

/**
 * The page as it is now, with no pointer on it.
 * @param {import("playwright-core").Page} page @param {string} path
 * @param {{whole?: boolean, top?: number, bottom?: number, quality?: number, scale?: number}} [part] whole: all of the page (the default), or what
 *   the screen shows; or from `top` to `bottom`, in pixels of the document
 */
export async function save(page, path, { whole = true, top, bottom, quality = QUALITY, scale = 1 } = {}) {
  await page.mouse.move(0, 0);
  await page.evaluate(() => scrollTo({ top: 0, behavior: "instant" }));
  await page.waitForTimeout(400);
  const session = await page.context().newCDPSession(page);
  const { cssContentSize, cssLayoutViewport } = await session.send("Page.getLayoutMetrics");
  const end = bottom ?? (whole ? cssContentSize.height : cssLayoutViewport.clientHeight);
  const clip = { x: 0, y: top ?? 0, width: cssContentSize.width, height: end - (top ?? 0), scale };
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality, clip, captureBeyondViewport: true });
  await session.detach();
  writeFileSync(path, Buffer.from(data, "base64"));
}
