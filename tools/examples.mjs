// Draws the pictures of the page's examples: `node tools/examples.mjs` opens each link of index.html's section "Examples" on
// the built page and writes www/examples.webp, all of them side by side. To be run again when the model or a link changes.
import { readFileSync, writeFileSync } from "node:fs";
import { launch } from "../tests/browser/harness.mjs";
import { finished, open } from "../tests/browser/page.mjs";

const QUALITY = 0.8;
const root = new URL("../", import.meta.url);
const section = readFileSync(new URL("index.html", root), "utf8").split('id="examples"')[1];
const links = [...section.matchAll(/href="(\?prompt=[^"]+)"/g)].map(([, link]) => link.replaceAll("&amp;", "&"));

const { page, origin, close } = await launch({ webgpu: "none" });
try {
  const pictures = [];
  for (const link of links) {
    await open(page, `${origin}/${link}`);
    await finished(page);
    pictures.push(await page.$eval(".thumb[aria-current] canvas", (canvas) => canvas.toDataURL()));
  }
  const file = await page.evaluate(sideBySide, [pictures, QUALITY]);
  writeFileSync(new URL("www/examples.webp", root), Buffer.from(file, "base64"));
} finally {
  await close();
}

/** Runs in the page: one WebP file of pictures of one size, as base64. */
async function sideBySide([pictures, quality]) {
  const bytes = (address) => Uint8Array.from(atob(address.split(",")[1]), (letter) => letter.charCodeAt(0));
  const images = await Promise.all(pictures.map((address) => createImageBitmap(new Blob([bytes(address)]))));
  const [{ width, height }] = images;
  const context = Object.assign(document.createElement("canvas"), { width: width * images.length, height }).getContext("2d");
  images.forEach((image, at) => context.drawImage(image, at * width, 0));
  return context.canvas.toDataURL("image/webp", quality).split(",")[1];
}
