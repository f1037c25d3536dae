// The page: makes its parts and joins them. What it does is in studio.js and bring.js.

import { AdapterChoice } from "./adapter.js";
import { Bring } from "./bring.js";
import { DeviceChoice } from "./devicechoice.js";
import { $ } from "./dom.js";
import { Edit } from "./edit.js";
import { Engine } from "./engine.js";
import { Examples } from "./examples.js";
import { Form } from "./form.js";
import { Gallery } from "./gallery.js";
import { History } from "./history.js";
import { Incoming } from "./incoming.js";
import { hearKeys } from "./keys.js";
import { writeLink } from "./link.js";
import { Live } from "./live.js";
import { Models } from "./models.js";
import { More } from "./more.js";
import { Numbers } from "./numbers.js";
import { Own } from "./own.js";
import { Picture } from "./picture.js";
import { PromptHelp } from "./prompthelp.js";
import { leave } from "./revisit.js";
import { requestOf } from "./settings.js";
import { Shown } from "./shown.js";
import { Start } from "./start.js";
import { Status } from "./status.js";
import { Storage } from "./storage.js";
import { Studio } from "./studio.js";
import { openTeach } from "./teach.js";
import { watchPage } from "./trouble.js";

/** Every part may ask for any other one, once all are made. @type {Record<string, any>} */
const parts = {};
const studio = new Studio(parts);
const bring = new Bring(studio, parts);
const trouble = (error, again) => studio.trouble(error, again);

const form = (parts.form = new Form());
const status = (parts.status = new Status());
const storage = (parts.storage = new Storage());
const engine = (parts.engine = new Engine({
  onLoading: (event) => studio.onLoading(event),
  onLoaded: (reply) => studio.onLoaded(reply),
}));
const device = (parts.device = new DeviceChoice({ demand: () => parts.models.demand, onChange: () => studio.refresh() }));
parts.models = new Models(engine, {
  probe: async () => (device.probed ??= await engine.probe()),
  described: (note) => (studio.described(note), parts.adapters.refresh()),
  follow: () => form.follow(),
  changed: () => studio.refreshSetup(),
  removed: (line) => (status.notice(line), storage.refresh()),
  trouble,
});
parts.start = new Start({ choose: () => $("start-file").click(), onChange: () => studio.changed() });
parts.numbers = new Numbers($("numbers-body"));
parts.picture = new Picture({
  canvas: $("canvas"),
  strip: $("strip"),
  slider: $("slider"),
  caption: (text) => status.say(text),
  estimate: (index) => (studio.jobs.running ? null : engine.estimate(parts.shown.one?.result, index)),
});
parts.help = new PromptHelp(
  { field: $("prompt"), row: $("help") },
  {
    link: (prompt) => writeLink({ prompt }, {}),
    pick: (prompt) => draw(prompt),
    advise: async (model, prompt, options) => parts.adapters.known(await engine.advise(model, prompt, options)),
  },
);
parts.live = new Live($("live"), () => studio.draw({ quiet: true }));
parts.gallery = new Gallery(new History(), {
  open: (kept) => bring.kept(kept).catch(trouble),
  changed: () => storage.refresh(),
  download: (kept) => parts.shown.download(kept).catch(trouble),
  downloadAll: (all) => parts.shown.downloadAll(all).catch(trouble),
});
parts.more = new More({
  request: () => ({ ...requestOf(parts.shown.one.settings), ...parts.shown.one.start }),
  several: (what) => studio.several(what),
  take: (request, result) => bring.variation(request, result),
  png: (images, options) => engine.png(images, options),
  trouble,
});
parts.examples = new Examples($("examples"), (settings) => bring.example(settings));
parts.shown = new Shown({
  engine,
  gallery: parts.gallery,
  status,
  picture: parts.picture,
  link: (settings) => studio.linkOf(settings),
  onChange: () => (parts.edit.follow(), studio.refreshButtons()),
  trouble,
});
parts.edit = new Edit(studio, parts);
const own = new Own(studio, parts);
parts.adapters = new AdapterChoice(studio, parts);
new Incoming({
  engine,
  own,
  status,
  trouble,
  restore: (found) => bring.settings(found),
  start: (image, prompt) => bring.start(image, prompt),
  edit: () => parts.edit.openStart(),
  saved: (file) => parts.adapters.open(file),
});
openTeach(studio, parts);
hearKeys({ draw: () => studio.draw(), stop: () => studio.jobs.running && studio.cancel() });
leave(() => ({ prompt: form.prompt, picture: parts.shown.one?.id }));
watchPage(trouble);

$("form").addEventListener("input", () => studio.changed());
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (studio.jobs.busy) studio.cancel();
  else studio.draw();
});
$("dice").addEventListener("click", () => {
  form.rollSeed();
  studio.changed();
});
$("surprise").addEventListener("click", () => {
  studio.surprise();
  studio.draw();
});
$("change").addEventListener("click", () => {
  const { result, settings } = parts.shown.one;
  parts.start.set(result, { prompt: settings.prompt });
  parts.start.reveal();
});
for (const event of ["click", "auxclick", "contextmenu"]) $("how").addEventListener(event, takeAlong);
studio.begin((kept, prompt) => bring.kept(kept, prompt));

function draw(prompt) {
  form.prompt = prompt;
  studio.draw();
}

/** The view "How it works" takes the picture apart that is shown, or that the form describes. */
function takeAlong({ currentTarget }) {
  const shown = parts.shown.one?.settings;
  currentTarget.search = new URL(studio.linkOf(shown?.prompt === form.prompt.trim() ? shown : form.settings)).search;
}
