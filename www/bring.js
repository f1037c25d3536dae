// Brings to the canvas and the form what was drawn or said elsewhere: a variation, a picture of the gallery, an example, the
// settings in a picture's file, a picture to start from.

import { $ } from "./dom.js";
import { imageOf } from "./picture.js";
import { editOf, settingsOf, settingsOfFile, startOf } from "./settings.js";

export class Bring {
  #studio;
  #parts;

  /** @param {import("./studio.js").Studio} studio @param {Record<string, any>} parts the page's */
  constructor(studio, parts) {
    this.#studio = studio;
    this.#parts = parts;
  }

  /** A picture that was drawn beside the canvas takes it. */
  variation(request, result) {
    const { models, shown, status } = this.#parts;
    const settings = settingsOf(request, models.nameInLink);
    this.#fill(settings);
    this.#still(result, `Seed ${request.seed}`);
    status.notice("");
    const enlarge = async () => result.large;
    this.#studio.show({ settings, result, infotext: result.infotext, start: startOf(request), enlarge });
    shown.keep();
  }

  /** A picture of the gallery, with the picture that it was made from. @param {import("./history.js").Kept} kept
   *  @param {string} [prompt] another one for the form */
  async kept(kept, prompt = kept.settings.prompt) {
    const { start, models, status, form } = this.#parts;
    const { jobs } = this.#studio;
    if (jobs.running) this.#studio.cancel();
    await jobs.idle;
    const [result, image, mask] = await Promise.all([kept.png, kept.start?.image, kept.start?.mask].map((blob) => blob && imageOf(blob)));
    const model = models.model?.id;
    const edit = editOf(kept.settings);
    status.clear();
    this.#fill(kept.settings);
    if (image && !edit) start.set(image, { strength: kept.settings.strength, mask });
    else start.remove();
    this.#still(result, `Drawn ${new Date(kept.time).toLocaleString()}`);
    const began = image && { image, mask, strength: Number(kept.settings.strength), edit };
    this.#studio.show({ ...kept, result, start: began });
    form.prompt = prompt;
    $("frame").scrollIntoView({ block: "nearest" });
    const note = await models.use(kept.settings.model).catch(() => ""); // without a model there is trouble to be seen already
    if (model && models.model.id !== model) this.#fill(kept.settings); // the other model brought its own
    if (note) status.notice(note);
  }

  /** An example: what its link does not say is the first model's own. */
  async example(settings) {
    const { start, models, form } = this.#parts;
    form.prompt = settings.prompt;
    start.remove();
    if (models.model) await models.use("");
    form.fill({ negative: "", ...form.own, ...settings });
    this.#refresh();
    this.#studio.draw();
  }

  /** The settings in a picture's file; resolves to a note about its model. The picture that it was made from is not in it. */
  async settings(found) {
    const { start, models } = this.#parts;
    const note = found.model ? await models.use(found.model).catch(() => "") : "";
    const settings = settingsOfFile(found);
    this.#fill(settings, { shown: false });
    if (settings.strength === undefined) start.remove();
    else start.strength = settings.strength;
    this.#studio.changed();
    return note;
  }

  /** A picture to start from. @param {import("./picture.js").Image} image @param {string} [prompt] what it shows, where that is known */
  start(image, prompt) {
    this.#parts.start.set(image, { prompt });
    this.#parts.start.reveal();
    this.#studio.changed();
  }

  #fill(settings, more) {
    this.#parts.form.restore(settings, more);
    this.#refresh();
  }

  #refresh() {
    this.#parts.help.refresh();
    this.#studio.refresh();
  }

  #still(image, line) {
    this.#parts.picture.still(image);
    this.#parts.numbers.clear();
    this.#parts.status.rest(line);
  }
}
