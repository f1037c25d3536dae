// The keys that draw and stop: Enter in a field, Ctrl+Enter or Cmd+Enter anywhere; Escape.

const FIELDS = "#form textarea, #form input:not([type=checkbox], [type=radio], [type=color], [type=range])";

/** @param {{draw: () => void, stop: () => void}} acts */
export function hearKeys({ draw, stop }) {
  document.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const inField = /** @type {HTMLElement} */ (event.target).matches(FIELDS) && !event.shiftKey;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey || inField)) {
      event.preventDefault();
      draw();
    } else if (event.key === "Escape") stop();
  });
}
