// What a reload finds again: the prompt as it was typed, and the picture that was on the canvas, by its number in the gallery.
// It belongs to this tab alone, and to a reload or a way back, not to a new visit.

const KEY = "fourstep.tab";

/** @typedef {{search: string, prompt: string, picture?: number}} Left `search`: the address's query then */

/** Remembers it when the page is left. @param {() => Omit<Left, "search">} now */
export function leave(now) {
  addEventListener("pagehide", () => {
    try {
      sessionStorage.setItem(KEY, JSON.stringify({ ...now(), search: location.search }));
    } catch {
      // denied: a reload begins with the address
    }
  });
}

/** What was left, if this is the same page again. @returns {Left | null} */
export function left() {
  const [navigation] = /** @type {PerformanceNavigationTiming[]} */ (performance.getEntriesByType("navigation"));
  if (!/reload|back_forward/.test(navigation?.type)) return null;
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY));
    return found?.search === location.search ? found : null;
  } catch {
    return null;
  }
}
