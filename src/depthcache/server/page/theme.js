/**
 * Colours of the page, read from the custom properties of style.css, and whether things may move.
 *
 * Charts read `theme.bid`, `theme.grid` … when they draw. `theme.version` grows when any of them changed, so that a
 * chart knows that it has to draw again.
 */

const COLOURS = ["bid", "ask", "text", "muted", "surface", "grid", "accent", "warning"];
const CHOICE = "depthcache-theme";

class Theme {
  constructor() {
    this.version = 0;
    this.isDark = false;
    this.isStill = false;
    this.font = "";
    for (const name of COLOURS) this[name] = "";
    this.listeners = new Set();
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.dark.addEventListener("change", () => this.read());
    this.still.addEventListener("change", () => this.read());
    this.apply(this.choice);
  }

  /** "light", "dark", or "auto": as the system has it. */
  get choice() {
    return localStorage.getItem(CHOICE) ?? "auto";
  }

  /** Choose, and remember it in this browser. */
  set choice(choice) {
    if (choice === "auto") localStorage.removeItem(CHOICE);
    else localStorage.setItem(CHOICE, choice);
    this.apply(choice);
  }

  /** Call `listener` after each change; returns a function that ends that. */
  onChange(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  apply(choice) {
    const root = document.documentElement;
    if (choice === "auto") delete root.dataset.theme;
    else root.dataset.theme = choice;
    this.read();
  }

  read() {
    const root = document.documentElement;
    const style = getComputedStyle(root);
    for (const name of COLOURS) this[name] = style.getPropertyValue(`--${name}`).trim();
    this.font = style.getPropertyValue("--mono").trim();
    this.isDark = (root.dataset.theme ?? (this.dark.matches ? "dark" : "light")) === "dark";
    this.isStill = this.still.matches;
    this.version += 1;
    for (const listener of this.listeners) listener(this);
  }
}

/** The one theme of the page. */
export const theme = new Theme();
