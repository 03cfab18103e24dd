// Light, dark, or what the system says; kept in this browser.
import { Value } from "./value";

export type Theme = "system" | "light" | "dark";
const KEY = "assent.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

function kept(): Theme {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : "system";
}

export const theme = new Value<Theme>(kept());

function apply(): void {
  const shown = theme.now === "system" ? (dark.matches ? "dark" : "light") : theme.now;
  document.documentElement.dataset["theme"] = shown;
}

/** Applies the theme before anybody who follows it draws. */
export function setTheme(next: Theme): void {
  localStorage.setItem(KEY, next);
  document.documentElement.dataset["theme"] = next === "system" ? (dark.matches ? "dark" : "light") : next;
  theme.set(next);
}

dark.addEventListener("change", apply);
apply();
