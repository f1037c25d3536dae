// The page's elements by their ids.

/** @param {string} id @returns {any} the element; its kind is what index.html says */
export function $(id) {
  return document.getElementById(id);
}

/** An element with these properties. @param {string} tag @param {object} properties @param {(Node | string)[]} content @returns {any} */
export function make(tag, properties = {}, ...content) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...content);
  return element;
}

/** A button with an icon or a word. @param {string} text @param {() => void} act @param {{label?: string, className?: string}} [more] */
export function button(text, act, { label, className = "" } = {}) {
  const made = make("button", { type: "button", className }, text);
  if (label && label !== text) {
    made.setAttribute("aria-label", label);
    made.title = label;
  }
  made.addEventListener("click", act);
  return made;
}
