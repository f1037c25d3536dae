// The pure parts of the page, without a browser: what the model knows, and addresses.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { isHeavy, readLink, seedProblem, writeLink } from "../../www/link.js";
import { distance, suggest, surprise } from "../../www/suggest.js";

const list = JSON.parse(readFileSync(new URL("../../models/stickers/words.json", import.meta.url)));
const unknown = (prompt) => suggest(prompt, list, -1).unknown.map(({ word }) => word);
const instead = (word) => suggest(word, list, -1).unknown[0].instead;
const offered = (before) => suggest(before, list).next.map(({ label }) => label);

test("every caption that the page composes is made of known words", () => {
  assert.ok(list.surprises.length >= 200);
  for (const caption of list.surprises) assert.deepEqual(unknown(caption), [], caption);
  assert.ok(list.surprises.includes(surprise(list, () => 0.5)));
});

test("words that no caption has are found where they stand; small words are not worth a mention", () => {
  const prompt = "A green Fox beside my blorp, two foxes on a blue background and a Blorp";
  assert.deepEqual(unknown(prompt), ["beside", "blorp"]);
  for (const { word, start, end } of suggest(prompt, list, -1).unknown) assert.equal(prompt.slice(start, end), word);
  assert.deepEqual(unknown("狐 on a fox’s background"), ["狐"]);
});

test("a prompt without a known word that matters is told apart", () => {
  const nothing = (prompt) => suggest(prompt, list, -1).nothing;
  assert.deepEqual(["the bakery", "a", "thank you", "狐"].map(nothing), [true, true, true, true]);
  assert.deepEqual(["", " ", "a fox at the bakery", "green"].map(nothing), [false, false, false, false]);
});

test("for an unknown word others are suggested: a slip, a plural, another name, a number; nothing where nothing is near", () => {
  assert.equal(instead("fxo")[0], "fox");
  assert.equal(instead("buterfly")[0], "butterfly");
  assert.ok(instead("bunny").includes("rabbit"));
  assert.ok(instead("bunnies").includes("rabbit"));
  assert.deepEqual(instead("3"), ["three"]);
  for (const word of ["qqqqqqqq", "thank", "love"]) assert.deepEqual(instead(word), [], word);
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
  const [owl] = suggest("a ow", list).next.filter(({ label }) => label === "owl");
  assert.deepEqual([owl.text, owl.start], ["an owl", 0]);
});

test("what is offered next can stand there, and nothing is offered after a complete sentence", () => {
  for (const before of ["a fox", "a fox ", "two foxes", "a green fox"])
    assert.ok(
      offered(before).some((text) => /^on an? .* background$/.test(text)),
      before,
    );
  const things = new Set(list.concepts.map(({ name }) => name.toLowerCase()));
  assert.ok(offered("a green ").length > 0 && offered("a green ").every((text) => things.has(text)));
  for (const before of [
    "a yellow duck on a teal background",
    "a yellow duck on a teal background ",
    "a fox next to a duck",
    "a fox runs",
    "a fox.",
    "",
  ])
    assert.deepEqual(offered(before), [], before);
  assert.ok(offered("a cat").includes("cat face") && !offered("a cat").includes("caterpillar"), "a whole word is not half of another");
  for (const { text, start } of suggest("a fox", list).next) assert.match("a fox".slice(0, start) + text, /^a fox \S/);
});

test("a seed is a whole number of 64 bits, and what is wrong with another one is said", () => {
  for (const good of ["0", "007", "18446744073709551615"]) assert.equal(seedProblem(good), "", good);
  for (const large of ["18446744073709551616", "1".repeat(23), "9".repeat(5000)])
    assert.match(seedProblem(large), /too large\. The largest is 18446744073709551615/);
  for (const odd of ["", "x", "-1", "1.5"]) assert.match(seedProblem(odd), /whole number, 0 or more/, odd);
});

test("a link of many steps or a large picture is heavy, a plain one is not", () => {
  const own = { steps: "4", size: "64" };
  assert.deepEqual(
    [{}, { steps: "50", size: "128" }, { size: "512" }].map((settings) => isHeavy(settings, own)),
    [false, false, false],
  );
  assert.deepEqual(
    [{ steps: "1000" }, { steps: "101" }, { size: "2048" }, { size: "2048x200" }].map((settings) => isHeavy(settings, own)),
    [true, true, true, true],
  );
  assert.equal(isHeavy({ size: "1024", steps: "150" }, { steps: "150", size: "1024" }), false, "what the model draws by itself");
});

test("an address is read, checked and brought into range, each change with a word", () => {
  const good = readLink("?prompt=a+green+fox&negative=a+dog&seed=7&steps=4&guidance=2.5&sampler=ddim&size=96x64&model=m&x=1");
  const wanted = {
    prompt: "a green fox",
    negative: "a dog",
    seed: "7",
    steps: "4",
    guidance: "2.5",
    sampler: "ddim",
    size: "96x64",
    model: "m",
  };
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
