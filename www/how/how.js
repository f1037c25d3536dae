// The view "How it works": joins the cells of all parts, and keeps the files that a reader drops.
import { makeCell } from "./cell.js";
import { chanceCells } from "./part-chance.js";
import { classifierCells } from "./part-classifier.js";
import { cloudCells } from "./part-cloud.js";
import { numberCells } from "./part-numbers.js";
import { dataCells } from "./part-data.js";
import { openedCells } from "./part-opened.js";

/** The reader's own digits: one file of pictures and one of labels; none for those that ship. */
const own = { files: [] };
const cells = { ...openedCells(), ...dataCells(own), ...numberCells(), ...chanceCells(), ...classifierCells(own), ...cloudCells() };

for (const place of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-cell]"))) {
  const it = cells[place.dataset.cell];
  if (!it) throw new Error(`the page has a place for ${place.dataset.cell}, which nobody makes`);
  makeCell(place, it);
}
backLink();
takeFiles();

/** The way back to the page, with the prompt that one came with. */
function backLink() {
  for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll(".back"))) link.search = location.search;
}

function takeFiles() {
  const field = /** @type {HTMLInputElement} */ (document.getElementById("own-files"));
  const line = document.getElementById("own-line");
  const take = (files) => {
    own.files = [...files];
    line.textContent = own.files.length
      ? `In use: ${own.files.map(({ name }) => name).join(" and ")}.`
      : "In use: the digits that came with this page.";
    for (const place of document.querySelectorAll("[data-digits]")) /** @type {any} */ (place).rerun?.();
  };
  field.addEventListener("change", () => take(field.files));
  document.getElementById("own-none").addEventListener("click", () => {
    field.value = "";
    take([]);
  });
  const zone = document.getElementById("data");
  zone.addEventListener("dragover", (event) => {
    if (event.dataTransfer.types.includes("Files")) event.preventDefault();
  });
  zone.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    take(event.dataTransfer.files);
  });
}
