// The view "How it works": every cell runs, offline too, in light and dark and on a small screen; what is wrong is said,
// and the view goes on.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import { cells as readCells } from "../../tools/cells.mjs";
import { browserTest } from "./harness.mjs";
import { finished } from "./page.mjs";
import { safetensors } from "./safetensors.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const VIEW = "www/how/index.html";
const PATIENCE = 240_000;
/** What makes the slow cells quick enough for a test. */
const QUICK = {
  train: { passes: 2 },
  learn: { steps: 60 },
  distill: { steps: 20 },
};

for (const [name, viewport, colorScheme] of [
  ["wide and light", { width: 1280, height: 900 }, "light"],
  ["390 px wide and dark", { width: 390, height: 844 }, "dark"],
]) {
  browserTest(
    `every cell runs, read top to bottom, ${name}`,
    { timeout: 600_000, viewport, flags: [], errors: [/WebGPU|powerPreference/i] },
    async ({ page, origin, screenshot }) => {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.goto(`${origin}/${VIEW}`);
      const names = await page.$$eval("[data-cell]", (all) => all.map((one) => one.dataset.cell));
      assert.ok(names.length > 20, names.join());
      for (const cell of names) await runCell(page, cell, QUICK[cell]);
      const plots = await page.$$eval(".plot", (all) =>
        all.map((one) => [
          one.querySelector("figcaption").textContent,
          one.querySelectorAll(".axis-name").length,
          one.querySelectorAll("rect:not(.heat)").length > 0, // bars are named one by one, and have one axis
        ]),
      );
      assert.ok(plots.length > 12, "there are plots");
      assert.deepEqual(
        plots.filter(([, axes, bars]) => axes !== (bars ? 1 : 2)),
        [],
        "every plot names its axes",
      );
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      assert.deepEqual(
        violations.map(
          ({ id, nodes }) =>
            `${id}: ${nodes
              .slice(0, 3)
              .map(({ target }) => target)
              .join(", ")}`,
        ),
        [],
      );
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(over <= 0, `the view is ${over} px wider than the screen`);
      assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
      await screenshot(`how ${name}`);
    },
  );
}

browserTest("the picture, opened, has the values that diffusers with hooks found", { timeout: 400_000 }, async ({ page, origin }) => {
  const golden = safetensors(readFileSync(join(root, "tests/golden/opened.safetensors")));
  await page.goto(`${origin}/${VIEW}?prompt=a+green+fox&negative=a+red+background&seed=7&guidance=2.5`);
  await runCell(page, "opened");
  const part = (name) => page.getByRole("region", { name });
  const tokens = await part("Words become tokens").locator("button").allTextContents();
  assert.deepEqual(
    tokens.map((text) => Number(/\d+$/.exec(text)[0])),
    [1998, 320, 570, 1453, 1999, 1998, 320, 578, 520, 1999],
  );
  const look = part("Where the network looked");
  for (const step of [1, 4]) {
    await part("Four steps").getByRole("slider").fill(String(step));
    for (const layer of [0, 3, 6]) {
      await look.getByRole("combobox").selectOption(String(layer));
      for (const token of [2, 3]) {
        await part("Words become tokens").locator("button").nth(token).hover();
        const {
          shape: [, rows, columns],
          values,
        } = golden(`attention.${step - 1}.${layer}`);
        const most = 100 * Math.max(...values.slice(token * rows * columns, (token + 1) * rows * columns));
        const line = look.locator("p.small", { hasText: `“${["green", "fox"][token - 2]}” in step ${step}, layer ${layer + 1}:` });
        await line.waitFor();
        const shown = Number(/at most ([\d.]+) %/.exec(await line.textContent())[1]);
        assert.ok(Math.abs(shown - most) < 0.15, `step ${step}, layer ${layer + 1}, token ${token}: ${shown} %, diffusers ${most} %`);
      }
    }
  }
  await part("Latents become pixels").getByRole("slider").fill("-3");
  await part("Latents become pixels").getByText("channel 1 − 3").waitFor({ timeout: PATIENCE });
});

browserTest(
  "the link to the view takes the picture along, and the way back brings it again",
  { webgpu: "none" },
  async ({ page, origin }) => {
    await page.goto(`${origin}/?prompt=a+purple+butterfly&seed=11`);
    await finished(page);
    await page.click("#how");
    const values = () =>
      page.$$eval('[data-cell="opened"] input', (all) => Object.fromEntries(all.map(({ name, value }) => [name, value])));
    await page.waitForSelector('[data-cell="opened"] input');
    assert.deepEqual(await values(), { prompt: "a purple butterfly", negative: "", seed: "11", guidance: "2" });
    const back = new URL(await page.getAttribute(".back", "href"), page.url());
    assert.equal(back.searchParams.get("prompt"), "a purple butterfly");
  },
);

browserTest("every formula stands beside the line that computes it", {}, async ({ page, origin }) => {
  await page.goto(`${origin}/${VIEW}`);
  await page.waitForFunction(() => document.querySelectorAll(".code pre").length >= 25);
  const inText = await page.$$eval(".formula b", (all) => all.map(({ textContent }) => textContent));
  assert.deepEqual(
    inText,
    inText.map((_, i) => `(${i + 1})`),
    "counted from the top",
  );
  // The code comes after its formula, and before the next part of the view.
  const beside = await page.$$eval(".formula b", (all) =>
    all.map((formula) => {
      const lines = [...formula.closest("section").querySelectorAll(".computes")];
      return lines.some(
        (line) =>
          line["dataset"].formula === formula.textContent && formula.compareDocumentPosition(line) & Node.DOCUMENT_POSITION_FOLLOWING,
      );
    }),
  );
  assert.deepEqual(
    inText.filter((_, i) => !beside[i]),
    [],
  );
});

browserTest("the code that is shown is the code in the files", {}, async ({ page, origin }) => {
  const expected = readCells(root);
  await page.goto(`${origin}/${VIEW}`);
  await page.waitForSelector("pre");
  await page.waitForFunction(() => document.querySelectorAll(".code pre").length >= 25);
  const shown = await page.$$eval(".code > div", (all) =>
    all.map((one) => [one.querySelector(".file").textContent, one.querySelector("pre").textContent]),
  );
  for (const [place, text] of shown) {
    const cell = Object.values(expected).find(({ file, line }) => place === `${file}, line ${line}`);
    assert.ok(cell, `${place} is no region`);
    assert.equal(text, cell.text);
  }
});

browserTest("the lesson's numbers are exact to the digit", {}, async ({ page, origin }) => {
  await page.goto(`${origin}/${VIEW}`);
  await runCell(page, "wichmann-hill");
  const words = await page.textContent('[data-cell="wichmann-hill"] .output');
  for (const number of ["4976, 20238, 499", "0.7645251082582081", "0.7920889799553945", "0.06912886811267205"])
    assert.equal(words.split(number).length, 3, `${number} stands here and in the lesson`);
  assert.match(await page.textContent('[data-cell="wichmann-hill"] .said'), /The same, to the last digit/);
  await runCell(page, "fork");
  assert.match(await page.textContent('[data-cell="fork"] .said'), /the same picture of noise/);
  await runCell(page, "cure");
  assert.match(await page.textContent('[data-cell="cure"] .said'), /Two pictures of noise: 0 of 1024/);
});

browserTest("what is wrong is said, and the view goes on", { timeout: 400_000 }, async ({ page, origin }) => {
  await page.goto(`${origin}/${VIEW}`);
  const said = async (cell, pattern) => {
    await page.locator(`[data-cell="${cell}"] .said`, { hasText: pattern }).waitFor({ timeout: PATIENCE });
    return page.getAttribute(`[data-cell="${cell}"]`, "data-state");
  };
  const images = gunzipSync(readFileSync(join(root, "www/how/digits/t10k-images-idx3-ubyte.gzip")));
  const labels = readFileSync(join(root, "www/how/digits/t10k-labels-idx1-ubyte.gzip"));
  const drop = async (...files) =>
    page.setInputFiles(
      "#own-files",
      files.map(([name, buffer]) => ({ name, mimeType: "application/octet-stream", buffer })),
    );
  await runCell(page, "idx");
  for (const [files, pattern] of [
    [
      [
        ["cut", images.subarray(0, 99_999)],
        ["labels", labels],
      ],
      /promises 400 items, but it ends after 127/,
    ],
    [
      [
        ["cat.png", Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(90_000)])],
        ["labels", labels],
      ],
      /no IDX file, but a PNG picture/,
    ],
    [
      [
        ["mnist.pkl.gz", gzipSync(Buffer.concat([Buffer.from("\x80\x02(", "latin1"), images.subarray(9)]))],
        ["labels", labels],
      ],
      /Python pickle/,
    ],
    [[["images", images]], /Two files are needed/],
    [[["mnist.pkl.gz", gzipSync(Buffer.from("\x80\x02((cnumpy", "latin1"))]], /Python pickle/],
    [
      [
        ["magic", Buffer.concat([Buffer.from([1, 2, 3, 4]), images])],
        ["labels", labels],
      ],
      /magic number/,
    ],
  ]) {
    await drop(...files);
    assert.equal(await said("idx", pattern), "trouble");
  }
  await drop(["images", images], ["labels", labels]);
  await page.locator('[data-cell="idx"]', { hasText: "400 × 28 × 28" }).waitFor();
  await page.click("#own-none");
  await page.locator('[data-cell="idx"]', { hasText: "1200 × 28 × 28" }).waitFor();

  await fill(page, "train", { rate: 1e30, passes: 5 });
  await press(page, "train");
  assert.equal(await said("train", /learning rate .* is too high.*random numbers again/), "trouble");
  await fill(page, "train", { rate: 0.1, passes: 1 });
  await press(page, "train");
  await said("train", /% right/);

  await fill(page, "learn", { rate: 1e30, steps: 100 });
  await press(page, "learn");
  assert.equal(await said("learn", /learning rate .* is too high.*a new one/), "trouble");
  await runCell(page, "learn", { rate: 0.003, steps: 20 });

  await page.selectOption('[data-cell="cloud"] select', "own");
  await press(page, "cloud");
  assert.equal(await said("cloud", /at least two places/), "trouble");
  const board = page.locator('[data-cell="cloud"] canvas.easel');
  await board.focus();
  for (const key of ["Space", "ArrowRight", "ArrowRight", "Space", "ArrowDown", "Space"]) await page.keyboard.press(key);
  await press(page, "cloud");
  await said("cloud", /9 points/);

  await fill(page, "tensor", { shape: "2, x" });
  await said("tensor", /whole numbers with commas/);
  await fill(page, "tensor", { shape: "1,1,1,1,1", index: "0,0,0,0,0" });
  await said("tensor", /has 5 axes; at most 4/);
  await fill(page, "broadcast", { a: "3, 4", b: "3" });
  await said("broadcast", /do not fit/);
});

browserTest("files of the reader's own are tested on pictures that were not learned from", {}, async ({ page, origin }) => {
  const file = (name) => ({ name, mimeType: "application/gzip", buffer: readFileSync(join(root, "www/how/digits", name)) });
  const [train, test] = ["train", "t10k"].map((set) => ["images-idx3", "labels-idx1"].map((kind) => file(`${set}-${kind}-ubyte.gzip`)));
  await page.goto(`${origin}/${VIEW}`);
  for (const [files, tested] of [
    [train, "200 test pictures"],
    [[...test, ...train], "400 test pictures"],
  ]) {
    await page.setInputFiles("#own-files", files);
    await page.waitForFunction(() => document.querySelector('[data-cell="train"]')["dataset"].state !== "running");
    await runCell(page, "train", { passes: 1 });
    await page.locator('[data-cell="train"] figcaption', { hasText: tested }).waitFor();
  }
});

browserTest("a cell stops half-way, and runs again", { timeout: 400_000 }, async ({ page, origin }) => {
  await page.goto(`${origin}/${VIEW}`);
  await runCell(page, "cloud");
  await fill(page, "learn", { steps: 20000 });
  await press(page, "learn");
  await page.locator('[data-cell="learn"] .plot').first().waitFor({ timeout: PATIENCE });
  await press(page, "learn");
  await page.locator('[data-cell="learn"] .said', { hasText: /^Stopped/ }).waitFor({ timeout: PATIENCE });
  await runCell(page, "learn", { steps: 20 });

  // One long product hears nothing: its worker is ended.
  await fill(page, "ladder", { rows: 20000, inner: 3000, columns: 1000 });
  await press(page, "ladder");
  await page.waitForTimeout(1000);
  await press(page, "ladder");
  await page.locator('[data-cell="ladder"] .said', { hasText: /^Stopped/ }).waitFor({ timeout: 20_000 });
  await runCell(page, "ladder", { rows: 5, inner: 784, columns: 10 });
});

browserTest("all rungs that are here agree with float64", { timeout: 600_000 }, async ({ page, origin }, context) => {
  await page.goto(`${origin}/${VIEW}`);
  await page.selectOption('[data-cell="ladder"] [name="burn"]', "yes");
  await runCell(page, "ladder", { rows: 37, inner: 291, columns: 19 });
  const rows = await page.$$eval('[data-cell="ladder"] tbody tr', (all) =>
    all.map((row) => [...row.cells].map(({ textContent }) => textContent)),
  );
  const ran = rows.filter(([, , , far]) => far !== "");
  context.diagnostic(ran.map(([rung, time, , far]) => `${rung} ${time} (${far})`).join(", "));
  assert.ok(
    ran.length >= 6 && ran.some(([rung]) => rung === "burn, processor") && ran.some(([rung]) => rung.startsWith("threads")),
    JSON.stringify(rows),
  );
  assert.ok(
    ran.every(([, , , far]) => Number(far) < 1e-4),
    JSON.stringify(ran),
  );
  for (const kernel of ["naive", "tiled"])
    assert.ok(
      rows.some(([rung]) => rung === `WebGPU ${kernel}`),
      "WebGPU ran, or says why not",
    );
  await page.selectOption('[data-cell="linear-forward"] [name="burn"]', "yes");
  await runCell(page, "linear-forward");
  const scores = await page.$$eval('[data-cell="linear-forward"] tbody tr', (all) =>
    all.map((row) => [...row.cells].map(({ textContent }) => textContent)),
  );
  assert.equal(scores.length, rows.length, JSON.stringify(scores));
  assert.ok(
    scores.every(([, , far]) => Number(far) < 1e-4),
    JSON.stringify(scores),
  );
});

browserTest(
  "opened once, the view works with the network off",
  { timeout: 300_000, serviceWorkers: "allow", errors: [/Failed to load resource|ERR_/] },
  async ({ page, origin, stopServer }) => {
    await page.goto(`${origin}/${VIEW}`);
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.reload();
    await page.waitForFunction(() => navigator.serviceWorker.controller);
    await page.reload(); // through the service worker: what is opened is kept
    await runCell(page, "opened");
    await runCell(page, "idx");
    await runCell(page, "train", { passes: 1 });
    await stopServer();
    await page.reload();
    await runCell(page, "opened");
    await runCell(page, "idx");
    await runCell(page, "train", { passes: 1 });
  },
);

browserTest("nothing of the view is fetched before it is opened", { errors: [] }, async ({ page, origin }) => {
  const fetched = [];
  page.on("request", (request) => fetched.push(new URL(request.url()).pathname));
  await page.goto(`${origin}/`);
  await page.waitForLoadState("networkidle");
  assert.deepEqual(
    fetched.filter((path) => path.includes("/how/")),
    [],
  );
  await page.click('a[href^="www/how/"]');
  await page.waitForURL(/www\/how\/index\.html/);
});

/** Brings a cell into view, fills inputs, runs it (if it does not by itself) and waits for its end without trouble. */
async function runCell(page, cell, inputs = {}) {
  const place = `[data-cell="${cell}"]`;
  await page.locator(place).scrollIntoViewIfNeeded();
  await page.waitForSelector(`${place} form, ${place} .output`);
  await fill(page, cell, inputs);
  if (await page.locator(`${place} .run`).count()) {
    await page.waitForFunction((place) => document.querySelector(place).dataset.state !== "running", place, { timeout: PATIENCE });
    await press(page, cell);
  }
  await page.waitForFunction((place) => ["done", "trouble"].includes(document.querySelector(place).dataset.state), place, {
    timeout: PATIENCE,
  });
  const [state, words] = await page.$eval(place, (one) => [one.dataset.state, one.querySelector(".said").textContent]);
  assert.equal(state, "done", `${cell}: ${words}`);
}

async function fill(page, cell, inputs) {
  for (const [name, value] of Object.entries(inputs)) await page.fill(`[data-cell="${cell}"] [name="${name}"]`, String(value));
}

async function press(page, cell) {
  await page.click(`[data-cell="${cell}"] .run`);
}

assert.ok(existsSync(join(root, "dist/www/how/cells.json")), "dist/ lacks the view: run ./build.sh build");
