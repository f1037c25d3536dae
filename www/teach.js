// "Teach it yours", until it is first opened: all of it is in www/deeper/teach.js.

import { $ } from "./dom.js";

/** @param {import("./studio.js").Studio} studio @param {Record<string, any>} parts the page's */
export function openTeach(studio, parts) {
  let teach = null;
  const open = async () => {
    if (!$("teach").open) return;
    try {
      teach ??= import("./deeper/teach.js").then(({ Teach }) => new Teach($("teach-body"), studio, parts));
      (await teach).refresh();
    } catch {
      teach = null;
      $("teach").open = false;
      studio.trouble(new Error("“Teach it yours” could not be fetched. Is the connection working? It comes once and is then kept."), () => {
        $("teach").open = true;
      });
    }
  };
  $("teach").addEventListener("toggle", open);
  $("teach").addEventListener("input", (event) => event.stopPropagation()); // it is no setting of the picture
}
