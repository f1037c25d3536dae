// Makes the PNG icons of the web app manifest from www/icon.svg: `node tools/icons.mjs` (run by hand when the icon changes).
import { readFile, writeFile } from "node:fs/promises";
import { chromium } from "playwright-core";

// "maskable" is cut to any shape by the system, so its ground must fill the square.
const ICONS = [
  { file: "icon-192.png", size: 192 },
  { file: "icon-512.png", size: 512 },
  { file: "icon-512-maskable.png", size: 512, maskable: true },
];

const svg = await readFile(new URL("../www/icon.svg", import.meta.url), "utf8");
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage();
for (const { file, size, maskable } of ICONS) {
  const source = maskable ? svg.replace(/ rx="\d+"/, "") : svg;
  await page.setViewportSize({ width: size, height: size });
  await page.setContent(`<style>body{margin:0}svg{display:block;width:${size}px;height:${size}px}</style>${source}`);
  await writeFile(new URL(`../www/${file}`, import.meta.url), await page.screenshot({ omitBackground: true }));
}
await browser.close();
