// The pure parts of the page, without a browser: what the model knows, and addresses.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { readLink, writeLink } from "../../www/link.js";
import { World, distance } from "../../www/words.js";

const list = JSON.parse(readFileSync(new URL("../../models/stickers/words.json", import.meta.url)));
const world = new World(list);
const unknown = (prompt) => world.unknown(prompt).map(({ word }) => word);
const offered = (before) => world.complete(before).map(({ text }) => text);

test("every caption that the page composes is made of known words", () => {
  assert.ok(list.surprises.length >= 200);
  for (const caption of list.surprises) assert.deepEqual(unknown(caption), [], caption);
  assert.ok(list.surprises.includes(world.surprise(() => 0.5)));
});

test("words that no caption has are found where they stand", () => {
  const prompt = "A green Fox beside a blorp, two foxes on a blue background and a Blorp";
  assert.deepEqual(unknown(prompt), ["beside", "blorp"]);
  for (const { word, start, end } of world.unknown(prompt)) assert.equal(prompt.slice(start, end), word);
  assert.deepEqual(unknown("狐 on a fox’s background"), ["狐"]);
});

test("near words are suggested: a slip, a plural, another name, a number", () => {
  assert.equal(world.suggest("fxo")[0], "fox");
  assert.equal(world.suggest("buterfly")[0], "butterfly");
  assert.ok(world.suggest("bunny").includes("rabbit"));
  assert.ok(world.suggest("bunnies").includes("rabbit"));
  assert.deepEqual(world.suggest("3"), ["three"]);
  assert.deepEqual(world.suggest("qqqqqqqq"), []);
  assert.deepEqual([distance("fox", "fxo"), distance("", "ab"), distance("kitten", "sitting")], [1, 2, 3]);
  assert.equal(distance("kitten", "sitting", 2), Infinity);
});

test("completion offers things, colours, places and styles, with the right article", () => {
  assert.ok(offered("a butterf").includes("butterfly"));
  assert.ok(offered("a gre").includes("green"));
  assert.ok(offered("a fox next").includes("next to"));
  assert.ok(offered("a fox, pixel").includes("pixel art"));
  assert.ok(offered("a crown abo").includes("above"));
  assert.ok(offered("a pine tr").includes("pine tree"));
  assert.ok(offered("thr").includes("three"));
  const [owl] = world.complete("a ow").filter(({ label }) => label === "owl");
  assert.deepEqual([owl.text, owl.start], ["an owl", 0]);
  assert.ok(offered("a fox ").some((text) => /^on an? .* background$/.test(text)), "a background after a thing");
});

test("an address is read, checked and brought into range, each change with a word", () => {
  const good = readLink("?prompt=a+green+fox&negative=a+dog&seed=7&steps=4&guidance=2.5&sampler=ddim&size=96x64&model=m&x=1");
  const wanted = { prompt: "a green fox", negative: "a dog", seed: "7", steps: "4", guidance: "2.5", sampler: "ddim", size: "96x64", model: "m" };
  assert.deepEqual(good, { settings: wanted, notes: [] });
  const odd = readLink("?seed=-1&steps=0&guidance=900&size=5000x3");
  assert.deepEqual(odd.settings, { steps: "1", guidance: "50", size: "2048x8" });
  assert.equal(odd.notes.length, 4);
  const changed = readLink("?prompt=a&strength=1.5");
  assert.equal(changed.settings.strength, "1");
  assert.match(changed.notes[0], /a link cannot carry/, "where a picture began with another one, the address says so");
  assert.deepEqual(readLink("?steps=many&size=big&guidance=").settings, {});
  assert.equal(readLink("?steps=many&size=big&guidance=").notes.length, 3);
  assert.equal(readLink(`?prompt=${"a".repeat(9000)}`).settings.prompt.length, 2000);
  assert.deepEqual(readLink("?seed=18446744073709551616").settings, {});
});

test("an address is short and says the same again", () => {
  const own = { steps: "16", guidance: "2", sampler: "ddim", size: "64" };
  const settings = { ...own, prompt: "füchse & „mehr“?", negative: "", seed: "7", steps: "4", model: "" };
  const link = writeLink(settings, own);
  assert.deepEqual([...new URLSearchParams(link).keys()], ["prompt", "seed", "steps"]);
  assert.deepEqual(readLink(link).settings, { prompt: settings.prompt, seed: "7", steps: "4" });
});
