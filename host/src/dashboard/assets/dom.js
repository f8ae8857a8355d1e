// Elements that stay while what they show changes: so what has the focus, is open or is read aloud stays so. How elements
// are made of texts, and numbers are written, is in `base.js`.

/** Sets a text where it is another one. */
export function text(element, value) {
  const wanted = Convoke.text(value);
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** Shows or hides. */
export function show(element, shown) {
  if (element.hidden === Boolean(shown)) element.hidden = !shown;
}

const kept = new WeakMap();

/**
 * Makes the children of an element those of `rows`, by their keys. `make(row)` gives `{ element, update(row) }`. Returns
 * what was made, by key.
 */
export function list(parent, rows, key, make) {
  const known = kept.get(parent) ?? new Map();
  const wanted = new Map();
  let place = parent.firstElementChild;
  for (const row of rows) {
    const name = key(row);
    if (wanted.has(name)) continue;
    const made = known.get(name) ?? make(row);
    made.update(row);
    wanted.set(name, made);
    if (made.element === place) place = place.nextElementSibling;
    else parent.insertBefore(made.element, place);
  }
  for (const [name, made] of known) if (!wanted.has(name)) made.element.remove();
  kept.set(parent, wanted);
  return wanted;
}

/** When, as the clock on the wall has it; the day only where it was another one. */
export function when(timestamp) {
  const date = new Date(timestamp);
  if (Number.isNaN(date.getTime())) return "";
  const today = new Date().toDateString() === date.toDateString();
  const clock = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return today ? clock : `${date.toLocaleDateString([], { month: "short", day: "numeric" })}, ${clock}`;
}

/** The last part of a path. */
export const folder = (path) => (path ?? "").split("/").filter(Boolean).pop() ?? path ?? "";

const TONES = {
  completed: "good", degraded: "warn", parked: "warn", failed: "bad", interrupted: "warn", lost: "bad", paused: "warn",
};

/** Whether a state is good, worth a look, bad, or one of those that go on. */
export const tone = (state) => TONES[state] ?? "live";
