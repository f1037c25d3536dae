// What stays: the picture and the prompt over a reload, deleted pictures that come back, the address; and what can be done with
// a picture that is transparent: its ground, its outline, its way to the clipboard and to other programs.
import assert from "node:assert/strict";
import { browserTest } from "./harness.mjs";
import { servingModels, stickersModel } from "./models.mjs";
import { canvas, chunks, drawBy, dropFile, finished, open, pixels, png, saved } from "./page.mjs";

const { before } = servingModels({ stickers: stickersModel() });
const DRAWS = { webgpu: "none", fake: true, before };

browserTest("a reload brings back the prompt and the last picture, and draws nothing", DRAWS, async ({ page, origin }) => {
  await open(page, origin);
  await page.fill("#prompt", "a cat");
  await drawBy(page, "#generate");
  await page.locator("#kept li").waitFor();
  const [drawn, file] = [await canvas(page), await saved(page, "#download")];
  await page.uncheck("#live");
  await page.fill("#prompt", "a cat that I have not drawn yet");
  await page.reload();
  await page.waitForSelector("#download:enabled");
  assert.equal(await page.inputValue("#prompt"), "a cat that I have not drawn yet");
  assert.equal(await canvas(page), drawn);
  assert.equal(await page.locator(".thumb").count(), 0, "it was not drawn again");
  assert.deepEqual(await saved(page, "#download"), file);
  assert.equal(await page.locator("#kept li").count(), 1);
  await page.goto("about:blank");
  await open(page, origin);
  assert.equal(await page.inputValue("#prompt"), "", "a new visit begins with an empty canvas");
  assert.equal(await page.isDisabled("#download"), true);
});

browserTest("the address follows what is drawn, chosen and shown again", DRAWS, async ({ page, origin }) => {
  const address = () => page.url().replace(origin, "");
  await open(page, `${origin}/?device=cpu`);
  await page.fill("#prompt", "a cat");
  await drawBy(page, "#generate");
  const seed = await page.inputValue("#seed");
  assert.equal(address(), `/?prompt=a+cat&seed=${seed}&device=cpu`);
  assert.equal(await page.title(), "a cat · Fourstep");
  await page.locator("#examples a").first().click();
  await page.locator("#canvas[aria-label*='a green fox']").waitFor();
  assert.equal(address(), "/?prompt=a+green+fox&seed=7&device=cpu");
  await drawBy(page, "#more-4");
  await page.locator("#variations button").nth(3).click();
  assert.equal(address(), "/?prompt=a+green+fox&seed=10&device=cpu");
  await page.locator("#kept .open").last().click();
  await page.locator("#canvas[aria-label*='a cat']").waitFor();
  assert.equal(address(), `/?prompt=a+cat&seed=${seed}&device=cpu`);
});

browserTest("a deleted picture comes back, and so do all of them", DRAWS, async ({ page, origin }) => {
  await open(page, origin);
  for (const prompt of ["a cat", "a dog", "a fox"]) {
    await page.fill("#prompt", prompt);
    await drawBy(page, "#generate");
    await page.locator(`#kept img[alt^="${prompt}"]`).waitFor();
  }
  const kept = () => page.$$eval("#kept img", (all) => all.map(({ alt }) => alt.split(",")[0]));
  const remove = "#kept li:nth-child(2) .acts button:last-child";
  await page.click(remove);
  await page.locator("#kept-note", { hasText: "The picture was deleted" }).waitFor();
  assert.deepEqual(await kept(), ["a fox", "a cat"]);
  assert.equal(await page.evaluate(() => document.activeElement.id), "kept-undo");
  await page.keyboard.press("Enter");
  await page.locator("#kept li").nth(2).waitFor();
  assert.deepEqual(await kept(), ["a fox", "a dog", "a cat"], "in its old place");
  assert.equal(await page.isVisible("#kept-undo"), false);
  await page.click("#kept-clear"); // without a question, since it can be undone
  await page.locator("#kept-note", { hasText: "3 pictures were deleted" }).waitFor();
  assert.deepEqual(await kept(), []);
  await page.click("#kept-undo");
  await page.locator("#kept li").nth(2).waitFor();
  await page.reload();
  await page.locator("#kept li").nth(2).waitFor();
  assert.deepEqual(await kept(), ["a fox", "a dog", "a cat"], "and they are saved");
});

browserTest(
  "a transparent picture lies on a chequered ground, and keeps its alpha in the file and on the clipboard",
  DRAWS,
  async ({ page, origin }) => {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin });
    await open(page, `${origin}/?prompt=a+cat&seed=5`);
    await finished(page);
    assert.match(await page.$eval("#canvas", (one) => getComputedStyle(one).backgroundImage), /conic-gradient/);
    const alphas = async (bytes) => [...new Set((await pixels(page, bytes)).filter((_, at) => at % 4 === 3))].sort((a, b) => a - b);
    const { bytes } = await saved(page, "#download");
    assert.deepEqual(await alphas(bytes), [0, 128, 255]);
    await page.click("#copy-image");
    await page.locator("#notice", { hasText: "Picture copied" }).waitFor();
    const copied = await page.evaluate(async () => {
      const [item] = await navigator.clipboard.read();
      return [...new Uint8Array(await (await item.getType("image/png")).arrayBuffer())];
    });
    assert.deepEqual(await alphas(Buffer.from(copied)), [0, 128, 255]);
  },
);

browserTest("an opaque picture has neither ground nor outline", DRAWS, async ({ page, origin }) => {
  await page.route("**/pkg/fourstep.js", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: (await answer.text()).replace("far < -1 ? 255 : far < 1 ? 128 : 0", "255") });
  });
  await open(page, `${origin}/?prompt=a+cat&seed=5`);
  await finished(page);
  assert.equal(await page.$eval("#canvas", (one) => getComputedStyle(one).backgroundImage), "none");
  assert.equal(await page.isVisible("#outline"), false);
});

browserTest("a white outline is a switch, for the canvas and for what is saved, and is remembered", DRAWS, async ({ page, origin }) => {
  await open(page, `${origin}/?prompt=a+cat&seed=5`);
  await finished(page);
  const [plain, file] = [await canvas(page), await saved(page, "#download")];
  await page.check("#outline");
  await page.waitForFunction((plain) => document.getElementById("canvas").toDataURL() !== plain, plain);
  const { bytes } = await saved(page, "#download");
  assert.equal(chunks(bytes)[0][1].readUInt32BE(0), chunks(file.bytes)[0][1].readUInt32BE(0) + 8, "the picture grew by its margin");
  assert.deepEqual((await pixels(page, bytes)).slice(0, 4), [255, 255, 255, 255]);
  await page.locator("#kept li").waitFor();
  assert.deepEqual((await saved(page, "#kept .acts button:first-child")).bytes, file.bytes, "the gallery keeps it as it was drawn");
  await page.fill("#prompt", "a dog");
  await drawBy(page, "#generate");
  assert.equal((await pixels(page, (await saved(page, "#download")).bytes))[3], 255, "it stays for the next one");
  await page.uncheck("#outline");
  assert.equal((await pixels(page, (await saved(page, "#download")).bytes))[3], 0);
  await page.check("#outline");
  await page.goto("about:blank");
  await open(page, `${origin}/?prompt=a+cat&seed=5`);
  await finished(page);
  assert.equal(await page.isChecked("#outline"), true);
});

browserTest("the picture itself is shared where the browser can, else its link", DRAWS, async ({ page, origin }) => {
  await page.addInitScript(() => {
    globalThis.shared = [];
    globalThis.takesFiles = true;
    navigator.canShare = ({ files }) => Boolean(files) && globalThis.takesFiles;
    navigator.share = async ({ files, title, url }) =>
      void globalThis.shared.push([title, url, files?.map(({ name, type, size }) => [name, type, size > 1000])]);
  });
  await open(page, `${origin}/?prompt=a+cat&seed=5`);
  await finished(page);
  await page.click("#share");
  await page.evaluate(() => (globalThis.takesFiles = false));
  await page.click("#share");
  await page.waitForFunction(() => globalThis.shared.length === 2);
  assert.deepEqual(await page.evaluate(() => globalThis.shared), [
    ["Fourstep: a cat", undefined, [["fourstep-a-cat-5.png", "image/png", true]]],
    ["Fourstep: a cat", `${origin}/?prompt=a+cat&seed=5`, undefined],
  ]);
});

browserTest(
  "while a button is held, by pointer or key, the picture that this one was made from is shown",
  DRAWS,
  async ({ page, origin }) => {
    await open(page, `${origin}/?prompt=a+cat&seed=5`);
    await finished(page);
    assert.equal(await page.isVisible("#compare"), false, "there is nothing to compare with");
    await dropFile(
      page,
      png(64, 64, () => [200, 80, 40]),
    );
    await page.locator("#start-canvas").waitFor();
    await drawBy(page, "#generate");
    const drawn = await canvas(page);
    const middle = () => page.$eval("#canvas", (one) => [...one.getContext("2d").getImageData(one.width / 2, one.height / 2, 1, 1).data]);
    await page.hover("#compare");
    await page.mouse.down();
    assert.deepEqual(await middle(), [200, 80, 40, 255]);
    assert.equal(await page.getAttribute("#compare", "aria-pressed"), "true");
    await page.mouse.up();
    assert.equal(await canvas(page), drawn);
    await page.focus("#compare");
    await page.keyboard.down("Space");
    assert.deepEqual(await middle(), [200, 80, 40, 255]);
    await page.keyboard.up("Space");
    assert.equal(await canvas(page), drawn);
  },
);

{
  const host = servingModels({ stickers: stickersModel({ large: 2 }) });
  browserTest(
    "where the model has a larger decoder its picture is shown and saved",
    { ...DRAWS, before: host.before },
    async ({ page, origin }) => {
      const width = ({ bytes }) => chunks(bytes)[0][1].readUInt32BE(0);
      await open(page, `${origin}/?prompt=a+cat&seed=5`);
      await finished(page);
      const file = await saved(page, "#download");
      assert.equal(width(file), 128, "twice the size that was asked for");
      await page.locator("#kept li").waitFor();
      assert.deepEqual((await saved(page, "#kept .acts button:first-child")).bytes, file.bytes);
      await drawBy(page, "#more-4");
      for (const at of [1, 0]) {
        await page.locator("#variations button").nth(at).click();
        assert.equal(width(await saved(page, "#download")), 128, "variations too, not only the last");
      }
      assert.equal(await page.locator("#kept li").count(), 2, "the picture's own seed is not added again");
      await page.fill("#prompt", "a dog");
      await drawBy(page, "#generate");
      assert.equal(width(await saved(page, "#download")), 128);
      assert.equal(await page.inputValue("#size"), "64");
    },
  );
}
