import { load } from "./fourstep.js";

const form = document.querySelector("form");
const line = document.querySelector("p");
const canvas = document.querySelector("canvas");
const say = (words) => (line.textContent = words);
let model;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    model ??= await load({
      onProgress: (progress) => say(progress.phase === "files" ? `${progress.loaded} of ${progress.total} bytes` : "preparing"),
    });
    const prompt = String(new FormData(form).get("prompt"));
    const image = await model.generate({ prompt, seed: 7, steps: 4, onStep: ({ index }) => say(`step ${index + 1}`) });
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext("2d").putImageData(new ImageData(image.rgba, image.width, image.height), 0, 0);
    say(`Drawn with seed ${image.seed} on ${model.device}.`);
  } catch (error) {
    say(error.message);
  }
});
