// Keys that work anywhere. One-key shortcuts can be turned off (WCAG 2.1.4), and none works
// while somebody types.
import { Value } from "./value";

const KEY = "assent.keys";
const SECOND_MS = 1_200;

export const keysOn = new Value<boolean>(localStorage.getItem(KEY) !== "off");
export function setKeysOn(on: boolean): void {
  localStorage.setItem(KEY, on ? "on" : "off");
  keysOn.set(on);
}

export const PLACES: readonly (readonly [string, string, string])[] = [
  ["f", "fleet", "Fleet"],
  ["l", "live", "Live"],
  ["m", "message", "Message"],
  ["a", "approvals", "Approvals"],
  ["d", "letters", "Dead letters"],
  ["s", "streams", "Streams and consumers"],
  ["p", "policy", "Policy"],
  ["u", "audit", "Audit"],
  ["r", "recovery", "Recovery"],
];

/** Actions of the page in sight, by key. */
export const pageKeys = new Map<string, () => void>();

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.matches("input, textarea, select") || target.isContentEditable);
}

/** Listens until the returned function is called. */
export function listen(help: () => void): () => void {
  let going = 0;
  function pressed(event: KeyboardEvent): void {
    if (!keysOn.now || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (typing(event.target) || document.querySelector("dialog[open]")) return;
    if (going !== 0) {
      clearTimeout(going);
      going = 0;
      const place = PLACES.find(([key]) => key === event.key);
      if (place) { event.preventDefault(); location.hash = `#/${place[1]}`; }
      return;
    }
    if (event.key === "g") going = window.setTimeout(() => { going = 0; }, SECOND_MS);
    else if (event.key === "?") help();
    else if (event.key === "/") {
      const field = document.querySelector<HTMLElement>("[data-filter]");
      if (field) { event.preventDefault(); field.focus(); }
    } else {
      const action = pageKeys.get(event.key);
      const own = event.key === " " && event.target instanceof HTMLElement && event.target.matches("button, a, summary");
      if (action && !own) { event.preventDefault(); action(); }
    }
  }
  document.addEventListener("keydown", pressed);
  return () => { clearTimeout(going); document.removeEventListener("keydown", pressed); };
}
