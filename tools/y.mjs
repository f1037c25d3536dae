import { launch } from "../tests/browser/harness.mjs";
const { page, origin, close } = await launch({ webgpu: "none", viewport: { width: +process.argv[2], height: 900 }, errors: [/./] });
page.setDefaultTimeout(60000);
await page.emulateMedia({ colorScheme: process.argv[3], reducedMotion: "reduce" });
await page.goto(`${origin}/www/how/index.html?prompt=a+green+fox&seed=7&negative=a+red+background`);
for (const cell of ["opened", "matrix", "wichmann-hill", "tests","normal","linear-init", "gradient", "cloud", "noise","learn","field","sample","guide","guided","distill"]) {
  const p = `[data-cell="${cell}"]`;
  await page.locator(p).scrollIntoViewIfNeeded(); await page.waitForSelector(`${p} form`);
  if (cell === "learn") await page.fill(`${p} [name=steps]`, "200");
  if (cell === "distill") await page.fill(`${p} [name=steps]`, "20");
  if (await page.locator(`${p} .run`).count()) await page.click(`${p} .run`);
  await page.waitForFunction((p) => ["done", "trouble"].includes(document.querySelector(p).dataset.state), p, { timeout: 120000 });
  await page.waitForTimeout(200);
  console.log(cell, await page.$eval(p, (e) => e.dataset.state + " " + e.querySelector(".said").textContent));
  await page.locator(p).screenshot({ path: `/tmp/how-old/c-${process.argv[2]}-${cell}.png` });
}
await page.screenshot({path:`/tmp/how-old/c-${process.argv[2]}-all.png`, fullPage:true});
await close();
