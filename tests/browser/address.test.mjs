// Addresses and what they may ask for, without a browser.
import assert from "node:assert/strict";
import test from "node:test";
import { isHeavy, readLink, seedProblem, writeLink } from "../../www/link.js";
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
  assert.match(changed.notes[0], /a link cannot contain/, "where a picture began with another one, the address says so");
  const edited = readLink("?prompt=a&strength=0.5&edit=flowedit&from=b");
  assert.deepEqual(edited.settings, { prompt: "a", strength: "0.5", edit: "flowedit", from: "b" });
  assert.match(edited.notes.join(), /edit it by words again/);
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
