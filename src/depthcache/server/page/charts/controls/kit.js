/**
 * What readers do with every chart: point, press keys, turn the wheel, and buttons for those without a keyboard. What
 * changes settings says so: the host gets an event `settings` with what changed.
 */

import { element } from "../kit.js";

const HIDDEN = { position: "absolute", width: "1px", height: "1px", overflow: "hidden", clipPath: "inset(50%)" };

/** Give a chart its controls: methods for all charts of its class, and listeners. */
export function attach(chart, controls) {
  const { canvas, host } = chart;
  for (const each of [shared, controls]) Object.defineProperties(Object.getPrototypeOf(chart), Object.getOwnPropertyDescriptors(each));
  canvas.setAttribute("aria-label", chart.label);
  chart.spoken = element(host, HIDDEN, { role: "status" });
  for (const name of ["pointermove", "pointerdown"]) canvas.addEventListener(name, (event) => chart.pointAt(event));
  canvas.addEventListener("pointerleave", () => chart.pointAt(null));
  canvas.addEventListener("click", ({ offsetY }) => chart.click?.(offsetY));
  canvas.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey && chart.press(event.key)) event.preventDefault();
  });
  // The page scrolls until the chart has the focus.
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement === canvas && chart.turn(event)) event.preventDefault();
  }, { passive: false });
  if (chart.buttons) addButtons(chart);
}

const shared = {
  pointAt(event) {
    this.point(event ? event.offsetX : null, event ? event.offsetY : null);
    this.change();
  },

  turn(event) {
    return this.press(event.deltaY < 0 ? "+" : "-");
  },

  /** A key or the wheel changed settings: the page may show and keep them. */
  choose(settings) {
    this.set(settings);
    this.host.dispatchEvent(new CustomEvent("settings", { bubbles: true, detail: settings }));
  },
};

/** Buttons in a corner that press keys: [key, text, label]. */
function addButtons(chart) {
  const bar = element(chart.host, { position: "absolute", top: "8px", right: "var(--bar, 8px)", display: "flex", gap: "4px" });
  for (const [key, text, label] of chart.buttons) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: text, title: label, ariaLabel: label });
    const colours = { color: "var(--text)", background: "var(--surface)", border: "1px solid var(--grid)" };
    Object.assign(button.style, { ...colours, width: "28px", height: "26px", padding: "0", borderRadius: "6px" });
    button.addEventListener("click", () => chart.press(key));
    bar.append(button);
  }
}
