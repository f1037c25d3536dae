// What the browser keeps between visits: small choices. Where storage is denied, a choice holds for this visit.

const visit = new Map();

/** The kept text, or null. */
export function recall(key) {
  if (visit.has(key)) return visit.get(key);
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(key, text) {
  visit.set(key, text);
  try {
    localStorage.setItem(key, text);
  } catch {
    // denied or full: `visit` has it
  }
}
