// A picture's settings in the two forms that the page knows: as an address has them (www/link.js), texts all of them,
// and as the request that Pipeline.generate takes.

import { sizeOf, sizeText } from "./link.js";

/** @param {object} request @param {string} model its id, or '' for the first one @returns {import("./link.js").Settings} */
export function settingsOf(request, model) {
  const { prompt, negative_prompt, seed, steps, guidance_scale, sampler, width, height } = request;
  const size = sizeText(width, height);
  const numbers = { seed, steps: String(steps), guidance: String(guidance_scale) };
  const strength = request.image ? String(request.strength) : "";
  const { method: edit = "", from = "" } = request.edit ?? {};
  return { prompt, negative: negative_prompt, ...numbers, sampler, size, strength, edit, from, model };
}

/** @param {import("./link.js").Settings} settings @returns {object} without the model, and without the picture that it starts
 *  from, which settings do not hold */
export function requestOf(settings) {
  const [width, height] = sizeOf(settings.size);
  return {
    prompt: settings.prompt,
    negative_prompt: settings.negative,
    seed: settings.seed,
    steps: Number(settings.steps),
    guidance_scale: Number(settings.guidance),
    sampler: settings.sampler,
    width,
    height,
  };
}

/** Those of a PNG file, as readSettings of src/web/files.rs gives them, without what the file does not say. */
export function settingsOfFile({ prompt, negative_prompt, seed, steps, guidance_scale, sampler, width, height, strength }) {
  const size = width ? sizeText(width, height) : null;
  const all = { prompt, negative: negative_prompt, seed, steps, guidance: guidance_scale, sampler, size, strength };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null && value !== undefined));
}

/** What of a request is its start picture, and whether that one was edited by words. */
export function startOf({ image, mask, strength, edit }) {
  return image ? { image, mask, strength, edit } : undefined;
}

/** The edit by words that a picture's settings name, as a request has it. @param {import("./link.js").Settings} settings */
export function editOf({ edit, from = "" }) {
  return edit ? { method: edit, from } : undefined;
}

/** The request with everything that the model settles, and a word about what it does not know or was not told. */
export function completed(request, defaults, model) {
  const known = defaults.samplers.some(([name]) => name === request.sampler);
  const notes = request.sampler && !known ? [`The sampler “${request.sampler}” is not known, so the model’s own was used.`] : [];
  if (!request.prompt.trim()) notes.push("Without a prompt the model draws anything.");
  return { full: { ...request, sampler: known ? request.sampler : defaults.sampler, model }, notes };
}
